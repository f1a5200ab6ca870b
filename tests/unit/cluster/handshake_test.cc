// Two ends that have not met: who is believed, who is refused, and what is said to whom before
// that.
#include "cluster/link/handshake.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "cluster/link/link.h"
#include "tests/unit/hex.h"

namespace quorate {
namespace {

const Bytes32 kSecret = link_secret("a secret");
const Bytes32 kOtherSecret = link_secret("another secret");
constexpr std::string_view kCluster = "the id of it all";

Bytes32 nonce(char filler) {
  Bytes32 made;
  made.fill(filler);
  return made;
}

LinkOptions caller(uint64_t node, std::optional<Bytes32> secret = kSecret, uint64_t wanted = 0) {
  LinkOptions made{
      .own = {.lane = PeerLane::kData, .partitions = 128, .node = node, .incarnation = 5},
      .wanted_node = wanted,
      .secret = secret,
      .nonce = nonce(static_cast<char>('a' + node))};
  kCluster.copy(made.own.cluster.data(), made.own.cluster.size());
  return made;
}

LinkOptions called(uint64_t node, std::optional<Bytes32> secret = kSecret) {
  LinkOptions made = caller(node, secret);
  made.own.lane = PeerLane::kEither;
  made.nonce = nonce(static_cast<char>('A' + node));
  return made;
}

std::string take_output(Link& link) {
  std::string bytes(link.output().view());
  link.output().clear();
  return bytes;
}

// What comes out of it is nothing.
void hear(Link& link, std::string_view bytes) {
  link.receive(bytes);
  PeerMessage message;
  EXPECT_FALSE(link.next(message));
}

// Of two links that talk until they have nothing more to say.
struct Meeting {
  Meeting(const LinkOptions& left_options, const LinkOptions& right_options)
      : left(left_options), right(right_options) {
    for (int step = 0; step < 4; ++step) {
      const std::string to_right = take_output(left);
      const std::string to_left = take_output(right);
      left_said += to_right;
      right_said += to_left;
      hear(right, to_right);
      hear(left, to_left);
    }
  }
  Link left;
  Link right;
  std::string left_said;
  std::string right_said;
};

// What a caller says to one that has `opening`.
std::string words_of_caller(const LinkOptions& options, std::string_view opening) {
  Link link(options);
  hear(link, opening);
  return take_output(link);
}

// Its opening, and perhaps a reason: nothing of who it is and what it knows.
void expect_tells_nothing(std::string_view said, const LinkOptions& options) {
  const Opening opening{
      .role = options.own.role(), .has_secret = options.secret.has_value(), .nonce = options.nonce};
  ASSERT_GE(said.size(), Opening::kSize);
  EXPECT_EQ(said.substr(0, Opening::kSize), opening.encode());
  EXPECT_LE(said.size(), Opening::kSize + FrameHeader::kSize + 3);
  EXPECT_EQ(said.find(kCluster), std::string_view::npos);
}

TEST(Handshake, who_knows_the_same_is_believed) {
  for (const std::optional<Bytes32>& secret : {std::optional(kSecret), std::optional<Bytes32>()}) {
    Meeting meeting(caller(1, secret, 2), called(2, secret));
    ASSERT_TRUE(meeting.left.is_open());
    ASSERT_TRUE(meeting.right.is_open());
    EXPECT_EQ(meeting.left.peer().node, 2u);
    EXPECT_EQ(meeting.right.peer().node, 1u);
    EXPECT_EQ(meeting.right.peer().lane, PeerLane::kData);
    EXPECT_EQ(meeting.left_said.size(), Handshake::kSize);
    EXPECT_EQ(meeting.right_said.size(), Handshake::kSize);
    // What nobody must hear.
    EXPECT_EQ(meeting.left_said.find(view_of(kSecret)), std::string::npos);
  }
}

TEST(Handshake, a_guest_has_to_know_it_too) {
  LinkOptions guest = caller(9);
  guest.own.cluster = {};
  EXPECT_TRUE(Meeting(guest, called(1)).right.is_open());
  guest.secret = kOtherSecret;
  EXPECT_EQ(Meeting(guest, called(1)).right.refusal(), Refusal::kSecretDiffers);
}

TEST(Handshake, another_secret_is_refused_and_told_so) {
  Meeting meeting(caller(1, kOtherSecret), called(2));
  EXPECT_EQ(meeting.right.refusal(), Refusal::kSecretDiffers);
  EXPECT_EQ(meeting.right.refused_by_peer(), Refusal::kNone);
  EXPECT_EQ(meeting.left.refused_by_peer(), Refusal::kSecretDiffers);
  expect_tells_nothing(meeting.right_said, called(2));
}

TEST(Handshake, a_secret_on_one_side_only_is_noticed_by_both) {
  Meeting meeting(caller(1, kSecret), called(2, std::nullopt));
  EXPECT_EQ(meeting.left.refusal(), Refusal::kSecretMissing);
  EXPECT_EQ(meeting.right.refusal(), Refusal::kSecretUnknown);
  expect_tells_nothing(meeting.left_said, caller(1));
  expect_tells_nothing(meeting.right_said, called(2, std::nullopt));
  Meeting other_way(caller(1, std::nullopt), called(2, kSecret));
  EXPECT_EQ(other_way.left.refusal(), Refusal::kSecretUnknown);
  EXPECT_EQ(other_way.right.refusal(), Refusal::kSecretMissing);
  expect_tells_nothing(other_way.right_said, called(2));
}

// Whoever is called without knowing the secret: the caller has proven that it does, and nothing
// more is said to that one.
TEST(Handshake, who_is_called_has_to_prove_it_too) {
  Link caller_end(caller(1));
  LinkOptions false_options = called(2);
  std::string opening =
      Opening{.role = LinkRole::kCalled, .has_secret = true, .nonce = nonce('x')}.encode();
  hear(caller_end, opening);
  take_output(caller_end);
  const std::string greeting = Greeting{.lane = PeerLane::kEither,
                                        .partitions = 128,
                                        .cluster = false_options.own.cluster,
                                        .node = 2}
                                   .encode();
  hear(caller_end, greeting + std::string(Handshake::kProofSize, 'p'));
  EXPECT_EQ(caller_end.refusal(), Refusal::kSecretDiffers);
}

TEST(Handshake, a_proof_is_worth_nothing_on_another_connection) {
  Meeting first(caller(1), called(2));
  ASSERT_TRUE(first.right.is_open());
  // The same words to the same node, that has another nonce now.
  LinkOptions again = called(2);
  again.nonce = nonce('n');
  Link replayed(again);
  hear(replayed, first.left_said);
  EXPECT_EQ(replayed.refusal(), Refusal::kSecretDiffers);
  // And what the called side has said, to a caller that calls again.
  LinkOptions calls_again = caller(1);
  calls_again.nonce = nonce('m');
  Link caller_end(calls_again);
  hear(caller_end, first.right_said);
  EXPECT_EQ(caller_end.refusal(), Refusal::kSecretDiffers);
}

TEST(Handshake, our_own_words_prove_nothing_to_us) {
  Link caller_end(caller(1));
  const std::string opening = take_output(caller_end);
  hear(caller_end, opening);
  EXPECT_EQ(caller_end.refusal(), Refusal::kNotAPeer);
  Link called_end(called(1));
  hear(called_end, take_output(called_end));
  EXPECT_EQ(called_end.refusal(), Refusal::kNotAPeer);
}

// A caller's proof comes back as if it were that of the side that was called.
TEST(Handshake, roles_cannot_be_swapped) {
  Link caller_end(caller(1));
  const LinkOptions own = caller(1);
  // A false node that takes the caller's nonce for its own, so that both openings say the same.
  hear(caller_end,
       Opening{.role = LinkRole::kCalled, .has_secret = true, .nonce = own.nonce}.encode());
  std::string words = take_output(caller_end).substr(Opening::kSize);
  hear(caller_end, words);
  EXPECT_EQ(caller_end.refusal(), Refusal::kSecretDiffers);
  // A node that calls a false one, which calls the same node and passes on what is said.
  Link node_calls(caller(1));
  Link node_is_called(called(1));
  std::string to_caller = take_output(node_is_called);
  std::string to_called = take_output(node_calls);
  for (int step = 0; step < 3; ++step) {
    hear(node_calls, to_caller);
    hear(node_is_called, to_called);
    to_caller = take_output(node_is_called);
    to_called = take_output(node_calls);
  }
  EXPECT_EQ(node_is_called.refusal(), Refusal::kSameNode);
  EXPECT_FALSE(node_calls.is_open());
}

// Each part that a proof is about is changed by somebody on the way, with a right checksum.
TEST(Handshake, what_was_proven_cannot_be_changed_on_the_way) {
  const LinkOptions honest = caller(1, kSecret, 2);
  std::vector<LinkOptions> changed(6, honest);
  changed[0].own.lane = PeerLane::kBeats;
  changed[1].own.cluster = {};
  changed[2].own.node = 3;
  changed[3].own.incarnation = 6;
  changed[4].wanted_node = 0;
  changed[5].own.partitions = 64;
  for (const LinkOptions& each : changed) {
    Link right(called(2));
    const std::string opening = take_output(right);
    const std::string words = words_of_caller(honest, opening);
    const std::string others = words_of_caller(each, opening);
    hear(right, words.substr(0, Opening::kSize) + others.substr(Opening::kSize, Greeting::kSize) +
                    words.substr(Opening::kSize + Greeting::kSize));
    EXPECT_EQ(right.refusal(), Refusal::kSecretDiffers);
  }
  // The nonce of the caller.
  Link right(called(2));
  std::string words = words_of_caller(honest, take_output(right));
  const std::string opening =
      Opening{.role = LinkRole::kCaller, .has_secret = true, .nonce = nonce('z')}.encode();
  hear(right, opening + words.substr(Opening::kSize));
  EXPECT_EQ(right.refusal(), Refusal::kSecretDiffers);
}

TEST(Handshake, each_bit_counts) {
  Link unused(called(2));
  const std::string words = words_of_caller(caller(1), take_output(unused));
  ASSERT_EQ(words.size(), Handshake::kSize);
  for (size_t bit = 0; bit < words.size() * 8; ++bit) {
    std::string flipped = words;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    Link right(called(2));
    hear(right, flipped);
    EXPECT_NE(right.refusal(), Refusal::kNone) << bit;
    EXPECT_FALSE(right.is_open()) << bit;
  }
}

TEST(Handshake, words_that_are_cut_off_are_waited_for) {
  Link unused(called(2));
  const std::string words = words_of_caller(caller(1), take_output(unused));
  for (size_t size = 0; size < words.size(); ++size) {
    Link right(called(2));
    hear(right, words.substr(0, size));
    EXPECT_EQ(right.refusal(), Refusal::kNone) << size;
    EXPECT_FALSE(right.is_open()) << size;
    hear(right, words.substr(size));
    EXPECT_TRUE(right.is_open()) << size;
  }
}

// A caller that is not believed yet cannot make us keep more than a handshake.
TEST(Handshake, who_says_more_than_that_before_it_is_believed_is_refused) {
  Link unused(called(2));
  const std::string words = words_of_caller(caller(1), take_output(unused));
  Link right(called(2));
  hear(right, words + "x");
  EXPECT_EQ(right.refusal(), Refusal::kDamaged);
  Link talked_to(called(2));
  hear(talked_to, words.substr(0, Opening::kSize + 10) + std::string(10'000'000, 'x'));
  EXPECT_NE(talked_to.refusal(), Refusal::kNone);
}

TEST(Handshake, who_refuses_before_it_greets_can_say_nothing_else) {
  const std::string opening =
      Opening{.role = LinkRole::kCalled, .has_secret = true, .nonce = nonce('x')}.encode();
  const auto after_opening = [&](std::string_view body) {
    Link link(caller(1));
    hear(link, opening);
    std::string frame(FrameHeader::kSize, '\0');
    FrameHeader{.body_size = static_cast<uint32_t>(body.size()), .number = 1}.encode(frame.data(),
                                                                                     body);
    frame += body;
    // In two pieces, so that it must be waited for.
    hear(link, frame.substr(0, 20));
    EXPECT_EQ(link.refusal(), Refusal::kNone);
    hear(link, frame.substr(20));
    EXPECT_FALSE(link.is_open());
    return std::pair(link.refusal(), link.refused_by_peer());
  };
  using Told = std::pair<Refusal, Refusal>;
  EXPECT_EQ(after_opening(std::string_view("\0\1\x0b", 3)),
            Told(Refusal::kSecretDiffers, Refusal::kSecretDiffers));
  EXPECT_EQ(after_opening(std::string_view("\0\1\x7f", 3)),
            Told(Refusal::kDamaged, Refusal::kDamaged));
  EXPECT_EQ(after_opening(std::string_view("\1\1x", 3)),
            Told(Refusal::kNotAPeer, Refusal::kNone));  // a message
  EXPECT_EQ(after_opening(""), Told(Refusal::kNotAPeer, Refusal::kNone));
  EXPECT_EQ(after_opening(std::string(17, '\0')), Told(Refusal::kTooLarge, Refusal::kNone));
}

TEST(Handshake, greetings_that_do_not_match_are_refused) {
  struct Case {
    LinkOptions left;
    LinkOptions right;
    Refusal why;
  };
  for (const std::optional<Bytes32>& secret : {std::optional(kSecret), std::optional<Bytes32>()}) {
    LinkOptions other_cluster = called(2, secret);
    other_cluster.own.cluster = {'o', 't', 'h', 'e', 'r'};
    LinkOptions other_partitions = called(2, secret);
    other_partitions.own.partitions = 64;
    LinkOptions other_lane = caller(1, secret);
    other_lane.own.lane = static_cast<PeerLane>(7);
    const Case cases[] = {
        {caller(1, secret), other_cluster, Refusal::kOtherCluster},
        {caller(1, secret), other_partitions, Refusal::kPartitions},
        {other_lane, called(2, secret), Refusal::kLane},
        {caller(1, secret), called(1, secret), Refusal::kSameNode},
        {caller(1, secret, 3), called(2, secret), Refusal::kOtherNode},
    };
    for (const Case& each : cases) {
      Meeting meeting(each.left, each.right);
      EXPECT_EQ(meeting.right.refusal(), each.why);
      EXPECT_FALSE(meeting.right.is_open());
      EXPECT_EQ(meeting.left.refused_by_peer(), each.why);
      expect_tells_nothing(meeting.right_said, each.right);
    }
  }
}

TEST(Handshake, one_without_a_cluster_may_speak_to_anyone) {
  LinkOptions stranger = called(2);
  stranger.own.cluster = {};
  const Meeting meeting(caller(1), stranger);
  EXPECT_TRUE(meeting.left.is_open());
  EXPECT_TRUE(meeting.right.is_open());
}

// Else who knows the ids of two members would be heard as one of them.
TEST(Handshake, a_member_has_a_cluster) {
  LinkOptions stranger = caller(1, kSecret, 2);
  stranger.own.cluster = {};
  const Meeting called_by_one(stranger, called(2));
  EXPECT_EQ(called_by_one.right.refusal(), Refusal::kNoCluster);
  EXPECT_EQ(called_by_one.left.refused_by_peer(), Refusal::kNoCluster);
  LinkOptions newcomer = called(2);
  newcomer.own.cluster = {};
  const Meeting calls_one(caller(1, kSecret, 2), newcomer);
  EXPECT_EQ(calls_one.left.refusal(), Refusal::kNoCluster);
  EXPECT_FALSE(calls_one.left.is_open());
}

// Version 1 began with its greeting, which stands where the opening does now.
TEST(Handshake, another_version_is_refused_by_name_and_hears_it) {
  for (const uint8_t version : {uint8_t{1}, uint8_t{2}, uint8_t{4}, uint8_t{8}}) {
    Link link(called(1));
    hear(link, Opening{.version = version}.encode());
    EXPECT_EQ(link.refusal(), Refusal::kVersion);
    EXPECT_EQ(link.peer_version(), version);
    // What that one gets: something of our version, with a checksum where it looks for it, and the
    // reason.
    const std::string said = take_output(link);
    ASSERT_EQ(said.size(), Opening::kSize + FrameHeader::kSize + 3);
    EXPECT_EQ(said.substr(0, 8), "QRTPEER\7");
    const auto header = FrameHeader::decode(said.substr(Opening::kSize));
    ASSERT_TRUE(header.has_value());
    EXPECT_EQ(said.substr(Opening::kSize + FrameHeader::kSize), std::string("\0\1\2", 3));
  }
}

TEST(Handshake, version_7_bytes_stay_readable) {
  const std::string opening =
      Opening{.role = LinkRole::kCalled, .has_secret = true, .nonce = nonce('n')}.encode();
  ASSERT_EQ(opening.size(), 80u);
  EXPECT_EQ(opening.substr(0, 16), std::string("QRTPEER\7\2\1\0\0\0\0\0\0", 16));
  EXPECT_EQ(opening.substr(16, 32), std::string(32, 'n'));
  EXPECT_EQ(opening.substr(48, 24), std::string(24, '\0'));
  const std::string greeting =
      Greeting{.partitions = 128, .cluster = {'c'}, .node = 1, .wanted_node = 2, .incarnation = 3}
          .encode();
  ASSERT_EQ(greeting.size(), 80u);
  EXPECT_EQ(greeting.substr(0, 17), std::string("QRTPEER\7\1\0\0\0\x80\0\0\0c", 17));
  EXPECT_EQ(greeting[32], 1);
  EXPECT_EQ(greeting[40], 2);
  EXPECT_EQ(greeting[48], 3);
  EXPECT_EQ(hex(view_of(kSecret)),
            "4ee1719a2b3232d78ab0985541e62fd31d769990cdee5d57a2c7cf5967952a2c");
  const Meeting meeting(caller(1), called(2));
  EXPECT_EQ(hex(meeting.left_said.substr(160)),
            "806e1192d15aa5b9dec970bdea5c11789c64997b3c4c013f35efb133c6f281db");
  EXPECT_EQ(hex(meeting.right_said.substr(160)),
            "cc980672c9c216170b37bcf7699edaa4c10a55da690e9d1411b255f78dccdc2c");
}

}  // namespace
}  // namespace quorate
