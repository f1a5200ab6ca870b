// What the log says of connections that were refused, and how often.
#include "cluster/refusal_notes.h"

#include <gtest/gtest.h>

#include "cluster/members.h"

namespace quorate {
namespace {

PeerEvent refused(Refusal why) { return {.kind = PeerEvent::Kind::kRefused, .refusal = why}; }

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
            "there, 2 here) -> run the same release at all nodes");
  EXPECT_EQ(
      notes.line({}, refused(Refusal::kSecretMissing)),
      "connection with a node refused: it has no masterauth -> set masterauth there as it is here");
  EXPECT_EQ(notes.line({}, refused(Refusal::kSecretUnknown)),
            "connection with a node refused: it has a masterauth and this node has none -> set "
            "masterauth here as it is there");
}

TEST(RefusalNotes, one_reason_is_told_once_in_a_while) {
  RefusalNotes notes;
  Instant now{.steady_us = 5'000'000};
  EXPECT_NE(notes.line(now, refused(Refusal::kNotAPeer)), "");
  for (int index = 0; index < 41; ++index)
    EXPECT_EQ(notes.line(now, refused(Refusal::kNotAPeer)), "");
  // Another reason, or a connection that was made here, is not kept silent by that.
  EXPECT_NE(notes.line(now, refused(Refusal::kVersion)), "");
  PeerEvent ours = refused(Refusal::kNotAPeer);
  ours.address.host = "b";
  EXPECT_NE(notes.line(now, ours), "");
  now.steady_us += RefusalNotes::kPauseUs;
  EXPECT_EQ(notes.line(now, refused(Refusal::kNotAPeer)),
            "connection with a node refused: not a peer (and 41 more since it was said last)");
  EXPECT_EQ(notes.line(now, refused(Refusal::kNotAPeer)), "");
  now.steady_us += RefusalNotes::kPauseUs;
  EXPECT_EQ(notes.line(now, refused(Refusal::kNotAPeer)),
            "connection with a node refused: not a peer (and 1 more since it was said last)");
}

}  // namespace
}  // namespace quorate
