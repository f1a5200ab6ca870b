// What node.losses keeps of weak acknowledgements and losses.
#include "node/loss_file.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/sim/sim_disk.h"

namespace quorate {
namespace {

using Kind = Loss::Kind;

Losses some_losses() {
  Losses losses;
  losses.add({.kind = Kind::kLost, .partition = 3, .term = 7, .first_index = 100, .last_index = 120, .unix_ms = 1'700'000'000'000});
  losses.add({.kind = Kind::kTakeover, .partition = 127, .term = 9, .unix_ms = 1'700'000'000'001});
  losses.add({.kind = Kind::kRestart, .partition = 0, .term = 2, .last_index = 55, .unix_ms = 1'700'000'000'002});
  losses.add({.kind = Kind::kRecovery, .partition = 1, .term = 4, .last_index = 56, .unix_ms = 1'700'000'000'003});
  losses.note_weak(5, 300);
  losses.note_weak(3, 8);
  return losses;
}

std::vector<std::string> told(const Losses& losses) {
  std::vector<std::string> lines;
  losses.each([&](const Loss& loss) {
    lines.push_back(std::to_string(static_cast<int>(loss.kind)) + " " + std::to_string(loss.partition) + " " + std::to_string(loss.term) + " " +
                    std::to_string(loss.first_index) + " " + std::to_string(loss.last_index) + " " + std::to_string(loss.unix_ms));
  });
  return lines;
}

TEST(LossFile, what_is_written_is_read_back) {
  const Losses losses = some_losses();
  const auto read = decode_losses(encode(losses));
  ASSERT_TRUE(read);
  EXPECT_EQ(told(*read), told(losses));
  EXPECT_EQ(read->lost_count(), 1u);
  EXPECT_EQ(read->weak_terms(), losses.weak_terms());
}

TEST(LossFile, the_bytes_of_version_1_are_as_they_were) {
  Losses losses;
  losses.note_weak(1, 300);
  losses.add({.kind = Kind::kRestart, .partition = 2, .term = 3, .last_index = 4, .unix_ms = 5});
  const std::string bytes = encode(losses);
  const std::string_view expected("QRTLOSS\x01\x00\x01\x01\xac\x02\x01\x03\x02\x03\x00\x04\x05", 20);
  EXPECT_EQ(std::string_view(bytes).substr(0, bytes.size() - 8), expected);
}

TEST(LossFile, what_is_damaged_anywhere_is_refused) {
  const std::string bytes = encode(some_losses());
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    EXPECT_FALSE(decode_losses(damaged)) << at;
    EXPECT_FALSE(decode_losses(bytes.substr(0, at))) << at;
  }
}

TEST(LossFile, the_newest_are_kept_and_all_are_counted) {
  Losses losses;
  for (uint64_t index = 1; index <= Losses::kKeptMax + 10; ++index)
    losses.add({.kind = Kind::kLost, .partition = 1, .term = 1, .first_index = index, .last_index = index});
  losses.add({.kind = Kind::kTakeover, .partition = 1, .term = 2});
  const auto read = decode_losses(encode(losses));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->of(Kind::kLost).size(), Losses::kKeptMax);
  EXPECT_EQ(read->of(Kind::kLost).front().first_index, 11u);
  EXPECT_EQ(read->of(Kind::kTakeover).size(), 1u);
  EXPECT_EQ(read->lost_count(), Losses::kKeptMax + 10);
}

TEST(LossFile, what_is_found_twice_is_told_once) {
  Losses losses = some_losses();
  Loss again = losses.of(Kind::kLost).front();
  again.unix_ms += 5000;
  losses.add(again);
  EXPECT_EQ(losses.lost_count(), 1u);
}

TEST(LossFile, where_there_is_none_nothing_is_known_and_a_damaged_one_is_told) {
  SimDisk disk(1);
  EXPECT_EQ(read_losses(disk).value()->size(), 0u);
  ASSERT_TRUE(disk.create(kLossesFile).ok());
  ASSERT_TRUE(disk.append(kLossesFile, "QRTLOSS").ok());
  EXPECT_FALSE(read_losses(disk).value());
}

}  // namespace
}  // namespace quorate
