// Stages of leaving.
#include "node/leaving.h"

#include <algorithm>
#include <string>

#include "node/host.h"
#include "node/output.h"
#include "node/state.h"
#include "util/check.h"

namespace quorate {

namespace {

constexpr int64_t kLeavingUs = 2'000'000;
// Their answers may be far away, or never come.
constexpr uint32_t kOwesNothing = kClosing | kBlocked | kBlockedElsewhere | kPostponed | kWaiting | kReplicaLink;

bool owes_answers(const Session& session) {
  if (session.has(kOwesNothing)) return false;
  const bool has_more_to_run = !session.in.empty() && session.has(kStopsInput);
  return has_more_to_run || session.pending_output() != 0 || !session.holds.empty();
}

bool somebody_waits(NodeState& node) {
  bool waits = false;
  node.sessions.for_each_with_links([&](const Session& session) { waits = waits || owes_answers(session); });
  return waits;
}

void stop_reading(NodeState& node) {
  node.sessions.for_each([&](Session& session) {
    session.set(kReadNoMore);
    update_reading(node, session);
  });
}

bool stage_is_over(NodeState& node) {
  switch (node.leaving.stage) {
    case Leaving::Stage::kStays:
    case Leaving::Stage::kHasLeft:
      return false;
    case Leaving::Stage::kHandsOver:
      return node.company.cluster().count_to_hand_over() == 0;
    case Leaving::Stage::kAnswers:
    case Leaving::Stage::kCloses:
      return !somebody_waits(node);
  }
  CHECK(false);
}

void begin_next_stage(NodeState& node) {
  Leaving& leaving = node.leaving;
  leaving.stage = static_cast<Leaving::Stage>(static_cast<uint8_t>(leaving.stage) + 1);
  if (leaving.stage == Leaving::Stage::kAnswers) {
    const size_t kept = node.company.cluster().count_to_hand_over();
    node.host.log(LogLevel::kNotice, kept == 0 ? "others lead what this node has led -> answer what was asked, then end"
                                               : std::to_string(kept) + " leaderships were not taken over -> end without");
    stop_reading(node);
  }
  if (leaving.stage == Leaving::Stage::kCloses) node.company.stop_serving_all();
}

}  // namespace

void begin_leaving(NodeState& node) {
  if (node.company.is_alone()) return;
  node.host.log(LogLevel::kNotice, "about to end -> hand leaderships over");
  node.leaving = {.stage = Leaving::Stage::kHandsOver, .until_us = node.now.steady_us + kLeavingUs};
  node.company.set_draining(Company::Draining::kYes);
}

bool has_left(NodeState& node) {
  Leaving& leaving = node.leaving;
  if (leaving.stage == Leaving::Stage::kStays) return true;
  while (leaving.stage != Leaving::Stage::kHasLeft) {
    if (node.now.steady_us < leaving.until_us && !stage_is_over(node)) return false;
    begin_next_stage(node);
  }
  return true;
}

void hurry_leaving(NodeState& node) { node.leaving.until_us = std::min(node.leaving.until_us, node.now.steady_us); }

void stop_leaving(NodeState& node) {
  if (node.leaving.stage == Leaving::Stage::kStays) return;
  node.leaving = {};
  node.company.set_draining(Company::Draining::kNo);
  node.sessions.for_each([&](Session& session) {
    session.clear(kReadNoMore);
    update_reading(node, session);
  });
}

void meet_while_leaving(NodeState& node, Session& session) {
  if (node.leaving.stage < Leaving::Stage::kAnswers) return;
  session.set(kReadNoMore);
  update_reading(node, session);
}

}  // namespace quorate
