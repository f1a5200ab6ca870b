// The node's inputs: each hands over to the file of its subject.
#include "node/node.h"

#include <algorithm>

#include "commands/errors.h"
#include "commands/families.h"
#include "node/blocking.h"
#include "node/commands/node_families.h"
#include "node/forward.h"
#include "node/host.h"
#include "node/input.h"
#include "node/output.h"
#include "node/persistence.h"
#include "node/process_settings.h"
#include "node/publish.h"
#include "node/pubsub_links.h"
#include "node/upkeep.h"
#include "util/memory.h"

namespace quorate {

namespace {

// Below this an incomplete value is copied from the shared buffer like everything else.
constexpr size_t kReadInPlaceMin = 32 * 1024;
// Offered to the driver at once, whatever a client promises to send.
constexpr size_t kReadInPlaceMax = 1024 * 1024;

std::string make_run_id(uint64_t seed) {
  Prng random(seed);
  constexpr char kHex[] = "0123456789abcdef";
  std::string id;
  for (int digit = 0; digit < 40; ++digit) id.push_back(kHex[random.below(16)]);
  return id;
}

// The tables inside values have a seed of their own, kept as long as that of the keyspace: cursors of SSCAN and its
// kin are places in their hash order.
uint64_t seed_of_values(uint64_t keyspace_seed) {
  constexpr uint64_t kSalt = 0x76616c7565736565;
  return Prng(keyspace_seed ^ kSalt).next();
}

// A stranger from outside, while nobody has said that the server is meant to be public.
bool is_protected_from(const NodeState& node, const Session& session) {
  return node.settings.protected_mode && node.settings.requirepass.empty() && !session.has(kLoopback);
}

}  // namespace

std::vector<CommandTable::Family> all_command_families() {
  std::vector<CommandTable::Family> families;
  for (const auto& family : data_commands()) families.push_back(family);
  for (const auto& family : node_commands()) families.push_back(family);
  return families;
}

NodeState::NodeState(const NodeOptions& options)
    : settings(options.settings),
      store_settings(options.store_settings),
      process_settings(options.process_settings),
      configuration(options.configuration),
      host(options.host),
      group_options(options.group),
      state_options(options.states),
      mistakes(options.mistakes),
      clock_us(options.clock_us),
      shard(options.shard),
      new_log_id(options.new_log_id),
      identity(options.identity),
      rejoin(options.rejoin),
      start_facts(options.start_facts),
      nonce_key(options.nonce_key),
      run_id(make_run_id(options.seed)),
      store(options.store, options.store_settings),
      commands(all_command_families()),
      durability(options.settings, store),
      streams(store.partition_count()),
      persistence(store),
      company(*this) {}

NodeState::~NodeState() = default;

void NodeState::set_hash_seed(uint64_t seed) {
  store.set_hash_seed(seed);
  store_settings.hash_seed = seed_of_values(seed);
}

Node::Node(const NodeOptions& options) : state_(std::make_unique<NodeState>(options)) {
  state_->set_hash_seed(options.store.hash_seed);
  state_->memory_at_start = mem_used();
}
Node::~Node() = default;

Status Node::recover(Disk& disk, Instant now) {
  begin_input(*state_, now);
  return recover_node(*state_, disk);
}

bool Node::has_retired() const { return state_->persistence.has_retired; }

void Node::start(Instant now) {
  begin_input(*state_, now);
  state_->started_us = now.steady_us;
  state_->started_unix_ms = now.unix_ms;
  state_->next_upkeep_us = now.steady_us;
  start_persistence(*state_);
  settings_changed(*state_);
  if (const Status started = state_->company.start(); !started.ok()) {
    state_->host.log(LogLevel::kWarning, std::string(started.error().detail()) + " -> ending");
    state_->host.end_process(ProcessEnd::kFailed);
  }
}

Session* Node::connect(Instant now, PeerInfo peer) {
  NodeState& node = *state_;
  begin_input(node, now);
  ++node.statistics.connections_received;
  Session* const session = node.sessions.add(std::move(peer));
  session->created_us = session->active_us = now.steady_us;
  if (session->peer.is_loopback || session->peer.is_unix_socket) session->set(kLoopback);
  if (session->peer.is_unix_socket) session->set(kUnixSocket);
  if (!node.settings.requirepass.empty()) session->set(kNeedsAuth);
  const bool too_many = static_cast<int64_t>(node.client_count()) > node.process_settings.maxclients;
  if (too_many || is_protected_from(node, *session)) {
    session->set(kRejected);
    ++node.rejected_count;
    ++node.statistics.connections_rejected;
    Reply(session->out, session->protocol)
        .error(error_line(too_many ? errors::too_many_clients() : errors::protected_mode()));
    close_session(node, *session, CloseWhen::kAfterReply);
  }
  meet_while_leaving(node, *session);
  return session;
}

void Node::receive(Instant now, Session* session, std::string_view bytes) {
  begin_input(*state_, now);
  take_input(*state_, *session, bytes);
}

void Node::receive_all(Instant now, std::span<const Received> inputs) {
  begin_input(*state_, now);
  take_inputs(*state_, inputs);
}

std::span<char> Node::read_target(Session* session) {
  if (session->parser == nullptr) return {};
  const size_t wanted = session->parser->bytes_wanted();
  if (wanted < kReadInPlaceMin) return {};
  const size_t offered = wanted < kReadInPlaceMax ? wanted : kReadInPlaceMax;
  char* const place = session->in.reserve(offered);
  session->read_reserved = offered;
  return {place, offered};
}

bool Node::wants_input(const Session* session) const { return quorate::wants_input(*session); }

void Node::peer_closed(Instant now, Session* session, Hangup hangup) {
  NodeState& node = *state_;
  begin_input(node, now);
  if (hangup == Hangup::kWhole || session->has(kBlocked | kPostponed | kBlockedElsewhere)) {
    if (hangup == Hangup::kWhole) session->set(kAbortClose);
    close_session(node, *session, CloseWhen::kNow);
  } else if (!session->has(kClosing)) {
    close_session(node, *session, CloseWhen::kAfterReply);
  }
}

void Node::sent(Instant now, Session* session, size_t bytes) {
  NodeState& node = *state_;
  begin_input(node, now);
  session->flight_sent += bytes;
  node.statistics.bytes_sent += bytes;
  session->active_us = now.steady_us;
  CHECK(session->flight_sent <= session->flight.size());
  if (session->flight_sent < session->flight.size()) return;
  session->flight_sent = 0;
  node.buffers.take_back(session->flight);
  queue_flush(node, *session);
}

void Node::disk_reply(Instant now, DiskReply&& reply) {
  begin_input(*state_, now);
  on_disk_reply(*state_, std::move(reply));
}

void Node::tick(Instant now) {
  begin_input(*state_, now);
  run_upkeep(*state_);
  state_->company.tick();
}

ConnectionId Node::peer_accepted(Instant now, const PeerAddress& from) {
  begin_input(*state_, now);
  return state_->company.accepted(from);
}

void Node::peer_dialled(Instant now, ConnectionId connection) {
  begin_input(*state_, now);
  state_->company.dialled(connection);
}

void Node::peer_received(Instant now, ConnectionId connection, std::string_view bytes) {
  begin_input(*state_, now);
  state_->company.received(connection, bytes);
}

void Node::peer_lost(Instant now, ConnectionId connection) {
  begin_input(*state_, now);
  state_->company.lost(connection);
}

void Node::turn_took(int64_t cpu_us) {
  NodeState& node = *state_;
  Statistics& statistics = node.statistics;
  ++statistics.turns;
  if (cpu_us <= statistics.turn_cpu_us_max && cpu_us < Statistics::kLongTurnUs) [[likely]]
    return;
  statistics.turn_cpu_us_max = std::max(cpu_us, statistics.turn_cpu_us_max);
  if (cpu_us >= Statistics::kLongTurnUs) ++statistics.long_turns;
  const int64_t threshold_ms = node.settings.latency_monitor_threshold;
  if (threshold_ms > 0 && cpu_us / 1000 >= threshold_ms)
    node.latency_monitor.add("loop-turn", node.now.unix_ms / 1000, cpu_us / 1000);
}

void Node::shutdown(Instant now, uint8_t shutdown_options) {
  begin_input(*state_, now);
  begin_shutdown(*state_, nullptr, shutdown_options);
}

int64_t Node::deadline() const { return std::min(upkeep_deadline(*state_), state_->company.deadline()); }
size_t Node::session_count() const { return state_->sessions.size(); }
Store& Node::store() { return state_->store; }

}  // namespace quorate
