// Background work in slices: how much one does depends on the time that others took, not on its own.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "node/state.h"
#include "node/upkeep.h"
#include "tests/unit/node/slow_disk_node.h"

namespace quorate {
namespace {

constexpr int kKeys = 20'000;

// Keys that a slice of expiry takes, in a turn that begins `pause_us` after the end of the one before and lasts `length_us`.
class Slices {
 public:
  Slices() {
    for (int number = 0; number < kKeys; ++number) {
      world_.node->send(world_.client, encoded({"SET", "key" + std::to_string(number), "v", "PX", "5000"}));
    }
    world_.settle();
    EXPECT_EQ(size(), static_cast<size_t>(kKeys));
    world_.node->advance(10 * kSecondUs);
  }

  size_t take(int64_t pause_us, int64_t length_us) {
    world_.node->advance(pause_us);
    const size_t before = size();
    world_.node->node().tick(world_.node->now());
    world_.node->set_clock(world_.node->now().steady_us + length_us);
    world_.node->end_turn();
    world_.node->advance(length_us);
    EXPECT_TRUE(world_.node->node().state().background_work_left);
    return before - size();
  }

 private:
  size_t size() { return world_.node->node().store().database(0).size(); }

  SlowDiskNode world_;
};

TEST(Slices, MakeUpForTheTimeOfOthersAndNotForTheirOwn) {
  Slices slices;
  slices.take(0, 50);
  const size_t least = slices.take(0, 50);
  EXPECT_GT(least, 10u);
  EXPECT_LT(least, 50u);
  // Long slices do not make longer ones.
  EXPECT_LE(slices.take(0, 2000), least + 8);
  EXPECT_LE(slices.take(0, 2000), least + 8);
  EXPECT_LE(slices.take(kSlicePauseUs, 2000), least + 8);
  // Turns of others do, up to a maximum.
  const size_t more = slices.take(5 * kSlicePauseUs, 50);
  EXPECT_GT(more, 3 * least);
  EXPECT_LT(more, 7 * least);
  const size_t most = slices.take(100 * kSlicePauseUs, 50);
  EXPECT_GT(most, more);
  EXPECT_LE(slices.take(1000 * kSlicePauseUs, 50), most + 16);
}

}  // namespace
}  // namespace quorate
