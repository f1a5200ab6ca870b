// Beats of one pair of nodes.
#include "cluster/beats.h"

#include <algorithm>
#include <utility>

#include "util/check.h"

namespace quorate::beats {

namespace {
constexpr size_t kSentMax = 64;        // beats whose echo is awaited
constexpr size_t kLedVersionsMax = 8;  // lists that echoes on their way may speak of

bool contains(const std::vector<GroupId>& sorted, GroupId group) {
  return std::binary_search(sorted.begin(), sorted.end(), group);
}

void sort_once(std::vector<GroupId>& groups) {
  std::sort(groups.begin(), groups.end());
  groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
}
}  // namespace

void Output::clear() {
  send.clear();
  peer_restarted = false;
  silent.reset();
  heard = false;
  judge.clear();
  judge_wanted = false;
  confirmed.reset();
}

Pair::Pair(const Options& options, BeatCounter& counter, uint64_t seed,
           const raft::Mistakes& mistakes)
    : options_(options), counter_(counter), mistakes_(mistakes), prng_(seed), support_epoch_(++counter.support_epoch) {
  led_.push_back({.version = ++counter_.led_version, .led = {}});
}

void Pair::step(Instant now, const Input& input, Output& out) {
  CHECK(now.steady_us >= now_us_);
  now_us_ = now.steady_us;
  health_.wall_ms = now.unix_ms;
  const bool stood_still = is_connected_ && now_us_ - next_beat_us_ >= options_.standstill_us;
  if (stood_still) {
    if (has_grace_) suspect_at_us_ = std::max(suspect_at_us_, now_us_ + options_.grace_us);
    has_grace_ = false;
    heard_since_us_ = kNever;  // that the next beat is late says nothing about the peer
  }
  std::visit([&](const auto& one) { on(one, out); }, input);
}

int64_t Pair::deadline() const {
  return std::min(is_connected_ ? next_beat_us_ : kNever, suspect_at_us_);
}

const Led* Pair::peer_leads(GroupId group) const {
  const auto led = std::lower_bound(peer_led_.begin(), peer_led_.end(), group,
                                    [](const Led& each, GroupId wanted) { return each.group < wanted; });
  return led != peer_led_.end() && led->group == group ? &*led : nullptr;
}

void Pair::on(const in::Timeout&, Output& out) {
  // A beat that is nearly due leaves with what else is due now: one turn of the node for all its pairs.
  if (is_connected_ && now_us_ >= next_beat_us_ - slack_us()) send_beat(out);
  if (now_us_ >= suspect_at_us_) {
    suspect_at_us_ = kNever;
    peer_is_heard_ = false;
    out.silent = raft::Silence::kNoBeats;
  }
}

void Pair::on(const in::Connected&, Output& out) {
  is_connected_ = true;
  peer_knows_version_ = 0;
  send_beat(out);
}

void Pair::on(const in::Closed&, Output& out) {
  is_connected_ = false;
  heard_since_us_ = kNever;
  lateness_us_ = 0;
  sent_.clear();
  suspect_at_us_ = kNever;
  if (peer_is_heard_) out.silent = raft::Silence::kClosed;
  peer_is_heard_ = false;
}

void Pair::on(const in::LedChanged& input, Output& out) {
  CHECK(std::is_sorted(input.led.begin(), input.led.end()));
  CHECK(input.led.size() <= kLedMax);
  if (input.led == led_.back().led) return;
  led_.push_back({.version = ++counter_.led_version, .led = input.led});
  if (led_.size() > kLedVersionsMax) led_.pop_front();
  // A new leader's lease begins with the first beat that lists it.
  if (is_connected_) send_beat(out);
}

void Pair::on(const in::HealthChanged& input, Output& out) {
  const int64_t wall_ms = health_.wall_ms;
  const bool is_urgent = input.health.is_draining != health_.is_draining ||
                         input.health.is_fit() != health_.is_fit() || input.health.kept != health_.kept;
  const bool memory_is_urgent = input.health.is_over_memory != health_.is_over_memory;
  health_ = input.health;
  health_.wall_ms = wall_ms;
  if ((is_urgent || memory_is_urgent) && is_connected_) send_beat(out);
}

void Pair::on(const in::RoundWanted&, Output& out) {
  if (is_connected_) send_beat(out);
}

void Pair::send_beat(Output& out) {
  next_beat_us_ = now_us_ + options_.beat_us;
  counter_.last = next(counter_.last);
  const LedVersion& newest = led_.back();
  Beat beat{.incarnation = options_.incarnation,
            .number = counter_.last,
            .nonce = prng_.next(),
            .health = health_,
            .led_version = newest.version};
  if (peer_knows_version_ != newest.version) beat.led = newest.led;
  sent_.push_back({.number = beat.number,
                   .nonce = beat.nonce,
                   .sent_us = now_us_,
                   .led_version = newest.version});
  if (sent_.size() > kSentMax) sent_.pop_front();
  out.send.push_back(std::move(beat));
}

void Pair::on(const in::Receive& input, Output& out) {
  std::visit([&](const auto& packet) { receive(packet, out); }, input.packet);
}

bool Pair::take_incarnation(Incarnation incarnation, Output& out) {
  if (incarnation < peer_incarnation_) return false;
  if (incarnation == peer_incarnation_) return true;
  const bool is_first = peer_incarnation_.none();
  peer_incarnation_ = incarnation;
  if (is_first) return true;
  out.peer_restarted = true;
  peer_beat_ = {};
  peer_led_.clear();
  peer_led_version_ = 0;
  peer_support_epoch_ = 0;
  peer_knows_version_ = 0;
  heard_since_us_ = kNever;
  not_confirmed_.clear();
  judged_version_ = 0;
  is_judging_ = false;
  sent_.clear();  // the echoes of the old one count no more
  return true;
}

// A second of beats in time halves what is remembered, and more.
void Pair::note_lateness() {
  constexpr int64_t kForgetUs = 1'500'000;
  const int64_t gap_us = heard_since_us_ == kNever ? 0 : now_us_ - heard_since_us_;
  heard_since_us_ = now_us_;
  lateness_us_ -= lateness_us_ * std::min(gap_us, kForgetUs) / kForgetUs;
  lateness_us_ = std::clamp(gap_us - options_.beat_us, lateness_us_, options_.patience_us_max);
}

void Pair::receive(const Beat& beat, Output& out) {
  if (!take_incarnation(beat.incarnation, out)) return;
  if (beat.number <= peer_beat_) return;  // late or doubled: the newer one says more
  peer_beat_ = beat.number;
  peer_nonce_ = beat.nonce;
  peer_health_ = beat.health;
  received_us_ = now_us_;
  peer_is_heard_ = true;
  has_grace_ = true;
  note_lateness();
  suspect_at_us_ =
      now_us_ + options_.suspicion_us + std::min(2 * lateness_us_, options_.patience_us_max) +
      static_cast<int64_t>(prng_.below(static_cast<uint64_t>(options_.suspicion_spread_us) + 1));
  out.heard = true;
  if (beat.led && beat.led_version > peer_led_version_) {
    peer_led_ = *beat.led;
    peer_led_version_ = beat.led_version;
    not_confirmed_.clear();
    judged_version_ = 0;
  }
  if (beat.led_version != peer_led_version_) {
    peer_led_version_ = 0;  // a list was missed: the echo asks for it
    peer_led_.clear();
    judged_version_ = 0;
  }
  const bool is_judged = judged_version_ == peer_led_version_;
  for (const Led& led : peer_led_) {
    if (led.is_hint()) continue;
    if (!is_judged || contains(not_confirmed_, led.group)) out.judge.push_back(led);
  }
  if (out.judge.empty()) {
    judged_version_ = peer_led_version_;
    answer(out);
    return;
  }
  out.judge_wanted = true;
  is_judging_ = true;
  withdrawn_.clear();
}

void Pair::on(const in::Judged& input, Output& out) {
  if (!is_judging_) return;  // the peer restarted meanwhile
  is_judging_ = false;
  not_confirmed_ = input.not_confirmed;
  not_confirmed_.insert(not_confirmed_.end(), withdrawn_.begin(), withdrawn_.end());
  sort_once(not_confirmed_);
  judged_version_ = peer_led_version_;
  answer(out);
}

// From now on no echo confirms the group, until it is judged again.
void Pair::on(const in::SupportWithdrawn& input, Output&) {
  support_epoch_ = ++counter_.support_epoch;
  if (is_judging_) withdrawn_.push_back(input.group);
  not_confirmed_.push_back(input.group);
  sort_once(not_confirmed_);
}

// A beat that is soon due leaves with the echo, and the next one waits a little longer for the peer's: so the peer's clock drives
// both, and a round of beats wakes each of the two twice instead of three times.
void Pair::answer(Output& out) {
  send_echo(out);
  if (!is_connected_ || next_beat_us_ - now_us_ > options_.beat_us / 2) return;
  send_beat(out);
  next_beat_us_ += slack_us();
}

void Pair::send_echo(Output& out) {
  Echo echo{.incarnation = options_.incarnation,
            .beat_incarnation = peer_incarnation_,
            .number = peer_beat_,
            .nonce = peer_nonce_,
            .led_version = peer_led_version_,
            .support_epoch = support_epoch_};
  for (const Led& led : peer_led_) {
    if (contains(not_confirmed_, led.group)) echo.not_confirmed.push_back(led.group);
  }
  out.send.push_back(std::move(echo));
}

void Pair::receive(const Echo& echo, Output& out) {
  if (!take_incarnation(echo.incarnation, out)) return;
  if (echo.beat_incarnation != options_.incarnation) return;
  const auto sent = std::find_if(sent_.begin(), sent_.end(), [&](const SentBeat& one) {
    return one.number == echo.number && one.nonce == echo.nonce;
  });
  if (sent == sent_.end()) return;
  const SentBeat beat = *sent;
  sent_.erase(sent);
  if (echo.support_epoch < peer_support_epoch_) return;  // overtaken by one that withdrew support
  peer_support_epoch_ = echo.support_epoch;
  if (echo.led_version != beat.led_version) {
    peer_knows_version_ = 0;
    return;
  }
  peer_knows_version_ = std::max(peer_knows_version_, echo.led_version);
  const auto spoken_of = std::find_if(led_.begin(), led_.end(), [&](const LedVersion& one) {
    return one.version == echo.led_version;
  });
  if (spoken_of == led_.end()) return;
  out.confirmed = Confirmed{.beat = beat.number, .sent_us = beat.sent_us};
  for (const Led& led : spoken_of->led) {
    if (led.is_hint()) continue;
    const bool is_confirmed =
        mistakes_.beats_confirm_all_groups || !contains(echo.not_confirmed, led.group);
    (is_confirmed ? out.confirmed->groups : out.confirmed->refused).push_back(led);
  }
}

}  // namespace quorate::beats
