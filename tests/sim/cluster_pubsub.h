// Pub/sub in the world `cluster`: clients that listen at one node and clients that publish at another.  What one connection publishes is
// heard in its order, each message once at most, whatever fails; and once all has healed every message is heard by whoever was told
// that it is subscribed.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "resp/reply_parser.h"
#include "tests/sim/cluster_clients.h"
#include "util/prng.h"

namespace quorate::sim {

// Its clients have the numbers from `first` on.
class ClusterPubsub {
 public:
  ClusterPubsub(ClusterClientHost& host, const ClusterSwarm& swarm, uint32_t first, uint64_t seed);

  uint32_t count() const { return static_cast<uint32_t>(clients_.size()); }
  void start();
  void on_timer(uint32_t number, int64_t at_us);
  void on_bytes(uint32_t number, std::string_view bytes);
  void on_closed(uint32_t number);

  // From here on everybody begins anew; what is published then must be heard.  Requires: all has healed.
  void begin_verification();
  bool is_verified() const;
  std::string describe_unverified() const;

  uint64_t heard() const { return heard_; }
  const std::string& wrong() const { return wrong_; }

 private:
  static constexpr uint32_t kChannels = 3;
  static constexpr uint64_t kVerifyingMessages = 10;
  enum class Task : uint8_t { kListens, kPublishes };
  struct Client {
    Task task = Task::kListens;
    bool is_connected = false;
    bool is_confirmed = false;      // kListens
    uint32_t machine = 0;
    uint32_t confirmations_left = 0;
    uint32_t life = 0;              // counts connections
    uint64_t sequence = 0;          // kPublishes: of the last message of this life
    uint64_t waits_for = 0;         // kPublishes: its number has no answer yet
    int64_t gives_up_us = 0;
    int64_t wakes_us = 0;
    ReplyParser parser;
    std::map<std::string, uint64_t> last_heard;   // kListens: by publisher and its life
    uint64_t verifying_heard = 0;
    uint32_t verifies_from_life = UINT32_MAX;
  };

  Client& at(uint32_t number) { return clients_[number - first_]; }
  void sleep(uint32_t number, int64_t delay_us);
  void connect(uint32_t number);
  void publish(uint32_t number);
  void give_up(uint32_t number);
  void on_value(uint32_t number, const ReplyValue& value);
  void on_message(uint32_t number, const std::string& text);
  bool is_verifying(std::string_view publisher) const;
  bool all_listen() const;
  void fail(std::string text) {
    if (wrong_.empty()) wrong_ = std::move(text);
  }

  ClusterClientHost& host_;
  const ClusterSwarm& swarm_;
  const uint32_t first_;
  Prng prng_;
  std::vector<Client> clients_;
  bool verifies_ = false;
  int64_t verifies_since_us_ = 0;
  uint64_t heard_ = 0;
  std::string wrong_;
};

}  // namespace quorate::sim
