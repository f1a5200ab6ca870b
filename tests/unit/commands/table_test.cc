// The command table: joining and finding.
#include "commands/table.h"

#include <gtest/gtest.h>

#include <string>

#include "resp/reply.h"

namespace quorate {
namespace {

constexpr CommandSpec row(std::string_view name, std::string_view since = "1.0.0") {
  return {.name = name, .arity = 1, .summary = "Does it.", .since = since};
}
constexpr CommandSpec kFirst[] = {row("get"), row("zrevrangebyscore"), row("georadiusbymember_ro"),
                                  row("georadiusbymember_rx"), row("a"), row("ab"), row("abc"), row("ping")};
constexpr CommandSpec kSecond[] = {row("config|get", "2.0.0"), row("config|set", "1.5.0"), row("config|help"),
                                   row("command"), row("command|count")};

TEST(CommandTable, finds_every_name_in_any_case) {
  const CommandTable table{kFirst, kSecond};
  for (const CommandSpec& spec : kFirst) {
    ASSERT_NE(table.find(spec.name), nullptr) << spec.name;
    EXPECT_EQ(table.find(spec.name)->spec, &spec);
    std::string upper(spec.name);
    for (char& letter : upper) letter = static_cast<char>(std::toupper(letter));
    EXPECT_EQ(table.find(upper)->spec, &spec);
    EXPECT_EQ(table.find(upper + "x"), nullptr);
    EXPECT_EQ(table.find(upper.substr(1)) == nullptr || upper.size() > 1, true);
  }
  EXPECT_EQ(table.find(""), nullptr);
  EXPECT_EQ(table.find("\x01\x02"), nullptr);
  EXPECT_EQ(table.find("config|get"), nullptr);
  EXPECT_EQ(table.find(std::string(100000, 'x')), nullptr);
  // Only letters have a case: these differ from a name in the one bit that tells cases apart.
  EXPECT_EQ(table.find(std::string("georadiusbymember\x7fro")), nullptr);
  EXPECT_EQ(table.find("p\x09ng"), nullptr);
}

TEST(CommandTable, a_container_is_made_of_its_subcommands) {
  const CommandTable table{kFirst, kSecond};
  const CommandRow* config = table.find("CONFIG");
  ASSERT_NE(config, nullptr);
  EXPECT_TRUE(config->is_container());
  EXPECT_EQ(config->spec->arity, -2);
  EXPECT_EQ(config->spec->since, "1.0.0");
  ASSERT_EQ(config->subcommands.size(), 3u);
  EXPECT_EQ(config->subcommands[0]->own_name(), "get");
  EXPECT_EQ(config->subcommands[0]->container, config);
  const std::string_view request[] = {"Config", "GET", "x"};
  EXPECT_EQ(table.find(request)->spec->name, "config|get");
  const std::string_view unknown[] = {"config", "nothing"};
  EXPECT_EQ(table.find(unknown), config);
  EXPECT_EQ(table.find_full("config|set")->spec->name, "config|set");
  EXPECT_EQ(table.find_full("config|no"), nullptr);
  EXPECT_EQ(table.find("command")->spec, &kSecond[3]);
  EXPECT_EQ(table.commands().size(), 10u);
  EXPECT_EQ(table.size(), 14u);
  for (uint32_t id = 0; id < table.size(); ++id) EXPECT_EQ(table.row(id).id, id);
}

TEST(CommandTableDeathTest, a_name_given_twice_is_refused) {
  EXPECT_DEATH(CommandTable({kFirst, kFirst}), "");
}

TEST(CommandTable, help_lists_the_subcommands) {
  const CommandTable table{kSecond};
  Buffer out;
  Reply reply(out, Protocol::kResp2);
  write_help(*table.find("config"), reply);
  EXPECT_TRUE(out.view().starts_with("*7\r\n+CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n+GET\r\n"));
}

}  // namespace
}  // namespace quorate
