// Whoever is killed or loses its power at any moment of getting company, or of a change of the mode, starts again and may have company: whole
// nodes (tests/sim/cluster_world.h), and what their disks hold from one change to the next.
#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "persist/log_format.h"
#include "tests/unit/node/calm_cluster.h"

namespace quorate::sim {
namespace {

constexpr int64_t kStepUs = 20;

// Looks at a machine's disk after each change.
class Moments {
 public:
  Moments(ClusterWorld& world, uint32_t machine) : world_(world), machine_(machine) {}

  void look() {
    const SimDisk& disk = world_.disk(machine_);
    if (disk.trace() == trace_ || world_.node(machine_) == nullptr) return;
    trace_ = disk.trace();
    for (const SimDisk::Loss loss : {SimDisk::Loss::kOfProcess, SimDisk::Loss::kOfPower}) {
      SimDisk image = disk.left_by(loss);
      start(image, loss);
    }
    for (const auto& [file, before] : sizes_of_segments()) tear(file, before);
  }
  uint64_t starts() const { return starts_; }

 private:
  // As they were at the last look; 0: there was none.
  std::map<std::string, uint64_t> sizes_of_segments() {
    std::map<std::string, uint64_t> before;
    SimDisk image = world_.disk(machine_).left_by(SimDisk::Loss::kOfProcess);
    const auto files = image.list();
    for (const std::string& file : files.value()) {
      const auto name = parse_name(file);
      if (name && name->kind == ParsedName::Kind::kSegment) before[file] = std::exchange(sizes_[file], image.content(file).size());
    }
    return before;
  }

  // It is killed in the middle of the write that has just been done: in the header of the segment or the record, right behind it, in the body.
  void tear(const std::string& file, uint64_t before) {
    const uint64_t after = world_.disk(machine_).content(file).size();
    if (after <= before) return;
    for (const uint64_t more : {uint64_t{1}, uint64_t{RecordHeader::kSize}, uint64_t{RecordHeader::kSize + 1}, (after - before) / 2, after - before - 1}) {
      if (more == 0 || before + more >= after) continue;
      SimDisk image = world_.disk(machine_).left_by(SimDisk::Loss::kOfProcess);
      ASSERT_TRUE(image.truncate(file, before + more).ok());
      start(image, SimDisk::Loss::kOfProcess);
    }
  }

  void start(SimDisk& image, SimDisk::Loss loss) {
    ++starts_;
    const std::unique_ptr<SimNode> node = world_.start_from_image(machine_, image, loss);
    ASSERT_NE(node, nullptr) << world_.wrong();
    const Company& company = node->node().state().company;
    EXPECT_TRUE(!company.is_alone() || company.may_have_company()) << "n" << machine_ + 1 << " would stay alone";
  }

  ClusterWorld& world_;
  const uint32_t machine_;
  uint64_t trace_ = 0;
  std::map<std::string, uint64_t> sizes_;
  uint64_t starts_ = 0;
};

class StartsWorld : public testing::Test {
 protected:
  static ClusterSwarm small(uint32_t nodes) {
    ClusterSwarm swarm = calm_cluster(nodes);
    swarm.partitions = 2;
    return swarm;
  }
  static void pass(ClusterWorld& world, int64_t us, std::vector<Moments>& moments) {
    for (const int64_t end_us = world.now_us() + us; world.now_us() < end_us && world.wrong().empty();) {
      world.run(world.now_us() + kStepUs);
      for (Moments& each : moments) each.look();
    }
    EXPECT_EQ(world.wrong(), "");
  }
};

TEST_F(StartsWorld, who_founds_and_who_joins_without_a_log) {
  ClusterSwarm swarm = small(2);
  swarm.in_memory = true;
  ClusterWorld world({.seed = 1}, swarm);
  std::vector<Moments> moments{{world, 0}, {world, 1}};
  pass(world, 2 * kSecondUs, moments);
  EXPECT_FALSE(world.node(1)->node().state().company.is_alone());
  EXPECT_GT(moments[0].starts(), 50u);
  EXPECT_GT(moments[1].starts(), 50u);
}

TEST_F(StartsWorld, who_founds_and_who_joins_with_a_log) {
  ClusterWorld world({.seed = 1}, small(2));
  std::vector<Moments> moments{{world, 0}, {world, 1}};
  pass(world, 2 * kSecondUs, moments);
  EXPECT_FALSE(world.node(1)->node().state().company.is_alone());
}

TEST_F(StartsWorld, whose_mode_changes) {
  ClusterSwarm swarm = small(3);
  swarm.in_memory = true;
  ClusterWorld world({.seed = 1}, swarm);
  world.run(world.now_us() + 4 * kSecondUs);
  ASSERT_EQ(world.describe_unsettled(), "");
  std::vector<Moments> moments{{world, 1}};
  for (const auto mode : {raft::Durability::kSynced, raft::Durability::kMemory, raft::Durability::kOs, raft::Durability::kSynced}) {
    world.modes().begin(mode);
    pass(world, kSecondUs, moments);
    EXPECT_TRUE(world.modes().is_idle());
  }
  EXPECT_GT(moments[0].starts(), 50u);
}

}  // namespace
}  // namespace quorate::sim
