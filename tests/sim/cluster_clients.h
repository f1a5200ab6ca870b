// The clients of the world `cluster`: each speaks RESP on one connection, one request at a time, to
// any node, and remembers what it was told for the checker of linearizability.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "node/node.h"
#include "resp/reply_parser.h"
#include "tests/sim/cluster_options.h"
#include "tests/sim/linearizability.h"
#include "util/prng.h"

namespace quorate::sim {

// What the clients need of the world.
class ClusterClientHost {
 public:
  virtual ~ClusterClientHost() = default;
  virtual int64_t now_us() const = 0;
  // On the client's connection with the machine, at this door; another one is given up, a missing one is made.
  virtual void send_request(uint32_t client, uint32_t machine, ClientDoor door,
                            std::string_view bytes) = 0;
  virtual void hang_up(uint32_t client) = 0;
  // Calls on_timer(client) at the time.
  virtual void wake_client(uint32_t client, int64_t at_us) = 0;
  virtual void log_client(uint32_t client, const std::string& text) = 0;
  // Some node says that weakly acknowledged writes of the key's partition were lost, or one that could say so has ended.
  virtual bool may_be_lost(const std::string& key) = 0;
};

class ClusterClients {
 public:
  ClusterClients(ClusterClientHost& host, const ClusterSwarm& swarm, uint64_t seed);

  void start();
  // Until then half of the clients turn to this machine, whatever they were told.
  void flock_to(uint32_t machine, int64_t until_us) {
    flock_ = machine;
    flock_until_us_ = until_us;
  }
  // Nothing new is asked for until go_on(); what was asked for comes to its end.
  void pause() { is_paused_ = true; }
  void go_on() { is_paused_ = false; }
  bool is_idle() const;
  void on_timer(uint32_t client, int64_t at_us);
  void on_bytes(uint32_t client, std::string_view bytes);
  // The node has closed the connection, or nobody is there.
  void on_closed(uint32_t client);

  // From here on something may be lost before anybody is told, until forget_since(): nothing that is answered says anything.
  void begin_loss();
  // What was answered since then may have been lost: whether a write counts is not known any more, and what was read says nothing.  So it is
  // with what is on its way now, of which a part may have been answered before.
  void forget_since(int64_t us);
  // From here on: one write and one read of each key that was ever used, again and again until each
  // has had an answer.
  void begin_verification();
  bool is_verified() const { return to_verify_.empty() && is_idle(); }
  // Keys that had no answer yet, and why.
  std::string describe_unverified() const;

  uint64_t answered() const { return answered_; }
  uint64_t writes_answered() const { return writes_answered_; }
  uint64_t unknown() const { return unknown_; }
  // Of all histories.
  uint64_t operations() const;
  uint64_t refused() const { return refused_; }
  uint64_t moved() const { return moved_; }
  // What a client was told that can never be right; empty: nothing.
  const std::string& wrong() const { return wrong_; }
  // Is all that was answered linearizable, and there at the end?  Returns what is wrong, or
  // nothing. Requires: is_verified().
  std::string check(uint64_t& undecided) const;

 private:
  // kFading: a register whose values expire.  kPrivate: one of one client, which reads, writes and reads it in one go.
  enum class KeyKind : uint8_t { kRegister, kCounter, kSet, kQueue, kPair, kFading, kPrivate };
  static constexpr uint32_t kKinds = 6;
  // One request: what it does to its key, and its bytes.
  struct Call {
    std::string key;
    KeyKind key_kind = KeyKind::kRegister;
    OperationKind kind = OperationKind::kRead;
    uint64_t argument = 0;
    int64_t fades_after_us = 0;  // of a write that expires
    std::string bytes = {};
    bool waits = false;     // BRPOP
    size_t replies = 1;
    std::string text = {};  // for the log
    bool is_local = false;  // a read that any copy may answer
    int64_t bound_us = kNever;  // of such a read: how old the copy may be
    bool is_optimistic = false; // WATCH and GET; then MULTI, SET of what that gives, EXEC
    std::optional<uint64_t> next_value = std::nullopt;  // of the second half
  };
  struct Client {
    Call call;
    bool is_busy = false;
    bool is_waiting = false;  // for a reply; else for the next attempt
    bool is_dawdling = false; // between the halves of a call
    bool has_connection = false;
    ClientDoor door = ClientDoor::kMain;
    uint64_t connection = 0;  // counts its connections
    uint32_t connected_to = 0;
    uint32_t target = 0;
    std::optional<uint32_t> moved_to;  // MOVED was among the replies
    int64_t invoked_us = 0;  // of this attempt: those before did nothing
    int64_t gives_up_us = 0;
    int64_t wakes_us = 0;
    size_t replies_left = 0;
    ReplyParser parser;
    ReplyValue last_reply;
    std::vector<ReplyValue> replies;   // all of this attempt
    uint64_t private_value = 0;        // what its own register holds, or one of these that nobody knows of
    std::set<uint64_t> private_unknown;
    std::set<uint64_t> private_sent = {0};  // whatever it may ever have held
    bool private_may_be_lost = false;       // the next read tells which
    std::optional<size_t> verifies;  // task of to_verify_
  };
  struct KeyHistory {
    KeyKind kind = KeyKind::kRegister;
    bool is_weak = false;   // written with W 1
    std::vector<Operation> operations;
    uint32_t writes = 0;
    std::set<uint64_t> seen;  // elements of a queue that were read or popped
    std::optional<uint64_t> final_state;
    std::vector<uint64_t> final_elements;  // of a queue, oldest first
    std::vector<uint64_t> local_reads;     // of a counter
  };
  // What a connection has read of a counter, or added to it, for certain.
  struct Seen {
    uint64_t connection = 0;
    uint64_t sum = 0;
  };
  struct Verification {
    std::string key;
    bool wants_write = true;
    bool is_taken = false;
    std::string last_trouble = "never tried";
  };
  enum class Outcome : uint8_t { kDone, kMoved, kNotExecuted, kUnknown };

  void sleep(uint32_t number, int64_t delay_us);
  void begin(uint32_t number);
  void attempt(uint32_t number);
  void send(uint32_t number);
  void finish(uint32_t number);
  void retry(uint32_t number);
  void give_up(uint32_t number, const char* why);
  void note_moved(uint32_t number);
  void on_reply(uint32_t number);
  Outcome judge(Client& client, std::optional<KeyState>& output);
  Outcome judge_private(Client& client);
  Outcome judge_optimist(const Client& client, std::optional<KeyState>& output);
  bool begin_second_half(uint32_t number);
  void send_second_half(uint32_t number);
  void read_private(Client& client, const ReplyValue& reply);
  static bool is_moved(const Client& client, const ReplyValue& reply);
  bool is_wrong_error(const Client& client, const ReplyValue& reply);
  Outcome judge_pair(const Client& client, std::optional<KeyState>& output);
  void record(const Client& client, int64_t returned_us, std::optional<KeyState> output);
  void ask_for_level(Call& call);
  void note_seen(const Client& client, uint64_t sum);
  void judge_local(const Client& client, uint64_t sum);
  uint64_t acknowledged(const std::string& key) const;
  std::string check_weak_writes(const std::string& key, const KeyHistory& history) const;
  static std::string check_local_reads(const std::string& key, const KeyHistory& history);
  bool may_be_of_loss(const Client& client) const { return is_losing_ || client.invoked_us <= forgotten_us_; }
  void note_final(const Client& client, std::optional<KeyState> output);
  bool take_verification(Client& client);
  std::string pick_key(KeyKind& kind);
  Call make_read(const std::string& key, KeyKind kind) const;
  Call make_write(const std::string& key, KeyKind kind);
  Call make_private(uint32_t number);
  static void make_optimistic(Call& call);
  void fail(std::string text) {
    if (wrong_.empty()) wrong_ = std::move(text);
  }
  static bool left_a_trace(const KeyHistory& history, const Operation& operation);
  // A counter whose powers of two are used up.
  static bool is_used_up(const KeyHistory& history, uint32_t adds_max);
  static std::string check_ledger(const std::string& key, const KeyHistory& history);

  ClusterClientHost& host_;
  const ClusterSwarm& swarm_;
  Prng prng_;
  Prng optimist_prng_;   // one of its own: what was there before is drawn as before
  std::vector<Client> clients_;
  std::map<std::string, KeyHistory> history_;
  std::map<std::string, uint32_t> generation_;  // of keys that are used up
  std::map<std::pair<uint32_t, std::string>, Seen> seen_;  // by client and key
  std::map<std::string, uint32_t> hints_;       // who answered last for a key
  uint64_t next_value_ = 1;
  uint64_t answered_ = 0;
  uint64_t writes_answered_ = 0;
  uint64_t unknown_ = 0;
  uint64_t refused_ = 0;
  uint64_t moved_ = 0;
  uint32_t flock_ = 0;
  int64_t flock_until_us_ = 0;
  int64_t forgotten_us_ = INT64_MIN;  // the last forget_since()
  bool is_losing_ = false;
  bool is_paused_ = false;
  bool verifies_ = false;
  std::map<size_t, Verification> to_verify_;
  std::string wrong_;
};

}  // namespace quorate::sim
