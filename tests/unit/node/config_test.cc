// Configuration: redis.conf syntax, the command line, CONFIG GET, SET and REWRITE.
#include "node/config.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace quorate {
namespace {

class FakeFiles : public ConfigFiles {
 public:
  std::map<std::string, std::string> texts;
  Result<std::vector<File>> read(std::string_view pattern) override {
    const auto found = texts.find(std::string(pattern));
    if (found == texts.end())
      return Error(ErrorCode::kIo, "can't open '" + std::string(pattern) + "': No such file or directory");
    return std::vector<File>{{found->first, found->second}};
  }
};

class FakeHost : public Host {
 public:
  bool accepts = true;
  std::vector<std::string> changed;
  Status settings_changed(std::span<const std::string_view> names) override {
    for (const std::string_view name : names) changed.emplace_back(name);
    if (accepts) return done();
    return Error(ErrorCode::kIo, "Unable to listen on this port. Check server logs.");
  }
  Status rewrite_config() override { return done(); }
  ProcessFacts facts() override { return {}; }
  void log(LogLevel, std::string_view) override {}
  void end_process(ProcessEnd) override {}
};

struct Fixture {
  StoreSettings store;
  NodeSettings node;
  ProcessSettings process;
  FakeFiles files;
  Configuration config{SettingTargets{store, node, process}};

  // Empty: fine.  Else the message.
  std::string load(std::string_view text) {
    std::vector<Directive> directives;
    const Status read = read_directives(text, "test.conf", files, directives);
    if (!read.ok()) return std::string(read.error().detail());
    const Status loaded = config.load(directives);
    return loaded.ok() ? "" : std::string(loaded.error().detail());
  }
  std::string load_args(std::vector<std::string> args) {
    auto directives = command_line_directives(args);
    if (!directives.ok()) return std::string(directives.error().detail());
    const Status loaded = config.load(directives.value());
    return loaded.ok() ? "" : std::string(loaded.error().detail());
  }
  std::string set(std::vector<SettingPair> pairs, Host* host = nullptr) {
    const Status status = config.set(pairs, host);
    return status.ok() ? "OK" : std::string(status.error().detail());
  }
  std::string get(std::vector<std::string_view> patterns) {
    std::string out;
    for (const auto& [name, value] : config.get(patterns)) {
      out.append(name);
      out += '=';
      out.append(value);
      out += ';';
    }
    return out;
  }
};

TEST(ConfigSyntax, words_and_quotes_are_split_as_redis_does) {
  using Words = std::vector<std::string>;
  EXPECT_EQ(split_words("  port   7001\t"), (Words{"port", "7001"}));
  EXPECT_EQ(split_words(R"(requirepass "a \"b\" \x41\n")"), (Words{"requirepass", "a \"b\" A\n"}));
  EXPECT_EQ(split_words(R"(x 'it\'s \n')"), (Words{"x", "it's \\n"}));
  EXPECT_EQ(split_words(R"(save "")"), (Words{"save", ""}));
  EXPECT_EQ(split_words(""), Words{});
  EXPECT_EQ(split_words(R"(a "b)"), std::nullopt);
  EXPECT_EQ(split_words(R"(a "b"c)"), std::nullopt);
  EXPECT_EQ(split_words("a 'b"), std::nullopt);
}

TEST(ConfigSyntax, a_quoted_word_reads_back) {
  for (const std::string word : {"", "plain", "two words", "\"", "\\", "#x", "\x01\xff\n\r\t\a\b", "it's"}) {
    const auto words = split_words(quote_word(word));
    ASSERT_TRUE(words.has_value()) << word;
    EXPECT_EQ(*words, std::vector<std::string>{word});
  }
  EXPECT_EQ(quote_word("plain"), "plain");
}

TEST(ConfigSyntax, includes_are_read_in_place_and_loops_are_refused) {
  Fixture f;
  f.files.texts["other.conf"] = "maxmemory 2mb\n";
  f.files.texts["loop.conf"] = "include loop.conf\n";
  EXPECT_EQ(f.load("maxmemory 1mb\ninclude other.conf\n"), "");
  EXPECT_EQ(f.store.maxmemory, 2u << 20);
  EXPECT_NE(f.load("include loop.conf").find("include each other"), std::string::npos);
  EXPECT_NE(f.load("\n\ninclude nowhere.conf").find("line 3"), std::string::npos);
}

TEST(ConfigSyntax, an_include_bomb_is_refused_not_read_for_ever) {
  Fixture f;
  for (int i = 0; i < 12; ++i) {
    std::string text;
    for (int j = 0; j < 20; ++j) text += "include bomb" + std::to_string(i + 1) + "\n";
    f.files.texts["bomb" + std::to_string(i)] = text;
  }
  f.files.texts["bomb12"] = std::string(1000, '#');
  EXPECT_NE(f.load("include bomb0").find("too large"), std::string::npos);
}

TEST(Config, defaults_are_ours_where_redis_differs) {
  Fixture f;
  EXPECT_EQ(f.process.port, 7001);
  EXPECT_EQ(f.process.bind, (std::vector<std::string>{"127.0.0.1", "-::1"}));
  EXPECT_TRUE(f.node.protected_mode);
  EXPECT_TRUE(f.node.appendonly);
  EXPECT_EQ(f.node.appendfsync, FsyncPolicy::kEverySecond);
  EXPECT_EQ(f.node.save.size(), 3u);
}

TEST(Config, the_defaults_of_the_structs_are_those_of_the_table) {
  const StoreSettings store;
  const NodeSettings node;
  const ProcessSettings process;
  Fixture f;
  EXPECT_EQ(f.store.hash_max_listpack_entries, store.hash_max_listpack_entries);
  EXPECT_EQ(f.store.zset_max_listpack_value, store.zset_max_listpack_value);
  EXPECT_EQ(f.store.set_max_intset_entries, store.set_max_intset_entries);
  EXPECT_EQ(f.store.proto_max_bulk_len, store.proto_max_bulk_len);
  EXPECT_EQ(f.store.maxmemory_policy, store.maxmemory_policy);
  EXPECT_EQ(f.store.rdb_version, store.rdb_version);
  EXPECT_EQ(f.node.slowlog_log_slower_than, node.slowlog_log_slower_than);
  EXPECT_EQ(f.node.client_query_buffer_limit, node.client_query_buffer_limit);
  EXPECT_EQ(f.node.output_limits[2].hard, node.output_limits[2].hard);
  EXPECT_EQ(f.process.loglevel, process.loglevel);
  EXPECT_EQ(f.process.tcp_backlog, process.tcp_backlog);
}

TEST(Config, names_and_aliases_are_unique) {
  std::map<std::string_view, int> seen;
  for (const Setting& row : setting_table()) {
    EXPECT_EQ(seen[row.name]++, 0) << row.name;
    if (!row.alias.empty()) {
      EXPECT_EQ(seen[row.alias]++, 0) << row.alias;
    }
  }
}

TEST(Config, save_lines_replace_the_default_and_add_up) {
  Fixture f;
  EXPECT_EQ(f.load("save 900 1\nsave 300 10 60 100\n"), "");
  EXPECT_EQ(f.get({"save"}), "save=900 1 300 10 60 100;");
  Fixture g;
  EXPECT_EQ(g.load("save 900 1\nsave \"\"\n"), "");
  EXPECT_EQ(g.get({"save"}), "save=;");
  EXPECT_TRUE(g.node.save.empty());
}

TEST(Config, the_command_line_overrides_the_file) {
  Fixture f;
  EXPECT_EQ(f.load("port 7002\nappendonly no\n"), "");
  EXPECT_EQ(f.load_args({"--port", "7003", "--save", "", "--bind", "127.0.0.1", "::1", "--APPENDFSYNC", "always"}), "");
  EXPECT_EQ(f.process.port, 7003);
  EXPECT_FALSE(f.node.appendonly);
  EXPECT_TRUE(f.node.save.empty());
  EXPECT_EQ(f.process.bind, (std::vector<std::string>{"127.0.0.1", "::1"}));
  EXPECT_EQ(f.node.appendfsync, FsyncPolicy::kAlways);
}

TEST(Config, an_unknown_directive_is_refused_with_its_line_and_a_suggestion) {
  Fixture f;
  EXPECT_EQ(f.load("# comment\nprot 7002\n"),
            "Reading the configuration file test.conf, at line 2\n>>> 'prot 7002'\n"
            "Bad directive or wrong number of arguments. Did you mean 'port'?");
  EXPECT_EQ(f.load("appendfsnyc always\n"),
            "Reading the configuration file test.conf, at line 1\n>>> 'appendfsnyc always'\n"
            "Bad directive or wrong number of arguments. Did you mean 'appendfsync'?");
  EXPECT_EQ(f.load_args({"--colour", "blue"}),
            "Reading the command line\n>>> 'colour blue'\nBad directive or wrong number of arguments");
}

TEST(Config, bad_values_are_refused) {
  Fixture f;
  EXPECT_NE(f.load("port 99999999").find("argument must be between 0 and 65535 inclusive"), std::string::npos);
  EXPECT_NE(f.load("port").find("wrong number of arguments"), std::string::npos);
  EXPECT_NE(f.load("port 1 2").find("wrong number of arguments"), std::string::npos);
  EXPECT_NE(f.load("maxmemory 5mx").find("must be a memory value"), std::string::npos);
  EXPECT_NE(f.load("requirepass \"abc").find("Unbalanced quotes"), std::string::npos);
  EXPECT_NE(f.load("partitions 100").find("power of two"), std::string::npos);
  EXPECT_NE(f.load("threads 2").find("auto, 1"), std::string::npos);
  EXPECT_NE(f.load("unixsocketperm 888").find("octal"), std::string::npos);
}

TEST(Config, a_bad_line_with_a_password_is_refused_without_it) {
  Fixture f;
  const std::string secret = "hunter2" + std::string(4096, 'x');
  EXPECT_EQ(f.load("port 1\nmasterauth " + secret),
            "Reading the configuration file test.conf, at line 2\n>>> 'masterauth (redacted)'\nargument is longer than 4096 bytes");
  EXPECT_EQ(f.load_args({"--masterauth", secret}),
            "Reading the command line\n>>> 'masterauth (redacted)'\nargument is longer than 4096 bytes");
  for (const char* const line : {"MasterAuth hunter2 hunter2", "masterauth \"hunter2", "'masterauth' 'hunter2", "masterauth\"hunter2\"", "mastreauth hunter2",
                                 "masterauth=hunter2", "masterauth='hunter2'", "reqirepass hunter2", "user alice on >hunter2", "requirepass\thunter2 hunter2",
                                 "sentinel auth-pass main hunter2"}) {
    const std::string error = f.load(line);
    EXPECT_NE(error, "") << line;
    EXPECT_EQ(error.find("hunter2"), std::string::npos) << error;
  }
  // What is no password is shown.
  EXPECT_NE(f.load("users 5").find(">>> 'users 5'"), std::string::npos);
  EXPECT_NE(f.load("tls-key-file a b").find(">>> 'tls-key-file a b'"), std::string::npos);
}

TEST(Config, what_does_not_exist_yet_is_refused_with_the_reason) {
  Fixture f;
  EXPECT_NE(f.load("tls-port 6380").find("TLS is not part"), std::string::npos);
  EXPECT_NE(f.load("loadmodule x.so").find("modules"), std::string::npos);
  EXPECT_NE(f.load("rename-command CONFIG \"\"").find("not supported"), std::string::npos);
  EXPECT_EQ(f.load("cluster-enabled yes"), "");
  EXPECT_NE(f.load("replicaof 10.0.0.1 6379").find("replicaof"), std::string::npos);
  EXPECT_EQ(f.load("tls-port 0\nreplicaof no one\ncluster-enabled no\n"), "");
}

TEST(Config, where_a_node_is_for_others) {
  Fixture f;
  EXPECT_EQ(f.load_args({"--join", "127.0.0.1:7001,[::1]:7002@9000", "--zone", "east", "--cluster-port", "9001"}), "");
  EXPECT_EQ(f.node.join, (std::vector<std::string>{"127.0.0.1:7001", "[::1]:7002@9000"}));
  EXPECT_EQ(f.node.zone, "east");
  EXPECT_EQ(f.process.cluster_port, 9001);
  EXPECT_EQ(f.process.cluster_client_port, kPortAuto);
  EXPECT_EQ(f.get({"join", "cluster-port", "cluster-client-port"}),
            "cluster-client-port=auto;cluster-port=9001;join=127.0.0.1:7001,[::1]:7002@9000;");
  EXPECT_EQ(f.load("join host:1, host:2 host:3\ncluster-announce-port 1\ncluster-announce-bus-port 2\n"), "");
  EXPECT_EQ(f.get({"join"}), "join=host:1,host:2,host:3;");
  EXPECT_EQ(f.process.cluster_announce_port, 1);
  EXPECT_EQ(f.process.cluster_announce_bus_port, 2);
  EXPECT_EQ(f.load("join \"\""), "");
  EXPECT_TRUE(f.node.join.empty());
  EXPECT_TRUE(f.config.notes().empty());
}

TEST(Config, where_a_node_cannot_be_is_refused) {
  Fixture f;
  EXPECT_NE(f.load("join host").find("'host' is not host:port"), std::string::npos);
  EXPECT_NE(f.load("cluster-port 65536").find("argument must be between 0 and 65535 inclusive"), std::string::npos);
  EXPECT_NE(f.load("cluster-client-port x").find("argument couldn't be parsed into an integer"), std::string::npos);
  EXPECT_NE(f.load("zone 'two words'").find("a zone is named by one word"), std::string::npos);
  EXPECT_EQ(f.set({{"cluster-announce-hostname", "a_b"}}),
            "CONFIG SET failed (possibly related to argument 'cluster-announce-hostname') - "
            "Hostnames may only contain alphanumeric characters, hyphens or dots");
  EXPECT_EQ(f.set({{"cluster-announce-hostname", std::string(256, 'a')}}),
            "CONFIG SET failed (possibly related to argument 'cluster-announce-hostname') - "
            "Hostnames must be less than 256 characters");
  EXPECT_EQ(f.set({{"cluster-announce-ip", "10.0.0.1 10.0.0.2"}}),
            "CONFIG SET failed (possibly related to argument 'cluster-announce-ip') - "
            "an address is one word of less than 256 characters");
}

TEST(Config, masterauth_is_kept_as_it_is_given) {
  Fixture f;
  EXPECT_EQ(f.get({"masterauth"}), "masterauth=;");
  EXPECT_EQ(f.load("masterauth 'two words'"), "");
  EXPECT_TRUE(f.config.notes().empty());
  EXPECT_EQ(f.node.masterauth, "two words");
  EXPECT_EQ(f.set({{"masterauth", std::string(4096, 'x')}}), "OK");
  EXPECT_EQ(f.set({{"masterauth", std::string(4097, 'x')}}),
            "CONFIG SET failed (possibly related to argument 'masterauth') - argument is longer than 4096 bytes");
  EXPECT_EQ(f.node.masterauth, std::string(4096, 'x'));
  EXPECT_EQ(f.set({{"masterauth", ""}}), "OK");
  EXPECT_EQ(f.node.masterauth, "");
}

TEST(Config, directives_without_effect_are_noted_when_they_differ_from_the_default) {
  Fixture f;
  EXPECT_EQ(f.load("io-threads 4\nrdbchecksum yes\nactiverehashing no\n"), "");
  ASSERT_EQ(f.config.notes().size(), 2u);
  EXPECT_EQ(f.config.notes()[0], "setting 'io-threads' is accepted for compatibility and has no effect here");
}

TEST(Config, get_takes_many_patterns_and_gives_each_name_once) {
  Fixture f;
  EXPECT_EQ(f.get({"maxmemory", "MAXMEM*y", "maxmemory"}),
            "maxmemory=0;maxmemory-eviction-tenacity=10;maxmemory-policy=noeviction;");
  EXPECT_EQ(f.get({"slave-priority"}), "slave-priority=100;");
  EXPECT_EQ(f.get({"key-load-delay"}), "key-load-delay=0;");
  EXPECT_EQ(f.get({"key-load*"}), "");
  EXPECT_EQ(f.get({"nosuch"}), "");
}

TEST(Config, set_is_all_or_nothing) {
  Fixture f;
  EXPECT_EQ(f.set({{"maxmemory", "1mb"}, {"maxmemory-policy", "allkeys-lru"}}), "OK");
  EXPECT_EQ(f.store.maxmemory, 1u << 20);
  EXPECT_EQ(f.store.maxmemory_policy, EvictionPolicy::kAllKeysLru);
  EXPECT_EQ(f.set({{"maxmemory", "2mb"}, {"maxmemory-samples", "0"}}),
            "CONFIG SET failed (possibly related to argument 'maxmemory-samples') - "
            "argument must be between 1 and 2147483647 inclusive");
  EXPECT_EQ(f.store.maxmemory, 1u << 20);
  EXPECT_EQ(f.set({{"maxmemory", "1"}, {"nosuch", "2"}}),
            "Unknown option or number of arguments for CONFIG SET - 'nosuch'");
  EXPECT_EQ(f.set({{"maxmemory", "1"}, {"maxmemory", "2"}}),
            "CONFIG SET failed (possibly related to argument 'maxmemory') - duplicate parameter");
  EXPECT_EQ(f.set({{"databases", "3"}}),
            "CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config");
  EXPECT_EQ(f.set({{"dbfilename", "x"}}),
            "CONFIG SET failed (possibly related to argument 'dbfilename') - can't set protected config");
}

TEST(Config, what_the_host_refuses_is_undone) {
  Fixture f;
  FakeHost host;
  EXPECT_EQ(f.set({{"port", "7002"}, {"maxmemory", "0"}}, &host), "OK");
  EXPECT_EQ(host.changed, std::vector<std::string>{"port"});
  host.accepts = false;
  EXPECT_EQ(f.set({{"port", "7003"}}, &host),
            "CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port. Check server logs.");
  EXPECT_EQ(f.process.port, 7002);
  EXPECT_EQ(f.get({"port"}), "port=7002;");
}

TEST(Config, special_values_have_one_canonical_form) {
  Fixture f;
  EXPECT_EQ(f.set({{"notify-keyspace-events", "KEg$lshzxetdmn"}}), "OK");
  // Redis 7.0 prints n before K, and forgets it beside A; a rewritten file must not lose it.
  EXPECT_EQ(f.get({"notify-keyspace-events"}), "notify-keyspace-events=AnKEm;");
  EXPECT_EQ(f.set({{"notify-keyspace-events", "Kg$l"}}), "OK");
  EXPECT_EQ(f.get({"notify-keyspace-events"}), "notify-keyspace-events=g$lK;");
  EXPECT_EQ(f.set({{"client-output-buffer-limit", "normal 10mb 5mb 60"}}), "OK");
  EXPECT_EQ(f.get({"client-output-buffer-limit"}),
            "client-output-buffer-limit=normal 10485760 5242880 60 slave 268435456 67108864 60 "
            "pubsub 33554432 8388608 60;");
  EXPECT_EQ(f.set({{"client-output-buffer-limit", "wrong 0 0 0"}}),
            "CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - "
            "Invalid client class specified in buffer limit configuration.");
  EXPECT_EQ(f.set({{"hz", "100000"}}), "OK");
  EXPECT_EQ(f.node.hz, 500);
  EXPECT_EQ(f.set({{"maxmemory-clients", "5%"}}), "OK");
  EXPECT_EQ(f.get({"maxmemory-clients"}), "maxmemory-clients=5%;");
  EXPECT_EQ(f.set({{"shutdown-on-sigint", "force save"}}), "OK");
  EXPECT_EQ(f.get({"shutdown-on-sigint"}), "shutdown-on-sigint=save force;");
  EXPECT_EQ(f.set({{"latency-tracking-info-percentiles", "50 100 0.1"}}), "OK");
  EXPECT_EQ(f.get({"latency-tracking-info-percentiles"}), "latency-tracking-info-percentiles=50 100 0.1;");
}

TEST(Config, each_value_can_be_set_to_itself) {
  Fixture f;
  for (const auto& [name, value] : f.config.get(std::vector<std::string_view>{"*"})) {
    const Setting& row = setting_table()[find_setting(name)];
    if (row.immutable || row.is_protected) continue;
    EXPECT_EQ(f.set({{name, std::string(value)}}), "OK") << name;
  }
}

// Found by config_fuzz, seed 3296150100.
TEST(Config, no_more_copies_commit_than_half_of_them_rounded_up) {
  Fixture f;
  const auto fits = [&](std::vector<SettingPair> pairs) {
    const auto canonical = f.config.canonical(pairs);
    return canonical.ok() ? "OK" : std::string(canonical.error().detail());
  };
  EXPECT_EQ(fits({{"commit-quorum", "2"}}), "OK");
  EXPECT_EQ(fits({{"commit-quorum", "3"}}),
            "CONFIG SET failed (possibly related to argument 'commit-quorum') - of 3 copies (replication-n) 2 commit at most "
            "(commit-quorum; 0: as usual), not 3");
  EXPECT_EQ(fits({{"commit-quorum", "3"}, {"Replication-N", "5"}}), "OK");
  EXPECT_EQ(f.set({{"commit-quorum", "2"}}), "OK");
  EXPECT_EQ(fits({{"replication-n", "1"}}),
            "CONFIG SET failed (possibly related to argument 'replication-n') - of 1 copies (replication-n) 1 commit at most "
            "(commit-quorum; 0: as usual), not 2");
  EXPECT_EQ(fits({{"replication-n", "1"}, {"commit-quorum", "0"}}), "OK");
  EXPECT_EQ(fits({{"replication-n", "15"}, {"commit-quorum", "8"}}), "OK");
  EXPECT_EQ(fits({{"replication-n", "16"}}),
            "CONFIG SET failed (possibly related to argument 'replication-n') - argument must be between 1 and 15 inclusive");
  // One that does not fit already is in nobody's way.
  EXPECT_EQ(f.set({{"replication-n", "1"}}), "OK");
  EXPECT_EQ(fits({{"maxmemory", "1mb"}}), "OK");
  EXPECT_EQ(fits({{"commit-quorum", "1"}}), "OK");

  Fixture g;
  EXPECT_EQ(g.load("commit-quorum 3\nreplication-n 5\n"), "");
  Fixture h;
  EXPECT_EQ(h.load("commit-quorum 3\n"),
            "commit-quorum: of 3 copies (replication-n) 2 commit at most (commit-quorum; 0: as usual), not 3");
}

TEST(Config, rewrite_quotes_each_of_many_words) {
  Fixture f;
  const std::string text = "bind ::1 \"a\\x41\\\"b\"\n";
  ASSERT_EQ(f.load(text), "");
  EXPECT_EQ(f.config.rewrite(text), "bind ::1 \"aA\\\"b\"\n");
}

TEST(Config, rewrite_keeps_comments_and_order_and_appends_what_is_new) {
  Fixture f;
  const std::string text = "# my server\nport 7001\n\nmaxmemory 1mb # not a comment for redis\n";
  EXPECT_NE(f.load(text), "");  // trailing comments are words, as in Redis
  Fixture g;
  const std::string good = "# my server\nport 7001\n\nsave 900 1\nsave 300 10\nmaxmemory 1mb\n";
  ASSERT_EQ(g.load(good), "");
  EXPECT_EQ(g.set({{"maxmemory", "2mb"}, {"requirepass", "a b\n"}, {"maxmemory-policy", "allkeys-lfu"}}), "OK");
  const std::string rewritten = g.config.rewrite(good);
  EXPECT_EQ(rewritten,
            "# my server\nport 7001\n\nsave 900 1 300 10\nmaxmemory 2097152\n# Generated by CONFIG REWRITE\n"
            "requirepass \"a b\\n\"\nmaxmemory-policy allkeys-lfu\n");
  EXPECT_EQ(g.config.rewrite(rewritten), rewritten);
  Fixture h;
  ASSERT_EQ(h.load(rewritten), "");
  EXPECT_EQ(h.node.requirepass, "a b\n");
  EXPECT_EQ(h.get({"*"}), g.get({"*"}));
}

}  // namespace
}  // namespace quorate
