// Who a node is, over starts and crashes: the id stays, the incarnation never goes back.
#include "persist/identity.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/sim/sim_disk.h"
#include "tests/unit/persist/dying_disk.h"
#include "util/prng.h"

namespace quorate {
namespace {

const std::string kTemporary = std::string(kIdentityFile) + ".tmp";

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(byte));
    text += digits;
  }
  return text;
}

TEST(Identity, TheIdStaysAndTheIncarnationGrowsWithEachStart) {
  SimDisk disk(1);
  for (uint64_t start = 1; start <= 3; ++start) {
    const auto identity = begin_incarnation(disk, 100 + start);
    ASSERT_TRUE(identity.ok());
    EXPECT_EQ(identity.value().id, 101u) << "drawn once";
    EXPECT_EQ(identity.value().incarnation, start);
    disk.crash();
  }
}

TEST(Identity, HasItsGoldenBytes) {
  SimDisk disk(1);
  ASSERT_TRUE(begin_incarnation(disk, 0x1122334455667788).ok());
  EXPECT_EQ(hex(disk.content(kIdentityFile)), 
            "5152544e4f4445018877665544332211010000000000000054379509627f8e9e");
  EXPECT_FALSE(disk.has(kTemporary));
}

TEST(Identity, IsNeverZero) {
  SimDisk disk(1);
  const auto identity = begin_incarnation(disk, 0);
  ASSERT_TRUE(identity.ok());
  EXPECT_NE(identity.value().id, 0u);
}

// A directory of a lone node that was made before there were identities.
TEST(Identity, ADirectoryWithDataAndWithoutOneGetsOne) {
  SimDisk disk(1);
  ASSERT_TRUE(disk.create("shard0-0000000000000001.log").ok());
  const auto identity = begin_incarnation(disk, 7);
  ASSERT_TRUE(identity.ok());
  EXPECT_EQ(identity.value().id, 7u);
  EXPECT_EQ(identity.value().incarnation, 1u);
}

TEST(Identity, EveryFlippedBitAndEveryOtherLengthIsRefused) {
  SimDisk disk(1);
  ASSERT_TRUE(begin_incarnation(disk, 7).ok());
  const std::string bytes = disk.content(kIdentityFile);
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    disk.flip_bit(kIdentityFile, bit / 8, static_cast<int>(bit % 8));
    const auto identity = begin_incarnation(disk, 9);
    ASSERT_FALSE(identity.ok()) << bit;
    EXPECT_EQ(identity.error().code(), ErrorCode::kCorrupt);
    disk.flip_bit(kIdentityFile, bit / 8, static_cast<int>(bit % 8));
    EXPECT_EQ(disk.content(kIdentityFile), bytes) << "nothing may be changed";
  }
  ASSERT_TRUE(disk.append(kIdentityFile, "x").ok());
  EXPECT_FALSE(begin_incarnation(disk, 9).ok());
  for (size_t size = bytes.size(); size-- > 0;) {
    ASSERT_TRUE(disk.truncate(kIdentityFile, size).ok());
    EXPECT_FALSE(begin_incarnation(disk, 9).ok()) << size;
  }
}

TEST(Identity, ARefusalSaysWhatToDo) {
  SimDisk disk(1);
  ASSERT_TRUE(begin_incarnation(disk, 7).ok());
  disk.flip_bit(kIdentityFile, 10, 0);
  const auto identity = begin_incarnation(disk, 9);
  ASSERT_FALSE(identity.ok());
  const std::string detail(identity.error().detail());
  EXPECT_NE(detail.find("node.identity"), std::string::npos) << detail;
  EXPECT_NE(detail.find("remove the file and start again"), std::string::npos) << detail;
  EXPECT_NE(detail.find("remove this node from its cluster"), std::string::npos) << detail;
}

TEST(Identity, AFullDiskChangesNothing) {
  SimDisk disk(1);
  ASSERT_TRUE(begin_incarnation(disk, 7).ok());
  disk.set_capacity(disk.used() + 5);
  const auto refused = begin_incarnation(disk, 9);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kNoSpace);
  disk.heal();
  const auto identity = begin_incarnation(disk, 9);
  ASSERT_TRUE(identity.ok());
  EXPECT_EQ(identity.value().id, 7u);
  EXPECT_EQ(identity.value().incarnation, 2u);
}

// A start is cut off behind each of its steps, and then the power fails, or only the process is gone.
// Whoever has begun an incarnation was the first with it.
TEST(Identity, TheIncarnationNeverGoesBackWhereverAStartIsCutOff) {
  constexpr uint64_t kSteps = 5;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Prng random(seed);
    SimDisk disk(seed);
    uint64_t id = 0;
    uint64_t last = 0;
    for (int start = 0; start < 20; ++start) {
      DyingDisk dying(disk, random.below(kSteps + 2));
      const auto identity = begin_incarnation(dying, random.next());
      if (identity.ok()) {
        ASSERT_GT(identity.value().incarnation, last) << "seed " << seed;
        const bool is_first = id == 0;
        ASSERT_TRUE(is_first || identity.value().id == id) << "seed " << seed;
        id = identity.value().id;
        last = identity.value().incarnation;
      } else {
        ASSERT_EQ(identity.error().code(), ErrorCode::kIo) << identity.error().detail();
      }
      if (random.chance(0.7)) disk.crash();
    }
    EXPECT_NE(last, 0u);
  }
}

}  // namespace
}  // namespace quorate
