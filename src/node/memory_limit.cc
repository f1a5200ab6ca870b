// Eviction, and refusals for want of memory.
#include "node/memory_limit.h"

#include <algorithm>
#include <string>
#include <utility>

#include "commands/errors.h"
#include "node/blocking.h"
#include "node/changes.h"
#include "node/company.h"
#include "node/host.h"
#include "node/state.h"

namespace quorate {

namespace {

// What a command adds to the turn's budget of eviction: enough for more than one key, and for as
// many elements as it may bring, so that a pipeline of writes cannot outrun it.
constexpr size_t kEvictionPerCommand = 36;
constexpr size_t kFreePerStep = 64;
constexpr size_t kFreeCost =
    4;  // of that budget; an element that is freed takes longer than an entry that is seen

// Between one quota and the next: what all leaders evict has reached the copies by then, as a rule.
constexpr int64_t kQuotaUs = 200'000;
// So long others have too much and may be helped by others still.
constexpr int64_t kPatienceUs = 1'000'000;
// Up to this part of maxmemory above it a node waits for those who lead what it has copies of; up to the second where writes come fast.
constexpr uint64_t kLeewayPart = 32;
constexpr uint64_t kLeewayPartMin = 8;
// What an evicted key counts at least: a quota comes to its end.
constexpr uint64_t kFreedMin = 64;
// Of the log all partitions together keep in memory about such a part of maxmemory, each at least
// so much.
constexpr uint64_t kLogPart = 4;
constexpr uint64_t kLogMin = 256 << 10;
constexpr int64_t kLookUs = 5'000;
constexpr int64_t kNoteUs = 60'000'000;

// Frees values that were dropped, within the turn's budget.  False: there is nothing to free.
bool free_dropped(NodeState& node) {
  size_t left = kFreePerStep;
  const bool frees_more = node.store.free_some(left);
  const size_t cost = (kFreePerStep - left) * kFreeCost;
  node.eviction_budget -= std::min(node.eviction_budget, cost);
  return frees_more || cost != 0;
}

enum class MemoryVerdict : uint8_t { kEnough, kMoreToEvict, kNothingToEvict };

MemoryVerdict keep_memory_alone(NodeState& node) {
  const uint64_t limit = node.store_settings.maxmemory;
  if (limit == 0) return MemoryVerdict::kEnough;
  while (node.host.used_memory() > limit) {
    if (node.eviction_budget == 0) {
      node.background_work_left = true;
      return MemoryVerdict::kMoreToEvict;
    }
    // While values are being freed memory comes without evicting more.
    if (free_dropped(node)) continue;
    if (!node.store.evict_one(node.eviction_budget)) return MemoryVerdict::kNothingToEvict;
  }
  return MemoryVerdict::kEnough;
}

}  // namespace

void relieve_memory(NodeState& node) {
  if (node.company.is_alone()) {
    keep_memory_alone(node);
  } else {
    node.memory_pressure.relieve();
  }
}

std::optional<Error> check_memory(NodeState& node, bool grows, size_t arguments,
                                  uint32_t partition) {
  // In a pause nothing changes, and what grows is put off.
  if (pause_lasts(node)) [[unlikely]]
    return std::nullopt;
  node.eviction_budget += kEvictionPerCommand + arguments * (kFreeCost + 1);
  bool is_hopeless = false;
  if (node.company.is_alone()) {
    is_hopeless = keep_memory_alone(node) == MemoryVerdict::kNothingToEvict;
  } else {
    node.memory_pressure.relieve();
    is_hopeless = grows && node.memory_pressure.is_hopeless(partition);
  }
  // EXEC is to find its WATCH broken by what has gone for its own sake.
  announce_changes(node);
  if (!is_hopeless || !grows) return std::nullopt;
  ++node.statistics.evictions_refused;
  return errors::out_of_memory();
}

// ---- in company
// ----------------------------------------------------------------------------------------------

// The log that is kept in memory for followers is beside maxmemory, so it should be small beside
// it.
void MemoryPressure::follow_limit() {
  const uint64_t limit = node_.store_settings.maxmemory;
  if (limit == followed_limit_) return;
  followed_limit_ = limit;
  const size_t most = node_.group_options.window_bytes_max;
  const uint64_t part = limit / kLogPart / node_.store.partition_count();
  node_.company.cluster().groups().set_window(
      limit == 0 ? most : std::min<size_t>(most, std::max<uint64_t>(part, kLogMin)));
}

// Eviction can do nothing about the log that is kept for followers, and about states of partitions
// on their way.  Asked for at every command, so they are looked at only where it matters.
uint64_t MemoryPressure::not_counted(uint64_t used) const {
  const uint64_t limit = node_.store_settings.maxmemory;
  if (limit == 0 || used <= limit) return 0;
  const ClusterNode& cluster = node_.company.cluster();
  return std::min<uint64_t>(used, cluster.groups().log_bytes() + cluster.partitions().state_bytes());
}

// All quotas are given at once: what goes for one counts for whoever has a copy of it, too.
void MemoryPressure::follow() {
  const int64_t now_us = node_.now.steady_us;
  if (!asked_.empty()) answer_asked();
  if (now_us < next_look_us_) return;
  next_look_us_ = now_us + kLookUs;
  follow_limit();
  tell();
  for (Burden& burden : others_) burden.is_seen = false;
  for (const MemberRecord& member : node_.company.cluster().state().members()) hear({member.id});
  std::erase_if(others_, [](const Burden& burden) { return !burden.is_seen; });
  const bool is_pressed = !others_.empty();
  node_.flags =
      is_pressed ? node_.flags | kNodeMemoryPressed : node_.flags & ~uint32_t{kNodeMemoryPressed};
  const bool is_limited = node_.store_settings.maxmemory != 0;
  if ((!is_limited && !is_pressed) || now_us < own_.next_quota_us) return;
  own_.next_quota_us = now_us + kQuotaUs;
  for (Burden& burden : others_) ask(burden);
  if (is_limited) look_at_own(node_.host.used_memory());
}

void MemoryPressure::hear(raft::NodeId node) {
  const auto health = node_.company.cluster().groups().health_of(node);
  if (!health || !health->is_over_memory) return;
  auto found = std::find_if(others_.begin(), others_.end(),
                            [&](const Burden& each) { return each.node == node; });
  if (found == others_.end()) {
    others_.push_back({.node = node, .since_us = node_.now.steady_us});
    found = others_.end() - 1;
    found->evicted.assign(node_.store.partition_count(), false);
    look_at_partitions(*found);
  }
  found->is_seen = true;
}

namespace {

// A copy that waits for a state of its own applies no evictions, and will have what there is then.
bool applies_what_is_done(const raft::Core& core, raft::NodeId node) {
  return std::any_of(core.progress().begin(), core.progress().end(), [&](const raft::Progress& each) {
    return each.member().node == node && each.state() == raft::Progress::State::kReplicate;
  });
}

}  // namespace

void MemoryPressure::look_at_partitions(Burden& burden) const {
  const uint32_t count = node_.store.partition_count();
  burden.partitions.assign(count, false);
  for (uint32_t partition = 0; partition < count; ++partition) {
    if (!node_.company.serves(partition)) continue;
    const raft::Core* const core = node_.company.cluster().partitions().core(partition);
    burden.partitions[partition] = burden.node.none() || (core != nullptr && applies_what_is_done(*core, burden.node));
  }
}

// How much has it too much?  While it has not answered it is asked the same again, which may have been lost with a connection.
void MemoryPressure::ask(Burden& burden) {
  look_at_partitions(burden);
  if (!burden.is_asked) {
    burden.is_asked = true;
    burden.question = {.number = ++questions_};
    burden.quota = 0;
    for (uint32_t partition = 0; partition < burden.evicted.size(); ++partition) {
      if (!burden.evicted[partition] || !burden.partitions[partition]) continue;
      const raft::Index last = node_.company.cluster().partitions().core(partition)->last_index();
      burden.question.places.push_back({.partition = partition, .index = last.value});
    }
    burden.evicted.assign(burden.evicted.size(), false);
  }
  // What is led elsewhere by now, or waits for a state there, would not be reached.
  std::erase_if(burden.question.places, [&](const MemoryQuestion::Place& place) { return !burden.partitions[place.partition]; });
  Buffer bytes;
  encode(burden.question, bytes);
  node_.company.say(burden.node.value, static_cast<uint64_t>(MemoryKind::kAsk), bytes.view());
}

Status MemoryPressure::take_message(raft::NodeId from, uint64_t kind, std::string_view bytes) {
  if (kind == static_cast<uint64_t>(MemoryKind::kAsk)) {
    TRY(MemoryQuestion question, decode_memory_question(bytes, node_.store.partition_count()));
    std::erase_if(asked_, [&](const Asked& each) { return each.by == from; });
    asked_.push_back({.by = from, .question = std::move(question)});
    return done();
  }
  TRY(const MemoryAnswer answer, decode_memory_answer(bytes));
  for (Burden& burden : others_) {
    if (burden.node != from || !burden.is_asked || burden.question.number != answer.number) continue;
    burden.is_asked = false;
    look_at_partitions(burden);
    give_quota(burden, answer.excess, answer.keys);
  }
  return done();
}

// Where another one leads by now nobody waits for it.
bool MemoryPressure::has_applied(const Asked& asked) const {
  const Partitions& partitions = node_.company.cluster().partitions();
  return std::all_of(asked.question.places.begin(), asked.question.places.end(), [&](const MemoryQuestion::Place& place) {
    const raft::Core* const core = partitions.core(place.partition);
    const auto leader = core == nullptr ? std::nullopt : core->role_state().leader;
    // What is wrong here is replaced before it gets that far.
    return !leader || leader->node != asked.by || partitions.is_astray(place.partition) || partitions.state_index(place.partition).value >= place.index;
  });
}

// Once it has all of it, and what that dropped is freed.
void MemoryPressure::answer_asked() {
  if (node_.store.pending_frees() != 0) return;
  std::erase_if(asked_, [&](const Asked& asked) {
    if (!has_applied(asked)) return false;
    Buffer bytes;
    encode(MemoryAnswer{.number = asked.question.number, .excess = excess(), .keys = node_.store.key_count()}, bytes);
    node_.company.say(asked.by.value, static_cast<uint64_t>(MemoryKind::kTold), bytes.view());
    return true;
  });
}

// As large a part of the excess as what is led here is of all that lies there.
void MemoryPressure::give_quota(Burden& burden, uint64_t excess, uint64_t keys) {
  uint64_t led = 0;
  for (uint32_t partition = 0; partition < burden.partitions.size(); ++partition) {
    if (burden.partitions[partition]) led += node_.store.keys_in(partition);
  }
  const double part = keys <= led ? 1.0 : static_cast<double>(led) / static_cast<double>(keys);
  const bool has_part = led != 0 && excess != 0;
  burden.quota = has_part ? static_cast<uint64_t>(static_cast<double>(excess) * part) + 1 : 0;
  burden.has_nothing = led == 0;
  if (has_part) node_.background_work_left = true;
  if (&burden != &own_) return;
  const bool others_can_help =
      led < keys && node_.store_settings.maxmemory_policy != EvictionPolicy::kNoEviction;
  const uint64_t limit = node_.store_settings.maxmemory;
  // What comes until others have done their part may be as much again.
  const uint64_t owed = excess - std::min(excess, burden.quota);
  own_leeway_ = others_can_help ? std::clamp(2 * owed, limit / kLeewayPart, limit / kLeewayPartMin) : 0;
}

// For the next while.
void MemoryPressure::look_at_own(uint64_t used) {
  used -= not_counted(used);
  const uint64_t limit = node_.store_settings.maxmemory;
  look_at_partitions(own_);
  give_quota(own_, used > limit ? used - limit : 0, node_.store.key_count());
}

uint64_t MemoryPressure::excess() const {
  const uint64_t limit = node_.store_settings.maxmemory;
  uint64_t used = limit == 0 ? 0 : node_.host.used_memory();
  used -= not_counted(used);
  // While values are being freed memory comes without evicting more.
  return used > limit && node_.store.pending_frees() == 0 ? used - limit : 0;
}

void MemoryPressure::tell() {
  const bool is_over = excess() != 0;
  beats::Health health = node_.company.cluster().groups().health();
  if (health.is_over_memory == is_over) return;
  health.is_over_memory = is_over;
  node_.company.tell_health(health);
}

MemoryPressure::Burden* MemoryPressure::most_urgent(uint64_t used) {
  const uint64_t limit = node_.store_settings.maxmemory;
  const bool is_over = limit != 0 && used > limit;
  if (is_over && !own_.has_nothing && (own_.quota > 0 || used > limit + own_leeway_)) return &own_;
  Burden* most = nullptr;
  for (Burden& burden : others_) {
    if (burden.quota > 0 && (most == nullptr || burden.quota > most->quota)) most = &burden;
  }
  return most;
}

// It went everywhere where there is a copy.
void MemoryPressure::count_freed(uint32_t partition, uint64_t bytes) {
  own_.quota -= std::min(own_.quota, bytes);
  for (Burden& burden : others_) {
    if (!burden.partitions[partition]) continue;
    burden.quota -= std::min(burden.quota, bytes);
    burden.evicted[partition] = true;
  }
}

void MemoryPressure::relieve() {
  if (node_.store_settings.maxmemory == 0 && others_.empty()) return;
  uint64_t used = node_.host.used_memory();
  const uint64_t beside = not_counted(used);
  used -= beside;
  own_.has_nothing = false;
  std::optional<uint32_t> evicted_from;
  while (Burden* const burden = most_urgent(used)) {
    if (node_.eviction_budget == 0) {
      node_.background_work_left = true;
      return;
    }
    const bool frees = free_dropped(node_);
    if (!frees) {
      evicted_from = node_.store.evict_one(node_.eviction_budget,
                                           burden == &own_ ? nullptr : &burden->partitions);
      if (!evicted_from) {
        burden->has_nothing = true;
        burden->quota = 0;
        continue;
      }
    }
    const uint64_t before = used;
    used = std::max(node_.host.used_memory(), beside) - beside;
    const uint64_t freed = before > used ? before - used : 0;
    if (evicted_from) count_freed(*evicted_from, frees ? freed : std::max(freed, kFreedMin));
  }
  const uint64_t limit = node_.store_settings.maxmemory;
  const bool was_over = std::exchange(own_is_over_, limit != 0 && used > limit);
  if (!was_over) own_.since_us = node_.now.steady_us;
}

bool MemoryPressure::cannot_help(const Burden& burden) const {
  if (node_.store_settings.maxmemory_policy == EvictionPolicy::kNoEviction) return true;
  return burden.has_nothing && node_.now.steady_us - burden.since_us >= kPatienceUs;
}

bool MemoryPressure::is_hopeless(uint32_t partition) {
  if (own_is_over_ && own_.has_nothing && (own_leeway_ == 0 || cannot_help(own_))) return true;
  const auto found = std::find_if(others_.begin(), others_.end(), [&](const Burden& each) {
    return each.partitions[partition] && cannot_help(each);
  });
  if (found == others_.end()) return false;
  if (node_.now.steady_us >= next_note_us_) {
    next_note_us_ = node_.now.steady_us + kNoteUs;
    node_.host.log(LogLevel::kWarning,
                   "a node with copies of what is led here is above its maxmemory, and nothing may "
                   "be evicted for it -> "
                   "writes are refused (" +
                       node_name(found->node.value) + ")");
  }
  return true;
}

}  // namespace quorate
