// Whole nodes whose files are not what they have synced: who comes back, as whom, and who is refused.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "persist/log_reader.h"
#include "persist/rejoin.h"
#include "tests/unit/node/calm_cluster.h"

namespace quorate::sim {
namespace {

constexpr int kKeys = 40;

ClusterSwarm synced(uint32_t nodes) {
  ClusterSwarm swarm = calm_cluster(nodes);
  swarm.appendfsync = "always";
  return swarm;
}

void fill(CalmCluster& cluster, const std::string& value) {
  for (int number = 0; number < kKeys; ++number) ASSERT_EQ(cluster.ask(0, {"SET", "key:" + std::to_string(number), value}), "+OK\r\n");
}

void expect_all(CalmCluster& cluster, uint32_t machine, const std::string& value) {
  for (int number = 0; number < kKeys; ++number) {
    EXPECT_EQ(cluster.ask(machine, {"GET", "key:" + std::to_string(number)}), "$" + std::to_string(value.size()) + "\r\n" + value + "\r\n");
  }
}

std::string newest(SimDisk& disk, ParsedName::Kind kind) {
  std::string found;
  const std::vector<std::string> files = disk.list().value();
  for (const std::string& file : files) {
    const auto name = parse_name(file);
    if (name && name->kind == kind) found = file;
  }
  return found;
}

// Where records begin that a later one says to be synced.
std::vector<uint64_t> proven_records(SimDisk& disk, const std::string& file) {
  SegmentReader reader(disk, file);
  EXPECT_TRUE(reader.open().value());
  std::vector<uint64_t> places;
  RecordHeader header;
  std::vector<LogEntry> entries;
  uint64_t first = 0;
  uint64_t synced = 0;
  for (uint64_t at = reader.offset(); reader.next(header, entries).value() == SegmentReader::Outcome::kRecord; at = reader.offset()) {
    if (places.empty()) first = header.sequence;
    places.push_back(at);
    synced = header.synced;
  }
  places.resize(synced < first ? 0 : static_cast<size_t>(synced - first + 1));
  return places;
}

size_t count_set_aside(SimDisk& disk) {
  const std::vector<std::string> files = disk.list().value();
  return static_cast<size_t>(std::count_if(files.begin(), files.end(), [](const std::string& file) { return file.ends_with(".damaged"); }));
}

void settle(CalmCluster& cluster) {
  for (int step = 0; step < 600 && !(step > 40 && cluster.world().is_settled()); ++step) cluster.pass(kSecondUs / 20);
  EXPECT_EQ(cluster.world().describe_unsettled(), "");
}

NodeId id_of(CalmCluster& cluster, uint32_t machine) { return cluster.company(machine).cluster().own().id; }

// It has come back by itself, as somebody else, and all is as it was.
void expect_another(CalmCluster& cluster, uint32_t machine, NodeId former) {
  settle(cluster);
  ASSERT_NE(cluster.world().node(machine), nullptr);
  ASSERT_EQ(cluster.wrong(), "");
  cluster.connect_again(machine);
  EXPECT_NE(id_of(cluster, machine), former);
  for (uint32_t other = 0; other < 3; ++other) {
    const ClusterState& state = cluster.company(other).cluster().state();
    ASSERT_NE(state.find(former), nullptr);
    EXPECT_EQ(state.find(former)->state, MemberState::kRemoved);
    for (uint32_t partition = 0; partition < kCalmPartitions; ++partition) {
      const raft::Core* const core = cluster.company(other).cluster().partitions().core(partition);
      ASSERT_NE(core, nullptr);
      EXPECT_FALSE(core->configuration().find_on({former})) << "n" << other + 1 << ", partition " << partition;
    }
  }
  EXPECT_GE(count_set_aside(cluster.world().disk(machine)), 3u) << "log, identity, mark";
  expect_all(cluster, machine, "kept");
}

TEST(DamagedLogWorld, a_member_whose_log_is_damaged_in_the_middle_comes_back_as_another_one) {
  for (uint32_t machine = 0; machine < 3; ++machine) {
    CalmCluster cluster(synced(3));
    fill(cluster, "kept");
    const NodeId former = id_of(cluster, machine);
    cluster.world().kill_now(machine);
    SimDisk& disk = cluster.world().disk(machine);
    const std::string file = newest(disk, ParsedName::Kind::kSegment);
    const std::vector<uint64_t> records = proven_records(disk, file);
    ASSERT_GT(records.size(), 20u);
    // Header or body.
    disk.flip_bit(file, records[records.size() * (17 - 3 * machine) / 20] + (machine == 1 ? 3 : RecordHeader::kSize + 1), 2);
    cluster.world().heal();
    expect_another(cluster, machine, former);
    // From now on it is an ordinary member, which remembers.
    EXPECT_TRUE(disk.has(kRejoinFile));
    const NodeId now = id_of(cluster, machine);
    cluster.world().kill_now(machine);
    cluster.world().heal();
    settle(cluster);
    EXPECT_EQ(id_of(cluster, machine), now);
    EXPECT_FALSE(disk.has(kRejoinFile));
    EXPECT_EQ(cluster.wrong(), "");
  }
}

TEST(DamagedLogWorld, two_members_come_back_one_after_the_other) {
  CalmCluster cluster(synced(3));
  fill(cluster, "kept");
  for (const uint32_t machine : {2u, 1u}) {
    const NodeId former = id_of(cluster, machine);
    cluster.world().kill_now(machine);
    SimDisk& disk = cluster.world().disk(machine);
    const std::string file = newest(disk, ParsedName::Kind::kSegment);
    const std::vector<uint64_t> records = proven_records(disk, file);
    ASSERT_GT(records.size(), 4u);
    disk.flip_bit(file, records[records.size() * 2 / 3], 7);
    cluster.world().heal();
    expect_another(cluster, machine, former);
  }
}

// A start of a copy of the disk.
std::string start_of(SimDisk image, const std::string& more) {
  SimNode node(image, {.config = "appendonly yes\nappendfsync always\nsave \"\"\ndatabases 1\nport 7001\npartitions " + std::to_string(kCalmPartitions) +
                                 "\nreplication-n 3\ncluster-announce-ip 10.0.0.2\n" + more,
                       .start_facts = {.boot_id = {2, 1}, .directory_inode = 2}});
  const Status recovered = node.recover();
  if (recovered.ok()) return count_set_aside(image) == 0 ? "starts as it was" : "starts as another one";
  EXPECT_LE(count_set_aside(image), 1u);
  EXPECT_FALSE(image.has(kRejoinFile));
  return std::string(recovered.error().detail());
}

// What was appended last, which nothing says to be synced, may be a torn tail, and that is cut.
TEST(DamagedLogWorld, damage_at_the_end_is_a_tail) {
  CalmCluster cluster(synced(3));
  fill(cluster, "kept");
  cluster.world().kill_now(1);
  SimDisk disk = cluster.world().disk(1).left_by(SimDisk::Loss::kOfPower);
  const std::string file = newest(disk, ParsedName::Kind::kSegment);
  SegmentReader reader(disk, file);
  ASSERT_TRUE(reader.open().value());
  RecordHeader header;
  std::vector<LogEntry> entries;
  uint64_t last = 0;
  for (uint64_t at = reader.offset(); reader.next(header, entries).value() == SegmentReader::Outcome::kRecord; at = reader.offset()) last = at;
  disk.flip_bit(file, last + 1, 0);
  EXPECT_EQ(start_of(std::move(disk), "log-repair rejoin\n"), "starts as it was");
}

TEST(DamagedLogWorld, a_snapshot_whose_entries_are_damaged_is_no_end_either) {
  CalmCluster cluster(synced(3));
  fill(cluster, "kept");
  const NodeId former = id_of(cluster, 1);
  cluster.ask(1, {"BGREWRITEAOF"});
  cluster.pass(2 * kSecondUs);
  SimDisk& disk = cluster.world().disk(1);
  const std::string file = newest(disk, ParsedName::Kind::kSnapshot);
  ASSERT_NE(file, "");
  cluster.world().kill_now(1);
  disk.flip_bit(file, disk.size(file).value() - 30, 1);
  cluster.world().heal();
  expect_another(cluster, 1, former);
}

TEST(DamagedLogWorld, a_start_that_is_refused_says_what_can_be_done) {
  CalmCluster cluster(synced(3));
  fill(cluster, "kept");
  cluster.world().kill_now(1);
  SimDisk& disk = cluster.world().disk(1);
  const std::string file = newest(disk, ParsedName::Kind::kSegment);
  const std::vector<uint64_t> records = proven_records(disk, file);
  SimDisk damaged = disk.left_by(SimDisk::Loss::kOfPower);
  damaged.flip_bit(file, records[records.size() / 2], 2);
  const auto has = [](const std::string& text, std::string_view word) { return text.find(word) != std::string::npos; };
  EXPECT_TRUE(has(start_of(damaged.left_by(SimDisk::Loss::kOfPower), "log-repair refuse\n"), "start it with --log-repair rejoin"));
  const std::string cut = start_of(damaged.left_by(SimDisk::Loss::kOfPower), "log-repair cut\n");
  EXPECT_TRUE(has(cut, "forgets votes")) << cut;
  EXPECT_TRUE(has(cut, "--log-repair rejoin")) << cut;
  EXPECT_EQ(start_of(damaged.left_by(SimDisk::Loss::kOfPower), "log-repair rejoin\n"), "starts as another one");
  // Once.
  SimDisk again = damaged.left_by(SimDisk::Loss::kOfPower);
  ASSERT_TRUE(again.create("node.identity.0123456789abcdef.damaged").ok());
  EXPECT_TRUE(has(start_of(std::move(again), "log-repair rejoin\n"), "has retired here before"));
  // Nothing in front of the damage says who the members are, with or without a log that is asked for.
  constexpr std::string_view kNobody = "nothing that can be read says who the members are";
  const std::pair<const char*, std::string_view> kTold[] = {
      {"log-repair rejoin\n", kNobody}, {"appendonly no\nlog-repair rejoin\n", kNobody}, {"log-repair cut\n", "--log-repair rejoin"}, {"", "--log-repair rejoin"}};
  for (const auto& [more, told] : kTold) {
    SimDisk unreadable = disk.left_by(SimDisk::Loss::kOfPower);
    unreadable.flip_bit(file, records[0] + RecordHeader::kSize, 2);
    const std::string text = start_of(std::move(unreadable), more);
    EXPECT_TRUE(has(text, told)) << text;
  }
  SimDisk stranger = disk.left_by(SimDisk::Loss::kOfPower);
  stranger.flip_bit("node.identity", 20, 2);
  EXPECT_TRUE(has(start_of(std::move(stranger), ""), "node.identity: damaged"));
}

TEST(DamagedLogWorld, a_member_without_which_the_others_cannot_do_is_refused) {
  CalmCluster cluster(synced(2));
  fill(cluster, "kept");
  cluster.world().kill_now(1);
  SimDisk& disk = cluster.world().disk(1);
  const std::string file = newest(disk, ParsedName::Kind::kSegment);
  const std::vector<uint64_t> records = proven_records(disk, file);
  ASSERT_GT(records.size(), 10u);
  disk.flip_bit(file, records[records.size() * 4 / 5], 2);
  const std::string text = start_of(disk.left_by(SimDisk::Loss::kOfPower), "log-repair rejoin\n");
  EXPECT_NE(text.find("QUORUM UNSAFE-RECOVER"), std::string::npos) << text;
}

}  // namespace
}  // namespace quorate::sim
