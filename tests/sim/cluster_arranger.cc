// One command after the other.
#include "tests/sim/cluster_arranger.h"

#include <algorithm>

#include "util/check.h"

namespace quorate::sim {

namespace {

constexpr int64_t kMs = 1000;
constexpr int64_t kRetryUs = 100 * kMs;
constexpr int64_t kAnswerUs = 3'000 * kMs;
// With fewer voters, fewer than usual would be one copy only.
constexpr uint32_t kManyVoters = 5;

}  // namespace

ClusterArranger::Words ClusterArranger::settings(uint32_t copies, uint32_t commit) const {
  return {"CONFIG", "SET", "replication-n", std::to_string(copies), "commit-quorum", std::to_string(commit)};
}

std::string ClusterArranger::any_node() { return host_.node_name_of(static_cast<uint32_t>(prng_.below(host_.machine_count()))); }

ClusterArranger::Words ClusterArranger::draw() {
  const std::string partition = std::to_string(prng_.below(swarm_.partitions));
  const uint64_t drawn = prng_.below(100);
  if (drawn < 35) return {"QUORUM", "MOVE", partition, "LEADER", any_node()};
  if (drawn < 60) {
    const std::string from = any_node();
    return {"QUORUM", "MOVE", partition, "FROM", from, "TO", any_node()};
  }
  if (drawn < 70) return {"CLUSTER", "FAILOVER"};
  if (drawn < 80) return {"QUORUM", "REBALANCE"};
  // Never more than drawn: clients name levels that are safe with so many.
  const uint32_t least = swarm_.min_zones > 0 ? std::min(swarm_.min_zones + 1, swarm_.replication) : 1;
  const uint32_t copies = least + static_cast<uint32_t>(prng_.below(swarm_.replication - least + 1));
  const bool is_few = copies >= kManyVoters && prng_.chance(0.5);
  return settings(copies, is_few ? (copies + 1) / 2 - 1 : 0);
}

void ClusterArranger::begin() {
  CHECK(is_idle());
  const Words words = draw();
  if (std::any_of(words.begin(), words.end(), [](const std::string& word) { return word.empty(); })) return;
  const auto machine = static_cast<uint32_t>(prng_.below(host_.machine_count()));
  if (words.front() == "CONFIG") unanswered_.insert(machine);
  send(machine, words);
}

void ClusterArranger::heal() {
  if (!swarm_.arrange.on()) return;
  is_restoring_ = true;
  unanswered_.insert(static_cast<uint32_t>(prng_.below(host_.machine_count())));
  restore();
}

void ClusterArranger::restore() {
  is_restoring_ = !unanswered_.empty();
  if (!is_restoring_) return;
  // One that was asked may wait for what only the others can set.
  const uint32_t machine = prng_.chance(0.5) ? *unanswered_.begin() : static_cast<uint32_t>(prng_.below(host_.machine_count()));
  send(machine, settings(swarm_.replication, 0));
}

void ClusterArranger::send(uint32_t machine, const Words& words) {
  machine_ = machine;
  is_waiting_ = true;
  parser_ = ReplyParser();
  std::string text;
  std::string bytes = "*" + std::to_string(words.size()) + "\r\n";
  for (const std::string& word : words) {
    text += word + " ";
    bytes += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
  }
  host_.log_arranger(text + "at n" + std::to_string(machine + 1));
  host_.arranger_sends(machine, bytes);
  sleep(kAnswerUs);
}

void ClusterArranger::sleep(int64_t delay_us) {
  wakes_us_ = host_.now_us() + delay_us;
  host_.wake_arranger(wakes_us_);
}

void ClusterArranger::end_of_wish() {
  is_waiting_ = false;
  if (is_restoring_) sleep(kRetryUs);
}

void ClusterArranger::on_timer(int64_t at_us) {
  if (at_us != wakes_us_) return;
  is_waiting_ = false;
  if (is_restoring_) restore();
}

void ClusterArranger::on_closed() {
  if (is_waiting_) end_of_wish();
}

void ClusterArranger::on_bytes(std::string_view bytes) {
  if (!is_waiting_) return;  // an answer that came too late
  parser_.feed(bytes);
  ReplyValue reply;
  if (parser_.next(reply) != ReplyParser::Outcome::kValue) return;
  host_.log_arranger(print_reply(reply));
  if (reply.kind != ReplyValue::Kind::kError) {
    unanswered_.erase(machine_);
    ++fulfilled_;
  }
  end_of_wish();
}

}  // namespace quorate::sim
