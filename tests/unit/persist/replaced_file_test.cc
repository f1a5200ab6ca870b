// A file that is replaced as a whole: what of it is on disk after a crash, a full disk, a log that has failed.
#include "persist/replaced_file.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/sim/sim_disk.h"

namespace quorate {
namespace {

constexpr const char* kName = "node.note";
constexpr const char* kLog = "a.log";

struct World {
  // What is wanted is asked for.
  void write(const std::string& bytes) {
    if (file.is_due()) file.write(bytes);
    file.drain(requests);
  }
  // The first request that waits is carried out.
  void step() {
    DiskRequest request = std::move(requests.front());
    requests.erase(requests.begin());
    file.on_reply(executor.execute(request));
    file.drain(requests);
  }
  void settle() {
    while (!requests.empty()) step();
  }
  void want(const std::string& bytes) {
    file.want();
    write(bytes);
    settle();
  }
  // A request of the log.
  Status of_log(DiskRequest::Op op, bool heals = false) {
    DiskRequest request{.id = 1, .lane = DiskLane::kLog, .op = op, .file = kLog, .to = {}, .size = 0, .heals = heals, .bytes = {}};
    request.bytes.append("record");
    return executor.execute(request).status;
  }
  std::string on_disk() { return disk.has(kName) ? std::string(disk.content(kName)) : "nothing"; }

  SimDisk disk{1};
  DiskExecutor executor{disk};
  ReplacedFile file{kName, 7};
  std::vector<DiskRequest> requests;
};

TEST(ReplacedFile, a_wish_is_fulfilled_once_the_file_outlives_a_power_cut) {
  World world;
  const uint64_t first = world.file.want();
  world.write("one");
  const uint64_t second = world.file.want();
  EXPECT_FALSE(world.file.is_due()) << "one replacement at a time";
  while (world.file.durable() < first) world.step();
  EXPECT_EQ(world.on_disk(), "one");
  EXPECT_LT(world.file.durable(), second);
  EXPECT_FALSE(world.file.is_settled());
  world.write("two");
  world.settle();
  EXPECT_TRUE(world.file.is_settled());
  world.disk.crash();
  EXPECT_EQ(world.on_disk(), "two");
}

TEST(ReplacedFile, a_failure_leaves_the_old_one_until_it_is_tried_again) {
  World world;
  world.want("old");
  world.disk.set_capacity(world.disk.used());
  world.want("new");
  EXPECT_TRUE(world.file.has_failed());
  EXPECT_FALSE(world.file.is_due());
  EXPECT_EQ(world.on_disk(), "old");
  EXPECT_TRUE(world.of_log(DiskRequest::Op::kSyncDirectory).ok()) << "the log's failures are its own";
  world.disk.heal();
  world.file.retry();
  world.write("new");
  world.settle();
  EXPECT_TRUE(world.file.is_settled());
  EXPECT_EQ(world.on_disk(), "new");
}

TEST(ReplacedFile, once_the_log_has_failed_nothing_that_was_asked_for_changes_it) {
  for (int steps = 0; steps < 5; ++steps) {
    World world;
    ASSERT_TRUE(world.of_log(DiskRequest::Op::kCreate).ok());
    world.want("old");
    world.file.want();
    world.write("new");
    for (int step = 0; step < steps; ++step) world.step();
    world.disk.fail_next_sync();
    ASSERT_FALSE(world.of_log(DiskRequest::Op::kSync).ok());
    world.disk.heal();
    const std::string then = world.on_disk();
    ASSERT_TRUE(world.disk.remove(kName).ok());
    world.settle();
    world.file.retry();
    world.write("newer");
    world.settle();
    EXPECT_EQ(world.on_disk(), "nothing") << "after " << steps << " steps it was " << then;
    EXPECT_TRUE(world.file.has_failed());
  }
}

TEST(ReplacedFile, when_the_log_has_healed_it_is_replaced_again) {
  World world;
  ASSERT_TRUE(world.of_log(DiskRequest::Op::kCreate).ok());
  world.disk.set_capacity(world.disk.used());
  ASSERT_FALSE(world.of_log(DiskRequest::Op::kAppend).ok());
  world.disk.heal();
  world.want("new");
  EXPECT_TRUE(world.file.has_failed());
  ASSERT_TRUE(world.of_log(DiskRequest::Op::kTruncate, true).ok());
  world.file.retry();
  world.write("new");
  world.settle();
  EXPECT_EQ(world.on_disk(), "new");
}

}  // namespace
}  // namespace quorate
