// The clients of the world `raft`: each sends one request at a time, again and again until it is
// answered or given up, and remembers what it was told for the checker of linearizability.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/linearizability.h"
#include "tests/sim/raft_options.h"
#include "tests/sim/raft_process.h"
#include "util/prng.h"

namespace quorate::sim {

// What the clients need of the world.
class ClientHost {
 public:
  virtual ~ClientHost() = default;
  virtual int64_t now_us() const = 0;
  virtual void send_request(raft::NodeId to, const GroupRequest& request) = 0;
  // Calls on_timer(client) at the time.
  virtual void wake_client(uint32_t client, int64_t at_us) = 0;
};

class Clients {
 public:
  Clients(ClientHost& host, const RaftSwarm& swarm, uint64_t seed);

  void start();
  void on_timer(uint32_t client, int64_t at_us);
  void on_answer(const Answer& answer);
  // From here on every request is one of quorum level, and a new client a group asks too.
  void only_quorum() { only_quorum_ = true; }
  // Whoever gives up a request asks another node next: the one that was asked may be gone for good.
  void turn_away_from_silence() { turns_away_ = true; }
  // No new requests until then; those under way go on.
  void rest_until(int64_t until_us) { rest_until_us_ = std::max(rest_until_us_, until_us); }
  // No new requests any more.
  void stop() { stopped_ = true; }
  bool idle() const;

  uint64_t answered() const { return answered_; }
  uint64_t given_up() const { return given_up_; }
  // Answered since the last call, by group; committed ones only.
  uint64_t answered_in(raft::GroupId group) const;
  // In the histories of the group's keys.
  uint64_t operations_in(raft::GroupId group) const;

  // Is what was answered linearizable?  `final_state` is the committed state of the group at the
  // end. Returns what is wrong, or nothing.
  std::string check(raft::GroupId group, const Machine& final_state, uint64_t& undecided) const;

 private:
  struct Client {
    raft::NodeId target;
    GroupRequest request;
    bool is_busy = false;
    int64_t invoked_us = 0;
    int64_t attempt_ends_us = 0;
    int64_t wakes_us = 0;
    bool was_retried = false;
    std::map<raft::GroupId, uint64_t> sessions;  // by group
    std::map<raft::GroupId, uint64_t> numbers;
  };
  using KeyName = std::pair<raft::GroupId, uint32_t>;

  void begin(uint32_t number);
  void attempt(uint32_t number);
  void finish(uint32_t number);
  void give_up(uint32_t number);
  void pick_command(Client& client);
  void sleep(uint32_t number, int64_t delay_us);

  ClientHost& host_;
  const RaftSwarm& swarm_;
  Prng prng_;
  std::vector<Client> clients_;
  std::map<KeyName, std::vector<Operation>> history_;
  std::map<KeyName, uint32_t> uses_;  // writes so far of a counter
  std::map<std::pair<raft::GroupId, uint32_t>, uint32_t> generation_;
  uint64_t next_value_ = 1;
  uint64_t next_operation_ = 1;
  uint64_t answered_ = 0;
  uint64_t given_up_ = 0;
  std::map<raft::GroupId, uint64_t> answered_in_;
  int64_t rest_until_us_ = 0;
  bool only_quorum_ = false;
  bool turns_away_ = false;
  bool stopped_ = false;
};

}  // namespace quorate::sim
