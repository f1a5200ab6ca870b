// When records of groups count as stored, in each mode.
#include "node/group_log.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/sim/sim_disk.h"

namespace quorate {
namespace {

constexpr auto kOs = raft::Durability::kOs;
constexpr auto kMemory = raft::Durability::kMemory;
constexpr auto kSynced = raft::Durability::kSynced;
constexpr auto kMode = ClusterNode::RecordNeeds::kMode;
constexpr auto kSync = ClusterNode::RecordNeeds::kSync;

struct World {
  World() {
    log.start_segment(requests);
    run();
  }
  uint64_t add(ClusterNode::RecordNeeds needs, std::string_view body = "bytes") {
    const uint64_t number = groups.next_number();
    Buffer record = LogWriter::begin_record();
    record.append(body);
    groups.add(needs, std::move(record), 1000, log, requests);
    return number;
  }
  // The disk does so many of the things that it was asked for.
  void run(size_t count = 1000) {
    for (; count > 0 && !requests.empty(); --count) {
      DiskRequest request = std::move(requests.front());
      requests.erase(requests.begin());
      log.on_reply(executor.execute(request), requests);
    }
  }

  SimDisk disk{1};
  DiskExecutor executor{disk};
  LogWriter log{{.shard = 0, .partitions = 4}, {.log_id = 3}, {}};
  std::vector<DiskRequest> requests;
  GroupLog groups;
};

TEST(GroupLog, EntriesAreStoredAsTheModeSays) {
  World world;
  const uint64_t number = world.add(kMode);
  EXPECT_EQ(world.groups.stored(world.log, kOs), 0u);
  world.run();
  EXPECT_EQ(world.groups.stored(world.log, kSynced), 0u);
  EXPECT_EQ(world.groups.stored(world.log, kOs), number);
  EXPECT_TRUE(world.groups.is_idle());
}

TEST(GroupLog, TermsAndVotesAreSyncedInEveryModeAndAtOnce) {
  for (const auto mode : {kMemory, kOs, kSynced}) {
    World world;
    const uint64_t number = world.add(kSync);
    world.run(1);
    EXPECT_EQ(world.log.written(), 1u);
    EXPECT_EQ(world.groups.stored(world.log, mode), 0u);
    world.run(1);
    EXPECT_EQ(world.log.synced(), 1u) << "nobody else asked for it";
    EXPECT_EQ(world.groups.stored(world.log, mode), number);
  }
}

TEST(GroupLog, ARecordWaitsForThoseBeforeIt) {
  World world;
  world.add(kSync);
  const uint64_t written = world.add(kMode);
  const uint64_t nothing = world.add(kMode, "");
  EXPECT_EQ(world.log.appended(), 2u) << "what has nothing to write takes no place";
  world.run(1);
  EXPECT_EQ(world.groups.stored(world.log, kOs), 0u);
  world.run(1);
  EXPECT_EQ(world.groups.stored(world.log, kOs), written - 1) << "synced, but the next is not written";
  world.run();
  EXPECT_EQ(world.groups.stored(world.log, kOs), nothing);
}

TEST(GroupLog, WithNothingBeforeItWhatHasNothingToWriteIsStoredAtOnce) {
  World world;
  const uint64_t number = world.add(kMode, "");
  EXPECT_EQ(world.groups.stored(world.log, kSynced), number);
  EXPECT_TRUE(world.requests.empty());
}

}  // namespace
}  // namespace quorate
