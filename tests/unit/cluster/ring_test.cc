// The ring: order of members seen from a point.
#include "cluster/ring.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "util/prng.h"

namespace quorate::placement {
namespace {

TEST(Ring, WalkMeetsEachMemberOnce) {
  const std::vector<RingMember> members{{.id = 3}, {.id = 9}, {.id = 4}};
  const Ring ring(members);
  for (uint32_t partition = 0; partition < 64; ++partition) {
    std::vector<NodeId> order = ring.walk(partition_point(partition));
    std::sort(order.begin(), order.end());
    EXPECT_EQ(order, (std::vector<NodeId>{3, 4, 9}));
  }
}

TEST(Ring, OrderOfMembersDoesNotMatter) {
  const std::vector<RingMember> one{{.id = 1}, {.id = 2}, {.id = 3, .weight = 300}};
  const std::vector<RingMember> other{{.id = 3, .weight = 300}, {.id = 1}, {.id = 2}};
  for (uint32_t partition = 0; partition < 64; ++partition) {
    EXPECT_EQ(Ring(one).walk(partition_point(partition)),
              Ring(other).walk(partition_point(partition)));
  }
}

TEST(Ring, AJoinKeepsTheOrderOfTheOthers) {
  std::vector<RingMember> members;
  for (NodeId id = 1; id <= 8; ++id) members.push_back({.id = id});
  const Ring before(members);
  members.push_back({.id = 99});
  const Ring after(members);
  for (uint32_t partition = 0; partition < 64; ++partition) {
    std::vector<NodeId> order = after.walk(partition_point(partition));
    std::erase(order, 99U);
    EXPECT_EQ(order, before.walk(partition_point(partition)));
  }
}

TEST(Ring, TwiceTheWeightComesFirstTwiceAsOften) {
  const std::vector<RingMember> members{{.id = 1}, {.id = 2}, {.id = 3, .weight = 200}};
  const Ring ring(members);
  std::map<NodeId, int> first;
  Prng prng(1);
  for (int round = 0; round < 20000; ++round) ++first[ring.walk(prng.next()).front()];
  EXPECT_NEAR(first[3], 10000, 2500);
  EXPECT_NEAR(first[1], 5000, 2000);
}

TEST(Ring, NoMembersNoOrder) { EXPECT_TRUE(Ring(std::vector<RingMember>{}).walk(5).empty()); }

}  // namespace
}  // namespace quorate::placement
