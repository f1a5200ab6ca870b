// Who goes by which decision about the mode, and what nodes tell each other of it.
#include "node/mode_progress.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace quorate {
namespace {

TEST(ModeProgress, what_is_known_of_a_partition_only_grows) {
  ModeProgress progress(3);
  EXPECT_EQ(progress.count_without(0), 0u);
  EXPECT_EQ(progress.count_without(1), 3u);
  progress.note(std::vector<uint64_t>{2, 0, 0});
  progress.note(std::vector<uint64_t>{1, 0, 1});
  EXPECT_EQ(progress.count_without(1), 1u);
  EXPECT_EQ(progress.count_without(2), 2u);
  progress.note(std::vector<uint64_t>{0, 5, 0});
  EXPECT_EQ(progress.count_without(1), 0u);
}

TEST(ModeProgress, the_others_are_asked_now_and_then) {
  ModeProgress progress(1);
  EXPECT_TRUE(progress.takes_turn(1'000'000));
  EXPECT_FALSE(progress.takes_turn(1'010'000));
  EXPECT_TRUE(progress.takes_turn(1'020'000));
}

TEST(ModeProgress, what_is_told_comes_back_and_nothing_else_is_taken) {
  const std::vector<uint64_t> versions = {0, 300, 7};
  Buffer bytes;
  encode_modes(versions, bytes);
  EXPECT_EQ(decode_modes(bytes.view(), 3).value(), versions);
  EXPECT_FALSE(decode_modes(bytes.view(), 2).ok());
  EXPECT_FALSE(decode_modes(bytes.view(), 4).ok());
  for (size_t size = 0; size < bytes.size(); ++size) EXPECT_FALSE(decode_modes(bytes.view().substr(0, size), 3).ok()) << size;
  EXPECT_FALSE(decode_modes(std::string(bytes.view()) + "x", 3).ok());
}

}  // namespace
}  // namespace quorate
