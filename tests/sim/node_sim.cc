// The oracle keeps a digest of the data after each turn, and for each client the turn that its
// latest answer speaks of.  What a restart brings back must be the data after one of the turns,
// none earlier than an answer.
#include "tests/sim/node_sim.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "resp/reply_parser.h"
#include "tests/sim/digest.h"
#include "tests/sim/sim_node.h"
#include "tests/sim/workload.h"
#include "util/hash.h"

namespace quorate::sim {

namespace {

enum class Death : uint8_t { kKilled, kPowerCut };
enum class Policy : uint8_t { kAlways, kEverySecond, kNo };

struct Client {
  int connection = -1;
  ReplyParser parser;
  struct Outstanding {
    uint64_t turn;  // the data of this turn is what the answer speaks of
    size_t replies;
  };
  int database = 0;
  std::vector<Outstanding> outstanding;
};

class NodeWorld {
 public:
  explicit NodeWorld(const NodeSimOptions& options)
      : options_(options), prng_(options.seed), disk_(prng_.next()), workload_(prng_) {
    disk_.set_lying_directory_sync(options.planted == Planted::kNoDirectorySync);
    policy_ = static_cast<Policy>(prng_.below(4) == 3 ? 1 + prng_.below(2) : 0);
    // The oracle goes on believing in `always`.
    if (options.planted == Planted::kReplyBeforeSync) policy_ = Policy::kNo;
    client_count_ = 1 + static_cast<size_t>(prng_.below(6));
    disk_eagerness_ = 0.2 + prng_.fraction() * 0.6;
    crash_chance_ = 0.002 + prng_.fraction() * 0.01;
    full_chance_ = prng_.chance(0.4) ? 0.003 : 0;
    databases_ = prng_.chance(0.5) ? 16 : 2;
  }
  SimResult run();

 private:
  void step();
  void talk(Client& client);
  void pass_time(int64_t us);
  bool look_for_changes();
  uint64_t last_change(const Client& client, const std::vector<std::string>& words) const;
  void read_answers();
  void end_turn();
  void die(Death death);
  void restart(Death death);
  void check(Death death);
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

  std::unique_ptr<SimNode> node_;
  std::vector<Client> clients_;
  Instant now_{.steady_us = 1'000'000, .unix_ms = 1'700'000'000'000};
  bool disk_is_full_ = false;
  // The data as it is, and the turn in which each key was last changed in this life.
  KeyDigests key_digests_;
  std::map<std::pair<int, std::string>, uint64_t> key_turns_;

  // The data after turn base_turn_ + i, and the time it was looked at.
  struct Moment {
    uint64_t digest;
    int64_t unix_ms;
  };
  std::vector<Moment> moments_;
  uint64_t base_turn_ = 0;
  uint64_t promised_turn_ = 0;
  uint64_t trace_ = 0;
};

std::string NodeWorld::config() const {
  static constexpr const char* kPolicies[] = {"always", "everysec", "no"};
  return std::string(
             "appendonly yes\nsave \"\"\nprotected-mode no\nauto-aof-rewrite-min-size 30000\n") +
         "appendfsync " + kPolicies[static_cast<size_t>(policy_)] + "\ndatabases " +
         std::to_string(databases_) + "\n";
}

void NodeWorld::end_turn() {
  node_->end_turn();
  look_for_changes();
  uint64_t sum = 0;
  for (const auto& [key, value] : key_digests_) sum += value;
  moments_.push_back({.digest = sum, .unix_ms = node_->now().unix_ms});
  read_answers();
}

void NodeWorld::talk(Client& client) {
  if (client.connection < 0 || node_->is_closed(client.connection)) {
    client = Client();
    client.connection = node_->connect();
  }
  if (client.outstanding.size() > 4) return;
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
    // Bytes may come in pieces; a piece that completes nothing waits in the session.
    const size_t cut =
        prng_.chance(0.1) ? static_cast<size_t>(prng_.below(request.bytes.size())) : 0;
    node_->send(client.connection, std::string_view(request.bytes).substr(0, cut));
    if (node_->is_closed(client.connection)) return;
    node_->send(client.connection, std::string_view(request.bytes).substr(cut));
    const bool changed = look_for_changes();
    client.outstanding.push_back({.turn = changed ? turn() : last_change(client, request.words),
                                  .replies = request.replies});
    if (request.words[0] == "SELECT") client.database = request.words[1] == "1" ? 1 : 0;
  }
}

void NodeWorld::pass_time(int64_t us) {
  node_->advance(us);
  // What expires by itself is nobody's change.
  key_digests_ = key_digests(node_->node().store(), node_->now().unix_ms);
}

// Notes which keys are not as they were; true if any.
bool NodeWorld::look_for_changes() {
  KeyDigests now = key_digests(node_->node().store(), node_->now().unix_ms);
  bool changed = false;
  const auto note = [&](const std::pair<int, std::string>& key) {
    if (options_.log) {
      std::printf("turn %llu: %s of database %d changed\n", static_cast<unsigned long long>(turn()),
                  key.second.c_str(), key.first);
    }
    key_turns_[key] = turn();
    changed = true;
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

// The turn of the latest change to a key that the request names: an answer that saw it waits for
// it.
uint64_t NodeWorld::last_change(const Client& client, const std::vector<std::string>& words) const {
  uint64_t latest = 0;
  for (const std::string& word : words) {
    const auto found = key_turns_.find({client.database, word});
    if (found != key_turns_.end()) latest = std::max(latest, found->second);
  }
  return latest;
}

void NodeWorld::read_answers() {
  for (Client& client : clients_) {
    if (client.connection < 0) continue;
    std::string& received = node_->received(client.connection);
    trace_ = hash64(received, trace_);
    client.parser.feed(received);
    received.clear();
    ReplyValue value;
    ReplyParser::Outcome outcome;
    while ((outcome = client.parser.next(value)) == ReplyParser::Outcome::kValue) {
      if (client.outstanding.empty()) return wrong("an answer that nobody asked for");
      Client::Outstanding& first = client.outstanding.front();
      // A refusal looked at no data.
      const bool refused =
          value.kind == ReplyValue::Kind::kError &&
          (value.text.starts_with("MISCONF") || value.text.starts_with("EXECABORT"));
      if (refused) first.turn = 0;
      if (--first.replies > 0) continue;
      if (options_.log && first.turn > promised_turn_) {
        std::printf("turn %llu client %d: an answer promises turn %llu\n",
                    static_cast<unsigned long long>(turn() - 1), client.connection,
                    static_cast<unsigned long long>(first.turn));
      }
      promised_turn_ = std::max(promised_turn_, first.turn);
      client.outstanding.erase(client.outstanding.begin());
    }
    if (outcome == ReplyParser::Outcome::kProtocolError) {
      return wrong("an answer is no RESP: " + std::string(client.parser.error_text()));
    }
  }
}

// The latest turn from `least` on whose data is what the node holds now.
std::optional<uint64_t> NodeWorld::matching_turn(uint64_t least) {
  for (uint64_t candidate = turn(); candidate-- > least;) {
    const Moment& moment = moments_[static_cast<size_t>(candidate - base_turn_)];
    if (digest(node_->node().store(), moment.unix_ms) == moment.digest) return candidate;
  }
  return std::nullopt;
}

void NodeWorld::check(Death death) {
  // After a power cut only `always` has promised anything.
  const bool binds = death == Death::kKilled || policy_ == Policy::kAlways ||
                     options_.planted == Planted::kReplyBeforeSync;
  const uint64_t least = binds ? std::max(promised_turn_, base_turn_) : base_turn_;
  const auto found = matching_turn(least);
  if (!found) {
    const auto earlier = matching_turn(base_turn_);
    return wrong("the data is that of " +
                 (earlier ? "turn " + std::to_string(*earlier) : std::string("no turn")) +
                 "; answers went up to turn " + std::to_string(promised_turn_) +
                 ", the last turn was " + std::to_string(turn() - 1));
  }
  moments_ = {moments_[static_cast<size_t>(*found - base_turn_)]};
  base_turn_ = promised_turn_ = *found;
}

void NodeWorld::die(Death death) {
  ++result_.crashes;
  for (const DiskLane lane : {DiskLane::kLog, DiskLane::kBulk}) {
    // A write that was under way may have got as far as it likes.
    const DiskRequest* request = node_->next_request(lane);
    if (request == nullptr || request->op != DiskRequest::Op::kAppend || disk_is_full_) continue;
    if (!prng_.chance(0.5)) continue;
    const std::string_view bytes = request->bytes.view();
    const Status ignored = disk_.append(
        request->file, bytes.substr(0, static_cast<size_t>(prng_.below(bytes.size() + 1))));
    (void)ignored;
  }
  now_ = node_->now();
  result_.snapshots += node_->renames();
  node_.reset();
  disk_.heal();
  disk_is_full_ = false;
  if (death == Death::kPowerCut) disk_.crash();
  if (options_.log) std::printf("%s\n", death == Death::kKilled ? "killed" : "power cut");
  restart(death);
}

void NodeWorld::restart(Death death) {
  clients_.assign(client_count_, Client());
  now_.steady_us += 1'000'000;
  now_.unix_ms += static_cast<int64_t>(prng_.below(3000));
  node_ = std::make_unique<SimNode>(
      disk_, SimNode::Options{.seed = prng_.next(), .config = config(), .now = now_});
  const Status recovered = node_->recover();
  if (!recovered.ok()) {
    return wrong("the node does not start: " + std::string(recovered.error().detail()));
  }
  if (moments_.empty()) {
    moments_.push_back(
        {.digest = digest(node_->node().store(), now_.unix_ms), .unix_ms = now_.unix_ms});
  }
  check(death);
  key_digests_ = key_digests(node_->node().store(), node_->now().unix_ms);
  key_turns_.clear();
  node_->start();
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
      pass_time(static_cast<int64_t>(prng_.below(200'000)));
      node_->tick_if_due();
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
      pass_time(static_cast<int64_t>(prng_.below(2'000)));
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
  return planted == Planted::kReplyBeforeSync || planted == Planted::kNoDirectorySync;
}

SimResult run_node_sim(const NodeSimOptions& options) { return NodeWorld(options).run(); }

}  // namespace quorate::sim
