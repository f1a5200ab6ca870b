// Sends what a script says, compares what comes back, and can write it into the script instead.
#include "tests/rt/runner.h"

#include <regex.h>

#include <algorithm>
#include <utility>

#include "util/number.h"

namespace quorate::rt {

namespace {

constexpr int64_t kReplyPatienceMs = 10'000;
constexpr std::string_view kMain = "main";
// What a script says instead of a reply.
constexpr std::string_view kBlocked = "(blocked)";
constexpr std::string_view kClosed = "(closed)";
constexpr std::string_view kNoReply = "(no reply)";

std::string encode(const std::vector<std::string>& arguments) {
  std::string bytes = "*" + std::to_string(arguments.size()) + "\r\n";
  for (const std::string& argument : arguments) {
    bytes += "$" + std::to_string(argument.size()) + "\r\n" + argument + "\r\n";
  }
  return bytes;
}

std::string join_lines(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) {
    if (!text.empty()) text += '\n';
    text += line;
  }
  return text;
}

std::string indent_lines(std::string_view text) {
  std::string indented = "    ";
  for (const char byte : text) {
    indented += byte;
    if (byte == '\n') indented += "    ";
  }
  return indented;
}

// Asking the server costs a command, which MONITOR and INFO would show.
bool asks_the_time(const Step& step) {
  for (const Argument& argument : step.arguments) {
    for (const Piece& piece : argument) {
      if (piece.kind == Piece::Kind::kVariable && piece.text.starts_with("now_")) return true;
    }
  }
  return false;
}

bool matches(const std::string& pattern, const std::string& text) {
  regex_t compiled;
  if (regcomp(&compiled, pattern.c_str(), REG_EXTENDED | REG_NOSUB) != 0) return false;
  const bool found = regexec(&compiled, text.c_str(), 0, nullptr, 0) == 0;
  regfree(&compiled);
  return found;
}

}  // namespace

Runner::Runner(World& world, const Script& script, RunnerOptions options)
    : world_(world), script_(script), options_(options) {}

RunResult Runner::run() {
  learn_version();
  if (!may_run(script_.condition)) {
    result_.blocks_skipped = static_cast<int>(script_.blocks.size());
  } else {
    for (const Block& block : script_.blocks) {
      if (may_run(block.condition)) {
        run_block(block);
      } else {
        ++result_.blocks_skipped;
      }
    }
  }
  for (int line = 1; line <= static_cast<int>(script_.lines.size()) + 1; ++line) {
    const auto found = replacements_.find(line);
    if (found != replacements_.end()) {
      result_.rewritten += found->second.text + "\n";
      line += found->second.line_count;
      // A reply that is inserted replaces no line.
    }
    if (line <= static_cast<int>(script_.lines.size())) {
      result_.rewritten += script_.lines[static_cast<size_t>(line - 1)] + "\n";
    }
  }
  return std::move(result_);
}

// ---- blocks ------------------------------------------------------------------------------------------

bool Runner::may_run(const Condition& condition) {
  if (version_ != 0 && condition.since > version_) return false;
  const auto& worlds = condition.worlds;
  return worlds.empty() || std::find(worlds.begin(), worlds.end(), world_.name()) != worlds.end();
}

void Runner::learn_version() {
  if (world_.name() != "redis") return;
  ReplyValue info;
  if (!simple_request(encode({"INFO", "server"}), info)) return;
  // Valkey claims to be Redis 7.2.4 for its clients' sake and tells its own version beside it.
  for (const std::string_view field : {"valkey_version:", "redis_version:"}) {
    const size_t at = info.text.find(field);
    if (at == std::string::npos) continue;
    const size_t from = at + field.size();
    version_ = parse_version(std::string_view(info.text).substr(from, info.text.find('\r', from) - from)).value_or(0);
    return;
  }
}

bool Runner::simple_request(std::string_view request, ReplyValue& value) {
  Connection once;
  once.id = world_.connect();
  if (once.id < 0) return false;
  world_.send(once.id, request);
  const bool is_answered = receive(once, kReplyPatienceMs, value) == Arrival::kReply;
  world_.disconnect(once.id);
  return is_answered;
}

// On the block's own connection, so that a password that is set does not stand in the way of the next block unseen.
bool Runner::empty_databases() {
  Connection& main = connection(kMain);
  world_.send(main.id, encode({"FLUSHALL"}));
  ReplyValue value;
  if (receive(main, kReplyPatienceMs, value) != Arrival::kReply) return false;
  return value.kind != ReplyValue::Kind::kError;
}

void Runner::run_block(const Block& block) {
  current_ = kMain;
  variables_.clear();
  if (!empty_databases()) {
    note(block.line, "FLUSHALL before this block failed");
    ++result_.wrong;
    close_all();
    return;
  }
  for (const Step& step : block.steps) {
    const StepResult outcome = run_step(step);
    if (outcome == StepResult::kSkipRest) {
      ++result_.blocks_skipped;
      break;
    }
    if (outcome == StepResult::kStop) break;
  }
  check_leftovers(block);
  close_all();
}

// A reply that nobody asked for or read is as wrong as one that is missing.
void Runner::check_leftovers(const Block& block) {
  for (auto& [name, open] : connections_) {
    ReplyValue value;
    while (!open->is_closed && receive(*open, 0, value) == Arrival::kReply) {
      note(block.line, "connection " + name + ": nobody read\n" + indent_lines(print_reply(value)));
      ++result_.wrong;
    }
  }
}

Runner::Connection& Runner::connection(std::string_view name) {
  auto found = connections_.find(name);
  if (found == connections_.end()) {
    found = connections_.emplace(std::string(name), std::make_unique<Connection>()).first;
    found->second->id = world_.connect();
    found->second->is_closed = found->second->id < 0;
  }
  return *found->second;
}

void Runner::close_all() {
  for (auto& [name, open] : connections_) {
    if (open->id >= 0) world_.disconnect(open->id);
  }
  connections_.clear();
}

Runner::Arrival Runner::receive(Connection& from, int64_t patience_ms, ReplyValue& value) {
  std::string bytes;
  while (true) {
    switch (from.parser.next(value)) {
      case ReplyParser::Outcome::kValue: return Arrival::kReply;
      case ReplyParser::Outcome::kProtocolError: return Arrival::kGarbage;
      case ReplyParser::Outcome::kNeedMore: break;
    }
    if (from.is_closed) return Arrival::kClosed;
    bytes.clear();
    const Received received = world_.receive(from.id, patience_ms, bytes);
    if (received == Received::kNothing) return Arrival::kNothing;
    if (received == Received::kClosed) from.is_closed = true;
    from.parser.feed(bytes);
  }
}

// ---- steps -------------------------------------------------------------------------------------------

Runner::StepResult Runner::run_step(const Step& step) {
  switch (step.kind) {
    case Step::Kind::kSend:
    case Step::Kind::kRaw:
      return send_step(step, connection(step.connection.empty() ? current_ : step.connection));
    case Step::Kind::kAwait:
      return expect(step, connection(step.connection.empty() ? current_ : step.connection));
    case Step::Kind::kAdvance:
      return world_.advance(step.number) ? StepResult::kGood : StepResult::kSkipRest;
    case Step::Kind::kRestart:
      connections_.clear();
      return world_.restart() ? StepResult::kGood : StepResult::kSkipRest;
    case Step::Kind::kConnection:
      current_ = step.connection;
      connection(current_);
      return StepResult::kGood;
    case Step::Kind::kClose: {
      const auto found = connections_.find(step.connection);
      if (found != connections_.end() && found->second->id >= 0) world_.disconnect(found->second->id);
      if (found != connections_.end()) connections_.erase(found);
      return StepResult::kGood;
    }
    case Step::Kind::kProtocol: {
      Connection& at = connection(current_);
      world_.send(at.id, encode({"HELLO", std::to_string(step.number)}));
      ReplyValue hello;
      if (receive(at, kReplyPatienceMs, hello) == Arrival::kReply && hello.kind != ReplyValue::Kind::kError) {
        return StepResult::kGood;
      }
      complain(step, "HELLO is understood", print_reply(hello));
      return StepResult::kStop;
    }
  }
  return StepResult::kStop;
}

Runner::StepResult Runner::send_step(const Step& step, Connection& at) {
  if (asks_the_time(step)) {
    const int64_t now = world_.now_ms();
    variables_["now_ms"] = std::to_string(now);
    variables_["now_s"] = std::to_string(now / 1000);
  }
  std::vector<std::string> arguments;
  for (const Argument& argument : step.arguments) {
    auto bytes = expand(argument, variables_);
    if (!bytes) {
      complain(step, "every ${variable} has a value that fits", "one has not");
      return StepResult::kStop;
    }
    arguments.push_back(std::move(*bytes));
  }
  if (!at.is_closed) world_.send(at.id, step.kind == Step::Kind::kRaw ? arguments[0] : encode(arguments));
  return expect(step, at);
}

Runner::StepResult Runner::expect(const Step& step, Connection& at) {
  const auto& lines = step.expectation.lines;
  const std::string_view only = lines.size() == 1 ? std::string_view(lines[0]) : std::string_view();
  if (only == kNoReply) return StepResult::kGood;
  ReplyValue value;
  if (only == kBlocked) {
    ++result_.replies;
    if (world_.wait_until_blocked(at.id)) return StepResult::kGood;
    const bool has_replied = receive(at, 0, value) == Arrival::kReply;
    complain(step, kBlocked, has_replied ? print_reply(value) : "neither blocked nor answered");
    return has_replied ? StepResult::kGood : StepResult::kStop;
  }
  switch (receive(at, kReplyPatienceMs, value)) {
    case Arrival::kReply:
      compare(step, value);
      return StepResult::kGood;
    case Arrival::kClosed:
      compare_text(step, std::string(kClosed));
      return only == kClosed ? StepResult::kGood : StepResult::kStop;
    case Arrival::kNothing:
      complain(step, join_lines(lines), "no reply came");
      return StepResult::kStop;
    case Arrival::kGarbage:
      complain(step, join_lines(lines), "not RESP: " + std::string(at.parser.error_text()));
      return StepResult::kStop;
  }
  return StepResult::kStop;
}

// ---- comparing -----------------------------------------------------------------------------------------

void Runner::compare(const Step& step, const ReplyValue& value) {
  if (!step.expectation.variable.empty() && !store_variable(step, value)) return;
  compare_text(step, print_reply(value));
}

void Runner::compare_text(const Step& step, const std::string& shown) {
  const Expectation& expected = step.expectation;
  ++result_.replies;
  for (const std::string& pattern : expected.patterns) {
    if (!matches(pattern, shown)) return complain(step, "match " + pattern, shown);
  }
  const bool compares_text = expected.patterns.empty() && !expected.any && expected.variable.empty();
  if (expected.lines.empty() && !compares_text) return;
  const std::string wanted = join_lines(expected.lines);
  if (sorted_text(wanted, expected.order) == sorted_text(shown, expected.order)) return;
  if (options_.rewrite) return rewrite_reply(step, shown);
  complain(step, wanted, shown);
}

bool Runner::store_variable(const Step& step, const ReplyValue& value) {
  const ReplyValue* at = &value;
  for (const size_t item : step.expectation.path) {
    if (item > at->items.size()) {
      complain(step, "store: an item of that number", print_reply(value));
      return false;
    }
    at = &at->items[item - 1];
  }
  const bool is_number = at->kind == ReplyValue::Kind::kInteger || at->kind == ReplyValue::Kind::kBoolean;
  variables_[step.expectation.variable] = is_number ? std::to_string(at->integer) : at->text;
  return true;
}

void Runner::rewrite_reply(const Step& step, std::string_view shown) {
  replacements_[step.expectation.first_line] = {step.expectation.line_count, std::string(shown)};
}

void Runner::note(int line, std::string_view text) {
  result_.messages.push_back(script_.path + ":" + std::to_string(line) + ": " + std::string(text));
}

void Runner::complain(const Step& step, std::string_view expected, std::string_view got) {
  ++result_.wrong;
  const std::string& sent = script_.lines[static_cast<size_t>(step.line - 1)];
  note(step.line, sent + "\n  expected\n" + indent_lines(expected) + "\n  got\n" + indent_lines(got));
}

}  // namespace quorate::rt
