// The driver's side of a node, without an operating system.
#include "tests/sim/sim_node.h"

#include <algorithm>
#include <utility>

#include "node/session.h"
#include "node/state.h"
#include "node/upkeep.h"
#include "persist/recovery.h"
#include "persist/rejoin.h"
#include "util/check.h"

namespace quorate::sim {

namespace {

constexpr size_t kLogLinesMax = 200;
constexpr int kSettleTurnsMax = 100'000;

int64_t still_clock() { return 0; }

// By a number of its own, so that what else a seed draws stays.
Bytes32 nonce_key(uint64_t seed) {
  Prng prng(seed ^ 0x6e6f6e6365);
  Bytes32 key;
  for (char& byte : key) byte = static_cast<char>(prng.below(256));
  return key;
}

// The lines of `config` hold no includes.
class NoFiles final : public ConfigFiles {
 public:
  Result<std::vector<File>> read(std::string_view) override {
    return Error(ErrorCode::kIo, "no such file");
  }
};

}  // namespace

SimNode::SimNode(SimDisk& disk, const Options& options)
    : disk_(disk),
      options_(options),
      prng_(options.seed),
      configuration_(SettingTargets{store_settings_, node_settings_, process_settings_}),
      now_(options.now) {
  for (Lane& lane : lanes_) lane.executor.emplace(disk_);
}

SimNode::~SimNode() = default;

Status SimNode::recover() {
  NoFiles files;
  std::vector<Directive> directives;
  TRY(read_directives(options_.config, "sim.conf", files, directives));
  TRY(configuration_.load(directives));
  store_settings_.pieces_from = options_.pieces_from;
  Status recovered = begin();
  if (recovered.ok() || node_ == nullptr || !node_->has_retired()) return recovered;
  return begin();
}

Status SimNode::begin() {
  TRY(const Life life, begin_life(disk_, 0, prng_.next()));
  const LogIdentity identity = log_identity(disk_, 0, prng_.next());
  node_ = std::make_unique<Node>(
      NodeOptions{.store = {.databases = static_cast<int>(node_settings_.databases),
                            .partitions = static_cast<uint32_t>(node_settings_.partitions),
                            .hash_seed = identity.hash_seed,
                            .random_seed = prng_.next()},
                  .shard = 0,
                  .new_log_id = identity.new_log_id,
                  .identity = life.identity,
                  .rejoin = life.rejoin,
                  .start_facts = options_.start_facts,
                  .seed = prng_.next(),
                  .nonce_key = nonce_key(options_.seed),
                  .clock_us = still_clock,
                  .settings = node_settings_,
                  .store_settings = store_settings_,
                  .process_settings = process_settings_,
                  .configuration = configuration_,
                  .host = *this,
                  .group = options_.group,
                  .states = options_.states,
                  .mistakes = options_.mistakes});
  return node_->recover(disk_, now_);
}

void SimNode::start() { node_->start(now_); }

int SimNode::connect(ClientDoor door) {
  const auto number = static_cast<int>(connections_.size());
  auto& connection = connections_.emplace_back(std::make_unique<Connection>());
  connection->number = number;
  PeerInfo peer{.connection = connection.get(),
                .address = "127.0.0.1:" + std::to_string(40000 + number),
                .local_address = "127.0.0.1:7001",
                .descriptor = number,
                .door = door};
  connection->session = node_->connect(now_, std::move(peer));
  return number;
}

void SimNode::set_config(std::string_view name, std::string_view value) {
  const SettingPair pair{name, value};
  CHECK(configuration_.set({&pair, 1}, this).ok());
  quorate::settings_changed(node_->state());
}

void SimNode::disconnect(int number) {
  Connection& connection = connection_of(number);
  if (connection.session == nullptr) return;
  if (!connection.sending.empty()) {
    const size_t left = connection.sending.size();
    connection.sending = {};
    node_->sent(now_, connection.session, left);
  }
  node_->peer_closed(now_, connection.session, Hangup::kWhole);
}

void SimNode::send(int number, std::string_view bytes) {
  Connection& connection = connection_of(number);
  if (!connection.is_reading) {
    connection.unread += bytes;
    unread_.insert(number);
    return;
  }
  while (!bytes.empty() && connection.session != nullptr) {
    const std::span<char> target = node_->read_target(connection.session);
    if (target.empty()) {
      receive(connection, bytes);
      return;
    }
    const std::string_view part = bytes.substr(0, target.size());
    std::copy(part.begin(), part.end(), target.begin());
    receive(connection, {target.data(), part.size()});
    bytes.remove_prefix(part.size());
  }
}

void SimNode::receive(Connection& connection, std::string_view bytes) {
  Store& store = node_->store();
  const uint64_t dirty = store.dirty();
  const uint64_t needed = connection.session->needs.log_position;
  node_->receive(now_, connection.session, bytes);
  if (!options_.forgets_expiry || connection.session == nullptr) return;
  // Nobody has written in this turn, so if the reply waits for its record, that is for an expiry.
  const bool wrote = store.dirty() != dirty || store.effects().count() != store.implied_effects();
  if (!wrote &&
      connection.session->needs.log_position == node_->state().durability.turn_sequence()) {
    connection.session->needs.log_position = needed;
  }
}

std::string SimNode::take_said(int number) {
  Connection& connection = connection_of(number);
  std::string said = std::move(connection.handed);
  connection.handed.clear();
  const std::string_view still_here =
      connection.session == nullptr ? std::string_view() : connection.session->out.view();
  said += still_here;
  said.erase(0, std::min(connection.said_ahead, said.size()));
  connection.said_ahead = still_here.size();
  return said;
}

void SimNode::advance(int64_t us) {
  // The wall clock counts whole milliseconds of the same time.
  const int64_t before_ms = now_.steady_us / 1000;
  now_.steady_us += us;
  now_.unix_ms += now_.steady_us / 1000 - before_ms;
}

void SimNode::tick_if_due() {
  if (now_.steady_us >= deadline_us_) node_->tick(now_);
}

bool SimNode::take_disk_step(DiskLane which) {
  Lane& lane = lanes_[static_cast<size_t>(which)];
  if (lane.queue.empty()) return false;
  DiskRequest request = std::move(lane.queue.front());
  lane.queue.pop_front();
  if (request.op == DiskRequest::Op::kRename) ++renames_;
  node_->disk_reply(now_, lane.executor->execute(request));
  return true;
}

const DiskRequest* SimNode::next_request(DiskLane which) const {
  const Lane& lane = lanes_[static_cast<size_t>(which)];
  return lane.queue.empty() ? nullptr : &lane.queue.front();
}

void SimNode::tear_writes(Prng& chance) {
  for (const DiskLane which : {DiskLane::kLog, DiskLane::kBulk}) {
    const DiskRequest* const request = next_request(which);
    if (request == nullptr || request->op != DiskRequest::Op::kAppend) continue;
    if (lanes_[static_cast<size_t>(which)].executor->refuses(*request)) continue;
    if (!chance.chance(0.5)) continue;
    const std::string_view bytes = request->bytes.view();
    const Status ignored =
        disk_.append(request->file, bytes.substr(0, static_cast<size_t>(chance.below(bytes.size() + 1))));
    (void)ignored;
  }
}

void SimNode::drain_socket(int number) {
  Connection& connection = connection_of(number);
  if (connection.sending.empty() || connection.session == nullptr) return;
  const size_t count = options_.hasty
                           ? connection.sending.size()
                           : 1 + static_cast<size_t>(prng_.below(connection.sending.size()));
  connection.received += connection.sending.substr(0, count);
  connection.sending.remove_prefix(count);
  node_->sent(now_, connection.session, count);
}

void SimNode::shut_down() { node_->shutdown(now_, 0); }

void SimNode::end_turn() {
  for (auto next = unread_.begin(); next != unread_.end();) {
    const int number = *next++;
    Connection& connection = connection_of(number);
    if (!connection.is_reading) continue;
    unread_.erase(number);
    send(number, std::exchange(connection.unread, {}));
  }
  for (const ConnectionId connection : std::exchange(unreachable_, {})) {
    node_->peer_lost(now_, connection);
  }
  perform(*node_, now_, *this);
}

void SimNode::settle() {
  for (int turn = 0; turn < kSettleTurnsMax; ++turn) {
    end_turn();
    bool moved = take_disk_step(DiskLane::kLog);
    moved = take_disk_step(DiskLane::kBulk) || moved;
    for (const auto& connection : connections_) {
      if (connection->sending.empty()) continue;
      drain_socket(connection->number);
      moved = true;
    }
    moved = moved || !unreachable_.empty();
    if (now_.steady_us >= deadline_us_) {
      node_->tick(now_);
      moved = true;
      // A node that asks for one tick after another makes no progress without time.
      now_.steady_us += 1;
    }
    if (!moved) return;
  }
  CHECK(false);
}

bool SimNode::lives_on() {
  if (outputs_left_ == 0) return false;
  if (outputs_left_ != UINT64_MAX) --outputs_left_;
  return outputs_left_ != 0;
}

size_t SimNode::send(void* pointer, std::string_view bytes) {
  Connection& connection = of(pointer);
  CHECK(connection.sending.empty());
  if (!lives_on()) return bytes.size();
  const bool takes_all = options_.hasty || prng_.chance(0.9);
  const size_t count =
      takes_all ? bytes.size() : static_cast<size_t>(prng_.below(bytes.size() + 1));
  connection.received += bytes.substr(0, count);
  connection.handed += bytes;
  connection.sending = bytes.substr(count);
  return count;
}

void SimNode::close(void* pointer, CloseMode) {
  Connection& connection = of(pointer);
  connection.session = nullptr;
  connection.sending = {};
}

std::optional<DiskReply> SimNode::disk(DiskRequest&& request, DiskPlace place) {
  if (!lives_on()) return std::nullopt;
  Lane& lane = lanes_[static_cast<size_t>(request.lane)];
  const bool at_once = options_.hasty || place == DiskPlace::kInline;
  if (at_once && lane.queue.empty()) return lane.executor->execute(request);
  lane.queue.push_back(std::move(request));
  return std::nullopt;
}

void SimNode::set_reading(void* pointer, bool wants_input) { of(pointer).is_reading = wants_input; }

void SimNode::dial(ConnectionId connection, const PeerAddress& address) {
  if (!lives_on()) return;
  if (options_.carrier == nullptr) return unreachable_.push_back(connection);
  options_.carrier->dial(connection, address);
}

void SimNode::send_to_peer(ConnectionId connection, Outgoing& bytes) {
  if (lives_on() && options_.carrier != nullptr) {
    Buffer whole;
    bytes.append_to(whole);
    options_.carrier->carry(connection, whole.view());
  }
  bytes.clear();
}

void SimNode::close_peer(ConnectionId connection, Buffer& last_words) {
  if (!lives_on() || options_.carrier == nullptr) return;
  options_.carrier->hang_up(connection, last_words.view());
}

uint64_t SimNode::used_memory() {
  if (options_.bytes_a_key == 0 || node_ == nullptr) return Host::used_memory();
  uint64_t keys = 0;
  Store& store = node_->store();
  for (int database = 0; database < store.database_count(); ++database) keys += store.database(database).size();
  const Company& company = node_->state().company;
  return keys * options_.bytes_a_key + (company.is_started() ? company.cluster().groups().log_bytes() : 0);
}

void SimNode::log(LogLevel, std::string_view line) {
  if (options_.on_log) options_.on_log(line);
  if (log_lines_.size() < kLogLinesMax) log_lines_.emplace_back(line);
}

}  // namespace quorate::sim
