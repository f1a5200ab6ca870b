// The texts.
#include "cluster/refusal_notes.h"

#include <string_view>

#include "cluster/members.h"
#include "util/check.h"

namespace quorate {

namespace {

// Nothing: nobody can do anything about it, or the reason says it.
std::string_view advice_on(Refusal refusal) {
  switch (refusal) {
    case Refusal::kSecretDiffers:
      return "set masterauth to the same at all nodes";
    case Refusal::kSecretMissing:
      return "set masterauth there as it is here";
    case Refusal::kSecretUnknown:
      return "set masterauth here as it is there";
    case Refusal::kVersion:
      return "run the same release at all nodes";
    case Refusal::kNone:
    case Refusal::kNotAPeer:
    case Refusal::kOtherCluster:
    case Refusal::kOtherNode:
    case Refusal::kSameNode:
    case Refusal::kOldIncarnation:
    case Refusal::kPartitions:
    case Refusal::kLane:
    case Refusal::kDamaged:
    case Refusal::kTooLarge:
      return {};
  }
  return {};
}

std::string other_of(const PeerEvent& event) {
  const std::string name = event.node != 0 ? node_name(event.node) : "a node";
  return event.address.host.empty()
             ? name
             : name + " at " + event.address.host + ":" + std::to_string(event.address.port);
}

}  // namespace

std::string RefusalNotes::line(Instant now, const PeerEvent& event) {
  CHECK(event.kind == PeerEvent::Kind::kRefused);
  const size_t way = event.address.host.empty() ? 0 : 1;
  Told& told = told_[static_cast<size_t>(event.refusal)][way];
  if (now.steady_us < told.next_us) {
    ++told.untold;
    return {};
  }
  std::string text = "connection with " + other_of(event) +
                     " refused: " + std::string(refusal_text(event.refusal));
  if (event.refusal == Refusal::kVersion && event.version != 0) {
    text += " of what nodes say to each other (" + std::to_string(event.version) + " there, " +
            std::to_string(kPeerVersion) + " here)";
  }
  if (told.untold != 0)
    text += " (and " + std::to_string(told.untold) + " more since it was said last)";
  if (const std::string_view advice = advice_on(event.refusal); !advice.empty())
    text += " -> " + std::string(advice);
  told = {.next_us = now.steady_us + kPauseUs, .untold = 0};
  return text;
}

}  // namespace quorate
