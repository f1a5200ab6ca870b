// The simulated disk of a node does in a crash what a real one does, and no more.
#include <gtest/gtest.h>

#include "persist/log_format.h"
#include "tests/unit/node/slow_disk_node.h"

namespace quorate {
namespace {

// The newest segment has a part of its header, since the disk was full, and a record is asked for
// behind it; the disk is not touched before that failure has healed.
TEST(SimNode, ACrashTearsNoWriteThatAnEarlierFailureForbids) {
  SlowDiskNode world;
  world.ask(world.client, {"SET", "a", "1"});
  world.settle();
  const auto last_segment = [&] {
    std::string last;
    const std::vector<std::string> files = world.disk.list().value();
    for (const std::string& file : files) {
      const auto name = parse_name(file);
      if (name && name->kind == ParsedName::Kind::kSegment) last = file;
    }
    return last;
  };
  const std::string before = last_segment();
  world.ask(world.client, {"BGREWRITEAOF"});
  world.ask(world.client, {"SET", "b", std::string(100, 'x')});
  world.disk.set_capacity(world.disk.used() + 10);
  const auto is_record = [](const DiskRequest* request) {
    return request != nullptr && request->op == DiskRequest::Op::kAppend &&
           request->bytes.size() > SegmentHeader::kSize;
  };
  while (!is_record(world.node->next_request(DiskLane::kLog))) {
    ASSERT_TRUE(world.node->take_disk_step(DiskLane::kLog));
  }
  const std::string torn = last_segment();
  ASSERT_NE(torn, before);
  ASSERT_EQ(world.disk.content(torn).size(), 10u);
  world.disk.heal();
  Prng chance(1);
  for (int count = 0; count < 16; ++count) world.node->tear_writes(chance);
  EXPECT_EQ(world.disk.content(torn).size(), 10u);
  world.restart(0);
  world.ask(world.client, {"GET", "a"});
  world.settle();
  EXPECT_EQ(world.taken(world.client), "$1\r\n1\r\n");
}

}  // namespace
}  // namespace quorate
