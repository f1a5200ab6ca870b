// The oracle keeps a digest of the data after each turn, and for each answer, from the moment the
// node makes it, the turn that it speaks of.  What a restart brings back must be the data after one
// of the turns, none earlier than an answer that has arrived, to the byte: what is past its expiry
// is there until a logged effect has taken it away.
#include "tests/sim/node_sim.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "node/state.h"
#include "resp/reply_parser.h"
#include "tests/sim/digest.h"
#include "tests/sim/sim_node.h"
#include "tests/sim/workload.h"
#include "util/hash.h"

namespace quorate::sim {

namespace {

enum class Death : uint8_t { kKilled, kPowerCut };
enum class Policy : uint8_t { kAlways, kEverySecond, kNo };

// From how many elements on snapshots take a value in pieces: nearly all, only some hundred, none.
constexpr auto kPiecesFrom = std::to_array<size_t>({4, 4, 100, SIZE_MAX});

// What an answer tells its client: the data of a turn, and that time had come so far.
struct Promise {
  uint64_t turn = 0;
  int64_t unix_ms = 0;
  size_t replies = 0;  // that it comes in
};

struct Client {
  int connection = -1;
  int database = 0;
  std::deque<Request> asked;    // not answered by the node yet
  ReplyParser made;             // answers as the node makes them
  std::deque<Promise> promises; // made, and not arrived yet
  ReplyParser arrived;
};

bool names_a(const Request& request, std::initializer_list<std::string_view> commands) {
  return std::any_of(request.words.begin(), request.words.end(), [&](const std::string& word) {
    return std::find(commands.begin(), commands.end(), word) != commands.end();
  });
}

bool may_wait(const Request& request) {
  const std::string& name = request.words[0];
  return name == "BLPOP" || name == "BLMOVE" || name == "BLMPOP" || name == "BZPOPMIN";
}

class NodeWorld {
 public:
  explicit NodeWorld(const NodeSimOptions& options)
      : options_(options), prng_(options.seed), disk_(prng_.next()), workload_(prng_) {
    disk_.set_lying_directory_sync(options.planted == Planted::kNoDirectorySync);
    disk_.set_lying_rewrite(options.planted == Planted::kCacheIsTrusted);
    policy_ = static_cast<Policy>(prng_.below(4) == 3 ? 1 + prng_.below(2) : 0);
    // The oracle goes on believing in `always`.
    if (options.planted == Planted::kReplyBeforeSync) policy_ = Policy::kNo;
    client_count_ = 1 + static_cast<size_t>(prng_.below(6));
    disk_eagerness_ = 0.2 + prng_.fraction() * 0.6;
    crash_chance_ = 0.002 + prng_.fraction() * 0.01;
    full_chance_ = prng_.chance(0.4) ? 0.003 : 0;
    databases_ = prng_.chance(0.5) ? 16 : 2;
    pieces_from_ = kPiecesFrom[static_cast<size_t>(Prng(~options.seed).below(kPiecesFrom.size()))];
  }
  SimResult run();

 private:
  void step();
  void talk(Client& client);
  // Who may have changed data since the last look: commands only, or the node by itself too.
  enum class By : uint8_t { kCommands, kNode };
  void look(By by);
  using Keys = std::set<std::pair<int, std::string>>;
  Keys look_for_changes();
  // An answer that the node has made since the last look.
  struct Made {
    Client* client = nullptr;
    int database = 0;
    Request request;
    bool is_refusal = false;
    bool is_null = false;
  };
  void take_made_answers(Client& client, std::vector<Made>& made);
  // Which keys had changed by when an answer was made.
  struct Changes {
    std::map<std::pair<int, std::string>, uint64_t> key_turns;
    uint64_t any_key_turn = 0;
  };
  bool passed_over_expired(const Made& made, const Keys& changed);
  uint64_t last_change(const Made& made, const Changes& changes) const;
  void read_answers();
  void end_turn();
  void die(Death death);
  void restart(Death death);
  void check_and_start(Death death);
  std::optional<uint64_t> matching_turn(uint64_t least);
  std::string config() const;
  void wrong(std::string message) {
    if (!result_.good) return;
    result_.good = false;
    result_.message = std::move(message);
  }
  uint64_t turn() const { return base_turn_ + moments_.size(); }

  const NodeSimOptions options_;
  Prng prng_;
  SimDisk disk_;
  Workload workload_;
  SimResult result_;
  Policy policy_ = Policy::kAlways;
  size_t client_count_ = 1;
  double disk_eagerness_ = 0;
  double crash_chance_ = 0;
  double full_chance_ = 0;
  int databases_ = 16;
  // Drawn apart, so that the seeds of earlier runs mean what they meant.
  size_t pieces_from_ = 0;

  std::unique_ptr<SimNode> node_;
  std::vector<Client> clients_;
  Instant now_{.steady_us = 1'000'000, .unix_ms = 1'700'000'000'000};
  bool disk_is_full_ = false;
  // The data as it is, and the turn in which each key was last changed in this life.
  KeyDigests key_digests_;
  Changes changes_;

  std::vector<uint64_t> moments_;  // the digest of the data after turn base_turn_ + i
  uint64_t base_turn_ = 0;
  Promise promised_;               // by all answers that have arrived
  uint64_t trace_ = 0;
};

std::string NodeWorld::config() const {
  static constexpr const char* kPolicies[] = {"always", "everysec", "no"};
  return std::string(
             "appendonly yes\nsave \"\"\nprotected-mode no\nauto-aof-rewrite-min-size 30000\n") +
         // Small values have the forms of large ones, which snapshots take in pieces.
         "set-max-listpack-entries 4\nset-max-intset-entries 4\nhash-max-listpack-entries 4\nzset-max-listpack-entries 4\n"
         "appendfsync " + kPolicies[static_cast<size_t>(policy_)] + "\ndatabases " +
         std::to_string(databases_) + "\n";
}

void NodeWorld::end_turn() {
  node_->end_turn();
  look(By::kCommands);
  uint64_t sum = 0;
  for (const auto& [key, value] : key_digests_) sum += value;
  moments_.push_back(sum);
  read_answers();
}

void NodeWorld::talk(Client& client) {
  if (client.connection < 0 || node_->is_closed(client.connection)) {
    client = Client();
    client.connection = node_->connect();
  }
  if (client.asked.size() + client.promises.size() > 4) return;
  for (uint64_t count = 1 + prng_.below(3); count > 0; --count) {
    const Request request = workload_.next();
    if (options_.log) {
      std::printf("turn %llu client %d:", static_cast<unsigned long long>(turn()),
                  client.connection);
      for (const std::string& word : request.words) {
        std::printf(" %s", word.size() > 40 ? (word.substr(0, 40) + "...").c_str() : word.c_str());
      }
      std::printf("\n");
    }
    ++result_.records;
    client.asked.push_back(request);
    // Bytes may come in pieces; a piece that completes nothing waits in the session.
    const size_t cut =
        prng_.chance(0.1) ? static_cast<size_t>(prng_.below(request.bytes.size())) : 0;
    node_->send(client.connection, std::string_view(request.bytes).substr(0, cut));
    if (node_->is_closed(client.connection)) return;
    node_->send(client.connection, std::string_view(request.bytes).substr(cut));
    look(By::kCommands);
  }
}

// After each input: what has changed, and which answers the node has made.
void NodeWorld::look(By by) {
  const Changes before = changes_;
  const Keys changed = look_for_changes();
  std::vector<Made> made;
  for (Client& client : clients_) {
    if (client.connection >= 0) take_made_answers(client, made);
  }
  size_t refusals = 0;
  const Client* const first = made.empty() ? nullptr : made.front().client;
  const bool one_client = std::all_of(made.begin(), made.end(),
                                      [&](const Made& each) { return each.client == first; });
  for (const Made& each : made) {
    // When several clients go on at once, one may have been answered before another changed
    // something; not so who waited for a key and was given something.
    const bool was_served = may_wait(each.request) && !each.is_null;
    const Changes& seen = one_client || was_served ? changes_ : before;
    refusals += each.is_refusal ? 1 : 0;
    Promise promise{.replies = each.request.replies_in_all};
    if (!each.is_refusal) {
      promise.turn = last_change(each, seen);
      if (passed_over_expired(each, changed)) promise.unix_ms = node_->node().state().now.unix_ms;
    }
    each.client->promises.push_back(promise);
  }
  // A refusal is the promise that nothing was done.
  if (!changed.empty() && by == By::kCommands && refusals > 0 && refusals == made.size()) {
    wrong("turn " + std::to_string(turn()) + ": a command that was refused has changed the data");
  }
}

// Notes which keys are not as they were at the look before.
NodeWorld::Keys NodeWorld::look_for_changes() {
  KeyDigests now = key_digests(node_->node().store());
  Keys changed;
  const auto note = [&](const std::pair<int, std::string>& key) {
    if (options_.log) {
      std::printf("turn %llu: %s of database %d changed\n", static_cast<unsigned long long>(turn()),
                  key.second.c_str(), key.first);
    }
    changes_.key_turns[key] = changes_.any_key_turn = turn();
    changed.insert(key);
  };
  for (const auto& [key, value] : now) {
    const auto before = key_digests_.find(key);
    if (before == key_digests_.end() || before->second != value) note(key);
  }
  for (const auto& [key, value] : key_digests_) {
    if (!now.contains(key)) note(key);
  }
  key_digests_ = std::move(now);
  return changed;
}

void NodeWorld::take_made_answers(Client& client, std::vector<Made>& made) {
  client.made.feed(node_->take_said(client.connection));
  ReplyValue value;
  ReplyParser::Outcome outcome;
  while ((outcome = client.made.next(value)) == ReplyParser::Outcome::kValue) {
    if (client.asked.empty()) return wrong("an answer that nobody asked for");
    if (--client.asked.front().replies > 0) continue;
    const bool is_error = value.kind == ReplyValue::Kind::kError;
    made.push_back({.client = &client,
                    .database = client.database,
                    .request = std::move(client.asked.front()),
                    .is_refusal = is_error && (value.text.starts_with("MISCONF") ||
                                               value.text.starts_with("EXECABORT")),
                    .is_null = value.kind == ReplyValue::Kind::kNull ||
                               value.kind == ReplyValue::Kind::kNullArray});
    client.asked.pop_front();
    const Request& request = made.back().request;
    if (request.words[0] == "SELECT") client.database = request.words[1] == "1" ? 1 : 0;
  }
  if (outcome == ReplyParser::Outcome::kProtocolError) {
    wrong("an answer is no RESP: " + std::string(client.made.error_text()));
  }
}

// Whether the answer tells that a key is gone which still stands in the store: its time has come.
// Only KEYS, which looks at every key, leaves such a key where it is.  One that has changed since
// the look before may have come behind the answer (SWAPDB, of another client).  SCAN takes away what it meets, which is a
// change, and tells nothing of what it has not come to; neither tells of the fields of hashes.
// While the log can't be written, the clock alone vouches for what has expired.
bool NodeWorld::passed_over_expired(const Made& made, const Keys& changed) {
  NodeState& state = node_->node().state();
  if (!names_a(made.request, {"KEYS"}) || state.durability.refuses_writes()) return false;
  const std::vector<std::string> expired =
      expired_keys(node_->node().store(), made.database, state.now.unix_ms);
  return std::any_of(expired.begin(), expired.end(),
                     [&](const std::string& key) { return !changed.contains({made.database, key}); });
}

// An answer that is made now waits for the latest change of what it names.
uint64_t NodeWorld::last_change(const Made& made, const Changes& changes) const {
  const std::vector<std::string>& words = made.request.words;
  if (names_a(made.request,
              {"FLUSHDB", "FLUSHALL", "SWAPDB", "RANDOMKEY", "DBSIZE", "KEYS", "SCAN"})) {
    return changes.any_key_turn;
  }
  const bool in_any_database = names_a(made.request, {"DB", "MOVE"});
  uint64_t latest = 0;
  for (const auto& [key, changed_in] : changes.key_turns) {
    if (key.first != made.database && !in_any_database) continue;
    const bool named = std::find(words.begin(), words.end(), key.second) != words.end();
    if (named) latest = std::max(latest, changed_in);
  }
  return latest;
}

void NodeWorld::read_answers() {
  for (Client& client : clients_) {
    if (client.connection < 0) continue;
    std::string& received = node_->received(client.connection);
    trace_ = hash64(received, trace_);
    client.arrived.feed(received);
    received.clear();
    ReplyValue value;
    while (client.arrived.next(value) == ReplyParser::Outcome::kValue) {
      if (client.promises.empty()) return wrong("an answer came before it was made");
      Promise& first = client.promises.front();
      if (--first.replies > 0) continue;
      if (options_.log && first.turn > promised_.turn) {
        std::printf("turn %llu client %d: an answer promises turn %llu\n",
                    static_cast<unsigned long long>(turn() - 1), client.connection,
                    static_cast<unsigned long long>(first.turn));
      }
      promised_.turn = std::max(promised_.turn, first.turn);
      promised_.unix_ms = std::max(promised_.unix_ms, first.unix_ms);
      client.promises.pop_front();
    }
  }
}

// The latest turn from `least` on whose data is what the node holds now.
std::optional<uint64_t> NodeWorld::matching_turn(uint64_t least) {
  const uint64_t found = digest(node_->node().store());
  for (uint64_t candidate = turn(); candidate-- > least;) {
    if (moments_[static_cast<size_t>(candidate - base_turn_)] == found) return candidate;
  }
  return std::nullopt;
}

void NodeWorld::check_and_start(Death death) {
  // After a power cut only `always` has promised anything.
  const bool binds = death == Death::kKilled || policy_ == Policy::kAlways ||
                     options_.planted == Planted::kReplyBeforeSync;
  const uint64_t least = binds ? std::max(promised_.turn, base_turn_) : base_turn_;
  const auto found = matching_turn(least);
  if (!found) {
    const auto earlier = matching_turn(base_turn_);
    return wrong("the data is that of " +
                 (earlier ? "turn " + std::to_string(*earlier) : std::string("no turn")) +
                 "; answers went up to turn " + std::to_string(promised_.turn) +
                 ", the last turn was " + std::to_string(turn() - 1));
  }
  moments_ = {moments_[static_cast<size_t>(*found - base_turn_)]};
  base_turn_ = promised_.turn = *found;
  node_->start();
  const int64_t time = node_->node().state().now.unix_ms;
  if (binds && time < promised_.unix_ms) {
    return wrong("time runs back: answers knew " + std::to_string(promised_.unix_ms) +
                 ", the node goes on from " + std::to_string(time));
  }
  promised_.unix_ms = 0;
}

void NodeWorld::die(Death death) {
  ++result_.crashes;
  if (!disk_is_full_) node_->tear_writes(prng_);
  now_ = node_->now();
  result_.snapshots += node_->renames();
  node_.reset();
  disk_.heal();
  disk_is_full_ = false;
  if (death == Death::kPowerCut) disk_.crash();
  // What a failed sync was to write may go at any moment; then it is as if the power had failed.
  if (disk_.has_lost() && prng_.chance(0.3)) {
    disk_.evict();
    death = Death::kPowerCut;
  }
  if (options_.log) std::printf("%s\n", death == Death::kKilled ? "killed" : "power cut");
  restart(death);
}

void NodeWorld::restart(Death death) {
  clients_.assign(client_count_, Client());
  now_.steady_us += 1'000'000;
  // The wall clock may have been set back meanwhile.
  now_.unix_ms += static_cast<int64_t>(prng_.below(3000)) - (prng_.chance(0.3) ? 4000 : 0);
  node_ = std::make_unique<SimNode>(
      disk_, SimNode::Options{.seed = prng_.next(),
                              .config = config(),
                              .now = now_,
                              .pieces_from = pieces_from_,
                              .forgets_expiry = options_.planted == Planted::kReplyBeforeExpiry});
  const Status recovered = node_->recover();
  if (!recovered.ok()) {
    return wrong("the node does not start: " + std::string(recovered.error().detail()));
  }
  if (moments_.empty()) moments_.push_back(digest(node_->node().store()));
  check_and_start(death);
  if (!result_.good) return;
  key_digests_ = key_digests(node_->node().store());
  changes_ = Changes();
  end_turn();
}

void NodeWorld::step() {
  if (node_->has_ended()) return die(prng_.chance(0.7) ? Death::kPowerCut : Death::kKilled);
  if (prng_.chance(crash_chance_))
    return die(prng_.chance(0.7) ? Death::kPowerCut : Death::kKilled);
  if (prng_.chance(disk_eagerness_)) {
    node_->take_disk_step(prng_.chance(0.6) ? DiskLane::kLog : DiskLane::kBulk);
    return end_turn();
  }
  if (prng_.chance(full_chance_)) {
    disk_is_full_ = true;
    disk_.set_capacity(disk_.used() + prng_.below(3000));
  }
  if (disk_is_full_ && prng_.chance(0.02)) {
    disk_is_full_ = false;
    disk_.set_capacity(UINT64_MAX);
  }
  if (prng_.chance(0.0004)) disk_.fail_next_sync();
  switch (prng_.below(8)) {
    case 0:
      node_->advance(static_cast<int64_t>(prng_.below(200'000)));
      node_->tick_if_due();
      look(By::kNode);
      return end_turn();
    case 1:
      for (Client& client : clients_) {
        if (client.connection >= 0) node_->drain_socket(client.connection);
      }
      return end_turn();
    case 2:
      if (prng_.chance(0.05) && clients_[0].connection >= 0) {
        node_->disconnect(clients_[0].connection);
        clients_[0] = Client();
      }
      return end_turn();
    default:
      node_->advance(static_cast<int64_t>(prng_.below(2'000)));
      for (Client& client : clients_) {
        if (prng_.chance(0.5)) talk(client);
      }
      return end_turn();
  }
}

SimResult NodeWorld::run() {
  restart(Death::kKilled);
  for (uint64_t count = 0; count < options_.steps && result_.good; ++count) step();
  if (result_.good) die(Death::kPowerCut);
  result_.trace = hash64(result_.message, disk_.trace() ^ trace_);
  return result_;
}

}  // namespace

bool node_sim_knows(Planted planted) {
  return planted == Planted::kReplyBeforeSync || planted == Planted::kNoDirectorySync ||
         planted == Planted::kReplyBeforeExpiry || planted == Planted::kCacheIsTrusted;
}

SimResult run_node_sim(const NodeSimOptions& options) { return NodeWorld(options).run(); }

}  // namespace quorate::sim
