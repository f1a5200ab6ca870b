// node-dead-after: who counts as dead, and when nobody does.
#include "cluster/dead_members.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

namespace quorate {
namespace {

constexpr int64_t kMs = 1'000;
constexpr NodeId kSelf = 1;

using Nodes = std::vector<NodeId>;

// Members 1 to `members`; what is to be decided is.
class Members {
 public:
  Members(NodeId members, const std::string& dead_after_ms) {
    for (NodeId id = 1; id <= members; ++id) {
      const MemberRecord record{.id = id, .host = "host", .port = 1, .cluster_port = 2};
      const meta::Command found = meta::Found{.cluster = {'q'}, .partitions = 4, .first = record};
      EXPECT_TRUE(state.apply(state.is_founded() ? meta::Command(meta::Enrol{record}) : found).ok());
    }
    set("node-dead-after", dead_after_ms);
  }
  void set(const std::string& name, const std::string& value) { EXPECT_TRUE(state.apply(meta::SetSetting{name, value}).ok()); }
  // Those who are heard, and when the last beat of all others came.
  std::optional<Nodes> look(DeadMembers& leader, int64_t ms, const Nodes& heard, int64_t last_beat_ms = 0) {
    std::vector<MemberBeats> beats;
    for (const MemberRecord& member : state.members()) {
      if (member.state == MemberState::kRemoved) continue;
      const bool is_heard = member.id == kSelf || std::find(heard.begin(), heard.end(), member.id) != heard.end();
      beats.push_back({.node = member.id, .is_heard = is_heard, .received_us = (is_heard ? ms : last_beat_ms) * kMs});
    }
    std::optional<Nodes> found = leader.look({.steady_us = ms * kMs}, state, beats);
    EXPECT_TRUE(!found || state.apply(meta::SetDead{*found}).ok());
    return found;
  }
  // As it does while it leads, and nothing comes of it.
  void look_often(DeadMembers& leader, int64_t from_ms, int64_t to_ms, const Nodes& heard) {
    for (int64_t ms = from_ms; ms <= to_ms; ms += 1'000) EXPECT_FALSE(look(leader, ms, heard)) << ms;
  }
  ClusterState state;
};

TEST(DeadMembers, who_is_silent_for_so_long_is_dead_until_it_is_heard) {
  Members members(4, "5000");
  DeadMembers leader;
  members.look_often(leader, 10'000, 12'000, {2, 3, 4});
  members.look_often(leader, 13'000, 17'000, {2, 3});
  EXPECT_EQ(members.look(leader, 18'000, {2, 3}), Nodes{4});
  EXPECT_EQ(members.state.dead(), Nodes{4});
  members.look_often(leader, 19'000, 40'000, {2, 3});
  EXPECT_EQ(members.look(leader, 41'000, {2, 3, 4}), Nodes{});
  // It counts from anew.
  members.look_often(leader, 42'000, 46'000, {2, 3});
  EXPECT_EQ(members.look(leader, 47'000, {2, 3}), Nodes{4});
}

TEST(DeadMembers, a_beat_between_two_looks_counts) {
  Members members(4, "3000");
  DeadMembers leader;
  members.look_often(leader, 10'000, 12'000, {2, 3});
  EXPECT_FALSE(members.look(leader, 13'000, {2, 3}, 12'500));
  EXPECT_FALSE(members.look(leader, 14'000, {2, 3}, 12'500));
  EXPECT_FALSE(members.look(leader, 15'000, {2, 3}, 12'500));
  EXPECT_EQ(members.look(leader, 15'500, {2, 3}, 12'500), Nodes{4});
}

// That it has heard nobody while it did not lead, or stood still, says nothing.
TEST(DeadMembers, who_begins_to_look_or_stood_still_counts_from_there) {
  Members members(4, "3000");
  DeadMembers leader;
  members.look_often(leader, 100'000, 102'000, {2, 3});
  members.look_often(leader, 200'000, 202'000, {2, 3});
  EXPECT_EQ(members.look(leader, 203'000, {2, 3}), Nodes{4});
  DeadMembers successor;
  members.look_often(successor, 300'000, 302'000, {2});
  EXPECT_EQ(members.look(successor, 302'900, {2, 4}), Nodes{});
}

TEST(DeadMembers, who_is_dead_stays_so_when_others_are_silent_too_or_another_one_looks) {
  Members members(5, "1000");
  DeadMembers leader;
  members.look_often(leader, 1'000, 1'000, {2, 3, 4});
  EXPECT_EQ(members.look(leader, 2'000, {2, 3, 4}), Nodes{5});
  members.look_often(leader, 3'000, 9'000, {2});
  members.look_often(leader, 10'000, 10'000, {2, 3, 4});
  DeadMembers successor;
  members.look_often(successor, 11'000, 11'000, {2, 3, 4});
  members.look_often(successor, 12'000, 19'000, {});
  EXPECT_EQ(members.state.dead(), Nodes{5});
  EXPECT_EQ(members.look(successor, 20'000, {2, 3, 4, 5}), Nodes{});
}

// When they come back they do so one after the other.
TEST(DeadMembers, silence_does_not_count_while_half_of_the_members_are_silent) {
  Members members(6, "3000");
  DeadMembers leader;
  members.look_often(leader, 1'000, 9'000, {2, 3});
  members.look_often(leader, 10'000, 12'000, {2, 3, 4});
  EXPECT_EQ(members.look(leader, 13'000, {2, 3, 4}), (Nodes{5, 6}));
  // Who was removed is nobody's business.
  ASSERT_TRUE(members.state.apply(meta::SetState{5, MemberState::kRemoved}).ok());
  EXPECT_EQ(members.state.dead(), Nodes{6});
  members.look_often(leader, 14'000, 19'000, {2, 3, 4});
}

// It kept its vote, came back, and was elected before anybody had looked.
TEST(DeadMembers, a_leader_that_was_taken_for_dead_is_not) {
  Members members(3, "1000");
  ASSERT_TRUE(members.state.apply(meta::SetDead{{kSelf}}).ok());
  DeadMembers leader;
  EXPECT_EQ(members.look(leader, 1'000, {2, 3}), Nodes{});
}

TEST(DeadMembers, nobody_is_dead_where_that_is_not_wanted) {
  Members members(4, "0");
  DeadMembers leader;
  members.look_often(leader, 1'000, 20'000, {2, 3});
  members.set("node-dead-after", "1000");
  EXPECT_EQ(members.look(leader, 21'000, {2, 3}), Nodes{4});
  members.set("node-dead-after", "0");
  EXPECT_EQ(members.look(leader, 22'000, {2, 3}), Nodes{});
}

TEST(DeadMembers, without_a_setting_it_takes_ten_minutes) {
  Members members(4, "");
  EXPECT_EQ(members.state.dead_after_us(), 600'000 * kMs);
  members.set("node-dead-after", "1");
  EXPECT_EQ(members.state.dead_after_us(), 1'000 * kMs);
}

}  // namespace
}  // namespace quorate
