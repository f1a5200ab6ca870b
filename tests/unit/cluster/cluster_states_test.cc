// States of partitions that travel in many pieces: they arrive whole or not at all, whatever ends meanwhile.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cluster/state_pieces.h"
#include "tests/unit/cluster/cluster_world.h"

namespace quorate {
namespace {

StatePiece some_piece() {
  raft::Configuration configuration;
  configuration.incoming.voters = {{.replica = {7}, .node = {1}}};
  raft::SnapshotMark mark = raft::bootstrap(std::move(configuration)).base;
  return {.group = {3}, .sender = {7}, .term = {9}, .number = 11, .size = 20, .offset = 0, .mark = std::move(mark), .bytes = "0123456789"};
}

std::string encoded(const StatePiece& piece) {
  Buffer out;
  encode_head(piece, out);
  out.append(piece.bytes);
  return std::string(out.view());
}

TEST(StatePieces, what_is_said_comes_back_or_is_refused) {
  const StatePiece first = some_piece();
  const std::string whole = encoded(first);
  const StatePiece again = decode_state_piece(whole, kPartitions).value();   // a view of it
  EXPECT_EQ(again.group, first.group);
  EXPECT_EQ(again.sender, first.sender);
  EXPECT_EQ(again.term, first.term);
  EXPECT_EQ(again.number, 11u);
  EXPECT_EQ(again.size, 20u);
  EXPECT_EQ(again.mark->chain, first.mark->chain);
  EXPECT_EQ(again.bytes, first.bytes);
  StatePiece last = first;
  last.offset = 10;
  last.mark.reset();
  EXPECT_EQ(decode_state_piece(encoded(last), kPartitions).value().offset, 10u);
  last.offset = 11;
  EXPECT_FALSE(decode_state_piece(encoded(last), kPartitions).ok());   // beyond the end
  last.offset = 21;
  EXPECT_FALSE(decode_state_piece(encoded(last), kPartitions).ok());
  last.offset = 10;
  last.bytes = {};
  EXPECT_FALSE(decode_state_piece(encoded(last), kPartitions).ok());
  EXPECT_FALSE(decode_state_piece(encoded(first), 2).ok());
  StatePiece early = first;
  early.term = {};
  EXPECT_FALSE(decode_state_piece(encoded(early), kPartitions).ok());
  const std::string bytes = encoded(first);
  for (size_t size = 0; size < bytes.size() - first.bytes.size(); ++size) {
    EXPECT_FALSE(decode_state_piece(bytes.substr(0, size), kPartitions).ok()) << size;
  }

  Buffer out;
  encode(StateTaken{.what = StateTaken::What::kLost, .group = {3}, .term = {9}, .number = 11, .bytes = 5}, out);
  const StateTaken taken = decode_state_taken(out.view(), kPartitions).value();
  EXPECT_EQ(taken.what, StateTaken::What::kLost);
  EXPECT_EQ(taken.number, 11u);
  EXPECT_EQ(taken.bytes, 5u);
  for (size_t size = 0; size < out.size(); ++size) EXPECT_FALSE(decode_state_taken(out.view().substr(0, size), kPartitions).ok());
}

TEST(StatePieces, a_state_is_cut_into_pieces_whatever_it_was_made_of) {
  StateBytes state(4);
  EXPECT_EQ(state.piece_at(0), "");
  for (const std::string_view bytes : {"a", "", "bcd", "efghijkl", "mn"}) state.append(bytes);
  EXPECT_EQ(state.size(), 14u);
  EXPECT_EQ(state.piece_at(0), "abcd");
  EXPECT_EQ(state.piece_at(4), "efgh");
  EXPECT_EQ(state.piece_at(8), "ijkl");
  EXPECT_EQ(state.piece_at(12), "mn");
}

TEST(StatePieces, pieces_come_out_in_their_order_and_only_the_next_one_goes_in) {
  StatePiece piece = some_piece();
  ComingState coming(1, piece);
  EXPECT_TRUE(coming.follows(piece));
  coming.take(piece);
  EXPECT_FALSE(coming.is_whole());
  EXPECT_FALSE(coming.follows(piece));
  EXPECT_FALSE(coming.has_all_of(1, piece));
  piece.offset = 10;
  piece.bytes = "abcdefghij";
  EXPECT_TRUE(coming.is_of(1, piece));
  EXPECT_FALSE(coming.is_of(2, piece));
  EXPECT_TRUE(coming.follows(piece));
  coming.take(piece);
  EXPECT_TRUE(coming.is_whole());
  EXPECT_EQ(coming.taken().bytes, 20u);
  EXPECT_EQ(coming.next_piece(), "0123456789");
  EXPECT_EQ(coming.read(), 10u);
  EXPECT_EQ(coming.next_piece(), "abcdefghij");
  EXPECT_FALSE(coming.has_more());
  // The same begins once more, since a connection broke.
  StatePiece anew = some_piece();
  ++anew.number;
  EXPECT_FALSE(coming.is_of(1, anew));
  EXPECT_TRUE(coming.has_all_of(1, anew));
  EXPECT_FALSE(coming.has_all_of(2, anew));
  ++anew.term.value;
  EXPECT_FALSE(coming.has_all_of(1, anew));
}

// Two nodes, of which one partition holds more than the others; states take about a hundred pieces.
struct Crowd {
  static constexpr uint32_t kLarge = 5;
  World world;

  explicit Crowd(int words = 50) {
    world.states = {.piece_bytes = 8, .in_flight_bytes_max = 24};
    found(world, 2, 2);
    for (int word = 0; word < words; ++word) {
      EXPECT_TRUE(world.write_until_done(kLarge, "word" + std::to_string(word), "a value")) << world.notes;
    }
  }
  // Node 3 joins; stops when some of the large partition has come.
  void join_until_some_has_come() {
    world.boot(3, {1});
    ASSERT_TRUE(world.run_until(20'000'000, [&] { return is_coming(); })) << world.notes;
  }
  bool is_coming() { return world.at(3).partitions().coming_bytes() > 500; }
  bool is_placed() {
    return world.run_until(30'000'000, [&] { return world.is_placed(3); });
  }
};

TEST(ClusterStates, a_state_arrives_in_pieces) {
  Crowd crowd;
  crowd.join_until_some_has_come();
  EXPECT_TRUE(crowd.world.data(3).words[Crowd::kLarge].empty());
  EXPECT_TRUE(crowd.is_placed()) << crowd.world.notes;
  EXPECT_EQ(crowd.world.data(3).installed, size_t{kPartitions});
  EXPECT_EQ(crowd.world.data(3).readings, 0);
  EXPECT_EQ(crowd.world.at(3).partitions().coming_bytes(), 0u);
}

TEST(ClusterStates, a_node_that_was_given_states_in_pieces_starts_with_them) {
  Crowd crowd;
  crowd.join_until_some_has_come();
  ASSERT_TRUE(crowd.is_placed()) << crowd.world.notes;
  crowd.world.run(100'000);
  crowd.world.kill(3);
  crowd.world.boot(3);
  EXPECT_EQ(crowd.world.data(3).words[Crowd::kLarge].size(), 51u);
  EXPECT_TRUE(crowd.is_placed()) << crowd.world.notes;
  EXPECT_EQ(crowd.world.data(3).installed, 0u);
}

TEST(ClusterStates, a_process_that_ends_between_the_pieces_has_nothing_of_them) {
  Crowd crowd;
  crowd.join_until_some_has_come();
  for (int times = 0; times < 4; ++times) {
    ASSERT_TRUE(crowd.world.run_until(20'000'000, [&] { return crowd.is_coming(); })) << crowd.world.notes;
    // While they come, and while they are read.
    crowd.world.run(5'000 * times);
    crowd.world.kill(3);
    crowd.world.boot(3);
  }
  EXPECT_TRUE(crowd.is_placed()) << crowd.world.notes;
}

TEST(ClusterStates, pieces_that_went_with_their_connection_are_sent_again) {
  Crowd crowd;
  crowd.join_until_some_has_come();
  for (int times = 0; times < 4; ++times) {
    crowd.world.run(7'000 * times);
    crowd.world.isolate(3);
    crowd.world.isolate(0);
  }
  EXPECT_TRUE(crowd.is_placed()) << crowd.world.notes;
  EXPECT_EQ(crowd.world.at(3).partitions().coming_bytes(), 0u);
}

TEST(ClusterStates, what_is_written_while_a_state_comes_follows_it) {
  Crowd crowd;
  crowd.join_until_some_has_come();
  for (int word = 0; word < 10; ++word) {
    EXPECT_TRUE(crowd.world.write_until_done(Crowd::kLarge, "later" + std::to_string(word), "x")) << crowd.world.notes;
  }
  EXPECT_TRUE(crowd.is_placed()) << crowd.world.notes;
  EXPECT_EQ(crowd.world.data(3).words[Crowd::kLarge].size(), 61u);
}

// A replica that starts over gets its state from whoever leads.
TEST(ClusterStates, a_leader_that_ends_takes_what_it_has_sent_with_it) {
  Crowd crowd;
  World& world = crowd.world;
  world.boot(3, {1});
  ASSERT_TRUE(crowd.is_placed()) << world.notes;
  const NodeId leader = world.leader_of(Crowd::kLarge);
  const NodeId other = leader % 3 + 1;
  ASSERT_NE(leader, 0u);
  contradict(world, leader, other);
  ASSERT_TRUE(world.run_until(20'000'000, [&] { return world.at(other).partitions().coming_bytes() > 500; })) << world.notes;
  world.kill(leader);
  // The third one alone cannot lead: the other one does not vote before it holds again what it had.
  world.run(2'000'000);
  EXPECT_TRUE(world.data(other).words[Crowd::kLarge].empty());
  world.boot(leader);
  EXPECT_TRUE(crowd.is_placed()) << world.notes;
  EXPECT_EQ(world.data(other).words[Crowd::kLarge].size(), 51u);
}

TEST(ClusterStates, a_state_that_is_too_large_is_refused_until_it_may_come) {
  Crowd crowd;
  World& world = crowd.world;
  world.boot(3, {1});
  world.at(3).partitions().set_state_bytes_max(200);
  world.run(10'000'000);
  EXPECT_TRUE(world.data(3).words[Crowd::kLarge].empty());
  EXPECT_NE(world.notes.find("is more than max-state-bytes"), std::string::npos) << world.notes;
  // The others have come, one after the other.
  EXPECT_EQ(world.data(3).installed, size_t{kPartitions - 1});
  world.at(3).partitions().set_state_bytes_max(2000);
  EXPECT_TRUE(world.run_until(40'000'000, [&] { return world.is_placed(3); })) << world.notes;
}

// The large partition's leader and one of the others, which is going to need its state.
struct Lack {
  Crowd crowd;
  World& world = crowd.world;
  NodeId leader = 0;
  NodeId other = 0;
  size_t encodings_before = 0;

  Lack() {
    world.boot(3, {1});
    EXPECT_TRUE(crowd.is_placed()) << world.notes;
    leader = world.leader_of(Crowd::kLarge);
    other = leader % 3 + 1;
  }
  // The other one begins anew, with nothing.
  void start_over() {
    encodings_before = world.data(leader).encodings[Crowd::kLarge];
    contradict(world, leader, other);
    EXPECT_TRUE(world.run_until(10'000'000, [&] { return world.data(other).words[Crowd::kLarge].empty(); })) << world.notes;
  }
  // That were begun since.
  size_t encodings() { return world.data(leader).encodings[Crowd::kLarge] - encodings_before; }
  bool has_state() { return world.data(other).words[Crowd::kLarge].size() == 51; }
};

// So much room at the node is taken by a state of another partition, of which nothing more comes.
void take_room(Lack& lack, uint64_t bytes) {
  constexpr uint32_t kPartition = Crowd::kLarge + 1;
  World& world = lack.world;
  const raft::Core& own = *world.at(lack.other).partitions().core(kPartition);
  raft::SnapshotMark mark = *world.at(lack.other).partitions().state_mark(kPartition);
  mark.last.index.value += 1000;
  mark.last.term = own.term();
  const StatePiece first{.group = group_of_partition(kPartition),
                         .sender = world.at(lack.leader).partitions().core(kPartition)->options().self.replica,
                         .term = own.term(),
                         .number = 1'000'000,
                         .size = bytes,
                         .mark = mark,
                         .bytes = "x"};
  const std::string piece = encoded(first);
  ASSERT_TRUE(world.at(lack.other).partitions().receive(world.now, lack.leader, Partitions::kSnapshot, piece).ok());
  ASSERT_EQ(world.at(lack.other).partitions().coming_bytes(), bytes);
}

TEST(ClusterStates, a_state_for_which_there_is_no_room_is_not_made_until_there_is) {
  Lack lack;
  World& world = lack.world;
  world.at(lack.other).partitions().set_state_bytes_max(2000);
  take_room(lack, 1900);
  lack.start_over();
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return lack.encodings() != 0; })) << world.notes;
  world.run(1'000'000);
  const size_t encodings = lack.encodings();
  EXPECT_FALSE(lack.has_state());
  world.run(15'000'000);
  EXPECT_EQ(lack.encodings(), encodings);
  EXPECT_FALSE(lack.has_state());
  // What did not come is given up, and at once it is told that there is room.
  EXPECT_TRUE(world.run_until(20'000'000, [&] { return lack.world.at(lack.other).partitions().coming_bytes() == 0; }));
  EXPECT_TRUE(world.run_until(1'000'000, [&] { return lack.has_state(); })) << world.notes;
  EXPECT_TRUE(lack.crowd.is_placed()) << world.notes;
}

TEST(ClusterStates, room_that_a_setting_gives_is_told_too) {
  Lack lack;
  World& world = lack.world;
  world.at(lack.other).partitions().set_state_bytes_max(2000);
  take_room(lack, 1900);
  lack.start_over();
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return lack.encodings() != 0; })) << world.notes;
  world.run(2'000'000);
  EXPECT_FALSE(lack.has_state());
  world.at(lack.other).partitions().set_state_bytes_max(4000);
  EXPECT_TRUE(world.run_until(1'000'000, [&] { return lack.has_state(); })) << world.notes;
}

TEST(ClusterStates, a_state_whose_acknowledgement_is_held_back_is_sent_once) {
  Lack lack;
  World& world = lack.world;
  for (const NodeId id : {NodeId{1}, NodeId{2}, NodeId{3}}) world.at(id).set_kept_mode(world.now, raft::Durability::kSynced);
  ASSERT_NE(world.at(2).meta().propose(meta::SetSettings{{{"appendonly", "yes"}, {"appendfsync", "always"}}}), 0u);
  const Partitions& others = world.at(lack.other).partitions();
  ASSERT_TRUE(world.run_until(5'000'000, [&] { return others.mode_version(Crowd::kLarge) == 1; })) << world.notes;
  world.at(lack.other).set_kept_mode(world.now, raft::Durability::kMemory);
  lack.start_over();
  ASSERT_TRUE(world.run_until(10'000'000, [&] { return lack.has_state(); })) << world.notes;
  const size_t encodings = lack.encodings();
  world.run(20'000'000);
  EXPECT_EQ(lack.encodings(), encodings);
  // Nor is it kept for nobody.
  EXPECT_EQ(world.at(lack.leader).partitions().state_bytes(), 0u);
  world.at(lack.other).set_kept_mode(world.now, raft::Durability::kSynced);
  EXPECT_TRUE(world.write_until_done(Crowd::kLarge, "later", "x")) << world.notes;
  EXPECT_TRUE(lack.crowd.is_placed()) << world.notes;
}

}  // namespace
}  // namespace quorate
