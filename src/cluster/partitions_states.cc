// States of partitions on their way: made and sent by who leads, read beside what is here and put in its place by a replica that is too far
// behind.
#include "cluster/partitions.h"

#include <algorithm>
#include <utility>

#include "cluster/partitions_parts.h"
#include "cluster/raft/message_codec.h"
#include "util/check.h"

namespace quorate {

namespace {

using partitions_parts::damaged;
using partitions_parts::leads;

bool waits_for_snapshot(const raft::Core& leader, const raft::Member& member) {
  const std::span<const raft::Progress> progress = leader.progress();
  return std::any_of(progress.begin(), progress.end(), [&](const raft::Progress& each) {
    return each.member() == member && each.state() == raft::Progress::State::kSnapshot;
  });
}

}  // namespace

// ---- sending -----------------------------------------------------------------------------------------------

void Partitions::on_snapshot_wanted(raft::GroupId group, const raft::Member& to) {
  Replica& replica = replicas_[partition_of(group)];
  look_soon(partition_of(group));
  // It is asked for once, and once more for each new connection: what was on its way went with the connection before.
  std::erase_if(replica.streams, [&](const Stream& stream) { return stream.to == to; });
  std::erase_if(replica.put_off, [&](const PutOff& each) { return each.to == to; });
  const auto known = std::find(replica.snapshot_wanted.begin(), replica.snapshot_wanted.end(), to);
  if (known == replica.snapshot_wanted.end()) replica.snapshot_wanted.push_back(to);
}

void Partitions::forget_snapshot(uint32_t partition) {
  replicas_[partition].snapshot.reset();
  replicas_[partition].streams.clear();
  if (encoding_ != partition) return;
  encoding_.reset();
  data_.stop_encoding();
}

bool Partitions::make_snapshot(Instant now, uint32_t partition) {
  Replica& replica = replicas_[partition];
  const raft::Core& own = *groups_.find(group_of_partition(partition));
  if (!replica.snapshot) {
    auto mark = state_mark(partition);
    if (!mark) return false;
    wants_step_ = true;
    if (encoding_ || snapshots_begun_ == options_.snapshots_a_turn_max) return false;
    ++snapshots_begun_;
    check_.stop_sum();
    encoding_ = partition;
    next_step_us_ = now.steady_us;
    replica.snapshot.emplace(HeldSnapshot{.term = own.term(), .mark = std::move(*mark), .state = StateBytes(options_.states.piece_bytes)});
  }
  if (encoding_ != partition) return true;
  wants_step_ = true;
  if (now.steady_us < next_step_us_) return false;
  next_step_us_ = now.steady_us + options_.encoding_us;
  Buffer ready;
  const PartitionData::Encoding encoding = data_.encode_some(partition, ready);
  replica.snapshot->state.append(ready.view());
  if (encoding == PartitionData::Encoding::kDone) encoding_.reset();
  if (encoding == PartitionData::Encoding::kBroken) {
    // Streams that are left are of one before, which their members have taken.
    replica.snapshot.reset();
    encoding_.reset();
    data_.stop_encoding();
  }
  return encoding == PartitionData::Encoding::kDone;
}

void Partitions::send_snapshots(Instant now, uint32_t partition, Peers& peers) {
  Replica& replica = replicas_[partition];
  const raft::Core& own = *groups_.find(group_of_partition(partition));
  std::erase_if(replica.snapshot_wanted, [&](const raft::Member& to) { return !waits_for_snapshot(own, to); });
  std::erase_if(replica.streams, [&](const Stream& stream) { return !waits_for_snapshot(own, stream.to); });
  std::erase_if(replica.put_off, [&](const PutOff& each) { return now.steady_us >= each.until_us; });
  if (replica.snapshot && replica.snapshot->term != own.term()) forget_snapshot(partition);
  begin_streams(now, partition);
  send_pieces(now, partition, peers);
  if (wants_snapshot_now(replica)) return;
  if (replica.streams.empty()) return forget_snapshot(partition);
  // What all have taken need not be kept until all have it in their places.
  const bool is_taken = std::all_of(replica.streams.begin(), replica.streams.end(), [](const Stream& each) { return each.has_begun && each.taken == each.size; });
  if (is_taken && encoding_ != partition) replica.snapshot.reset();
}

// Some wait for it, and not only until a later time.
bool Partitions::wants_snapshot_now(const Replica& replica) {
  return std::any_of(replica.snapshot_wanted.begin(), replica.snapshot_wanted.end(),
                     [&](const raft::Member& to) { return !is_put_off(replica, to); });
}

bool Partitions::is_put_off(const Replica& replica, const raft::Member& to) {
  return std::any_of(replica.put_off.begin(), replica.put_off.end(), [&](const PutOff& each) { return each.to == to; });
}

void Partitions::begin_streams(Instant now, uint32_t partition) {
  Replica& replica = replicas_[partition];
  if (!wants_snapshot_now(replica)) return;
  const raft::Core& own = *groups_.find(group_of_partition(partition));
  // Who got one from which the log does not lead on any more would want another one.
  const bool is_old = replica.snapshot && encoding_ != partition && !own.log().term_at(replica.snapshot->mark.last.index);
  if (is_old && !replica.streams.empty()) return;
  if (is_old) forget_snapshot(partition);
  if (!make_snapshot(now, partition)) {
    look_soon(partition);
    return;
  }
  for (const raft::Member& to : std::exchange(replica.snapshot_wanted, {})) {
    // Its state may be ahead of the commit index; it leaves once all of it is committed in this very term (REPLICATION 3), or is by being
    // stored there.
    const bool may_be_sent = own.snapshot_may_be_sent(replica.snapshot->term, replica.snapshot->mark.last.index, to.replica);
    if (!may_be_sent || is_put_off(replica, to)) {
      replica.snapshot_wanted.push_back(to);
    } else {
      replica.streams.push_back({.to = to, .number = ++last_stream_, .size = replica.snapshot->state.size(), .heard_us = now.steady_us});
    }
  }
}

// As much as may be on its way.  Nothing is kept of what has arrived, so what is lost with a connection is sent again from the beginning.
void Partitions::send_pieces(Instant now, uint32_t partition, Peers& peers) {
  Replica& replica = replicas_[partition];
  const raft::GroupId group = group_of_partition(partition);
  std::vector<raft::ReplicaId> failed;
  std::erase_if(replica.streams, [&](Stream& stream) {
    Link* const link = peers.link(stream.to.node.value, PeerLane::kData);
    const bool fails = link == nullptr || now.steady_us >= stream.heard_us + options_.stream_silence_us;
    if (fails) {
      failed.push_back(stream.to.replica);
    } else {
      send_pieces(partition, stream, *link);
    }
    return fails;
  });
  for (const raft::ReplicaId to : failed) groups_.step(now, group, raft::in::SnapshotFailed{to});
}

void Partitions::send_pieces(uint32_t partition, Stream& stream, Link& link) const {
  if (stream.has_begun && stream.sent == stream.size) return;
  const HeldSnapshot& held = *replicas_[partition].snapshot;
  // It was so when it began.
  if (!core(partition)->snapshot_may_be_sent(held.term, held.mark.last.index, stream.to.replica)) return;
  while (!stream.has_begun || stream.sent < stream.size) {
    if (stream.sent - stream.taken >= options_.states.in_flight_bytes_max) return;
    StatePiece piece{.group = group_of_partition(partition),
                     .sender = core(partition)->options().self.replica,
                     .term = held.term,
                     .number = stream.number,
                     .size = stream.size,
                     .offset = stream.sent};
    if (stream.sent == 0) piece.mark = held.mark;
    Buffer head;
    encode_head(piece, head);
    const std::string_view bytes = held.state.piece_at(stream.sent);
    link.add(kSnapshot, head.view(), bytes);
    stream.sent += bytes.size();
    stream.has_begun = true;
  }
}

Status Partitions::receive_taken(Instant now, NodeId from, std::string_view bytes) {
  TRY(const StateTaken taken, decode_state_taken(bytes, options_.partitions));
  const uint32_t partition = partition_of(taken.group);
  const raft::Core* const own = groups_.find(taken.group);
  if (own == nullptr || !leads(*own) || own->term() != taken.term) return done();
  Replica& replica = replicas_[partition];
  const auto stream = std::find_if(replica.streams.begin(), replica.streams.end(), [&](const Stream& each) {
    return each.number == taken.number && each.to.node.value == from;
  });
  if (taken.what == StateTaken::What::kLost && taken.bytes == 0) {
    // It has room now.
    const size_t told = std::erase_if(replica.put_off, [&](const PutOff& each) { return each.lacks_room && each.to.node.value == from; });
    if (told != 0) look_soon(partition);
  }
  if (stream == replica.streams.end()) return done();
  look_soon(partition);
  if (taken.what == StateTaken::What::kTaken) {
    if (!stream->has_begun) return done();
    // All of it may be there already.
    if (taken.bytes >= stream->size) stream->sent = stream->size;
    stream->taken = std::max(stream->taken, std::min(taken.bytes, stream->sent));
    stream->heard_us = now.steady_us;
    return done();
  }
  const bool is_refused = taken.what == StateTaken::What::kRefused;
  if (is_refused) {
    facts_.emplace_back(partition, "node " + node_name(from) + " does not take the state, of " +
                                       std::to_string(stream->size) + " bytes -> try again later");
  }
  const bool lacks_room = !is_refused && taken.bytes != 0;
  const int64_t wait_us = is_refused || lacks_room ? options_.refused_us : options_.snapshot_us;
  replica.put_off.push_back({.to = stream->to, .until_us = now.steady_us + wait_us, .lacks_room = lacks_room});
  replica.snapshot_wanted.push_back(stream->to);
  replica.streams.erase(stream);
  return done();
}

// ---- receiving ---------------------------------------------------------------------------------------------

void Partitions::answer(NodeId to, const StateTaken& taken) {
  Buffer bytes;
  encode(taken, bytes);
  answers_.push_back({to, kTaken, std::string(bytes.view())});
}

Status Partitions::receive_piece(Instant now, NodeId from, std::string_view bytes) {
  TRY(const StatePiece piece, decode_state_piece(bytes, options_.partitions));
  const uint32_t partition = partition_of(piece.group);
  const raft::Core* const own = groups_.find(piece.group);
  StateTaken taken{.what = StateTaken::What::kLost, .group = piece.group, .term = piece.term, .number = piece.number};
  if (own == nullptr) {
    answer(from, taken);
    return done();
  }
  // Its sender will hear of it in another way.
  if (piece.term < own->term()) return done();
  std::unique_ptr<ComingState>& coming = replicas_[partition].coming;
  const bool is_known = coming != nullptr && coming->is_of(from, piece);
  if (piece.offset == 0 && !is_known) {
    TRY(const bool begins, begin_coming(now, from, piece, *own));
    if (!begins) return done();
  } else if (!is_known) {
    answer(from, taken);
    return done();
  } else if (coming->is_whole()) {
    // What an earlier sending has brought was enough.
    answer(from, coming->taken());
    return done();
  } else if (!coming->follows(piece)) {
    return damaged("pieces of a state that do not follow each other");
  }
  coming->take(piece);
  coming->came_us = now.steady_us;
  if (coming->is_whole()) to_read_.push_back(partition);
  answer(from, coming->taken());
  return done();
}

// False: it is not wanted.
Result<bool> Partitions::begin_coming(Instant now, NodeId from, const StatePiece& first, const raft::Core& own) {
  const uint32_t partition = partition_of(first.group);
  std::unique_ptr<ComingState>& coming = replicas_[partition].coming;
  if (coming != nullptr && coming->term() > first.term) return false;
  StateTaken taken{.group = first.group, .term = first.term, .number = first.number};
  const raft::Position& last = first.mark->last;
  if (last.epoch <= own.epoch() && last.index <= own.commit_index()) {
    // It is here: what there is to say the core says.
    taken.bytes = first.size;
    answer(from, taken);
    const raft::Member sender{.replica = first.sender, .node = {from}};
    replicas_[partition].arrived = Arrived{.from = from, .taken = taken, .last = last.index};
    groups_.step(now, first.group, raft::in::SnapshotReceived{.from = sender, .term = first.term, .mark = *first.mark});
    return false;
  }
  if (coming != nullptr && coming->has_all_of(from, first)) {
    coming->renumber(first.number);
    taken.bytes = first.size;
    answer(from, taken);
    return false;
  }
  forget_coming(partition);
  if (first.size > state_bytes_max_) {
    facts_.emplace_back(partition, "a state of " + std::to_string(first.size) + " bytes is more than max-state-bytes -> it is not taken");
    taken.what = StateTaken::What::kRefused;
    answer(from, taken);
    return false;
  }
  if (first.size > state_bytes_max_ - std::min(state_bytes_max_, coming_bytes_)) {
    // Once the others are in their places.
    taken.what = StateTaken::What::kLost;
    wait_for_room_[partition] = {.from = from, .taken = taken, .bytes = first.size};
    taken.bytes = first.size;
    answer(from, taken);
    return false;
  }
  wait_for_room_.erase(partition);
  coming_bytes_ += first.size;
  coming = std::make_unique<ComingState>(from, first);
  return true;
}

void Partitions::forget_coming(uint32_t partition) {
  std::unique_ptr<ComingState>& coming = replicas_[partition].coming;
  if (coming == nullptr) return;
  CHECK(coming_bytes_ >= coming->size());
  coming_bytes_ -= coming->size();
  room_may_be_free_ = true;
  coming.reset();
  std::erase(to_read_, partition);
}

// Those whose states fit by now may begin; who does not hear of it tries again by itself, later.
void Partitions::tell_room() {
  room_may_be_free_ = false;
  uint64_t promised = coming_bytes_;
  std::erase_if(wait_for_room_, [&](const auto& each) {
    const WaitsForRoom& waits = each.second;
    if (promised > state_bytes_max_ || waits.bytes > state_bytes_max_ - promised) return false;
    promised += waits.bytes;
    answer(waits.from, waits.taken);
    return true;
  });
}

// What comes from a leader that is none any more would not be taken; what does not come any more is in the way of others.  The rest is told to
// be there still.
void Partitions::look_at_coming(Instant now) {
  for (uint32_t partition = 0; partition < options_.partitions; ++partition) {
    if (replicas_[partition].arrived) look_at_arrived(partition);
    const ComingState* const coming = replicas_[partition].coming.get();
    if (coming == nullptr) continue;
    const bool is_late = !coming->is_whole() && now.steady_us >= coming->came_us + options_.coming_silence_us;
    if (is_late || groups_.find(coming->group())->term() > coming->term()) {
      forget_coming(partition);
    } else {
      answer(coming->from(), coming->taken());
    }
  }
}

// To be there still, and not to be sent again, while the core's word about it is held back.
void Partitions::look_at_arrived(uint32_t partition) {
  std::optional<Arrived>& arrived = replicas_[partition].arrived;
  const raft::Core* const own = core(partition);
  const bool is_news = own != nullptr && own->term() == arrived->taken.term;
  const bool waits = is_news && (own->stored_index() < arrived->last || !own->keeps_mode());
  if (!waits) return arrived.reset();
  answer(arrived->from, arrived->taken);
}

uint64_t Partitions::state_bytes() const {
  uint64_t bytes = coming_bytes_;
  for (const Replica& replica : replicas_) {
    if (replica.snapshot) bytes += replica.snapshot->state.size();
  }
  return bytes;
}

// A piece, of one state at a time: it is read beside what the partition holds, and goes into the log.
void Partitions::read_states(Instant now) {
  if (to_read_.empty() || now.steady_us < next_read_us_) [[likely]]
    return;
  next_read_us_ = now.steady_us + options_.reading_us;
  // A record has all its pieces in front of all its bases, so those of two states of a group do not go into one.
  if (!pieces_to_store_.empty() || !bases_to_store_.empty()) return;
  const uint32_t partition = to_read_.front();
  ComingState& coming = *replicas_[partition].coming;
  if (groups_.find(coming.group())->term() > coming.term()) return forget_coming(partition);
  if (coming.reader == nullptr) coming.reader = data_.begin_reading(partition);
  if (coming.has_more()) {
    const uint64_t offset = coming.read();
    std::string piece = coming.next_piece();
    const Status read = coming.reader->read(piece, coming.size() - coming.read());
    if (!read.ok()) {
      facts_.emplace_back(partition, "the state from node " + node_name(coming.from()) + " cannot be read (" + std::string(read.error().detail()) +
                                         ") -> it is not taken");
      StateTaken taken = coming.taken();
      taken.what = StateTaken::What::kRefused;
      answer(coming.from(), taken);
      return forget_coming(partition);
    }
    pieces_to_store_.push_back({.group = coming.group(), .offset = offset, .bytes = std::move(piece)});
  }
  if (!coming.has_more() && coming.reader->settle()) put_in_place(now, partition);
}

void Partitions::put_in_place(Instant now, uint32_t partition) {
  const std::unique_ptr<ComingState> coming = std::move(replicas_[partition].coming);
  CHECK(coming_bytes_ >= coming->size());
  coming_bytes_ -= coming->size();
  room_may_be_free_ = true;
  replicas_[partition].arrived = Arrived{.from = coming->from(), .taken = coming->taken(), .last = coming->mark().last.index};
  CHECK(to_read_.front() == partition);
  to_read_.pop_front();
  // While one is under way no snapshot of the log can begin.
  if (coming->size() >= options_.large_state_bytes) next_read_us_ = now.steady_us + options_.after_large_us;
  received_ = coming.get();
  groups_.step(now, coming->group(), raft::in::SnapshotReceived{.from = coming->sender(), .term = coming->term(), .mark = coming->mark()});
  received_ = nullptr;
}

void Partitions::on_install(raft::GroupId group, const raft::SnapshotMark& mark) {
  CHECK(received_ != nullptr && received_->group() == group);
  const uint32_t partition = partition_of(group);
  received_->reader->install();
  check_.forget(partition);
  replicas_[partition].state_index = mark.last.index;
  replicas_[partition].is_astray = false;
  replicas_[partition].fault = Fault::kNone;
  bases_to_store_.push_back({.group = group,
                             .replica = groups_.find(group)->options().self.replica,
                             .mark = mark,
                             .bytes_in_pieces = received_->size()});
}

// The log has pieces whose base is to follow: a snapshot that began between them would stand for the first ones only.
bool Partitions::has_open_pieces() const {
  const bool is_read = !to_read_.empty() && replicas_[to_read_.front()].coming->read() != 0;
  const bool has_base = std::any_of(bases_to_store_.begin(), bases_to_store_.end(),
                                    [](const GroupBase& each) { return each.bytes_in_pieces.has_value(); });
  return is_read || has_base || !pieces_to_store_.empty();
}

}  // namespace quorate
