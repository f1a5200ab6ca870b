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
    case Refusal::kTooMany:
    case Refusal::kNoCluster:
      return {};
  }
  return {};
}

std::string text_of(const PeerAddress& address) {
  const bool has_colons = address.host.find(':') != std::string::npos;
  return (has_colons ? "[" + address.host + "]" : address.host) + ":" +
         std::to_string(address.port);
}

std::string other_of(const PeerEvent& event) {
  const std::string name = event.node != 0 ? node_name(event.node) : "a node";
  if (event.address.host.empty()) return name;
  return name + (event.was_accepted ? " from " : " at ") + text_of(event.address);
}

}  // namespace

// Of a place of its own if there is room for it.
RefusalNotes::Told& RefusalNotes::told_of(Instant now, const PeerEvent& event) {
  Way& way = event.was_accepted ? taken_ : made_;
  // Who connects does so from another port each time.
  const std::pair key(event.refusal,
                      event.was_accepted ? event.address.host : text_of(event.address));
  const auto known = way.places.find(key);
  if (known != way.places.end()) return known->second;
  if (way.places.size() >= kPlacesMax) {
    std::erase_if(way.places, [&](const auto& place) {
      if (now.steady_us < place.second.next_us) return false;
      way.elsewhere[static_cast<size_t>(place.first.first)].untold += place.second.untold;
      return true;
    });
  }
  if (way.places.size() >= kPlacesMax) return way.elsewhere[static_cast<size_t>(event.refusal)];
  return way.places[key];
}

std::string RefusalNotes::line(Instant now, const PeerEvent& event) {
  CHECK(event.kind == PeerEvent::Kind::kRefused);
  Told& told = told_of(now, event);
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
