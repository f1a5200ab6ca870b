// Pub/sub between two nodes with a pipe between them that delivers when the test says so.
#include "node/pubsub_links.h"

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>

#include "node/state.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/sim_node.h"
#include "util/check.h"

namespace quorate {
namespace {

struct Message {
  uint64_t kind = 0;
  std::string bytes;
};

class Side final : public PubsubPeers {
 public:
  static constexpr size_t kNameSizeMax = 100;
  explicit Side(NodeId id) {
    node = std::make_unique<sim::SimNode>(disk, sim::SimNode::Options{.seed = id, .config = "appendonly no\nprotected-mode no\n"});
    CHECK(node->recover().ok());
    node->start();
    make_links();
    client = node->connect();
    node->settle();
  }
  void make_links() { node->node().state().pubsub = std::make_unique<PubsubLinks>(node->node().state(), *this, kNameSizeMax); }
  PubsubLinks& links() { return *node->node().state().pubsub; }
  bool send_pubsub(NodeId, uint64_t kind, std::string_view bytes) override {
    sent.push_back({kind, std::string(bytes)});
    return true;
  }
  // What the client is told.
  std::string say(const std::string& line) {
    node->send(client, line + "\r\n");
    return hear();
  }
  std::string hear() {
    links().end_turn();
    node->settle();
    return std::exchange(node->received(client), {});
  }

  SimDisk disk{1};
  std::unique_ptr<sim::SimNode> node;
  int client = 0;
  std::deque<Message> sent;
};

struct World {
  Side here{1};
  Side there{2};
  void connect() {
    here.sent.clear();
    there.sent.clear();
    here.links().on_link_up(2);
    there.links().on_link_up(1);
    deliver();
  }
  static void carry(Side& from, Side& to, NodeId sender) {
    while (!from.sent.empty()) {
      const Message message = std::move(from.sent.front());
      from.sent.pop_front();
      ASSERT_TRUE(to.links().receive(sender, message.kind, message.bytes).ok());
    }
  }
  // Until nobody has anything to say.
  void deliver() {
    for (int round = 0; round < 4; ++round) {
      carry(here, there, 1);
      carry(there, here, 2);
      here.links().end_turn();
      there.links().end_turn();
    }
  }
};

constexpr const char* kSubscribed = "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n";
std::string message(const std::string& text) {
  return "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
}

TEST(PubsubLinks, a_subscription_is_confirmed_once_the_other_node_knows_of_it) {
  World world;
  world.connect();
  EXPECT_EQ(world.here.say("SUBSCRIBE news"), "");
  EXPECT_EQ(world.there.say("PUBLISH news early"), ":0\r\n");
  world.deliver();
  EXPECT_EQ(world.here.hear(), kSubscribed);
  EXPECT_EQ(world.there.say("PUBLISH news text"), ":1\r\n");
  world.deliver();
  EXPECT_EQ(world.here.hear(), message("text"));
}

TEST(PubsubLinks, what_is_published_here_meanwhile_comes_behind_the_confirmation) {
  World world;
  world.connect();
  const int other = world.here.node->connect();
  EXPECT_EQ(world.here.say("SUBSCRIBE news"), "");
  world.here.node->send(other, "PUBLISH news soon\r\n");
  EXPECT_EQ(world.here.hear(), "");
  world.deliver();
  EXPECT_EQ(world.here.hear(), kSubscribed + message("soon"));
}

TEST(PubsubLinks, a_node_that_is_silent_or_gone_does_not_hold_a_subscription_up) {
  World world;
  world.connect();
  EXPECT_EQ(world.here.say("SUBSCRIBE news"), "");
  world.here.node->advance(PubsubLinks::kConfirmUs);
  world.here.node->tick_if_due();
  EXPECT_EQ(world.here.hear(), kSubscribed);
  EXPECT_EQ(world.here.say("SUBSCRIBE more"), "");
  world.here.links().on_link_down(2);
  EXPECT_EQ(world.here.hear(), "*3\r\n$9\r\nsubscribe\r\n$4\r\nmore\r\n:2\r\n");
}

TEST(PubsubLinks, a_new_connection_begins_with_all_that_is_listened_to) {
  World world;
  EXPECT_EQ(world.here.say("SUBSCRIBE news"), kSubscribed);
  world.here.say("PSUBSCRIBE n*");
  world.connect();
  EXPECT_EQ(world.there.say("PUBLISH news text"), ":2\r\n");
  EXPECT_EQ(world.there.say("PUBSUB NUMPAT"), ":1\r\n");
  EXPECT_EQ(world.there.say("PUBSUB NUMSUB news"), "*2\r\n$4\r\nnews\r\n:1\r\n");
  world.there.links().on_link_down(1);
  EXPECT_EQ(world.there.say("PUBLISH news text"), ":0\r\n");
  EXPECT_EQ(world.there.say("PUBSUB CHANNELS"), "*0\r\n");
}

TEST(PubsubLinks, for_a_node_that_takes_nothing_no_more_is_kept_than_a_bound) {
  World world;
  EXPECT_EQ(world.here.say("SUBSCRIBE news"), kSubscribed);
  world.connect();
  const std::string large(5 << 20, 'x');
  for (int count = 0; count < 5; ++count) world.there.links().publish(Topic::kChannel, "news", large, PubsubLinks::Leaves::kNow);
  EXPECT_EQ(world.there.sent.size(), 3u);
  EXPECT_EQ(world.there.links().dropped(), 2u);
  world.deliver();
  EXPECT_EQ(world.here.hear().size(), 3 * message(large).size());
  world.there.links().publish(Topic::kChannel, "news", large, PubsubLinks::Leaves::kNow);
  EXPECT_EQ(world.there.links().dropped(), 2u);
}

TEST(PubsubLinks, nobody_listens_to_a_name_that_no_message_could_hold) {
  World world;
  const std::string longest(Side::kNameSizeMax, 'a');
  world.connect();
  for (const std::string verb : {"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"}) {
    EXPECT_TRUE(world.here.say(verb + " news " + longest + "a").starts_with("-ERR the name of the channel")) << verb;
  }
  // None of them was taken.
  EXPECT_EQ(world.here.say("PUBSUB CHANNELS"), "*0\r\n");
  world.here.say("SUBSCRIBE " + longest);
  world.deliver();
  EXPECT_NE(world.here.hear(), "");
  EXPECT_EQ(world.there.say("PUBLISH " + longest + " text"), ":1\r\n");
}

TEST(PubsubLinks, a_name_from_before_there_was_company_is_kept_here) {
  World world;
  const std::string large(Side::kNameSizeMax + 1, 'a');
  world.here.node->node().state().pubsub.reset();
  world.here.node->send(world.here.client, "SUBSCRIBE news " + large + "\r\n");
  world.here.node->settle();
  world.here.make_links();
  world.connect();
  EXPECT_EQ(world.there.say("PUBSUB CHANNELS"), "*1\r\n$4\r\nnews\r\n");
  EXPECT_EQ(world.there.say("PUBLISH " + large + " text"), ":0\r\n");
  EXPECT_EQ(world.there.say("PUBLISH news text"), ":1\r\n");
}

TEST(PubsubLinks, what_is_no_such_message_is_refused) {
  World world;
  world.connect();
  const auto refuses = [&](PubsubKind kind, std::string_view bytes) {
    return !world.here.links().receive(2, static_cast<uint64_t>(kind), bytes).ok();
  };
  EXPECT_TRUE(refuses(PubsubKind::kMessage, ""));
  EXPECT_TRUE(refuses(PubsubKind::kMessage, std::string_view("\x01\x01n", 3)));     // to a pattern
  EXPECT_TRUE(refuses(PubsubKind::kMessage, std::string_view("\x00\x05n", 3)));
  EXPECT_TRUE(refuses(PubsubKind::kInterest, std::string_view("\x02\x00", 2)));
  EXPECT_TRUE(refuses(PubsubKind::kInterest, std::string_view("\x00\x00\x03\x01n\x01", 6)));
  EXPECT_TRUE(refuses(PubsubKind::kReceipt, std::string_view("\x7f\x00", 2)));      // for what was not said
  EXPECT_TRUE(refuses(PubsubKind::kReceipt, std::string_view("\x00\x01", 2)));
}

}  // namespace
}  // namespace quorate
