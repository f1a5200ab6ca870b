// Dialling, letting in, replacing.
#include "cluster/peers.h"

#include <algorithm>
#include <iterator>

#include "util/check.h"

namespace quorate {

namespace {

constexpr PeerLane kLanes[] = {PeerLane::kData, PeerLane::kBeats, PeerLane::kPubsub};
// And one that looks for a cluster, or calls.
constexpr size_t kNodeConnections = std::size(kLanes) + 1;
size_t index_of(PeerLane lane) { return static_cast<size_t>(lane) - static_cast<size_t>(PeerLane::kData); }

}  // namespace

struct Peers::Connection {
  Connection(ConnectionId id_in, const LinkOptions& options)
      : id(id_in), is_dialled_here(options.own.lane != PeerLane::kEither), lane(options.own.lane), link(options) {}

  // Accepted and no line, or none yet: nobody knows whose it is before it has greeted.
  bool is_guest() const { return !is_dialled_here && !is_line; }

  const ConnectionId id;
  const bool is_dialled_here;    // else accepted
  PeerLane lane;                 // kEither until an accepted one has been greeted
  uint64_t node = 0;             // who greeted, or is expected to; 0: not known
  bool is_line = false;          // of a line between members; else a guest's, or ours at a seed
  bool is_connected = false;     // the socket is there
  bool is_up = false;            // greeted and let in
  bool is_closed = false;        // the socket is gone; what has come before is still to be read
  bool is_readable = false;
  int64_t greets_until_us = kNever;
  int64_t up_since_unix_ms = 0;
  int64_t heard_us = 0;          // while is_up
  int64_t said_us = 0;
  PeerAddress address;           // of the other side
  bool is_call = false;          // of a member that does not dial us: made again after a while, if it says nothing
  Link link;
};

Peers::Peers(const PeersOptions& options) : options_(options), random_(options.seed), nonces_(options.nonce_key) {}
Peers::~Peers() = default;

Peers::Connection* Peers::find(ConnectionId id) const {
  const auto found = std::lower_bound(connections_.begin(), connections_.end(), id, [](const Held& each, ConnectionId other) { return each.id < other; });
  return found == connections_.end() || found->id != id ? nullptr : found->connection.get();
}

// What was not heard while this process itself stood still says nothing about the others: with lines, beats keep it busy.
void Peers::begin(Instant now) {
  const int64_t stood_still_us = now.steady_us - now_.steady_us - options_.beat_silence_us_max / 4;
  now_ = now;
  if (stood_still_us <= 0) return;
  for (const auto& [id, connection] : connections_) connection->heard_us += stood_still_us;
}

// Whose connection this is; null: a guest's, or one that was replaced.
Peers::Line* Peers::line_of(const Connection& connection) {
  for (Seed& seed : seeds_) {
    if (seed.line.connection == connection.id) return &seed.line;
  }
  if (!connection.is_line) {
    for (auto& [node, member] : members_) {
      if (member.call.connection == connection.id) return &member.call;
    }
    return nullptr;
  }
  const auto member = members_.find(connection.node);
  if (member == members_.end()) return nullptr;
  Line& line = member->second.lines[index_of(connection.lane)];
  return line.connection == connection.id ? &line : nullptr;
}

// ---- whom to know --------------------------------------------------------------------------------------

void Peers::set_members(Instant now, std::span<const PeerTarget> members) {
  begin(now);
  std::map<uint64_t, Member> before;
  before.swap(members_);
  for (const PeerTarget& target : members) {
    CHECK(target.node != options_.node);
    Member& member = members_[target.node];
    const auto known = before.find(target.node);
    if (known != before.end()) {
      member = known->second;
      before.erase(known);
    } else {
      member.down_since_us = now.steady_us;
    }
    member.address = target.address;
  }
  for (const auto& [node, member] : before) {
    for (const Line& line : member.lines) {
      if (line.connection != 0) close(line.connection);
    }
    if (member.call.connection != 0) close(member.call.connection);
  }
  // Members that have called us before we knew them were taken for guests; they dial again.
  std::vector<ConnectionId> mistaken;
  for (const auto& [id, connection] : connections_) {
    const bool wanted_us = connection->is_up && connection->is_guest() && connection->link.peer().wanted_node != 0;
    if (wanted_us && members_.find(connection->node) != members_.end()) mistaken.push_back(id);
  }
  for (const ConnectionId id : mistaken) close(id);
  dial_due();
}

void Peers::add_seed(Instant now, const PeerAddress& address) {
  begin(now);
  seeds_.push_back({.address = address, .line = {}});
  dial_due();
}

void Peers::clear_seeds() {
  std::vector<Seed> seeds;
  seeds.swap(seeds_);
  for (const Seed& seed : seeds) {
    if (seed.line.connection != 0) close(seed.line.connection);
  }
}

// ---- making connections ----------------------------------------------------------------------------------

ConnectionId Peers::add_connection(PeerLane lane, uint64_t wanted) {
  const ConnectionId id = next_connection_++;
  const LinkOptions options{.own = {.lane = lane,
                                    .cluster = options_.cluster,
                                    .partitions = options_.partitions,
                                    .node = options_.node,
                                    .incarnation = options_.incarnation},
                            .wanted_node = wanted,
                            .secret = options_.secret,
                            .nonce = nonces_.next(),
                            .frame_size_max = lane == PeerLane::kEither ? options_.guest_frame_size_max : options_.frame_size_max};
  auto connection = std::make_unique<Connection>(id, options);
  connection->node = wanted;
  connection->greets_until_us = now_.steady_us + options_.greeting_us_max;
  connections_.push_back({id, std::move(connection)});   // ids grow
  return id;
}

int64_t Peers::greeting_us(const Line& line) const {
  int64_t limit_us = options_.greeting_us_max;
  // The longest one of a round comes last.
  uint32_t steps = 0;
  while (limit_us / 2 >= options_.greeting_first_us_max) {
    limit_us /= 2;
    ++steps;
  }
  return limit_us << (line.failures % (steps + 1));
}

void Peers::dial(Line& line, PeerLane lane, const PeerAddress& address, uint64_t node) {
  line.connection = add_connection(lane, node);
  find(line.connection)->greets_until_us = now_.steady_us + greeting_us(line);
  line.is_up = false;
  line.retry_at_us = kNever;
  Connection& connection = *find(line.connection);
  connection.is_line = node != 0;
  connection.address = address;
  output_.dial.push_back({line.connection, address});
}

int64_t Peers::calls_at(uint64_t node, const Member& member) const {
  if (dials(node) || member.down_since_us == kNever || member.call.connection != 0) return kNever;
  const int64_t first_us = member.down_since_us + (calls_at_once_ ? 0 : options_.call_us);
  return member.call.retry_at_us == kNever ? first_us : std::max(first_us, member.call.retry_at_us);
}

// Dials whoever is to be dialled now.
void Peers::dial_due() {
  const auto is_due = [&](const Line& line) {
    return line.connection == 0 && (line.retry_at_us == kNever || line.retry_at_us <= now_.steady_us);
  };
  for (Seed& seed : seeds_) {
    if (is_due(seed.line)) dial(seed.line, PeerLane::kData, seed.address, 0);
  }
  for (auto& [node, member] : members_) {
    if (calls_at(node, member) <= now_.steady_us) {
      dial(member.call, PeerLane::kData, member.address, 0);
      find(member.call.connection)->is_call = true;
    }
    if (!dials(node)) continue;
    for (const PeerLane lane : kLanes) {
      Line& line = member.lines[index_of(lane)];
      if (is_due(line)) dial(line, lane, member.address, node);
    }
  }
}

// Twice as long as the last time, and up to a half of that more, so that not all nodes knock at the same moment.
void Peers::retry_later(Line& line) {
  line.connection = 0;
  line.is_up = false;
  ++line.failures;
  line.retry_wait_us = line.retry_wait_us == 0 ? options_.retry_first_us
                                               : std::min(line.retry_wait_us * 2, options_.retry_last_us);
  const auto jitter = random_.below(static_cast<uint64_t>(line.retry_wait_us) / 2 + 1);
  line.retry_at_us = now_.steady_us + line.retry_wait_us + static_cast<int64_t>(jitter);
}

void Peers::remove(ConnectionId id) {
  Connection* const connection = find(id);
  if (connection == nullptr) return;
  if (Line* const line = line_of(*connection)) {
    const bool was_data = line->is_up && connection->is_line && connection->lane == PeerLane::kData;
    if (was_data) members_.at(connection->node).down_since_us = now_.steady_us;
    if (line->is_up && connection->lane == PeerLane::kBeats) members_.at(connection->node).beats_heard_us = connection->heard_us;
    retry_later(*line);
  }
  if (connection->is_up) {
    events_.push_back({.kind = PeerEvent::Kind::kDown,
                       .lane = connection->lane,
                       .node = connection->node,
                       .is_line = connection->is_line,
                       .connection = id});
  }
  std::erase(readable_, id);
  std::erase_if(connections_, [&](const Held& each) { return each.id == id; });
}

void Peers::close(ConnectionId id) {
  Connection& connection = *find(id);
  if (!connection.is_closed) output_.close.push_back({.connection = id, .last_words = connection.link.output().take_front()});
  remove(id);
}

ConnectionId Peers::accepted(Instant now, const PeerAddress& from) {
  begin(now);
  // What gives way is closed at the turn's end.
  if (output_.close.size() >= options_.guests_max) {
    ++refusals_;
    return 0;
  }
  make_room(GuestStage::kNotGreeted);
  const ConnectionId id = add_connection(PeerLane::kEither, 0);
  find(id)->address = from;
  find(id)->is_connected = true;
  return id;
}

void Peers::dialled(Instant now, ConnectionId id) {
  begin(now);
  if (Connection* const connection = find(id)) connection->is_connected = true;
}

void Peers::closed(Instant now, ConnectionId id) {
  begin(now);
  Connection* const connection = find(id);
  if (connection == nullptr) return;
  connection->is_closed = true;
  look_again(id);
}

// When it is closed unless something happens to it.
int64_t Peers::end_of(const Connection& connection) const {
  if (!connection.is_up) return connection.greets_until_us;
  if (connection.is_line) {
    return connection.heard_us + (connection.lane == PeerLane::kBeats ? options_.beat_silence_us_max : options_.silence_us_max);
  }
  return connection.is_guest() || connection.is_call ? connection.greets_until_us + options_.guest_us_max : kNever;
}

// When it is to say that it is there, unless it says something before.
int64_t Peers::says_next_at(const Connection& connection) const {
  if (!connection.is_up || !connection.is_line) return kNever;
  const bool is_of_beats = connection.lane == PeerLane::kBeats;
  return connection.said_us + (is_of_beats ? options_.beat_silence_us_max / 4 : options_.keep_alive_us);
}

void Peers::tick(Instant now) {
  begin(now);
  std::vector<ConnectionId> late;
  for (const auto& [id, connection] : connections_) {
    if (end_of(*connection) <= now.steady_us) {
      late.push_back(id);
    } else if (says_next_at(*connection) <= now.steady_us) {
      connection->link.keep_alive();
    }
  }
  for (const ConnectionId id : late) {
    if (find(id)->is_guest() && !find(id)->is_up) ++refusals_;
    close(id);
  }
  dial_due();
}

int64_t Peers::deadline() const {
  int64_t deadline = kNever;
  for (const auto& [id, connection] : connections_) {
    deadline = std::min({deadline, end_of(*connection), says_next_at(*connection)});
  }
  for (const Seed& seed : seeds_) {
    if (seed.line.connection == 0) deadline = std::min(deadline, seed.line.retry_at_us);
  }
  for (const auto& [node, member] : members_) {
    deadline = std::min(deadline, calls_at(node, member));
    for (const Line& line : member.lines) {
      if (dials(node) && line.connection == 0) deadline = std::min(deadline, line.retry_at_us);
    }
  }
  return deadline;
}

// ---- greetings -----------------------------------------------------------------------------------------

void Peers::on_refusal(Connection& connection) {
  ++refusals_;
  events_.push_back({.kind = PeerEvent::Kind::kRefused,
                     .lane = connection.lane,
                     .node = connection.node,
                     .is_line = connection.is_line,
                     .connection = connection.id,
                     .refusal = connection.link.refusal(),
                     .was_accepted = !connection.is_dialled_here,
                     .address = connection.address,
                     .version = connection.link.peer_version()});
}

// Whoever comes is heard, and none that sits there in silence, or comes again and again, keeps others out for long: the oldest one gives way,
// of the host that has most if that has more than a node needs.
void Peers::make_room(GuestStage stage) {
  size_t count = 0;
  std::map<std::string_view, std::vector<Connection*>> by_host;   // oldest first
  for (const auto& [id, connection] : connections_) {
    if (!connection->is_guest() || connection->is_up != (stage == GuestStage::kGreeted)) continue;
    by_host[connection->address.host].push_back(connection.get());
    ++count;
  }
  if (count < options_.guests_max) return;
  const auto most = std::max_element(by_host.begin(), by_host.end(), [](const auto& left, const auto& right) {
    const size_t left_size = std::max(left.second.size(), kNodeConnections);
    const size_t right_size = std::max(right.second.size(), kNodeConnections);
    return left_size != right_size ? left_size < right_size : left.second.front()->id > right.second.front()->id;
  });
  Connection& oldest = *most->second.front();
  oldest.link.refuse(Refusal::kTooMany);
  on_refusal(oldest);
  close(oldest.id);
}

// A greeted connection becomes the line to its member.  What was the line before is dead and nobody has told us yet.
void Peers::take_line(Connection& connection) {
  Member& member = members_.at(connection.node);
  Line& line = member.lines[index_of(connection.lane)];
  const ConnectionId before = line.connection == connection.id ? 0 : line.connection;
  const int64_t heard_us = line.is_up && before != 0 ? find(before)->heard_us : member.beats_heard_us;
  line = {.connection = connection.id, .is_up = true, .retry_at_us = kNever, .retry_wait_us = 0};
  connection.is_line = true;
  connection.link.set_frame_size_max(options_.frame_size_max);
  if (before != 0) close(before);
  if (connection.lane == PeerLane::kBeats) close_silent_lines(member, heard_us);
  if (connection.lane != PeerLane::kData) return;
  member.down_since_us = kNever;
  if (member.call.connection != 0) close(member.call.connection);
  member.call = Line();
}

void Peers::close_silent_lines(const Member& member, int64_t silent_since_us) {
  if (silent_since_us == INT64_MIN || now_.steady_us - silent_since_us < options_.beat_silence_us_max / 2) return;
  for (const Line& line : member.lines) {
    const Connection* const other = line.is_up ? find(line.connection) : nullptr;
    if (other != nullptr && other->lane != PeerLane::kBeats && other->heard_us <= silent_since_us) close(other->id);
  }
}

// What is still on its way from a process that is gone speaks of what went with it: that it has stored something, for one.
void Peers::close_lines_before(const Connection& newest) {
  for (const Line& line : members_.at(newest.node).lines) {
    const Connection* const other = line.is_up ? find(line.connection) : nullptr;
    if (other != nullptr && other->link.peer().incarnation < newest.link.peer().incarnation) close(other->id);
  }
}

void Peers::on_greeting(Connection& connection) {
  const Greeting& peer = connection.link.peer();
  const uint64_t known = incarnation_of(peer.node);
  if (peer.incarnation < known) {
    connection.link.refuse(Refusal::kOldIncarnation);
    return;
  }
  const bool was_accepted = connection.lane == PeerLane::kEither;
  connection.node = peer.node;
  if (was_accepted) connection.lane = peer.lane;
  const auto tell = [&](PeerEvent::Kind kind) {
    events_.push_back(
        {.kind = kind, .lane = connection.lane, .node = peer.node, .is_line = connection.is_line, .connection = connection.id, .address = connection.address});
  };
  // Who does not say whom it wants is a guest, even if it is a member: it looks for its cluster.
  const bool wants_line = was_accepted ? peer.wanted_node != 0 : connection.is_line;
  if (wants_line && members_.find(peer.node) != members_.end()) {
    take_line(connection);
    if (known != 0 && peer.incarnation > known) {
      close_lines_before(connection);
      tell(PeerEvent::Kind::kRestarted);
    }
    // Of members only: guests may call themselves anything.
    incarnations_[peer.node] = peer.incarnation;
  }
  if (connection.is_guest()) make_room(GuestStage::kGreeted);
  connection.is_up = true;
  connection.up_since_unix_ms = now_.unix_ms;
  connection.heard_us = connection.said_us = now_.steady_us;
  tell(PeerEvent::Kind::kUp);
}

// ---- messages -------------------------------------------------------------------------------------------

void Peers::received(Instant now, ConnectionId id, std::string_view bytes) {
  begin(now);
  Connection* const connection = find(id);
  if (connection == nullptr) return;
  connection->heard_us = now.steady_us;
  connection->link.receive(bytes);
  look_again(id);
}

void Peers::look_again(ConnectionId id) {
  Connection* const connection = find(id);
  if (connection == nullptr || connection->is_readable) return;
  connection->is_readable = true;
  readable_.push_back(id);
}

bool Peers::next(Incoming& incoming) {
  while (!readable_.empty()) {
    Connection& connection = *find(readable_.front());
    const bool has_message = connection.link.next(incoming.message);
    if (!connection.is_up && connection.link.is_open()) on_greeting(connection);
    if (connection.link.refusal() != Refusal::kNone) {
      on_refusal(connection);
      close(connection.id);
      continue;
    }
    if (has_message) {
      incoming.lane = connection.lane;
      incoming.node = connection.node;
      incoming.is_guest = !connection.is_line;
      incoming.is_dialled_here = connection.is_dialled_here;
      incoming.connection = connection.id;
      return true;
    }
    if (connection.is_closed) {
      remove(connection.id);
      continue;
    }
    connection.is_readable = false;
    readable_.erase(readable_.begin());
  }
  return false;
}

Link* Peers::link(uint64_t node, PeerLane lane) {
  const auto member = members_.find(node);
  if (member == members_.end()) return nullptr;
  const Line& line = member->second.lines[index_of(lane)];
  return line.is_up ? &find(line.connection)->link : nullptr;
}

bool Peers::is_up(uint64_t node, PeerLane lane) const {
  const auto member = members_.find(node);
  return member != members_.end() && member->second.lines[index_of(lane)].is_up;
}

Link* Peers::link_of(ConnectionId id) {
  Connection* const connection = find(id);
  return connection != nullptr && connection->is_up ? &connection->link : nullptr;
}

std::vector<ConnectionId> Peers::connections_of_cluster() const {
  std::vector<ConnectionId> found;
  for (const auto& [id, connection] : connections_) {
    if (!connection->is_up || connection->lane != PeerLane::kData) continue;
    if (is_of_cluster(id)) found.push_back(id);
  }
  return found;
}

bool Peers::is_of_cluster(ConnectionId id) const {
  constexpr ClusterId kNone{};
  return options_.cluster != kNone && find(id)->link.peer().cluster == options_.cluster;
}

bool Peers::was_dialled_as_seed(ConnectionId id) const {
  const Connection* const connection = find(id);
  return connection != nullptr && connection->is_dialled_here && !connection->is_line && is_of_cluster(id);
}

bool Peers::was_called_as_member(ConnectionId id) const {
  const Connection& connection = *find(id);
  return !connection.is_dialled_here && is_of_cluster(id) && connection.link.peer().wanted_node == options_.node;
}

uint64_t Peers::incarnation_of(uint64_t node) const {
  const auto known = incarnations_.find(node);
  return known == incarnations_.end() ? 0 : known->second;
}

std::vector<Peers::LineFacts> Peers::lines() const {
  std::vector<LineFacts> facts;
  for (const auto& [node, member] : members_) {
    for (const PeerLane lane : kLanes) {
      const Line& line = member.lines[index_of(lane)];
      if (!line.is_up) continue;
      Connection& connection = *find(line.connection);
      facts.push_back({.node = node,
                       .lane = lane,
                       .is_dialled_here = dials(node),
                       .up_since_unix_ms = connection.up_since_unix_ms,
                       .bytes_waiting = connection.link.output().size()});
    }
  }
  return facts;
}

void Peers::end_turn() {
  output_.flush.clear();
  for (const auto& [id, connection] : connections_) {
    if (connection->is_up) connection->link.end_turn();
    if (!connection->is_connected || connection->is_closed || connection->link.output().empty()) continue;
    connection->said_us = now_.steady_us;
    output_.flush.push_back(id);
  }
}

Outgoing& Peers::output_of(ConnectionId id) {
  Connection* const connection = find(id);
  CHECK(connection != nullptr);
  return connection->link.output();
}

}  // namespace quorate
