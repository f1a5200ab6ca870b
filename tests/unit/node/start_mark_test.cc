// Which start is normal: each row of the rule, the file's bytes, and the file over lives, crashes and errors of the disk.
#include "node/start_mark.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/sim/sim_disk.h"

namespace quorate {
namespace {

constexpr BootId kBoot{'b', 'o', 'o', 't', '1'};
constexpr BootId kNextBoot{'b', 'o', 'o', 't', '2'};
constexpr BootId kNoBoot{};
constexpr uint64_t kInode = 77;
constexpr uint64_t kLast = 5;
constexpr auto kRemembers = raft::StartKind::kRemembers;
constexpr auto kForgotten = raft::StartKind::kMayHaveForgotten;
constexpr auto kAlive = StartMark::State::kAlive;
constexpr auto kClean = StartMark::State::kClean;

StartMark mark_of(StartMark::State state, raft::Durability weakest) {
  return {.state = state, .weakest = weakest, .incarnation = kLast, .directory_inode = kInode, .boot_id = kBoot};
}

struct Row {
  const char* what;
  std::optional<StartMark> mark;
  StartFacts facts;
  raft::StartKind kind;
};

StartMark with(StartMark mark, void (*change)(StartMark&)) {
  change(mark);
  return mark;
}

TEST(StartMark, EachRowOfTheRule) {
  const StartMark os = mark_of(kAlive, raft::Durability::kOs);
  const StartMark clean = mark_of(kClean, raft::Durability::kOs);
  const StartMark synced = mark_of(kAlive, raft::Durability::kSynced);
  const StartFacts same{.boot_id = kBoot, .directory_inode = kInode};
  const StartFacts next{.boot_id = kNextBoot, .directory_inode = kInode};
  const StartFacts unknown{.boot_id = kNoBoot, .directory_inode = kInode};
  const auto older = [](StartMark& mark) { mark.incarnation = kLast - 1; };
  const auto newer = [](StartMark& mark) { mark.incarnation = kLast + 1; };
  const auto owing = [](StartMark& mark) { mark.owes = StartMark::Owes::kRecovery; };
  const auto bootless = [](StartMark& mark) { mark.boot_id = kNoBoot; };
  const std::vector<Row> rows{
      {"no mark, or it was removed after an I/O error", std::nullopt, same, kForgotten},
      {"os: the process fell, the machine did not", os, same, kRemembers},
      {"os: the machine fell", os, next, kForgotten},
      {"os: the system does not say which boot this is", os, unknown, kForgotten},
      {"os: it never said, and two unknowns are not the same", with(os, bootless), unknown, kForgotten},
      {"os: an orderly end, then another boot", clean, next, kRemembers},
      {"os: an orderly end, the same boot", clean, same, kRemembers},
      {"os: an orderly end, and a start since then that left no mark", with(clean, older), next, kForgotten},
      {"os: the same boot, but a start since then that left no mark", with(os, older), same, kForgotten},
      {"os: a mark from the future", with(clean, newer), same, kForgotten},
      {"synced: the machine fell", synced, next, kRemembers},
      {"synced: the process fell", synced, same, kRemembers},
      {"synced: a start since then that left no mark may have been weaker", with(synced, older), next, kForgotten},
      {"a recovery is owed from an earlier start, os", with(os, owing), same, kForgotten},
      {"a recovery is owed from an earlier start, an orderly end", with(clean, owing), same, kForgotten},
      {"a recovery is owed from an earlier start, synced", with(synced, owing), same, kForgotten},
  };
  for (const Row& row : rows) {
    const auto kind = start_kind(row.mark, row.facts, kLast);
    ASSERT_TRUE(kind.ok()) << row.what;
    EXPECT_EQ(kind.value(), row.kind) << row.what;
  }
}

TEST(StartMark, ACopiedDirectoryIsRefusedWhateverTheMarkSays) {
  const StartFacts copy{.boot_id = kBoot, .directory_inode = kInode + 1};
  for (const auto weakest : {raft::Durability::kOs, raft::Durability::kSynced}) {
    for (const auto state : {kAlive, kClean}) {
      const auto kind = start_kind(mark_of(state, weakest), copy, kLast);
      ASSERT_FALSE(kind.ok());
      EXPECT_EQ(kind.error().code(), ErrorCode::kInvalidArgument);
      EXPECT_NE(kind.error().detail().find("a copy of it"), std::string::npos);
      EXPECT_NE(kind.error().detail().find("join anew"), std::string::npos);
    }
  }
}

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(byte));
    text += digits;
  }
  return text;
}

TEST(StartMark, HasItsGoldenBytesAndComesBack) {
  StartMark mark = mark_of(kClean, raft::Durability::kSynced);
  mark.owes = StartMark::Owes::kRecovery;
  const std::string bytes = encode(mark);
  EXPECT_EQ(hex(bytes),
            "5152544d41524b01020201000000000005000000000000004d00000000000000626f6f743100000000000000000000000000000000000000c6abc6cfa2a93be7");
  const auto back = decode_start_mark(bytes);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(*back, mark);
}

TEST(StartMark, EveryFlippedBitAndEveryOtherLengthIsNoMark) {
  const std::string bytes = encode(mark_of(kAlive, raft::Durability::kOs));
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(decode_start_mark(damaged).has_value()) << bit;
  }
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_start_mark(std::string_view(bytes).substr(0, size)).has_value()) << size;
  }
  EXPECT_FALSE(decode_start_mark(bytes + "x").has_value());
}

// One directory, lived in by one process after the other.
struct Lives {
  Result<raft::StartKind> start(const BootId& boot) {
    auto identity = begin_incarnation(disk, 9);
    if (!identity.ok()) return std::move(identity).error();
    incarnation = identity.value().incarnation;
    facts = {.boot_id = boot, .directory_inode = kInode};
    return begin_marked_start(disk, identity.value(), facts);
  }
  StartMark mark(StartMark::State state, raft::Durability weakest = raft::Durability::kOs) const {
    return {.state = state,
            .weakest = weakest,
            .incarnation = incarnation,
            .directory_inode = facts.directory_inode,
            .boot_id = facts.boot_id};
  }
  void work(const StartMark& mark) { ASSERT_TRUE(begin_marked_work(disk, mark).ok()); }

  SimDisk disk{1};
  uint64_t incarnation = 0;
  StartFacts facts;
};

TEST(StartMark, ANodeThatHadNoneIsForgetful) {
  Lives lives;
  const auto kind = lives.start(kBoot);
  ASSERT_TRUE(kind.ok());
  EXPECT_EQ(kind.value(), kForgotten);
}

TEST(StartMark, StartsThatEndBeforeTheyWorkChangeNothing) {
  Lives lives;
  ASSERT_TRUE(lives.start(kBoot).ok());
  lives.work(lives.mark(kClean));
  lives.disk.crash();
  // The machine falls while it loads, again and again.
  for (int start = 0; start < 3; ++start) {
    const auto kind = lives.start(kNextBoot);
    ASSERT_TRUE(kind.ok());
    EXPECT_EQ(kind.value(), kRemembers) << start;
    lives.disk.crash();
  }
  ASSERT_TRUE(lives.start(kNextBoot).ok());
  lives.work(lives.mark(kAlive));
  const auto kind = lives.start(kNextBoot);
  ASSERT_TRUE(kind.ok());
  EXPECT_EQ(kind.value(), kRemembers) << "the same boot";
}

TEST(StartMark, WhatIsOwedIsNotForgottenByTheNextStart) {
  Lives lives;
  ASSERT_TRUE(lives.start(kBoot).ok());
  lives.work(lives.mark(kAlive));
  for (int start = 0; start < 3; ++start) {
    // From the second time on it is the same boot, and nothing has been lost since.
    const auto kind = lives.start(kNextBoot);
    ASSERT_TRUE(kind.ok());
    EXPECT_EQ(kind.value(), kForgotten) << start;
    lives.disk.crash();
  }
  // Works, and does not get all replicas to write down that they are RECOVERING.
  ASSERT_TRUE(lives.start(kNextBoot).ok());
  StartMark mark = lives.mark(kAlive);
  mark.owes = StartMark::Owes::kRecovery;
  lives.work(mark);
  EXPECT_EQ(lives.start(kNextBoot).value(), kForgotten);
  // They have.
  lives.work(lives.mark(kAlive));
  EXPECT_EQ(lives.start(kNextBoot).value(), kRemembers);
}

}  // namespace
}  // namespace quorate
