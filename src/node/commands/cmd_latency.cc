// LATENCY: the monitor of rare long events, and the histogram of each command.
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "commands/syntax.h"
#include "node/commands/node_families.h"
#include "node/context.h"

namespace quorate {
namespace {

using Event = LatencyMonitor::Event;

const Event* find_event(const NodeContext& cx, std::string_view name) {
  const auto& events = cx.node.latency_monitor.events();
  const auto found = events.find(name);
  return found == events.end() ? nullptr : &found->second;
}

Status latency_latest(NodeContext& cx) {
  const auto& events = cx.node.latency_monitor.events();
  cx.reply.array(events.size());
  for (const auto& [name, event] : events) {
    cx.reply.array(4);
    cx.reply.bulk(name);
    cx.reply.integer(event.samples.back().unix_s);
    cx.reply.integer(event.samples.back().milliseconds);
    cx.reply.integer(event.worst_ms);
  }
  return done();
}

Status latency_history(NodeContext& cx) {
  const Event* event = find_event(cx, cx[2]);
  if (event == nullptr) {
    cx.reply.array(0);
    return done();
  }
  cx.reply.array(event->samples.size());
  for (const LatencyMonitor::Sample& sample : event->samples) {
    cx.reply.array(2);
    cx.reply.integer(sample.unix_s);
    cx.reply.integer(sample.milliseconds);
  }
  return done();
}

Status latency_reset(NodeContext& cx) {
  size_t count = 0;
  if (cx.size() == 2) count = cx.node.latency_monitor.reset_all();
  for (size_t index = 2; index < cx.size(); ++index) count += cx.node.latency_monitor.reset(cx[index]);
  cx.reply.integer(static_cast<int64_t>(count));
  return done();
}

// One column a sample: a bar of up to kRows letters, and below it how long ago it was.
std::string graph_of(const Event& event, int64_t now_s) {
  constexpr int64_t kRows = 5;
  constexpr size_t kColumnsMax = 70;
  const size_t shown = std::min(event.samples.size(), kColumnsMax);
  const auto first = event.samples.end() - static_cast<std::ptrdiff_t>(shown);
  int64_t high = 1;
  for (auto sample = first; sample != event.samples.end(); ++sample) high = std::max(high, sample->milliseconds);
  std::string text;
  for (int64_t row = kRows; row > 0; --row) {
    for (auto sample = first; sample != event.samples.end(); ++sample) {
      const int64_t height = (sample->milliseconds * kRows + high - 1) / high;
      text += height >= row ? '#' : ' ';
    }
    text += '\n';
  }
  // Ages are written downwards: "45s", "3m", "2h", "9d".
  std::vector<std::string> ages;
  size_t longest = 0;
  for (auto sample = first; sample != event.samples.end(); ++sample) {
    const int64_t age = std::max<int64_t>(0, now_s - sample->unix_s);
    std::string word = std::to_string(age < 60 ? age : age < 3600 ? age / 60 : age < 86400 ? age / 3600 : age / 86400);
    word += age < 60 ? 's' : age < 3600 ? 'm' : age < 86400 ? 'h' : 'd';
    longest = std::max(longest, word.size());
    ages.push_back(std::move(word));
  }
  for (size_t line = 0; line < longest; ++line) {
    text += '\n';
    for (const std::string& age : ages) text += line < age.size() ? age[line] : ' ';
  }
  return text + '\n';
}

Status latency_graph(NodeContext& cx) {
  const Event* event = find_event(cx, cx[2]);
  if (event == nullptr) return errors::no_latency_samples(cx[2]);
  int64_t high = 0;
  int64_t low = INT64_MAX;
  for (const LatencyMonitor::Sample& sample : event->samples) {
    high = std::max(high, sample.milliseconds);
    low = std::min(low, sample.milliseconds);
  }
  std::string text(cx[2]);
  text += " - high " + std::to_string(high) + " ms, low " + std::to_string(low) + " ms (all time high ";
  text += std::to_string(event->worst_ms) + " ms)\n" + std::string(80, '-') + '\n';
  text += graph_of(*event, cx.now().unix_ms / 1000);
  cx.reply.verbatim(VerbatimFormat::kText, text);
  return done();
}

Status latency_doctor(NodeContext& cx) {
  const auto& events = cx.node.latency_monitor.events();
  const int64_t threshold = cx.node.settings.latency_monitor_threshold;
  std::string text;
  if (events.empty() && threshold == 0) {
    text =
        "The latency monitor is off, so there is nothing to report. "
        "CONFIG SET latency-monitor-threshold <milliseconds> turns it on.\n";
  } else if (events.empty()) {
    text = "Nothing took longer than " + std::to_string(threshold) + " ms since the monitor was turned on.\n";
  }
  for (const auto& [name, event] : events) {
    int64_t sum = 0;
    for (const LatencyMonitor::Sample& sample : event.samples) sum += sample.milliseconds;
    const auto count = static_cast<int64_t>(event.samples.size());
    const int64_t span_s = event.samples.back().unix_s - event.samples.front().unix_s;
    text += name + ": " + std::to_string(count) + " spikes in " + std::to_string(span_s) + " s, on average ";
    text += std::to_string(sum / count) + " ms, worst " + std::to_string(event.worst_ms) + " ms.\n";
  }
  if (events.contains("command")) {
    text += "Slow commands: SLOWLOG GET names them; look for commands whose cost grows with the size of a value.\n";
  }
  if (events.contains("fast-command")) {
    text += "Commands that should be fast were slow: look at other processes, swap and the machine's scheduler.\n";
  }
  cx.reply.verbatim(VerbatimFormat::kText, text);
  return done();
}

// ---- histograms ----------------------------------------------------------------------------------------

// Cumulative counts at powers of two, as long as they grow.
void reply_histogram(const Command& command, Reply& reply) {
  reply.bulk(command.spec->name);
  reply.map(2);
  reply.bulk("calls");
  reply.integer(static_cast<int64_t>(command.latency->total()));
  reply.bulk("histogram_usec");
  const Reply::Deferred map = reply.begin(Reply::Shape::kMap);
  size_t pairs = 0;
  uint64_t seen = 0;
  uint64_t told = 0;
  size_t bucket = 0;
  for (uint64_t border = 1024; bucket < LatencyHistogram::kBucketCount; border *= 2) {
    for (; bucket < LatencyHistogram::kBucketCount && LatencyHistogram::highest_of(bucket) < border; ++bucket) {
      seen += command.latency->count(bucket);
    }
    if (seen == told) continue;
    reply.integer(static_cast<int64_t>(border / 1000));
    reply.integer(static_cast<int64_t>(seen));
    told = seen;
    ++pairs;
  }
  reply.end(map, pairs);
}

Status latency_histogram(NodeContext& cx) {
  const Reply::Deferred map = cx.reply.begin(Reply::Shape::kMap);
  size_t count = 0;
  const auto show = [&](uint32_t id) {
    const Command& command = cx.node.commands.at(id);
    if (command.latency == nullptr || command.latency->total() == 0) return;
    reply_histogram(command, cx.reply);
    ++count;
  };
  const CommandTable& table = cx.node.commands.table();
  if (cx.size() == 2) {
    for (uint32_t id = 0; id < table.size(); ++id) show(id);
  }
  for (size_t index = 2; index < cx.size(); ++index) {
    const CommandRow* row = table.find_full(cx[index]);
    if (row == nullptr) continue;
    show(row->id);
    for (const CommandRow* subcommand : row->subcommands) show(subcommand->id);
  }
  cx.reply.end(map, count);
  return done();
}

constexpr uint32_t kFlags = kAdmin | kNoScript | kLoading | kStale;
constexpr std::string_view kTips = "nondeterministic_output,request_policy:all_nodes,response_policy:special";

constexpr CommandSpec kTable[] = {
    {.name = "latency|doctor", .arity = 2, .flags = kFlags, .summary = "Says in words what the latency monitor saw.",
     .complexity = "O(1)", .since = "2.8.13", .group = Group::kServer, .tips = kTips,
     .run_on_node = latency_doctor},
    {.name = "latency|graph", .arity = 3, .flags = kFlags, .syntax = "event",
     .summary = "Draws the samples of an event with letters.", .complexity = "O(1)", .since = "2.8.13",
     .group = Group::kServer, .tips = kTips, .run_on_node = latency_graph},
    {.name = "latency|help", .arity = 2, .flags = kLoading | kStale, .summary = "Lists the subcommands of LATENCY.",
     .complexity = "O(1)", .since = "2.8.13", .group = Group::kServer},
    {.name = "latency|histogram", .arity = -2, .flags = kFlags, .syntax = "[command ...]",
     .summary = "Returns how long calls of commands took, as cumulative counts.",
     .complexity = "O(N) in the number of commands", .since = "7.0.0", .group = Group::kServer, .tips = kTips,
     .run_on_node = latency_histogram},
    {.name = "latency|history", .arity = 3, .flags = kFlags, .syntax = "event",
     .summary = "Returns the samples of an event.", .complexity = "O(1)", .since = "2.8.13",
     .group = Group::kServer, .tips = kTips, .run_on_node = latency_history},
    {.name = "latency|latest", .arity = 2, .flags = kFlags, .summary = "Returns the newest sample of every event.",
     .complexity = "O(1)", .since = "2.8.13", .group = Group::kServer, .tips = kTips,
     .run_on_node = latency_latest},
    {.name = "latency|reset", .arity = -2, .flags = kFlags, .syntax = "[event ...]",
     .summary = "Forgets the samples of some or all events.", .complexity = "O(1)", .since = "2.8.13",
     .group = Group::kServer, .tips = "request_policy:all_nodes,response_policy:all_succeeded",
     .run_on_node = latency_reset},
};
static_assert(well_formed(kTable), "cmd_latency.cc: a row is incomplete, unsorted or contradictory");

}  // namespace

std::span<const CommandSpec> latency_commands() { return kTable; }

}  // namespace quorate
