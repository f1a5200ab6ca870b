// One CONFIG SET after the other.
#include "tests/sim/cluster_modes.h"

#include <algorithm>

#include "util/check.h"

namespace quorate::sim {

namespace {

constexpr int64_t kMs = 1000;
constexpr int64_t kRetryUs = 100 * kMs;
constexpr int64_t kAnswerUs = 8'000 * kMs;
// Decided already, and on its way.
constexpr std::string_view kOnItsWay = "UNCERTAIN the members have decided it";

std::string bulk(std::string_view word) {
  return "$" + std::to_string(word.size()) + "\r\n" + std::string(word) + "\r\n";
}

}  // namespace

void ClusterModes::begin() {
  const auto step = 1 + prng_.below(2);
  begin(static_cast<raft::Durability>((static_cast<uint64_t>(mode_) + step) % 3));
}

void ClusterModes::give_up(const std::vector<uint32_t>& gone) {
  is_changing_ = is_waiting_ = false;
  for (const uint32_t machine : gone) unanswered_.erase(machine);
}

void ClusterModes::begin(raft::Durability mode) {
  CHECK(is_idle());
  mode_ = mode;
  is_changing_ = true;
  ++changes_;
  weakest_ = std::min(weakest_, mode_);
  send();
}

void ClusterModes::send() {
  machine_ = static_cast<uint32_t>(prng_.below(host_.machine_count()));
  if (!unanswered_.empty() && prng_.chance(0.7)) machine_ = unanswered_.begin()->first;
  const auto [known, is_new] = unanswered_.try_emplace(machine_, mode_);
  if (!is_new) known->second = std::min(known->second, mode_);
  is_waiting_ = true;
  parser_ = ReplyParser();
  const bool keeps_log = mode_ != raft::Durability::kMemory;
  const std::string_view weak = prng_.chance(0.5) ? "everysec" : "no";
  const std::string_view policy = mode_ == raft::Durability::kSynced ? "always" : weak;
  host_.log_modes("mode " + std::string(raft::name_of(mode_)) + " at n" + std::to_string(machine_ + 1));
  host_.modes_send(machine_, "*6\r\n" + bulk("CONFIG") + bulk("SET") + bulk("appendonly") + bulk(keeps_log ? "yes" : "no") +
                                 bulk("appendfsync") + bulk(policy));
  sleep(kAnswerUs);
}

void ClusterModes::sleep(int64_t delay_us) {
  wakes_us_ = host_.now_us() + delay_us;
  host_.wake_modes(wakes_us_);
}

void ClusterModes::reckon() {
  raft::Durability weakest = mode_;
  for (const auto& [machine, mode] : unanswered_) weakest = std::min(weakest, mode);
  const bool is_stronger = weakest > weakest_;
  weakest_ = weakest;
  if (is_stronger) host_.mode_is_stronger();
}

void ClusterModes::on_timer(int64_t at_us) {
  if (at_us == wakes_us_ && is_changing_) send();
}

void ClusterModes::on_closed() {
  if (is_waiting_) sleep(kRetryUs);
  is_waiting_ = false;
}

void ClusterModes::on_bytes(std::string_view bytes) {
  if (!is_waiting_) return;
  parser_.feed(bytes);
  ReplyValue reply;
  if (parser_.next(reply) != ReplyParser::Outcome::kValue) return;
  is_waiting_ = false;
  host_.log_modes(print_reply(reply));
  const bool is_error = reply.kind == ReplyValue::Kind::kError;
  if (!is_error || reply.text.starts_with(kOnItsWay)) unanswered_.erase(machine_);
  if (is_error) return sleep(kRetryUs);
  is_changing_ = false;
  reckon();
}

}  // namespace quorate::sim
