// Runs a script in a world and compares what comes back with what the script expects.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "resp/reply_parser.h"
#include "tests/rt/script.h"
#include "tests/rt/world.h"

namespace quorate::rt {

struct RunnerOptions {
  bool rewrite = false;
};

struct RunResult {
  int replies = 0;         // compared
  int wrong = 0;
  int blocks_skipped = 0;  // marked for elsewhere, or in need of what this world cannot do
  std::vector<std::string> messages;
  // With rewrite: the script's text with the replies that came.
  std::string rewritten;
};

// One run of one script.  Each block begins with empty databases and a fresh connection "main", in RESP2; what a block
// configures it must put back.
class Runner {
 public:
  Runner(World& world, const Script& script, RunnerOptions options);
  RunResult run();

 private:
  struct Connection {
    int id = -1;
    bool is_closed = false;  // by the server
    ReplyParser parser;
  };
  enum class StepResult : uint8_t { kGood, kSkipRest, kStop };
  enum class Arrival : uint8_t { kReply, kNothing, kClosed, kGarbage };

  bool may_run(const Condition& condition);
  void learn_version();
  bool empty_databases();
  void run_block(const Block& block);
  StepResult run_step(const Step& step);
  StepResult send_step(const Step& step, Connection& connection);
  StepResult expect(const Step& step, Connection& connection);
  void check_leftovers(const Block& block);

  Connection& connection(std::string_view name);
  void close_all();
  Arrival receive(Connection& from, int64_t patience_ms, ReplyValue& value);
  bool simple_request(std::string_view request, ReplyValue& value);

  void compare(const Step& step, const ReplyValue& value);
  void compare_text(const Step& step, const std::string& shown);
  void complain(const Step& step, std::string_view expected, std::string_view got);
  void note(int line, std::string_view text);
  bool store_variable(const Step& step, const ReplyValue& value);
  void rewrite_reply(const Step& step, std::string_view shown);

  World& world_;
  const Script& script_;
  RunnerOptions options_;
  RunResult result_;
  Version version_ = 0;      // of redis; 0 in our own worlds, where marks of version hold no block back
  std::map<std::string, std::unique_ptr<Connection>, std::less<>> connections_;
  std::string current_;
  Variables variables_;
  // First line (from 1) of a reply to replace -> how many lines, and what comes instead.
  struct Replacement {
    int line_count;
    std::string text;
  };
  std::map<int, Replacement> replacements_;
};

}  // namespace quorate::rt
