// Records of groups: what a bare log keeps, and what is made of it at start.
#include "cluster/group_record.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace quorate {
namespace {

constexpr raft::GroupId kPartition{3};
constexpr raft::GroupId kMeta{9};
constexpr raft::ReplicaId kReplica{7};

raft::Configuration sole_voter() {
  return {.incoming = {.voters = {{.replica = kReplica, .node = {1}}}}};
}

GroupBase base_of(raft::GroupId group, std::optional<std::string> state = std::nullopt) {
  return {.group = group, .replica = kReplica, .mark = raft::bootstrap(sole_voter()).base, .state = std::move(state)};
}

GroupWrite entry_of(raft::GroupId group, uint64_t index, std::string_view payload = "batch") {
  GroupWrite write;
  write.group = group;
  write.write.append.push_back(
      {.term = {1}, .index = {index}, .payload = SharedBytes(payload), .kind = raft::EntryKind::kCommand});
  return write;
}

GroupWrite term_of(raft::GroupId group, uint64_t term) {
  GroupWrite write;
  write.group = group;
  write.write.hard_state = raft::bootstrap(sole_voter()).hard_state;
  write.write.hard_state->term = {term};
  return write;
}

std::string encoded(const std::vector<GroupBase>& bases, const std::vector<GroupWrite>& writes, Keeping keeping) {
  Buffer out;
  encode({.bases = bases, .writes = writes, .keeping = keeping, .meta = kMeta}, out);
  return std::string(out.view());
}

TEST(GroupRecord, ABareLogHasNoRecordForEntriesOfPartitions) {
  EXPECT_EQ(encoded({}, {entry_of(kPartition, 2)}, Keeping::kBare), "");
  EXPECT_NE(encoded({}, {entry_of(kPartition, 2)}, Keeping::kAll), "");
  EXPECT_NE(encoded({}, {entry_of(kMeta, 2)}, Keeping::kBare), "");
}

TEST(GroupRecord, ABareLogKeepsTermsReplicasAndTheMetaGroup) {
  GroupRecovery recovery;
  ASSERT_TRUE(recovery
                  .record(encoded({base_of(kPartition, "a state that is too large to keep"), base_of(kMeta, "members")},
                                  {entry_of(kPartition, 2), entry_of(kMeta, 2), term_of(kPartition, 4)}, Keeping::kBare))
                  .ok());
  EXPECT_TRUE(recovery.is_bare());
  const GroupRecovery::Found& partition = recovery.groups().at(kPartition);
  EXPECT_EQ(partition.replica, kReplica);
  EXPECT_EQ(partition.restored.hard_state.term.value, 4u);
  EXPECT_EQ(partition.restored.hard_state.configuration.configuration, sole_voter());
  EXPECT_TRUE(partition.restored.base.last.index.none());
  EXPECT_TRUE(partition.restored.entries.empty());
  EXPECT_FALSE(partition.state.has_value());
  EXPECT_EQ(partition.restored.start, raft::StartKind::kMayHaveForgotten);
  const GroupRecovery::Found& meta = recovery.groups().at(kMeta);
  EXPECT_EQ(meta.state, "members");
  EXPECT_EQ(meta.restored.entries.size(), 1u);
  EXPECT_EQ(meta.restored.start, raft::StartKind::kRemembers);
}

TEST(GroupRecord, AReplicaOfABareLogWithoutAHardStateKnowsItsConfiguration) {
  GroupRecovery recovery;
  ASSERT_TRUE(recovery.record(encoded({base_of(kPartition)}, {}, Keeping::kBare)).ok());
  const raft::HardState& hard_state = recovery.groups().at(kPartition).restored.hard_state;
  EXPECT_EQ(hard_state.term.value, 1u);
  EXPECT_EQ(hard_state.configuration.configuration, sole_voter());
}

// A core begins with what a bare log gives, and is RECOVERING.
TEST(GroupRecord, AReplicaOfABareLogStartsForgetful) {
  GroupRecovery recovery;
  ASSERT_TRUE(recovery.record(encoded({base_of(kPartition)}, {term_of(kPartition, 4)}, Keeping::kBare)).ok());
  raft::Core core({.group = kPartition, .self = {.replica = kReplica, .node = {1}}},
                  std::move(recovery.groups().at(kPartition).restored), 1);
  raft::Output output;
  core.step({.steady_us = 1, .unix_ms = 1}, raft::in::Start{}, output);
  EXPECT_EQ(core.standing(), raft::Standing::kRecovering);
  ASSERT_TRUE(output.write.hard_state.has_value());
  EXPECT_GE(output.write.hard_state->term.value, 4u);
}

TEST(GroupRecord, WhatASnapshotDoesNotShowStandsBehindTheBase) {
  GroupBase base = base_of(kPartition);
  base.beside = "rows";
  const std::vector<GroupWrite> writes = {entry_of(kPartition, 2), term_of(kPartition, 4)};
  GroupRecovery recovery;
  ASSERT_TRUE(recovery.record(encoded({base, base_of(kMeta, "members")}, writes, Keeping::kAll)).ok());
  EXPECT_EQ(recovery.groups().at(kPartition).beside, "rows");
  EXPECT_EQ(recovery.groups().at(kPartition).restored.entries.size(), 1u);
  // A later base is another state.
  ASSERT_TRUE(recovery.record(encoded({base_of(kPartition, "state")}, {}, Keeping::kAll)).ok());
  EXPECT_EQ(recovery.groups().at(kPartition).beside, "");
  EXPECT_EQ(encoded({base}, {}, Keeping::kBare), encoded({base_of(kPartition)}, {}, Keeping::kBare));
}

TEST(GroupRecord, ALogThatBecomesBareGivesUpWhatItKept) {
  GroupRecovery recovery;
  ASSERT_TRUE(recovery.record(encoded({base_of(kPartition), base_of(kMeta, "members")}, {entry_of(kPartition, 2)}, Keeping::kAll)).ok());
  EXPECT_FALSE(recovery.is_bare());
  EXPECT_EQ(recovery.groups().at(kPartition).restored.entries.size(), 1u);
  Buffer beginning;
  encode_bare_beginning(kMeta, beginning);
  ASSERT_TRUE(recovery.record(beginning.view()).ok());
  EXPECT_TRUE(recovery.is_bare());
  EXPECT_TRUE(recovery.groups().at(kPartition).restored.entries.empty());
  EXPECT_EQ(recovery.groups().at(kPartition).restored.start, raft::StartKind::kMayHaveForgotten);
  // Entries that come again do not follow from what is there; they wait for a whole snapshot.
  ASSERT_TRUE(recovery.record(encoded({}, {entry_of(kPartition, 9), term_of(kPartition, 5)}, Keeping::kAll)).ok());
  EXPECT_TRUE(recovery.groups().at(kPartition).restored.entries.empty());
  EXPECT_EQ(recovery.groups().at(kPartition).restored.hard_state.term.value, 5u);
  // The meta group's do follow.
  ASSERT_TRUE(recovery.record(encoded({}, {entry_of(kMeta, 2)}, Keeping::kBare)).ok());
  EXPECT_EQ(recovery.groups().at(kMeta).restored.entries.size(), 1u);
  EXPECT_FALSE(recovery.record(encoded({}, {entry_of(kMeta, 9)}, Keeping::kBare)).ok());
}

std::string encoded_pieces(const std::vector<GroupPiece>& pieces, const std::vector<GroupBase>& bases = {}, Keeping keeping = Keeping::kAll) {
  Buffer out;
  encode({.pieces = pieces, .bases = bases, .keeping = keeping, .meta = kMeta}, out);
  return std::string(out.view());
}

GroupBase base_of_pieces(uint64_t bytes) {
  GroupBase base = base_of(kPartition);
  base.bytes_in_pieces = bytes;
  return base;
}

TEST(GroupRecord, AStateMayStandInPiecesBeforeItsBase) {
  GroupRecovery recovery;
  ASSERT_TRUE(recovery.record(encoded_pieces({{kPartition, 0, "given up"}})).ok());
  EXPECT_FALSE(recovery.groups().contains(kPartition));
  ASSERT_TRUE(recovery.record(encoded_pieces({{kPartition, 0, "a st"}})).ok());
  ASSERT_TRUE(recovery.record(encoded_pieces({{raft::GroupId{4}, 0, "another's"}})).ok());
  ASSERT_TRUE(recovery.record(encoded_pieces({{kPartition, 4, "ate"}}, {base_of_pieces(7)})).ok());
  EXPECT_EQ(recovery.groups().at(kPartition).state, "a state");
  EXPECT_FALSE(recovery.groups().contains({4}));
  // They are of one base only.
  EXPECT_FALSE(recovery.record(encoded_pieces({}, {base_of_pieces(7)})).ok());
  ASSERT_TRUE(recovery.record(encoded_pieces({}, {base_of_pieces(0)})).ok());
  EXPECT_EQ(recovery.groups().at(kPartition).state, "");
}

TEST(GroupRecord, PiecesThatDoNotFollowEachOtherAreDamage) {
  GroupRecovery recovery;
  EXPECT_FALSE(recovery.record(encoded_pieces({{kPartition, 4, "ate"}})).ok());
  ASSERT_TRUE(recovery.record(encoded_pieces({{kPartition, 0, "a st"}})).ok());
  EXPECT_FALSE(recovery.record(encoded_pieces({{kPartition, 3, "tate"}})).ok());
  EXPECT_FALSE(recovery.record(encoded_pieces({}, {base_of_pieces(7)})).ok());
}

TEST(GroupRecord, ABareLogHasNoPieces) {
  EXPECT_EQ(encoded_pieces({{kPartition, 0, "a state"}}, {}, Keeping::kBare), "");
  GroupRecovery recovery;
  ASSERT_TRUE(recovery.record(encoded_pieces({{kPartition, 0, "a state"}}, {base_of_pieces(7)}, Keeping::kBare)).ok());
  EXPECT_FALSE(recovery.groups().at(kPartition).state.has_value());
  // A log that was bare counts nothing of what follows, until a whole snapshot.
  ASSERT_TRUE(recovery.record(encoded_pieces({}, {base_of_pieces(7)})).ok());
  EXPECT_FALSE(recovery.groups().at(kPartition).state.has_value());
}

TEST(GroupRecord, AMarkerIsReadBackAndAKindOfALaterVersionIsRefused) {
  GroupWrite marker = entry_of(kPartition, 2, "");
  marker.write.append[0].kind = raft::EntryKind::kMarker;
  GroupRecovery recovery;
  ASSERT_TRUE(recovery.record(encoded({base_of(kPartition)}, {marker}, Keeping::kAll)).ok());
  const raft::Restored& restored = recovery.groups().at(kPartition).restored;
  ASSERT_EQ(restored.entries.size(), 1u);
  EXPECT_EQ(restored.entries[0].kind, raft::EntryKind::kMarker);
  marker.write.append[0].kind = static_cast<raft::EntryKind>(static_cast<uint8_t>(raft::EntryKind::kMarker) + 1);
  EXPECT_FALSE(GroupRecovery().record(encoded({base_of(kPartition)}, {marker}, Keeping::kAll)).ok());
}

}  // namespace
}  // namespace quorate
