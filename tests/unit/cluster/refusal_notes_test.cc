// What the log says of connections that were refused, and how often.
#include "cluster/refusal_notes.h"

#include <gtest/gtest.h>

#include "cluster/members.h"

namespace quorate {
namespace {

// Of a connection that was made here.
PeerEvent refused(Refusal why) { return {.kind = PeerEvent::Kind::kRefused, .refusal = why}; }

// Of one that was taken.
PeerEvent refused_from(Refusal why, const std::string& host, uint16_t port = 50000) {
  return {.kind = PeerEvent::Kind::kRefused,
          .refusal = why,
          .was_accepted = true,
          .address = {.host = host, .port = port}};
}

TEST(RefusalNotes, a_line_says_who_and_why_and_what_to_do) {
  RefusalNotes notes;
  PeerEvent event = refused(Refusal::kSecretDiffers);
  EXPECT_EQ(notes.line({}, event),
            "connection with a node refused: masterauth differs -> set masterauth to the same at "
            "all nodes");
  event.address = {.host = "10.0.0.1", .port = 17001};
  EXPECT_EQ(notes.line({}, event),
            "connection with a node at 10.0.0.1:17001 refused: masterauth differs -> set "
            "masterauth to the same at all nodes");
  event.refusal = Refusal::kOtherCluster;
  event.node = 7;
  EXPECT_EQ(notes.line({}, event),
            "connection with " + node_name(7) + " at 10.0.0.1:17001 refused: another cluster");
  event = refused(Refusal::kVersion);
  event.version = 1;
  EXPECT_EQ(notes.line({}, event),
            "connection with a node refused: another version of what nodes say to each other (1 "
            "there, 7 here) -> run the same release at all nodes");
  EXPECT_EQ(
      notes.line({}, refused(Refusal::kSecretMissing)),
      "connection with a node refused: it has no masterauth -> set masterauth there as it is here");
  EXPECT_EQ(notes.line({}, refused(Refusal::kSecretUnknown)),
            "connection with a node refused: it has a masterauth and this node has none -> set "
            "masterauth here as it is there");
  EXPECT_EQ(notes.line({}, refused_from(Refusal::kNotAPeer, "10.0.0.9", 4711)),
            "connection with a node from 10.0.0.9:4711 refused: not a peer");
  EXPECT_EQ(notes.line({}, refused_from(Refusal::kNotAPeer, "fe80::1", 4711)),
            "connection with a node from [fe80::1]:4711 refused: not a peer");
}

TEST(RefusalNotes, one_reason_is_told_once_in_a_while) {
  RefusalNotes notes;
  Instant now{.steady_us = 5'000'000};
  EXPECT_NE(notes.line(now, refused_from(Refusal::kNotAPeer, "a", 1)), "");
  for (uint16_t port = 2; port <= 42; ++port)
    EXPECT_EQ(notes.line(now, refused_from(Refusal::kNotAPeer, "a", port)), "");
  // Another reason, another place, or a connection that was made here, is not kept silent by that.
  EXPECT_NE(notes.line(now, refused_from(Refusal::kVersion, "a")), "");
  EXPECT_NE(notes.line(now, refused_from(Refusal::kNotAPeer, "b")), "");
  PeerEvent ours = refused(Refusal::kNotAPeer);
  ours.address = {.host = "a", .port = 1};
  EXPECT_NE(notes.line(now, ours), "");
  EXPECT_EQ(notes.line(now, ours), "");
  ours.address.port = 2;
  EXPECT_NE(notes.line(now, ours), "");
  now.steady_us += RefusalNotes::kPauseUs;
  EXPECT_EQ(notes.line(now, refused_from(Refusal::kNotAPeer, "a", 43)),
            "connection with a node from a:43 refused: not a peer (and 41 more since it was said "
            "last)");
  EXPECT_EQ(notes.line(now, refused_from(Refusal::kNotAPeer, "a", 44)), "");
  now.steady_us += RefusalNotes::kPauseUs;
  EXPECT_EQ(notes.line(now, refused_from(Refusal::kNotAPeer, "a", 45)),
            "connection with a node from a:45 refused: not a peer (and 1 more since it was said "
            "last)");
}

TEST(RefusalNotes, a_stranger_with_many_addresses_does_not_fill_the_log) {
  RefusalNotes notes;
  Instant now{.steady_us = 5'000'000};
  const auto told_of = [&](int hosts) {
    size_t told = 0;
    for (int host = 0; host < hosts; ++host)
      told +=
          notes.line(now, refused_from(Refusal::kNotAPeer, "host" + std::to_string(host))).empty()
              ? 0
              : 1;
    return told;
  };
  EXPECT_EQ(told_of(1000), RefusalNotes::kPlacesMax + 1);
  EXPECT_EQ(told_of(1000), 0u);
  // A node that we dial is told of all the same.
  PeerEvent ours = refused(Refusal::kNotAPeer);
  ours.address = {.host = "a", .port = 1};
  EXPECT_NE(notes.line(now, ours), "");
  // Later the places are others', and all are counted: 2000, of which 17 were told.
  now.steady_us += RefusalNotes::kPauseUs;
  for (size_t host = 0; host < RefusalNotes::kPlacesMax; ++host)
    EXPECT_NE(notes.line(now, refused_from(Refusal::kNotAPeer, "other" + std::to_string(host))),
              "");
  EXPECT_EQ(notes.line(now, refused_from(Refusal::kNotAPeer, "one more")),
            "connection with a node from one more:50000 refused: not a peer (and 1983 more since "
            "it was said last)");
}

}  // namespace
}  // namespace quorate
