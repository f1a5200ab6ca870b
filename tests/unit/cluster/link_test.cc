// Two ends of a link: what goes in comes out, in order and acknowledged; everything else is refused.
#include "cluster/link/link.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "util/prng.h"

namespace quorate {
namespace {

// Of one that calls.
LinkOptions options(uint64_t node, uint64_t wanted = 0) {
  LinkOptions made;
  made.own.cluster = {'c', 'l', 'u', 's', 't', 'e', 'r'};
  made.own.partitions = 128;
  made.own.node = node;
  made.own.incarnation = 1;
  made.wanted_node = wanted;
  return made;
}

// Of one that was called.
LinkOptions called(uint64_t node) {
  LinkOptions made = options(node);
  made.own.lane = PeerLane::kEither;
  return made;
}

std::string take_output(Link& link) {
  std::string bytes(link.output().view());
  link.output().clear();
  return bytes;
}

std::vector<std::pair<uint64_t, std::string>> read_all(Link& link) {
  std::vector<std::pair<uint64_t, std::string>> messages;
  PeerMessage message;
  while (link.next(message)) messages.emplace_back(message.kind, std::string(message.bytes));
  return messages;
}

struct Pair {
  explicit Pair(const LinkOptions& left_options = options(1, 2), const LinkOptions& right_options = called(2))
      : left(left_options), right(right_options) {}
  // Carries what both have to say across, whole.
  void carry() {
    const std::string to_right = take_output(left);
    const std::string to_left = take_output(right);
    right.receive(to_right);
    left.receive(to_left);
  }
  // Lets both say and hear all that comes before the first frame.
  void meet() {
    for (int step = 0; step < 3; ++step) {
      carry();
      EXPECT_TRUE(read_all(left).empty());
      EXPECT_TRUE(read_all(right).empty());
    }
  }
  Link left;
  Link right;
};

TEST(Link, messages_arrive_in_order_with_the_frame_they_came_in) {
  Pair pair;
  pair.meet();
  ASSERT_TRUE(pair.left.is_open());
  EXPECT_EQ(pair.right.peer().node, 1u);
  pair.left.add(7, "one");
  pair.left.add(8, "two", " halves");
  EXPECT_EQ(pair.left.last_frame(), 1u);
  pair.left.end_turn();
  pair.left.add(7, "");
  EXPECT_EQ(pair.left.last_frame(), 2u);
  pair.left.end_turn();
  pair.carry();
  PeerMessage message;
  ASSERT_TRUE(pair.right.next(message));
  EXPECT_EQ(message.frame, 1u);
  EXPECT_EQ(message.bytes, "one");
  ASSERT_TRUE(pair.right.next(message));
  EXPECT_EQ(message.kind, 8u);
  EXPECT_EQ(message.bytes, "two halves");
  ASSERT_TRUE(pair.right.next(message));
  EXPECT_EQ(message.frame, 2u);
  EXPECT_FALSE(pair.right.next(message));
}

TEST(Link, shared_parts_are_the_same_on_the_wire) {
  Pair copied;
  copied.meet();
  copied.left.add(7, "one");
  copied.left.add(8, "two FIRST and SECOND");
  copied.left.add(9, "end");
  copied.left.end_turn();
  copied.left.add(7, "the next frame");
  copied.left.end_turn();
  Pair shared;
  shared.meet();
  const SharedPart parts[] = {{4, SharedBytes("FIRST")}, {9, SharedBytes("SECOND")}};
  EXPECT_EQ(Link::size_of("two  and ", parts), 20u);
  shared.left.add(7, "one");
  shared.left.add(8, "two  and ", parts);
  shared.left.add(9, "end");
  shared.left.end_turn();
  shared.left.add(7, "the next frame");
  shared.left.end_turn();
  EXPECT_EQ(parts[0].bytes.owners(), 2u);
  Buffer flat;
  shared.left.output().append_to(flat);
  EXPECT_EQ(flat.view(), copied.left.output().view());
  shared.left.output().clear();
  EXPECT_EQ(parts[0].bytes.owners(), 1u);
  shared.right.receive(flat.view());
  const auto messages = read_all(shared.right);
  ASSERT_EQ(messages.size(), 4u);
  EXPECT_EQ(messages[1].second, "two FIRST and SECOND");
  EXPECT_EQ(messages[3].second, "the next frame");
}

TEST(Link, an_acknowledgement_counts_after_the_messages_of_its_frame) {
  Pair pair;
  pair.meet();
  pair.left.add(1, "store this");
  pair.left.end_turn();
  pair.carry();
  EXPECT_EQ(read_all(pair.right).size(), 1u);
  EXPECT_EQ(pair.left.acknowledged(), 0u);
  pair.right.add(2, "but not that");
  pair.right.acknowledge(1);
  pair.right.end_turn();
  pair.carry();
  PeerMessage message;
  ASSERT_TRUE(pair.left.next(message));
  EXPECT_EQ(pair.left.acknowledged(), 0u);
  EXPECT_FALSE(pair.left.next(message));
  EXPECT_EQ(pair.left.acknowledged(), 1u);
}

TEST(Link, an_acknowledgement_needs_no_message) {
  Pair pair;
  pair.meet();
  pair.left.add(1, "x");
  pair.left.end_turn();
  pair.carry();
  read_all(pair.right);
  pair.right.acknowledge(1);
  pair.right.end_turn();
  EXPECT_EQ(pair.right.output().size(), FrameHeader::kSize);
  pair.carry();
  EXPECT_TRUE(read_all(pair.left).empty());
  EXPECT_EQ(pair.left.acknowledged(), 1u);
  // Told once.
  pair.right.end_turn();
  EXPECT_TRUE(pair.right.output().empty());
}

TEST(Link, bytes_may_come_one_at_a_time) {
  Pair pair;
  const auto spell = [](Link& from, Link& to) {
    for (const char byte : take_output(from)) {
      to.receive({&byte, 1});
      EXPECT_TRUE(read_all(to).empty());
    }
  };
  spell(pair.right, pair.left);
  spell(pair.left, pair.right);
  spell(pair.right, pair.left);
  ASSERT_TRUE(pair.left.is_open());
  ASSERT_TRUE(pair.right.is_open());
  for (int turn = 0; turn < 3; ++turn) {
    pair.left.add(5, std::string(1000, static_cast<char>('a' + turn)));
    pair.left.end_turn();
  }
  size_t count = 0;
  for (const char byte : take_output(pair.left)) {
    pair.right.receive({&byte, 1});
    for (const auto& [kind, text] : read_all(pair.right)) {
      EXPECT_EQ(text, std::string(1000, static_cast<char>('a' + count)));
      ++count;
    }
  }
  EXPECT_EQ(count, 3u);
}

TEST(Link, a_turn_with_much_to_say_makes_several_frames) {
  Pair pair;
  pair.meet();
  const std::string part(100 * 1024, 'p');
  for (int index = 0; index < 6; ++index) pair.left.add(1, part);
  pair.left.end_turn();
  EXPECT_EQ(pair.left.last_frame(), 3u);
  pair.carry();
  EXPECT_EQ(read_all(pair.right).size(), 6u);
}

TEST(Link, what_is_no_opening_is_refused) {
  Link link(called(1));
  link.receive(std::string(Opening::kSize, 'G'));
  EXPECT_TRUE(read_all(link).empty());
  EXPECT_EQ(link.refusal(), Refusal::kNotAPeer);
}

TEST(Link, a_replayed_frame_is_refused) {
  Pair pair;
  pair.meet();
  pair.left.add(1, "once");
  pair.left.end_turn();
  const std::string frame = take_output(pair.left);
  pair.right.receive(frame);
  EXPECT_EQ(read_all(pair.right).size(), 1u);
  pair.right.receive(frame);
  EXPECT_TRUE(read_all(pair.right).empty());
  EXPECT_EQ(pair.right.refusal(), Refusal::kDamaged);
}

TEST(Link, a_frame_over_the_limit_is_refused_before_it_is_taken_in) {
  LinkOptions narrow = called(2);
  narrow.frame_size_max = 1000;
  Pair pair(options(1), narrow);
  pair.meet();
  pair.left.add(1, std::string(2000, 'x'));
  pair.left.end_turn();
  pair.right.receive(take_output(pair.left).substr(0, FrameHeader::kSize));
  EXPECT_TRUE(read_all(pair.right).empty());
  EXPECT_EQ(pair.right.refusal(), Refusal::kTooLarge);
}

TEST(Link, an_acknowledgement_of_what_was_never_sent_is_refused) {
  Pair pair;
  pair.meet();
  std::string frame(FrameHeader::kSize, '\0');
  FrameHeader{.body_size = 0, .number = 1, .acknowledged = 5}.encode(frame.data(), std::string_view());
  pair.right.receive(frame);
  EXPECT_TRUE(read_all(pair.right).empty());
  EXPECT_EQ(pair.right.refusal(), Refusal::kDamaged);
}

// Every bit counts: whatever single bit is flipped, no message comes out that was not sent.
TEST(Link, a_flipped_bit_is_noticed) {
  Pair pair;
  pair.meet();
  pair.left.add(1, "first");
  pair.left.add(2, "second");
  pair.left.end_turn();
  const std::string frame = take_output(pair.left);
  for (size_t bit = 0; bit < frame.size() * 8; ++bit) {
    Pair fresh;
    fresh.meet();
    std::string flipped = frame;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    fresh.right.receive(flipped);
    EXPECT_TRUE(read_all(fresh.right).empty()) << bit;
    EXPECT_NE(fresh.right.refusal(), Refusal::kNone) << bit;
  }
}

TEST(Link, version_7_frames_stay_readable) {
  std::string frame(FrameHeader::kSize, '\0');
  FrameHeader{.body_size = 3, .number = 1, .acknowledged = 2}.encode(frame.data(), "abc");
  EXPECT_EQ(frame.substr(0, 4), std::string("F\7\0\0", 4));
  EXPECT_EQ(frame.substr(8, 16), std::string("\3\0\0\0\1\0\0\0\0\0\2\0\0\0\0\0", 16));
}

}  // namespace
}  // namespace quorate
