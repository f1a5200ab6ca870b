// One node of a directory ends and another begins, wherever a start is cut off; and nothing is
// destroyed.
#include "persist/rejoin.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "persist/log_format.h"
#include "tests/sim/sim_disk.h"
#include "tests/unit/hex.h"
#include "tests/unit/persist/dying_disk.h"
#include "util/prng.h"

namespace quorate {
namespace {

constexpr uint64_t kFormer = 0x1122334455667788;
const std::string kSuffix = ".1122334455667788.damaged";

Rejoin rejoin() {
  return {.former = kFormer, .node = 9, .members = {{"10.0.0.1", 17001}, {"second.example", 9000}}};
}

void put(SimDisk& disk, const std::string& file, const std::string& bytes) {
  ASSERT_TRUE(disk.create(file).ok());
  ASSERT_TRUE(disk.append(file, bytes).ok());
  ASSERT_TRUE(disk.sync(file).ok());
  ASSERT_TRUE(disk.sync_directory().ok());
}

const std::vector<std::string> kOfNode = {segment_name(0, 1), segment_name(0, 77),
                                          snapshot_name(0, 77), "node.mark", "node.losses"};

// What the former node has left, and of others.
void fill(SimDisk& disk) {
  ASSERT_TRUE(begin_identity(disk, kFormer).ok());
  for (const std::string& file : kOfNode) put(disk, file, "bytes of " + file);
  put(disk, segment_name(1, 5), "of another shard");
  put(disk, "dump.rdb", "of an operator");
  put(disk, segment_name(0, 1) + ".0000000000000003.damaged", "of one before");
}

bool has(SimDisk& disk, const std::string& file) { return disk.has(file); }

TEST(Rejoin, has_its_golden_bytes_and_nothing_else_is_taken_for_it) {
  const std::string bytes = encode(Rejoin{.former = 1, .node = 2, .members = {{"h", 258}}});
  EXPECT_EQ(hex(bytes).substr(0, 58),
            "5152544a4f494e01"
            "0100000000000000"
            "0200000000000000"
            "01"
            "0168"
            "0201");
  EXPECT_EQ(decode_rejoin(encode(rejoin())), rejoin());
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(decode_rejoin(bytes.substr(0, size)));
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (at % 8)));
    EXPECT_FALSE(decode_rejoin(damaged)) << at;
  }
  EXPECT_FALSE(decode_rejoin(encode(Rejoin{.former = 1, .node = 1})))
      << "nobody comes in its own place";
}

TEST(Rejoin, what_the_former_node_has_left_is_set_aside_and_the_next_start_is_another_node) {
  SimDisk disk(1);
  fill(disk);
  ASSERT_TRUE(write_rejoin(disk, rejoin()).ok());
  const auto life = begin_life(disk, 0, 5);
  ASSERT_TRUE(life.ok());
  EXPECT_EQ(life.value().identity.id, 9u);
  EXPECT_EQ(life.value().identity.incarnation, 1u);
  EXPECT_EQ(life.value().rejoin, rejoin());
  for (const std::string& file : kOfNode) {
    EXPECT_FALSE(has(disk, file)) << file;
    EXPECT_EQ(disk.content(file + kSuffix), "bytes of " + file);
  }
  EXPECT_TRUE(has(disk, "node.identity" + kSuffix));
  EXPECT_EQ(disk.content(segment_name(1, 5)), "of another shard");
  EXPECT_EQ(disk.content("dump.rdb"), "of an operator");
  EXPECT_EQ(disk.content(segment_name(0, 1) + ".0000000000000003.damaged"), "of one before");
  // From here on what lies there is the new node's.
  put(disk, segment_name(0, 1), "new");
  const auto again = begin_life(disk, 0, 5);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again.value().identity.id, 9u);
  EXPECT_EQ(again.value().identity.incarnation, 2u);
  EXPECT_EQ(again.value().rejoin, rejoin());
  EXPECT_EQ(disk.content(segment_name(0, 1)), "new");
  ASSERT_TRUE(remove_rejoin(disk).ok());
  const auto last = begin_life(disk, 0, 5);
  ASSERT_TRUE(last.ok());
  EXPECT_EQ(last.value().identity.incarnation, 3u);
  EXPECT_FALSE(last.value().rejoin);
}

TEST(Rejoin, without_the_file_a_start_is_the_same_nodes) {
  SimDisk disk(1);
  fill(disk);
  const auto life = begin_life(disk, 0, 5);
  ASSERT_TRUE(life.ok());
  EXPECT_EQ(life.value().identity.id, kFormer);
  EXPECT_FALSE(life.value().rejoin);
  for (const std::string& file : kOfNode) EXPECT_TRUE(has(disk, file)) << file;
}

TEST(Rejoin, a_damaged_file_is_refused_and_nothing_is_changed) {
  SimDisk disk(1);
  fill(disk);
  ASSERT_TRUE(write_rejoin(disk, rejoin()).ok());
  disk.flip_bit(kRejoinFile, 12, 3);
  const auto life = begin_life(disk, 0, 5);
  ASSERT_FALSE(life.ok());
  EXPECT_EQ(life.error().code(), ErrorCode::kCorrupt);
  EXPECT_NE(life.error().detail().find("--join"), std::string_view::npos);
  for (const std::string& file : kOfNode) EXPECT_TRUE(has(disk, file)) << file;
}

TEST(Rejoin, on_a_full_disk_nobody_begins_without_an_identity) {
  SimDisk disk(1);
  fill(disk);
  ASSERT_TRUE(write_rejoin(disk, rejoin()).ok());
  disk.set_capacity(disk.used());
  const auto life = begin_life(disk, 0, 5);
  ASSERT_FALSE(life.ok());
  EXPECT_EQ(life.error().code(), ErrorCode::kIo);
  disk.heal();
  const auto again = begin_life(disk, 0, 5);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again.value().identity.id, 9u);
}

// Power fails or the process is gone behind each step of retiring and of the starts behind it:
// whoever begins a life is the former node with all that it had, or the new one beside all that the
// former one had.
TEST(Rejoin, wherever_it_is_cut_off_it_is_one_or_the_other) {
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    Prng random(seed);
    SimDisk disk(seed);
    fill(disk);
    bool is_written = false;
    bool is_another = false;
    for (int start = 0; start < 30; ++start) {
      DyingDisk dying(disk, random.below(14));
      if (!is_written && random.chance(0.4)) is_written = write_rejoin(dying, rejoin()).ok();
      DyingDisk starting(disk, random.below(20));
      const auto life = begin_life(starting, 0, 5);
      if (life.ok()) {
        const bool is_new = life.value().identity.id == 9;
        ASSERT_TRUE(is_new || life.value().identity.id == kFormer) << "seed " << seed;
        ASSERT_TRUE(is_new || !is_written) << "seed " << seed << ": what was durable is forgotten";
        ASSERT_TRUE(is_new || !is_another) << "seed " << seed << ": the former one is back";
        is_another = is_new;
        for (const std::string& file : kOfNode) {
          ASSERT_EQ(disk.content(is_new ? file + kSuffix : file), "bytes of " + file)
              << "seed " << seed;
          ASSERT_NE(has(disk, file), has(disk, file + kSuffix)) << "seed " << seed;
        }
      }
      if (random.chance(0.7)) disk.crash();
    }
  }
}

}  // namespace
}  // namespace quorate
