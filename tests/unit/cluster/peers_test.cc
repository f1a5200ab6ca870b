// Nodes that find each other over a network made of queues: dialling, letting in, replacing, refusing.
#include "cluster/peers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace quorate {
namespace {

constexpr ClusterId kCluster = {'c'};

// Sockets between some nodes, by address; every byte arrives at once unless the wire is cut.
class Net {
 public:
  Peers& add(uint64_t node, uint64_t incarnation = 1, const ClusterId& cluster = kCluster) {
    Bytes32 nonce_key{};
    nonce_key[0] = static_cast<char>(node);
    nonce_key[1] = static_cast<char>(incarnation);
    nodes_[node] = std::make_unique<Peers>(PeersOptions{.cluster = cluster,
                                                        .partitions = 16,
                                                        .node = node,
                                                        .incarnation = incarnation,
                                                        .seed = node,
                                                        .secret = secret,
                                                        .nonce_key = nonce_key});
    return *nodes_[node];
  }
  Peers& at(uint64_t node) { return *nodes_.at(node); }
  static PeerAddress address(uint64_t node) { return {.host = "host", .port = static_cast<uint16_t>(node)}; }
  void stop(uint64_t node) {
    cut(node);
    nodes_.erase(node);
  }
  // All its connections break.
  void cut(uint64_t node) {
    for (auto wire = wires_.begin(); wire != wires_.end();) {
      if (wire->first.first != node && wire->second.first != node) {
        ++wire;
        continue;
      }
      const auto other = wire->second;
      const auto own = wire->first;
      wires_.erase(wire);
      wires_.erase(other);
      at(own.first).closed(now, own.second);
      at(other.first).closed(now, other.second);
      wire = wires_.begin();
    }
  }
  // Its connections break, and only who was dialled hears of it.
  void cut_at_one_end(uint64_t node) {
    for (auto& [other, peers] : nodes_) {
      for (auto wire = wires_.begin(); wire != wires_.end();) {
        const auto [own, end] = *wire;
        if (own.first != std::min(node, other) || end.first != std::max(node, other)) {
          ++wire;
          continue;
        }
        wires_.erase(own);
        wires_.erase(end);
        at(end.first).closed(now, end.second);
        wire = wires_.begin();
      }
    }
  }
  void know_each_other() {
    for (auto& [node, peers] : nodes_) {
      std::vector<PeerTarget> members;
      for (const auto& [other, unused] : nodes_) {
        if (other != node) members.push_back({other, address(other)});
      }
      peers->set_members(now, members);
    }
  }
  // Two members with all their lines.
  void begin_with_two() {
    add(1);
    add(2);
    know_each_other();
    run();
  }
  // The process is gone; what it has sent comes with deliver_late(), and nobody is told.
  void vanish(uint64_t node) {
    at(node).end_turn();
    for (const ConnectionId id : std::exchange(at(node).output().flush, {})) {
      const auto wire = wires_.find({node, id});
      if (wire == wires_.end()) continue;
      late_.emplace_back(wire->second, std::string(at(node).output_of(id).view()));
    }
    std::erase_if(wires_, [&](const auto& wire) { return wire.first.first == node || wire.second.first == node; });
    nodes_.erase(node);
  }
  void deliver_late() {
    for (const auto& [to, bytes] : std::exchange(late_, {})) at(to.first).received(now, to.second, bytes);
  }
  // All connections are gone, and nobody is told.
  void lose_wires() { wires_.clear(); }
  // The same, of this one only.
  void lose_wire(uint64_t node, ConnectionId connection) {
    const auto wire = wires_.find({node, connection});
    wires_.erase(wire->second);
    wires_.erase({node, connection});
  }
  // Lets everything happen that does not need time.
  void run() {
    for (int round = 0; round < 20; ++round) {
      for (auto& [node, peers] : nodes_) turn(node, *peers);
    }
  }
  void pass(int64_t microseconds) {
    const int64_t end = now.steady_us + microseconds;
    while (true) {
      run();
      int64_t deadline = kNever;
      for (auto& [node, peers] : nodes_) deadline = std::min(deadline, peers->deadline());
      if (deadline > end) break;
      now.steady_us = std::max(now.steady_us, deadline);
      for (auto& [node, peers] : nodes_) peers->tick(now);
    }
    now.steady_us = end;
  }
  // "2 up data", in order, since the last call.
  std::vector<std::string> events_of(uint64_t node) {
    std::vector<std::string> told;
    told.swap(events_[node]);
    return told;
  }
  std::vector<std::string> messages_of(uint64_t node) {
    std::vector<std::string> told;
    told.swap(messages_[node]);
    return told;
  }
  size_t wires() const { return wires_.size() / 2; }

  Instant now{.steady_us = 1'000'000, .unix_ms = 0};
  bool is_listening = true;
  bool is_silent = false;          // attempts to connect are answered by nobody
  std::optional<Bytes32> secret;   // of nodes that are added

 private:
  using End = std::pair<uint64_t, ConnectionId>;

  void turn(uint64_t node, Peers& peers) {
    Peers::Incoming incoming;
    while (peers.next(incoming)) {
      messages_[node].push_back(std::to_string(incoming.node) + (incoming.is_guest ? " guest " : " ") +
                                std::string(incoming.message.bytes));
    }
    for (const PeerEvent& event : peers.events()) {
      constexpr const char* kKinds[] = {"up", "down", "refused", "restarted"};
      std::string text = std::to_string(event.node) + " " + kKinds[static_cast<size_t>(event.kind)];
      text += event.lane == PeerLane::kData ? " data" : event.lane == PeerLane::kBeats    ? " beats"
              : event.lane == PeerLane::kPubsub ? " pub/sub"
                                                : "";
      if (event.refusal != Refusal::kNone) text += ": " + std::string(refusal_text(event.refusal));
      events_[node].push_back(text);
    }
    peers.events().clear();
    peers.end_turn();
    PeersOutput output = std::move(peers.output());
    peers.output() = {};
    for (const auto& dial : output.dial) connect(node, dial);
    for (const ConnectionId id : output.flush) carry({node, id}, peers.output_of(id));
    for (auto& close : output.close) {
      carry({node, close.connection}, close.last_words);
      const auto wire = wires_.find({node, close.connection});
      if (wire == wires_.end()) continue;
      const End other = wire->second;
      wires_.erase(wire);
      wires_.erase(other);
      at(other.first).closed(now, other.second);
    }
  }
  void connect(uint64_t node, const PeersOutput::Dial& dial) {
    const auto target = nodes_.find(dial.address.port);
    ConnectionId accepted = 0;
    if (is_silent) return;
    if (target != nodes_.end() && is_listening) accepted = target->second->accepted(now, {.host = "host", .port = static_cast<uint16_t>(50'000 + node)});
    if (accepted == 0) {
      at(node).closed(now, dial.connection);
      return;
    }
    wires_[{node, dial.connection}] = {target->first, accepted};
    wires_[{target->first, accepted}] = {node, dial.connection};
    at(node).dialled(now, dial.connection);
  }
  // Of these no message is so large that it is not copied.
  template <class Bytes>
  void carry(const End& from, Bytes& bytes) {
    const auto wire = wires_.find(from);
    if (wire != wires_.end()) at(wire->second.first).received(now, wire->second.second, bytes.view());
    bytes.clear();
  }

  std::map<uint64_t, std::unique_ptr<Peers>> nodes_;
  std::map<End, End> wires_;
  std::vector<std::pair<End, std::string>> late_;
  std::map<uint64_t, std::vector<std::string>> events_;
  std::map<uint64_t, std::vector<std::string>> messages_;
};

using Words = std::vector<std::string>;

// The two lanes of a node come up in any order.
Words sorted(Words words) {
  std::sort(words.begin(), words.end());
  return words;
}

TEST(Peers, members_get_one_connection_a_lane_and_the_smaller_id_dials) {
  Net net;
  net.add(1);
  net.add(2);
  net.add(3);
  net.know_each_other();
  net.run();
  EXPECT_EQ(net.wires(), 9u);
  EXPECT_EQ(net.events_of(1), (Words{"2 up data", "2 up beats", "2 up pub/sub", "3 up data", "3 up beats", "3 up pub/sub"}));
  net.at(3).link(1, PeerLane::kData)->add(1, "hello");
  net.at(1).link(3, PeerLane::kBeats)->add(1, "beat");
  net.run();
  EXPECT_EQ(net.messages_of(1), Words{"3 hello"});
  EXPECT_EQ(net.messages_of(3), Words{"1 beat"});
}

TEST(Peers, a_broken_connection_is_told_and_made_again) {
  Net net;
  net.begin_with_two();
  net.events_of(1);
  net.cut(2);
  net.run();
  EXPECT_EQ(sorted(net.events_of(1)), (Words{"2 down beats", "2 down data", "2 down pub/sub"}));
  EXPECT_EQ(net.at(1).link(2, PeerLane::kData), nullptr);
  net.pass(100'000);
  EXPECT_EQ(sorted(net.events_of(1)), (Words{"2 up beats", "2 up data", "2 up pub/sub"}));
}

TEST(Peers, a_line_that_says_nothing_any_more_is_made_anew) {
  Net net;
  net.begin_with_two();
  net.events_of(1);
  net.pass(60'000'000);
  EXPECT_EQ(net.events_of(1), Words{});
  net.cut_at_one_end(2);
  net.pass(700'000);
  EXPECT_EQ(net.events_of(1), Words{});
  EXPECT_EQ(net.at(2).link(1, PeerLane::kData), nullptr);
  // The line of beats is found dead first; with the next one the others are, that were last heard before it.
  net.pass(1'000'000);
  EXPECT_EQ(sorted(net.events_of(1)), (Words{"2 down beats", "2 down data", "2 down pub/sub", "2 up beats", "2 up data", "2 up pub/sub"}));
  EXPECT_NE(net.at(2).link(1, PeerLane::kData), nullptr);
}

TEST(Peers, a_line_that_was_heard_since_stays_when_that_of_beats_is_made_anew) {
  Net net;
  net.begin_with_two();
  net.events_of(1);
  net.lose_wire(1, 2);   // the second lane
  for (int turn = 0; turn < 20; ++turn) {
    for (const uint64_t node : {1, 2}) {
      net.at(node).link(3 - node, PeerLane::kData)->add(1, "data");
      net.at(node).link(3 - node, PeerLane::kPubsub)->add(1, "data");
    }
    net.pass(100'000);
  }
  EXPECT_EQ(net.events_of(1), (Words{"2 down beats", "2 up beats"}));
}

// TCP itself would try again after ever longer.
TEST(Peers, an_attempt_that_nobody_answers_is_begun_anew) {
  Net net;
  net.begin_with_two();
  net.is_silent = true;
  net.lose_wires();
  net.pass(20'000'000);
  net.is_silent = false;
  net.pass(2'500'000);
  for (const PeerLane lane : {PeerLane::kData, PeerLane::kBeats, PeerLane::kPubsub}) EXPECT_TRUE(net.at(1).is_up(2, lane));
}

TEST(Peers, who_stood_still_itself_takes_nobody_for_dead) {
  Net net;
  net.add(1);
  net.add(2);
  net.know_each_other();
  net.pass(3'000'000);
  net.events_of(1);
  net.now.steady_us += 60'000'000;
  net.pass(10'000'000);
  EXPECT_EQ(net.events_of(1), Words());
}

TEST(Peers, what_came_before_the_end_of_its_connection_is_read) {
  Net net;
  net.begin_with_two();
  net.events_of(1);
  net.at(2).link(1, PeerLane::kData)->add(1, "last words");
  net.at(2).end_turn();
  net.at(2).set_members(net.now, {});   // both arrive before the next turn of the other
  net.run();
  EXPECT_EQ(net.messages_of(1), Words{"2 last words"});
  EXPECT_EQ(sorted(net.events_of(1)), (Words{"2 down beats", "2 down data", "2 down pub/sub"}));
}

TEST(Peers, attempts_come_at_growing_distances_up_to_a_limit) {
  Net net;
  net.add(1);
  net.add(2);
  net.is_listening = false;
  net.know_each_other();
  net.pass(4'000'000);
  net.is_listening = true;
  const int64_t deadline = net.at(1).deadline();
  EXPECT_GT(deadline, net.now.steady_us);
  EXPECT_LE(deadline, net.now.steady_us + 450'000);
  net.pass(500'000);
  EXPECT_EQ(sorted(net.events_of(1)), (Words{"2 up beats", "2 up data", "2 up pub/sub"}));
}

TEST(Peers, a_restarted_node_is_told_before_it_is_up_and_its_past_is_refused) {
  Net net;
  net.add(1);
  net.add(2, 5);
  net.know_each_other();
  net.run();
  net.events_of(1);
  net.stop(2);
  net.run();
  net.events_of(1);
  net.add(2, 6);
  net.know_each_other();
  net.pass(100'000);
  const Words restarted = net.events_of(1);
  ASSERT_EQ(restarted.size(), 4u);
  EXPECT_EQ(restarted[0].substr(0, 11), "2 restarted");
  net.stop(2);
  net.run();
  net.events_of(1);
  net.add(2, 5);
  net.know_each_other();
  net.pass(100'000);
  const Words events = net.events_of(1);
  ASSERT_FALSE(events.empty());
  EXPECT_NE(events[0].find(": an old incarnation"), std::string::npos) << events[0];
  EXPECT_EQ(net.at(1).link(2, PeerLane::kData), nullptr);
}

// What one before it had stored, say.
TEST(Peers, nothing_that_a_process_has_said_is_heard_once_another_one_is) {
  Net net;
  net.add(1);
  net.add(2, 5);
  net.know_each_other();
  net.run();
  net.at(2).link(1, PeerLane::kData)->add(1, "stored");
  net.vanish(2);
  net.add(2, 6);
  net.know_each_other();
  net.run();
  net.events_of(1);
  // Of its connections with the process before only that of beats is known to be gone.
  constexpr ConnectionId kBeats = 2;
  net.at(1).closed(net.now, kBeats);
  net.pass(15'000);
  EXPECT_EQ(net.events_of(1), Words{"2 down beats"});
  net.pass(20'000);
  EXPECT_EQ(net.events_of(1), (Words{"2 down data", "2 down pub/sub", "2 restarted beats", "2 up beats"}));
  net.deliver_late();
  net.run();
  EXPECT_EQ(net.messages_of(1), Words());
  net.pass(50'000);
  EXPECT_EQ(sorted(net.events_of(1)), (Words{"2 up data", "2 up pub/sub"}));
}

TEST(Peers, a_stranger_speaks_as_a_guest_and_gets_answers) {
  Net net;
  net.add(1);
  net.add(9, 1, ClusterId{});
  net.at(9).add_seed(net.now, Net::address(1));
  net.run();
  EXPECT_EQ(net.events_of(9), Words{"1 up data"});
  net.at(9).link_of(1)->add(3, "let me in");
  net.run();
  EXPECT_EQ(net.messages_of(1), Words{"9 guest let me in"});
  EXPECT_EQ(net.at(1).link(9, PeerLane::kData), nullptr);
  net.at(1).link_of(1)->add(4, "you are in");
  net.run();
  EXPECT_EQ(net.messages_of(9), Words{"1 guest you are in"});
  net.at(9).set_cluster(kCluster);
  net.at(9).clear_seeds();
  net.know_each_other();
  net.run();
  EXPECT_NE(net.at(1).link(9, PeerLane::kData), nullptr);
  EXPECT_NE(net.at(9).link(1, PeerLane::kBeats), nullptr);
}

TEST(Peers, a_member_that_looks_for_its_cluster_does_not_disturb_its_line) {
  Net net;
  net.add(1);
  net.add(2);
  net.know_each_other();
  net.at(2).add_seed(net.now, Net::address(1));
  net.run();
  EXPECT_EQ(net.wires(), 4u);
  net.at(2).clear_seeds();
  net.run();
  EXPECT_EQ(net.wires(), 3u);
  EXPECT_NE(net.at(1).link(2, PeerLane::kData), nullptr);
}

TEST(Peers, a_node_of_another_cluster_is_refused) {
  Net net;
  net.add(1);
  net.add(2, 1, {'x'});
  net.know_each_other();
  net.run();
  const Words events = net.events_of(1);
  ASSERT_FALSE(events.empty());
  EXPECT_EQ(events[0], "2 refused data: another cluster");
  EXPECT_GE(net.at(1).refusals(), 1u);
}

TEST(Peers, a_member_that_has_not_joined_yet_is_called_until_it_has) {
  Net net;
  net.add(1);
  net.add(2, 1, ClusterId{});
  const PeerTarget second{2, Net::address(2)};
  net.at(1).set_members(net.now, {&second, 1});
  net.pass(1'000'000);
  EXPECT_EQ(net.at(1).link(2, PeerLane::kData), nullptr);
  const Words events = net.events_of(1);
  ASSERT_FALSE(events.empty());
  EXPECT_EQ(events[0], "2 refused data: one of the two has not joined yet");
  net.at(2).set_cluster(kCluster);
  net.know_each_other();
  net.pass(2'000'000);
  EXPECT_NE(net.at(1).link(2, PeerLane::kData), nullptr);
  EXPECT_NE(net.at(2).link(1, PeerLane::kBeats), nullptr);
}

TEST(Peers, who_knows_another_secret_is_refused_until_it_knows_ours) {
  Net net;
  net.secret = link_secret("ours");
  net.add(1);
  net.secret = link_secret("theirs");
  net.add(2);
  net.know_each_other();
  net.run();
  EXPECT_EQ(net.wires(), 0u);
  const Words events = net.events_of(1);
  ASSERT_FALSE(events.empty());
  EXPECT_EQ(events[0], "2 refused data: masterauth differs");
  const Words events_there = net.events_of(2);
  ASSERT_FALSE(events_there.empty());
  EXPECT_EQ(events_there[0], "0 refused: masterauth differs");
  EXPECT_GE(net.at(1).refusals(), 1u);
  EXPECT_GE(net.at(2).refusals(), 1u);
  net.at(2).set_secret(link_secret("ours"));
  net.pass(2'000'000);
  EXPECT_EQ(net.wires(), 3u);
  EXPECT_NE(net.at(2).link(1, PeerLane::kBeats), nullptr);
}

TEST(Peers, lines_that_stand_stay_when_a_secret_is_set) {
  Net net;
  net.begin_with_two();
  net.events_of(1);
  net.at(1).set_secret(link_secret("new"));
  net.pass(20'000'000);
  EXPECT_EQ(net.wires(), 3u);
  EXPECT_EQ(net.events_of(1), Words());
  // Set at one of them only, a line that breaks does not come back.
  net.cut(2);
  net.pass(5'000'000);
  EXPECT_EQ(net.wires(), 0u);
  EXPECT_TRUE(net.events_of(1).back().ends_with(": it has no masterauth"));
  EXPECT_EQ(net.events_of(2).back(), "0 refused: it has a masterauth and this node has none");
  net.at(2).set_secret(link_secret("new"));
  net.pass(2'000'000);
  EXPECT_EQ(net.wires(), 3u);
}

TEST(Peers, a_guest_and_who_calls_a_member_prove_it_too) {
  Net net;
  net.secret = link_secret("ours");
  net.add(1);
  net.add(2);
  net.know_each_other();
  net.secret = std::nullopt;
  net.add(9, 1, ClusterId{});
  net.at(9).add_seed(net.now, Net::address(1));
  net.run();
  EXPECT_EQ(net.events_of(9).front(), "0 refused data: it has a masterauth and this node has none");
  net.at(9).set_secret(link_secret("ours"));
  net.pass(2'000'000);
  EXPECT_EQ(net.events_of(9).back(), "1 up data");
}

TEST(Peers, who_is_no_member_any_more_is_disconnected) {
  Net net;
  net.begin_with_two();
  net.at(1).set_members(net.now, {});
  net.at(2).set_members(net.now, {});
  net.run();
  EXPECT_EQ(net.wires(), 0u);
  net.pass(3'000'000);
  EXPECT_EQ(net.wires(), 0u);
}

// It has given us up, for one, and dials no more.
TEST(Peers, a_member_that_does_not_dial_is_called_until_it_does) {
  Net net;
  net.begin_with_two();
  net.at(1).set_members(net.now, {});
  net.run();
  EXPECT_EQ(net.wires(), 0u);
  net.events_of(1);
  net.events_of(2);
  net.pass(5'900'000);
  EXPECT_EQ(net.wires(), 0u);
  net.pass(2'000'000);
  EXPECT_EQ(net.wires(), 1u);
  EXPECT_EQ(net.events_of(1), Words{"2 up data"});
  EXPECT_EQ(net.events_of(2), Words{"1 up data"});
  EXPECT_EQ(net.at(2).link(1, PeerLane::kData), nullptr);   // it is no line
  // The guest is not wanted for ever, and calls again.
  net.pass(40'000'000);
  EXPECT_EQ(net.wires(), 1u);
  net.know_each_other();
  net.run();
  EXPECT_EQ(net.wires(), 3u);
  EXPECT_NE(net.at(2).link(1, PeerLane::kData), nullptr);
  net.pass(10'000'000);
  EXPECT_EQ(net.wires(), 3u);
}

TEST(Peers, who_expects_to_be_given_up_calls_at_once) {
  Net net;
  net.begin_with_two();
  net.at(2).call_at_once();
  net.at(1).set_members(net.now, {});
  net.pass(500'000);
  EXPECT_EQ(net.wires(), 1u);
  EXPECT_EQ(net.events_of(1).back(), "2 up data");
  EXPECT_EQ(net.at(2).link(1, PeerLane::kData), nullptr);
}

TEST(Peers, a_call_that_nobody_hears_any_more_is_made_again) {
  Net net;
  net.begin_with_two();
  net.at(1).set_members(net.now, {});
  net.pass(10'000'000);
  ASSERT_EQ(net.wires(), 1u);
  net.lose_wires();
  net.pass(10'000'000);
  EXPECT_EQ(net.wires(), 0u);
  net.pass(30'000'000);
  EXPECT_EQ(net.wires(), 1u);
}

TEST(Peers, who_is_called_and_is_not_there_is_called_again) {
  Net net;
  net.begin_with_two();
  net.stop(1);
  net.pass(10'000'000);
  net.add(1, 2);
  net.at(1).set_members(net.now, {});
  net.pass(3'000'000);
  EXPECT_EQ(net.wires(), 1u);
  net.at(2).set_members(net.now, {});
  net.run();
  EXPECT_EQ(net.wires(), 0u);
}

TEST(Peers, guests_are_limited_and_the_silent_ones_go) {
  Net net;
  Peers& peers = net.add(1);
  std::vector<ConnectionId> guests;
  for (int index = 0; index < 200; ++index) guests.push_back(peers.accepted(net.now, Net::address(9)));
  // 64 had to give way, and then the turn had enough to close.
  EXPECT_EQ(std::count(guests.begin(), guests.end(), 0u), 72);
  EXPECT_EQ(peers.output().close.size(), 64u);
  EXPECT_EQ(peers.output().close.front().connection, guests.front());
  EXPECT_EQ(peers.refusals(), 136u);
  EXPECT_EQ(net.events_of(1), Words());
  net.run();
  EXPECT_EQ(net.events_of(1), Words(64, "0 refused: too many connections that are no member's"));
  net.now.steady_us += 2'000'000;
  peers.tick(net.now);
  EXPECT_EQ(peers.output().close.size(), 64u);
  EXPECT_EQ(peers.refusals(), 200u);
  net.run();
  EXPECT_NE(peers.accepted(net.now, Net::address(9)), 0u);
}

// Again and again, each at once when it is closed.
TEST(Peers, silent_connections_keep_nobody_out) {
  Net net;
  Peers& peers = net.add(1);
  net.add(2);
  for (int index = 0; index < 100; ++index) peers.accepted(net.now, Net::address(9));
  net.run();
  net.know_each_other();
  net.add(3, 1, ClusterId{});
  net.at(3).add_seed(net.now, Net::address(1));
  net.run();
  EXPECT_NE(peers.link(2, PeerLane::kData), nullptr);
  EXPECT_EQ(net.events_of(3), Words{"1 up data"});
}

TEST(Peers, a_crowd_from_one_place_does_not_drive_others_out) {
  Net net;
  Peers& peers = net.add(1);
  const ConnectionId first = peers.accepted(net.now, {.host = "slow", .port = 1});
  for (int index = 0; index < 500; ++index) {
    peers.accepted(net.now, {.host = "crowd", .port = 1});
    for (const PeersOutput::Close& close : peers.output().close) EXPECT_NE(close.connection, first);
    peers.output() = {};
  }
  EXPECT_EQ(peers.refusals(), 437u);
}

// Nor does one with many addresses those that have a few connections each.
TEST(Peers, of_a_crowd_from_everywhere_the_oldest_goes) {
  Net net;
  Peers& peers = net.add(1);
  for (int index = 0; index < 64; ++index) peers.accepted(net.now, {.host = "crowd" + std::to_string(index), .port = 1});
  std::vector<ConnectionId> lines;
  for (int lane = 0; lane < 4; ++lane) lines.push_back(peers.accepted(net.now, {.host = "a node", .port = 1}));
  for (int index = 64; index < 120; ++index) {
    peers.accepted(net.now, {.host = "crowd" + std::to_string(index), .port = 1});
    for (const PeersOutput::Close& close : peers.output().close) EXPECT_EQ(std::count(lines.begin(), lines.end(), close.connection), 0);
    peers.output() = {};
  }
  EXPECT_EQ(peers.refusals(), 60u);
}

// Nor do guests that have greeted and stay.
TEST(Peers, of_too_many_guests_the_oldest_goes) {
  Net net;
  Peers& peers = net.add(1);
  for (uint64_t node = 100; node < 170; ++node) {
    net.add(node, 1, ClusterId{});
    net.at(node).add_seed(net.now, Net::address(1));
    net.run();
  }
  EXPECT_EQ(net.wires(), 64u);
  EXPECT_EQ(peers.refusals(), 6u);
  EXPECT_EQ(net.events_of(100), (Words{"1 up data", "1 refused data: too many connections that are no member's", "1 down data"}));
  EXPECT_EQ(net.events_of(169), Words{"1 up data"});
  const PeerTarget first{1, Net::address(1)};
  const PeerTarget second{2, Net::address(2)};
  net.add(2).set_members(net.now, {&first, 1});
  peers.set_members(net.now, {&second, 1});
  net.run();
  EXPECT_NE(peers.link(2, PeerLane::kBeats), nullptr);
}

}  // namespace
}  // namespace quorate
