// What keeps output from leaving: needs and gaps, in order.
#include "node/holds.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "util/prng.h"

namespace quorate {
namespace {

// An output and what it waits for.
class Output {
 public:
  void say(std::string_view text) { out_.append(text); }
  void need(StreamId stream, uint64_t position) {
    holds_.add_need({stream, position});
  }
  void bind() { holds_.bind(out_.size()); }
  GapId gap() {
    bind();
    return holds_.open_gap();
  }
  void reach(StreamId stream, uint64_t position) { reached_[stream] = position; }
  std::string left() {
    Buffer ready;
    const auto is_met = [&](Need need) { return reached_[need.stream] >= need.position; };
    out_.drop_front(holds_.take_ready(out_.view(), ready, is_met));
    return std::string(ready.view());
  }
  Holds& holds() { return holds_; }
  Buffer& out() { return out_; }

 private:
  Buffer out_;
  Holds holds_;
  std::map<StreamId, uint64_t> reached_;
};

TEST(Holds, WhatNeedsNothingLeaves) {
  Output output;
  output.say("a");
  output.bind();
  EXPECT_EQ(output.left(), "a");
  EXPECT_TRUE(output.holds().empty());
}

TEST(Holds, EveryNeedOfASegmentMustBeMet) {
  Output output;
  output.say("a");
  output.bind();
  output.say("b");
  output.need(commit_stream(0), 5);
  output.need(commit_stream(1), 7);
  output.bind();
  EXPECT_EQ(output.left(), "a");
  output.reach(commit_stream(1), 7);
  EXPECT_EQ(output.left(), "");
  EXPECT_EQ(output.holds().first_need().stream, commit_stream(0));
  output.reach(commit_stream(0), 6);
  EXPECT_EQ(output.left(), "b");
}

TEST(Holds, RepliesLeaveInOrderWhateverTheyWaitFor) {
  Output output;
  output.say("a");
  output.need(commit_stream(0), 1);
  output.bind();
  output.say("b");
  output.need(commit_stream(1), 1);
  output.bind();
  output.reach(commit_stream(1), 1);
  EXPECT_EQ(output.left(), "");
  output.reach(commit_stream(0), 1);
  EXPECT_EQ(output.left(), "ab");
}

TEST(Holds, WhatIsSaidLaterIsNotHeldByThoseBefore) {
  Output output;
  output.say("a");
  output.need(commit_stream(0), 1);
  output.bind();
  output.say("b");
  output.need(commit_stream(0), 2);
  output.bind();
  output.reach(commit_stream(0), 1);
  EXPECT_EQ(output.left(), "a");
  output.reach(commit_stream(0), 2);
  EXPECT_EQ(output.left(), "b");
}

TEST(Holds, GapsAreFilledInAnyOrderAndLeaveInTheirs) {
  Output output;
  output.say("a");
  const GapId first = output.gap();
  output.say("b");
  const GapId second = output.gap();
  const GapId third = output.gap();
  output.say("c");
  output.bind();
  EXPECT_EQ(output.left(), "a");
  EXPECT_TRUE(output.holds().fill_gap(third, "[3]"));
  EXPECT_EQ(output.left(), "");
  EXPECT_TRUE(output.holds().fill_gap(first, "[1]"));
  EXPECT_EQ(output.left(), "[1]b");
  EXPECT_EQ(output.holds().filled_bytes(), 3u);
  EXPECT_TRUE(output.holds().fill_gap(second, "[2]"));
  EXPECT_EQ(output.left(), "[2][3]c");
  EXPECT_EQ(output.holds().gap_count(), 0u);
  EXPECT_EQ(output.holds().filled_bytes(), 0u);
  EXPECT_FALSE(output.holds().fill_gap(second, "again"));
}

TEST(Holds, AGapIsFilledOnce) {
  Output output;
  const GapId gap = output.gap();
  EXPECT_FALSE(output.holds().fill_gap(gap + 1, "nobody asked"));
  EXPECT_TRUE(output.holds().fill_gap(gap, "first"));
  EXPECT_FALSE(output.holds().fill_gap(gap, "second"));
  EXPECT_EQ(output.left(), "first");
}

TEST(Holds, ANeedBeforeAGapHoldsItsReplyToo) {
  Output output;
  output.need(commit_stream(3), 1);
  const GapId gap = output.gap();
  output.holds().fill_gap(gap, "[1]");
  EXPECT_EQ(output.left(), "");
  output.reach(commit_stream(3), 1);
  EXPECT_EQ(output.left(), "[1]");
}

TEST(Holds, DroppedGapsSayNothingAndHoldNothingUp) {
  Output output;
  const GapId kept = output.gap();
  const size_t size = output.out().size();
  const GapId first_dropped = output.holds().next_gap();
  output.say("silent");
  const GapId dropped = output.gap();
  output.out().truncate(size);
  output.holds().drop_gaps_from(first_dropped, size);
  output.say("a");
  output.bind();
  EXPECT_FALSE(output.holds().fill_gap(dropped, "late"));
  output.holds().fill_gap(kept, "[1]");
  EXPECT_EQ(output.left(), "[1]a");
}

std::string in_capitals(std::string_view text) {
  std::string changed;
  for (const char letter : text) changed.push_back(static_cast<char>(letter - 'a' + 'A'));
  return changed;
}

TEST(Holds, WhatWaitsForALostStreamIsReplacedAndNothingElse) {
  Output output;
  output.say("abc");
  output.bind();
  output.say("d");
  output.need(commit_stream(0), 4);
  output.bind();
  output.say("efg");
  output.need(commit_stream(0), 5);
  output.need(commit_stream(1), 1);
  output.bind();
  output.say("h");
  output.need(commit_stream(1), 2);
  output.bind();
  output.say("i");
  ASSERT_TRUE(output.holds().has_need_from({commit_stream(0), 5}));
  output.holds().lose_from({commit_stream(0), 5}, output.out(), [](uint64_t, std::string_view bytes, Buffer& out) {
    out.append("<" + in_capitals(bytes) + ">");
  });
  EXPECT_FALSE(output.holds().has_need_from({commit_stream(0), 5}));
  output.bind();
  EXPECT_EQ(output.left(), "abc");
  output.reach(commit_stream(0), 4);
  EXPECT_EQ(output.left(), "d");
  output.reach(commit_stream(1), 1);
  EXPECT_EQ(output.left(), "<EFG>");
  output.reach(commit_stream(1), 2);
  EXPECT_EQ(output.left(), "hi");
}

TEST(Holds, AGapBehindALostNeedIsReplacedAndItsNeighboursAreNot) {
  Output output;
  const GapId first = output.gap();
  output.need(commit_stream(0), 5);
  const GapId second = output.gap();
  output.say("a");
  const GapId third = output.gap();
  output.holds().fill_gap(second, "[2]");
  output.holds().lose_from({commit_stream(0), 1}, output.out(), [](uint64_t, std::string_view bytes, Buffer& out) {
    EXPECT_EQ(bytes, "");
    out.append("<lost>");
  });
  output.holds().fill_gap(first, "[1]");
  output.holds().fill_gap(third, "[3]");
  EXPECT_EQ(output.left(), "[1]<lost>a[3]");
  EXPECT_EQ(output.holds().filled_bytes(), 0u);
}

// Against a list of pieces, each with all that it waits for.
TEST(Holds, AnyOrderOfEventsGivesTheSameBytesAsAList) {
  struct Piece {
    std::string text;
    std::vector<Need> needs;
    GapId gap = 0;
    bool is_known = true;
  };
  constexpr uint64_t kSeed = 20'260'101;
  Prng random(kSeed);
  for (int round = 0; round < 200; ++round) {
    Output output;
    std::deque<Piece> pieces;
    std::map<StreamId, uint64_t> reached;
    std::string left;
    std::string expected;
    for (int step = 0; step < 300; ++step) {
      const std::string text = "<" + std::to_string(step) + ">";
      switch (random.below(4)) {
        case 0: {
          Piece piece{.text = text, .needs = {}};
          output.say(text);
          for (uint32_t partition = 0; partition < 3; ++partition) {
            if (random.below(3) != 0) continue;
            const StreamId stream = commit_stream(partition);
            piece.needs.push_back({stream, reached[stream] + random.below(4)});
            output.need(stream, piece.needs.back().position);
          }
          output.bind();
          pieces.push_back(piece);
          break;
        }
        case 1:
          pieces.push_back({.text = "", .needs = {}, .gap = output.gap(), .is_known = false});
          break;
        case 2: {
          const StreamId stream = commit_stream(static_cast<uint32_t>(random.below(3)));
          output.reach(stream, reached[stream] += 1 + random.below(3));
          break;
        }
        default: {
          if (pieces.empty()) break;
          Piece& piece = pieces[random.below(pieces.size())];
          if (piece.is_known) break;
          piece.is_known = true;
          piece.text = text;
          EXPECT_TRUE(output.holds().fill_gap(piece.gap, text));
        }
      }
      const auto is_met = [&](const Piece& piece) {
        return piece.is_known && std::all_of(piece.needs.begin(), piece.needs.end(), [&](const Need& need) {
          return need.position <= reached[need.stream];
        });
      };
      while (!pieces.empty() && is_met(pieces.front())) {
        expected += pieces.front().text;
        pieces.pop_front();
      }
      if (random.below(2) == 0) continue;
      left += output.left();
      ASSERT_EQ(left, expected) << "round " << round << " step " << step;
    }
  }
}

TEST(Streams, OfOneStreamTheLargestPositionIsKept) {
  Streams streams(4);
  TurnNeeds needs;
  streams.add(1, needs, {commit_stream(2), 5});
  streams.add(1, needs, {read_stream(2), 3});
  streams.add(1, needs, {commit_stream(2), 4});
  streams.add(1, needs, {commit_stream(2), 9});
  ASSERT_EQ(needs.others.size(), 2u);
  EXPECT_EQ(needs.others[0].position, 9u);
  EXPECT_EQ(needs.others[1].position, 3u);
}

TEST(Streams, WhatIsReachedIsNoNeed) {
  Streams streams(1);
  streams.advance(commit_stream(0), 7);
  TurnNeeds needs;
  streams.add(1, needs, {commit_stream(0), 7});
  EXPECT_TRUE(needs.empty());
  streams.add(1, needs, {commit_stream(0), 8});
  EXPECT_FALSE(needs.empty());
}

TEST(Streams, NeedsOfSessionsAndTurnsAreNotMixedUp) {
  Streams streams(2);
  TurnNeeds first;
  TurnNeeds second;
  streams.add(1, first, {commit_stream(0), 5});
  streams.add(2, second, {commit_stream(1), 1});
  streams.add(2, second, {commit_stream(0), 6});
  streams.add(1, first, {commit_stream(0), 7});
  EXPECT_EQ(first.others.back().position, 7u);
  EXPECT_EQ(second.others[1].position, 6u);
  first.clear();
  streams.add(1, first, {commit_stream(1), 2});
  streams.add(1, first, {commit_stream(0), 3});
  ASSERT_EQ(first.others.size(), 2u);
  EXPECT_EQ(first.others[0].stream, commit_stream(1));
  EXPECT_EQ(first.others[1].position, 3u);
}

TEST(Streams, AnAdvanceIsToldOnce) {
  Streams streams(2);
  streams.advance(commit_stream(1), 4);
  streams.advance(commit_stream(1), 5);
  streams.advance(read_stream(0), 0);
  EXPECT_EQ(streams.take_advanced(), std::vector<StreamId>{commit_stream(1)});
  EXPECT_TRUE(streams.take_advanced().empty());
  streams.advance(commit_stream(1), 5);
  EXPECT_TRUE(streams.take_advanced().empty());
}

}  // namespace
}  // namespace quorate
