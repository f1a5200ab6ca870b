// What node.mark says while a node works: never more than what acknowledging means at that moment.
#include "node/own_mark.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/sim/sim_disk.h"

namespace quorate {
namespace {

constexpr auto kOs = raft::Durability::kOs;
constexpr auto kSynced = raft::Durability::kSynced;
constexpr BootId kBoot{'b', 'o', 'o', 't', '1'};
constexpr BootId kNextBoot{'b', 'o', 'o', 't', '2'};

// One life of a node in company, on a log of its own.
struct Life {
  Life(SimDisk& disk_in, const BootId& boot) : disk(disk_in), identity(begin_incarnation(disk, 9).value()), mark(identity, {boot, 77}) {
    log.start_segment(log_requests);
    run_log();
  }
  raft::StartKind start(raft::Durability wanted) {
    const raft::StartKind kind = mark.begin_start(disk).value();
    EXPECT_TRUE(mark.begin_work(disk, wanted).ok());
    return kind;
  }
  // It has not had company before.
  void found() {
    mark.begin_company();
    run_mark();
  }
  void append() { log.append_groups("bytes", 1000, log_requests); }
  void run_log() {
    while (!log_requests.empty()) {
      DiskRequest request = std::move(log_requests.front());
      log_requests.erase(log_requests.begin());
      log.on_reply(executor.execute(request), log_requests);
    }
  }
  void run_mark() {
    std::vector<DiskRequest> requests;
    for (mark.drain(requests); !requests.empty(); mark.drain(requests)) {
      DiskRequest request = std::move(requests.front());
      requests.erase(requests.begin());
      mark.on_reply(executor.execute(request));
    }
  }
  StartMark file() const { return *decode_start_mark(disk.content(kMarkFile)); }

  SimDisk& disk;
  DiskExecutor executor{disk};
  NodeIdentity identity;
  OwnMark mark;
  LogWriter log{{.shard = 0, .partitions = 4}, {.log_id = 3}, {}};
  std::vector<DiskRequest> log_requests;
};

TEST(OwnMark, WhatIsAcknowledgedBecomesWeakerOnlyOnceTheFileSaysSo) {
  SimDisk disk(1);
  Life life(disk, kBoot);
  life.start(kSynced);
  EXPECT_EQ(life.mark.mode(), kSynced);
  life.mark.follow(kOs, life.log);
  EXPECT_EQ(life.mark.mode(), kSynced);
  EXPECT_EQ(life.file().weakest, kSynced);
  life.run_mark();
  EXPECT_EQ(life.file().weakest, kOs);
  life.mark.follow(kOs, life.log);
  EXPECT_EQ(life.mark.mode(), kOs);
}

TEST(OwnMark, TheFileBecomesStrongerOnlyOnceEverythingIsSynced) {
  SimDisk disk(1);
  Life life(disk, kBoot);
  life.start(kOs);
  life.append();
  life.run_log();
  life.mark.follow(kSynced, life.log);
  EXPECT_EQ(life.mark.mode(), kSynced);
  life.run_mark();
  EXPECT_EQ(life.file().weakest, kOs);
  life.log.sync(life.log_requests);
  life.run_log();
  life.mark.follow(kSynced, life.log);
  EXPECT_FALSE(life.mark.says_synced());
  life.run_mark();
  EXPECT_EQ(life.file().weakest, kSynced);
  life.mark.follow(kSynced, life.log);
  EXPECT_TRUE(life.mark.says_synced());
  life.mark.follow(kOs, life.log);
  EXPECT_FALSE(life.mark.says_synced());
}

TEST(OwnMark, APowerCutIsForgetfulAndAKillIsNot) {
  SimDisk disk(1);
  Life(disk, kBoot).found();
  EXPECT_EQ(Life(disk, kBoot).start(kOs), raft::StartKind::kRemembers);
  EXPECT_EQ(Life(disk, kNextBoot).start(kOs), raft::StartKind::kMayHaveForgotten);
}

TEST(OwnMark, ARecoveryIsOwedUntilTheReplicasHaveWrittenThatDown) {
  SimDisk disk(1);
  Life(disk, kBoot).found();
  EXPECT_EQ(Life(disk, kNextBoot).start(kOs), raft::StartKind::kMayHaveForgotten);
  Life third(disk, kNextBoot);
  EXPECT_EQ(third.start(kOs), raft::StartKind::kMayHaveForgotten);
  third.mark.recovery_is_stored();
  third.run_mark();
  EXPECT_EQ(Life(disk, kNextBoot).start(kOs), raft::StartKind::kRemembers);
}

TEST(OwnMark, AnOrderlyEndOutlivesAPowerCut) {
  SimDisk disk(1);
  Life first(disk, kBoot);
  first.found();
  EXPECT_FALSE(first.mark.end());
  first.run_mark();
  EXPECT_TRUE(first.mark.end());
  EXPECT_EQ(Life(disk, kNextBoot).start(kOs), raft::StartKind::kRemembers);
}

TEST(OwnMark, WhoDoesNotEndAfterAllWaitsUntilTheFileSaysThatItLives) {
  SimDisk disk(1);
  Life life(disk, kBoot);
  life.start(kOs);
  EXPECT_FALSE(life.mark.end());
  life.run_mark();
  life.mark.go_on();
  EXPECT_EQ(life.mark.mode(), kSynced);
  life.run_mark();
  EXPECT_EQ(life.file().state, StartMark::State::kAlive);
  life.mark.follow(kOs, life.log);
  EXPECT_EQ(life.mark.mode(), kOs);
}

TEST(OwnMark, AfterAnErrorOfTheDiskNothingIsRemembered) {
  SimDisk disk(1);
  Life(disk, kBoot).found();
  remove_start_mark(disk);
  EXPECT_EQ(Life(disk, kBoot).start(kOs), raft::StartKind::kMayHaveForgotten);
}

}  // namespace
}  // namespace quorate
