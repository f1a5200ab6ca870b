// A queue of steps; each is tried until it is done.
#include "tests/sim/cluster_operator.h"

#include "util/check.h"

namespace quorate::sim {

namespace {

constexpr int64_t kMs = 1000;
constexpr int64_t kRetryUs = 100 * kMs;
constexpr int64_t kAnswerUs = 2000 * kMs;
constexpr int64_t kRemovalUs = 15'000 * kMs;
constexpr int64_t kWatchUs = 1000 * kMs;
constexpr std::string_view kGone = "removed from the cluster for good";
// Whoever is asked was removed itself: that says nothing of the other one.
constexpr std::string_view kOfWhomIsAsked = "this node";

std::string bulk(std::string_view word) {
  return "$" + std::to_string(word.size()) + "\r\n" + std::string(word) + "\r\n";
}

}  // namespace

void ClusterOperator::begin(uint32_t machine, Wish wish) {
  CHECK(is_idle());
  take_in_hand(machine);
  is_lost_ = wish == Wish::kReplaceLost;
  switch (wish) {
    case Wish::kRest:
      steps_ = {Step::kDrain, Step::kWait, Step::kUndrain};
      break;
    case Wish::kReplace:
      steps_ = {Step::kDrain, Step::kRemove, Step::kReplace};
      break;
    case Wish::kReplaceOld:
      steps_ = {Step::kDrain, Step::kTakeDown, Step::kRemove, Step::kWait, Step::kReplace};
      break;
    case Wish::kReplaceLost:
      steps_ = {Step::kDrain, Step::kRemove, Step::kReplace};
      break;
  }
  step_until_us_ = host_.now_us() + kRemovalUs;
  work();
}

void ClusterOperator::heal() {
  heals_ = true;
  if (is_idle()) return sleep(kWatchUs);
  if (!is_removed_ && !is_lost_) give_up_removal();
  is_waiting_ = false;
  sleep(kRetryUs);
}

void ClusterOperator::give_up_removal() { steps_ = {Step::kUndrain}; }

void ClusterOperator::sleep(int64_t delay_us) {
  wakes_us_ = host_.now_us() + delay_us;
  host_.wake_operator(wakes_us_);
}

void ClusterOperator::next_step() {
  steps_.pop_front();
  if (!is_idle()) return sleep(kRetryUs);
  if (heals_) sleep(kWatchUs);
}

// A DRAIN that was not answered may have been done behind the UNDRAIN that was, and so may a REMOVE.
void ClusterOperator::watch() {
  if (const auto removed = host_.removed_machine()) {
    take_in_hand(*removed);
    is_removed_ = true;
    steps_ = {Step::kReplace};
    return work();
  }
  const auto drained = host_.drained_machine();
  if (!drained) return sleep(kWatchUs);
  take_in_hand(*drained);
  give_up_removal();
  work();
}

void ClusterOperator::take_in_hand(uint32_t machine) {
  machine_ = machine;
  name_ = host_.node_name_of(machine_);
  is_removed_ = is_lost_ = false;
}

void ClusterOperator::work() {
  switch (steps_.front()) {
    case Step::kDrain:
      return send("DRAIN");
    case Step::kUndrain:
      return send("UNDRAIN");
    case Step::kTakeDown:
      host_.take_down(machine_, 3000 * kMs + static_cast<int64_t>(prng_.below(8'000'000)));
      return next_step();
    case Step::kRemove:
      if (host_.now_us() >= step_until_us_ && !is_removed_ && !is_lost_) {
        give_up_removal();
        return sleep(kRetryUs);
      }
      if (!host_.holds_nothing(name_)) return sleep(kRetryUs);
      return send("REMOVE");
    case Step::kWait:
      steps_.pop_front();
      return sleep(heals_ ? kRetryUs : static_cast<int64_t>(prng_.below(3'000'000)));
    case Step::kReplace:
      // The one that is gone has been followed by another already, which came by itself or after all that was lost.
      if (host_.node_name_of(machine_) != name_) return next_step();
      ++replaced_;
      host_.log_operator("puts an empty node in the place of n" + std::to_string(machine_ + 1));
      host_.replace(machine_);
      return next_step();
  }
}

void ClusterOperator::send(std::string_view word) {
  // Not the node itself: it may be down, or told at any moment that it has to go.
  const uint32_t others = host_.machine_count() - 1;
  const uint32_t target =
      (machine_ + 1 + static_cast<uint32_t>(prng_.below(others))) % host_.machine_count();
  is_waiting_ = true;
  parser_ = ReplyParser();
  host_.log_operator(std::string(word) + " n" + std::to_string(machine_ + 1) + " " + name_);
  host_.operator_sends(target, "*3\r\n" + bulk("QUORUM") + bulk(word) + bulk(name_));
  sleep(kAnswerUs);
}

void ClusterOperator::on_timer(int64_t at_us) {
  if (at_us != wakes_us_) return;
  if (is_idle() && heals_) return watch();
  if (is_idle()) return;
  is_waiting_ = false;
  work();
}

void ClusterOperator::on_closed() {
  if (!is_waiting_) return;
  is_waiting_ = false;
  sleep(kRetryUs);
}

void ClusterOperator::on_bytes(std::string_view bytes) {
  if (!is_waiting_) return;  // an answer that came too late
  parser_.feed(bytes);
  ReplyValue reply;
  if (parser_.next(reply) != ReplyParser::Outcome::kValue) return;
  is_waiting_ = false;
  host_.log_operator(print_reply(reply));
  const bool is_error = reply.kind == ReplyValue::Kind::kError;
  const bool is_gone = is_error && reply.text.find(kGone) != std::string::npos && reply.text.find(kOfWhomIsAsked) == std::string::npos;
  if (is_gone) {
    // An earlier REMOVE, of which nobody could tell, has been carried out.
    is_removed_ = true;
    steps_ = {Step::kReplace};
    return sleep(kRetryUs);
  }
  if (is_error) return sleep(kRetryUs);
  is_removed_ = is_removed_ || steps_.front() == Step::kRemove;
  next_step();
}

}  // namespace quorate::sim
