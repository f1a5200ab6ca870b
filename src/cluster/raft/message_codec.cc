// The bytes of messages, configurations and marks; docs/FORMATS.md is the prose.
#include "cluster/raft/message_codec.h"

#include <type_traits>
#include <utility>

#include "cluster/wire.h"
#include "util/outgoing.h"

namespace quorate::raft {

namespace {

using wire::Reader;
using wire::write;
using wire::write_byte;

// The order of MessageBody's alternatives; part of the format.
enum class MessageKind : uint8_t {
  kAppend = 0,
  kAppendAnswer = 1,
  kCommitNotice = 2,
  kRequestVote = 3,
  kVoteAnswer = 4,
  kTimeoutNow = 5,
  kTransferRefused = 6,
  kRecoveryRequest = 7,
  kRecoveryAnswer = 8,
};
static_assert(std::variant_size_v<MessageBody> == 9);

constexpr size_t kEntryBytesMin = 3;   // term, kind, size
constexpr size_t kMemberBytesMin = 2;  // replica, node

Error corrupt(const char* what) { return Error(ErrorCode::kCorrupt, what); }

// ---- parts

void write_member(const Member& member, Buffer& out) {
  write(member.replica, out);
  write(member.node, out);
}

Member read_member(Reader& in) {
  Member member;
  in.read(member.replica);
  in.read(member.node);
  return member;
}

void write_position(const Position& position, Buffer& out) {
  write(position.epoch, out);
  write(position.term, out);
  write(position.index, out);
}

Position read_position(Reader& in) {
  Position position;
  in.read(position.epoch);
  in.read(position.term);
  in.read(position.index);
  return position;
}

void write_members(const std::vector<Member>& members, Buffer& out) {
  append_varint(out, members.size());
  for (const Member& member : members) write_member(member, out);
}

std::vector<Member> read_members(Reader& in, size_t most) {
  std::vector<Member> members;
  size_t left = in.count(kMemberBytesMin);
  if (left > most) in.refuse();
  for (; in.good() && left > 0; --left) members.push_back(read_member(in));
  return members;
}

void write_half(const Half& half, Buffer& out) {
  write_members(half.voters, out);
  append_varint(out, half.commit_quorum);
}

Half read_half(Reader& in) {
  Half half;
  half.voters = read_members(in, kMembersMax);
  half.commit_quorum = static_cast<uint32_t>(in.varint_at_most(kMembersMax));
  return half;
}

// In the byte of the durability: which decision of the members it follows stands behind it.
constexpr uint8_t kHasModeVersion = 0x80;

void write_configuration(const Configuration& configuration, Buffer& out) {
  out.push_back(static_cast<char>(kConfigurationVersion));
  write_half(configuration.incoming, out);
  write_byte(configuration.joint() ? 1 : 0, out);
  if (configuration.joint()) write_half(*configuration.outgoing, out);
  write_members(configuration.learners, out);
  const uint8_t mark = configuration.mode_version == 0 ? 0 : kHasModeVersion;
  write_byte(static_cast<uint8_t>(static_cast<uint8_t>(configuration.durability) | mark), out);
  if (configuration.mode_version != 0) append_varint(out, configuration.mode_version);
}

// Not yet validated.
Configuration read_configuration(Reader& in) {
  Configuration configuration;
  if (in.byte() != kConfigurationVersion) in.refuse();
  configuration.incoming = read_half(in);
  if (in.flag()) configuration.outgoing = read_half(in);
  configuration.learners = read_members(in, kLearnersMax);
  const uint8_t mode = in.byte();
  const auto durability = static_cast<uint8_t>(mode & ~kHasModeVersion);
  if (durability > static_cast<uint8_t>(Durability::kSynced)) in.refuse();
  configuration.durability = in.good() ? static_cast<Durability>(durability) : Durability::kMemory;
  if (in.good() && (mode & kHasModeVersion) != 0) {
    configuration.mode_version = in.varint();
    if (configuration.mode_version == 0) in.refuse();
  }
  return configuration;
}

void write_stored(const StoredConfiguration& stored, Buffer& out) {
  write_position(stored.at, out);
  write_configuration(stored.configuration, out);
}

// Valid or unknown.
StoredConfiguration read_stored(Reader& in) {
  StoredConfiguration stored;
  stored.at = read_position(in);
  stored.configuration = read_configuration(in);
  if (!stored.configuration.unknown() && !validate(stored.configuration).ok()) in.refuse();
  return stored;
}

// ---- bodies

void write_payload(const SharedBytes& payload, Buffer& out, std::vector<SharedPart>* large) {
  if (large == nullptr || payload.size() < Outgoing::kSharedMin) return append_sized(out, payload.view());
  append_varint(out, payload.size());
  large->push_back({out.size(), payload});
}

void write_body(const Append& append, Buffer& out, std::vector<SharedPart>* large) {
  write(append.prev_index, out);
  write(append.prev_term, out);
  append_little<uint64_t>(out, append.prev_chain.value);
  write(append.commit, out);
  append_varint(out, append.entries.size());
  uint64_t term = append.prev_term.value;
  for (const Entry& entry : append.entries.view()) {
    append_varint(out, entry.term.value - term);
    write_byte(entry.kind, out);
    write_payload(entry.payload, out, large);
    term = entry.term.value;
  }
  if (!append.entries.empty())
    append_little<uint64_t>(out, append.entries.view().back().chain.value);
}

void read_body(Reader& in, Append& append) {
  in.read(append.prev_index);
  in.read(append.prev_term);
  append.prev_chain.value = in.fixed64();
  in.read(append.commit);
  Term term = append.prev_term;
  Index index = append.prev_index;
  Chain chain = append.prev_chain;
  const size_t count = in.count(kEntryBytesMin);
  // Sums may not wrap: a term or an index near the end of its range is nonsense.
  constexpr uint64_t kNumberMax = uint64_t{1} << 62;
  if (term.value > kNumberMax || index.value > kNumberMax) in.refuse();
  for (size_t left = count; in.good() && left > 0; --left) {
    Entry entry;
    entry.term.value = term.value + in.varint_at_most(kNumberMax);
    entry.index = next(index);
    entry.kind = in.one_of(EntryKind::kNoOp, EntryKind::kMarker);
    entry.payload = SharedBytes(in.sized());
    if (entry.term.value > kNumberMax) in.refuse();
    entry.chain = chain_after(chain, entry);
    term = entry.term;
    index = entry.index;
    chain = entry.chain;
    append.entries.push_back(std::move(entry));
  }
  append.chains_are_computed = true;
  // Proves the payloads from the leader's memory to here.
  if (count > 0 && in.fixed64() != chain.value) in.refuse();
}

void write_body(const AppendAnswer& answer, Buffer& out) {
  write_byte(answer.result, out);
  write(answer.match, out);
  write(answer.rejected, out);
  write(answer.hint, out);
  write(answer.hint_term, out);
}

void read_body(Reader& in, AppendAnswer& answer) {
  answer.result = in.one_of(AppendResult::kStored, AppendResult::kMismatch);
  in.read(answer.match);
  in.read(answer.rejected);
  in.read(answer.hint);
  in.read(answer.hint_term);
}

void write_body(const CommitNotice& notice, Buffer& out) { write(notice.commit, out); }
void read_body(Reader& in, CommitNotice& notice) { in.read(notice.commit); }

void write_body(const RequestVote& request, Buffer& out) {
  write_byte(request.kind, out);
  write(request.proposed, out);
  write_position(request.position, out);
  if (is_of_recovery(request.kind)) write_stored(request.configuration, out);
  write_byte(request.standing, out);
  write_byte(request.is_loaded ? 1 : 0, out);
  append_varint(out, request.rank);
  write(request.transfer_mark, out);
  if (!is_of_recovery(request.kind)) return;
  append_varint(out, request.left_out.size());
  for (const NodeId node : request.left_out) write(node, out);
}

void read_body(Reader& in, RequestVote& request) {
  request.kind = in.one_of(VoteKind::kPreVote, VoteKind::kRecoveryVote);
  in.read(request.proposed);
  request.position = read_position(in);
  if (is_of_recovery(request.kind)) request.configuration = read_stored(in);
  request.standing = in.one_of(Standing::kFull, Standing::kRecovering);
  request.is_loaded = in.flag();
  request.rank = static_cast<uint32_t>(in.varint_at_most(UINT32_MAX));
  in.read(request.transfer_mark);
  if (!is_of_recovery(request.kind)) return;
  request.left_out.resize(in.count(1));
  for (NodeId& node : request.left_out) in.read(node);
}

void write_body(const VoteAnswer& answer, Buffer& out) {
  write_byte(answer.kind, out);
  write_byte(answer.result, out);
  write(answer.proposed, out);
  write_position(answer.position, out);
  write_byte(answer.standing, out);
  write_byte(answer.is_loaded ? 1 : 0, out);
  append_varint(out, answer.rank);
  append_varint(out, answer.wait_ms);
  if (answer.result == VoteResult::kNewerConfiguration) write_stored(answer.configuration, out);
}

void read_body(Reader& in, VoteAnswer& answer) {
  answer.kind = in.one_of(VoteKind::kPreVote, VoteKind::kRecoveryVote);
  answer.result = in.one_of(VoteResult::kGranted, VoteResult::kNotGivenUp);
  in.read(answer.proposed);
  answer.position = read_position(in);
  answer.standing = in.one_of(Standing::kFull, Standing::kRecovering);
  answer.is_loaded = in.flag();
  answer.rank = static_cast<uint32_t>(in.varint_at_most(UINT32_MAX));
  answer.wait_ms = static_cast<uint32_t>(in.varint_at_most(UINT32_MAX));
  if (answer.result == VoteResult::kNewerConfiguration) answer.configuration = read_stored(in);
}

void write_body(const TimeoutNow&, Buffer&) {}
void read_body(Reader&, TimeoutNow&) {}
void write_body(const TransferRefused&, Buffer&) {}
void read_body(Reader&, TransferRefused&) {}

void write_body(const RecoveryRequest& request, Buffer& out) {
  append_little<uint64_t>(out, request.nonce);
}
void read_body(Reader& in, RecoveryRequest& request) { request.nonce = in.fixed64(); }

void write_body(const RecoveryAnswer& answer, Buffer& out) {
  append_little<uint64_t>(out, answer.nonce);
  write(answer.last_index, out);
}
void read_body(Reader& in, RecoveryAnswer& answer) {
  answer.nonce = in.fixed64();
  in.read(answer.last_index);
}

template <class Body>
void read_as(Reader& in, MessageBody& body) {
  read_body(in, body.emplace<Body>());
}

void read_message_body(Reader& in, MessageKind kind, MessageBody& body) {
  switch (kind) {
    case MessageKind::kAppend:
      return read_as<Append>(in, body);
    case MessageKind::kAppendAnswer:
      return read_as<AppendAnswer>(in, body);
    case MessageKind::kCommitNotice:
      return read_as<CommitNotice>(in, body);
    case MessageKind::kRequestVote:
      return read_as<RequestVote>(in, body);
    case MessageKind::kVoteAnswer:
      return read_as<VoteAnswer>(in, body);
    case MessageKind::kTimeoutNow:
      return read_as<TimeoutNow>(in, body);
    case MessageKind::kTransferRefused:
      return read_as<TransferRefused>(in, body);
    case MessageKind::kRecoveryRequest:
      return read_as<RecoveryRequest>(in, body);
    case MessageKind::kRecoveryAnswer:
      return read_as<RecoveryAnswer>(in, body);
  }
  CHECK(false);
}

void write_message(const Message& message, Buffer& out, std::vector<SharedPart>* large) {
  out.push_back(static_cast<char>(kMessageVersion));
  out.push_back(static_cast<char>(message.body.index()));
  write(message.group, out);
  write_member(message.from, out);
  write_member(message.to, out);
  write(message.term, out);
  write(message.epoch, out);
  std::visit(
      [&](const auto& body) {
        if constexpr (std::is_same_v<decltype(body), const Append&>) {
          write_body(body, out, large);
        } else {
          write_body(body, out);
        }
      },
      message.body);
}

}  // namespace

void encode(const Message& message, Buffer& out) { write_message(message, out, nullptr); }

void encode(const Message& message, Buffer& out, std::vector<SharedPart>& large) { write_message(message, out, &large); }

Result<Message> decode_message(std::string_view& bytes) {
  Message message;
  TRY(decode_message(bytes, message));
  return message;
}

Status decode_message(std::string_view& bytes, Message& message) {
  Reader in(bytes);
  if (in.byte() != kMessageVersion) return corrupt("unknown version of a message");
  const auto kind = in.one_of(MessageKind::kAppend, MessageKind::kRecoveryAnswer);
  in.read(message.group);
  message.from = read_member(in);
  message.to = read_member(in);
  in.read(message.term);
  in.read(message.epoch);
  read_message_body(in, kind, message.body);
  if (!in.good()) return corrupt("a message that cannot be read");
  bytes = in.rest();
  return done();
}

SharedBytes encode_configuration(const Configuration& configuration) {
  Buffer bytes;
  write_configuration(configuration, bytes);
  return SharedBytes(bytes.view());
}

Result<Configuration> decode_configuration(std::string_view bytes) {
  Reader in(bytes);
  Configuration configuration = read_configuration(in);
  if (!in.good() || !in.rest().empty()) return corrupt("a configuration that cannot be read");
  if (!validate(configuration).ok()) return corrupt("a configuration that is not valid");
  return configuration;
}

void encode(const SnapshotMark& mark, Buffer& out) {
  write_position(mark.last, out);
  append_little<uint64_t>(out, mark.chain.value);
  write_stored(mark.configuration, out);
}

Result<SnapshotMark> decode_snapshot_mark(std::string_view& bytes) {
  Reader in(bytes);
  SnapshotMark mark;
  mark.last = read_position(in);
  mark.chain.value = in.fixed64();
  mark.configuration = read_stored(in);
  if (!in.good()) return corrupt("a snapshot mark that cannot be read");
  bytes = in.rest();
  return mark;
}

void encode(const HardState& state, Buffer& out) {
  write(state.term, out);
  write(state.voted_for, out);
  write(state.epoch, out);
  write_byte(state.standing, out);
  write_stored(state.configuration, out);
}

Result<HardState> decode_hard_state(std::string_view& bytes) {
  Reader in(bytes);
  HardState state;
  in.read(state.term);
  in.read(state.voted_for);
  in.read(state.epoch);
  state.standing = in.one_of(Standing::kFull, Standing::kRecovering);
  state.configuration = read_stored(in);
  if (!in.good()) return corrupt("a hard state that cannot be read");
  bytes = in.rest();
  return state;
}

}  // namespace quorate::raft
