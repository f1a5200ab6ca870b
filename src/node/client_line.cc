// Describing a session, field by field as Redis 7 does.
#include "node/client_line.h"

#include "commands/context.h"

namespace quorate {

namespace {

std::string flag_letters(const Session& session) {
  std::string letters;
  if (session.has(kReplicaLink)) letters += 'S';
  if (session.has(kMonitoring)) letters += 'O';
  if (session.all_subscription_count() != 0) letters += 'P';
  if (session.has(kInMulti)) letters += 'x';
  if (session.has(kBlocked | kPostponed | kBlockedElsewhere)) letters += 'b';
  if (session.has(kWatchBroken)) letters += 'd';
  if (session.has(kCloseAfterReply)) letters += 'c';
  if (session.has(kClosing)) letters += 'A';
  if (session.has(kUnixSocket)) letters += 'U';
  if (session.has(kReadonlyReplica)) letters += 'r';
  if (session.has(kNoEvict)) letters += 'e';
  if (session.has(kNoTouch)) letters += 'T';
  return letters.empty() ? "N" : letters;
}

class Line {
 public:
  void add(std::string_view field, std::string_view value) {
    if (!text_.empty()) text_ += ' ';
    text_ += field;
    text_ += '=';
    text_ += value;
  }
  void add(std::string_view field, uint64_t value) { add(field, std::to_string(value)); }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

}  // namespace

ClientClass Session::client_class() const {
  if (has(kReplicaLink | kMonitoring)) return ClientClass::kReplica;
  return all_subscription_count() != 0 ? ClientClass::kPubsub : ClientClass::kNormal;
}

size_t Session::owed_output() const {
  const size_t pending = pending_output();
  return extras == nullptr || extras->follower == nullptr ? pending : pending + extras->follower->later.size();
}

size_t Session::memory() const {
  size_t sum = sizeof(*this) + in.capacity() + out.capacity() + flight.capacity() + holds.memory() +
               peer.address.size() + peer.local_address.size();
  if (extras != nullptr) sum += sizeof(*extras) + extras->queued_bytes;
  if (extras != nullptr && extras->follower != nullptr) sum += extras->follower->later.capacity();
  return sum;
}

std::string client_line(const NodeState& node, const Session& session, const Session& asking) {
  // The request that asks is still in the read buffer, as in Redis.
  size_t unread = session.in.size();
  if (&session == &asking && node.batch_index < node.requests.size()) {
    unread = node.requests[node.batch_index].raw.size();
  }
  const SessionExtras* more = session.extras.get();
  Line line;
  line.add("id", session.id);
  line.add("addr", session.peer.address);
  line.add("laddr", session.peer.local_address);
  line.add("fd", std::to_string(session.peer.descriptor));
  line.add("name", session.name());
  line.add("age", static_cast<uint64_t>((node.now.steady_us - session.created_us) / 1'000'000));
  line.add("idle", static_cast<uint64_t>((node.now.steady_us - session.active_us) / 1'000'000));
  line.add("flags", flag_letters(session));
  line.add("db", static_cast<uint64_t>(session.database));
  line.add("sub", more == nullptr ? 0 : more->channels.size());
  line.add("psub", more == nullptr ? 0 : more->patterns.size());
  line.add("ssub", more == nullptr ? 0 : more->shard_channels.size());
  line.add("multi", session.has(kInMulti) ? std::to_string(more == nullptr ? 0 : more->queued.size()) : "-1");
  line.add("qbuf", unread);
  line.add("qbuf-free", session.in.capacity() - session.in.size());
  line.add("argv-mem", uint64_t{0});
  line.add("multi-mem", more == nullptr ? 0 : more->queued_bytes);
  line.add("rbs", session.out.capacity());
  line.add("rbp", session.out.size());
  line.add("obl", session.out.size());
  line.add("oll", session.flight.empty() ? uint64_t{0} : uint64_t{1});
  line.add("omem", session.flight.capacity());
  line.add("tot-mem", session.memory());
  line.add("events", session.flight.empty() ? "r" : "rw");
  line.add("cmd", session.last_command == nullptr ? std::string_view("NULL") : session.last_command->name);
  line.add("user", "default");
  line.add("redir", "-1");
  line.add("resp", session.protocol == Protocol::kResp3 ? "3" : "2");
  line.add("lib-name", more == nullptr ? std::string_view() : more->library_name);
  line.add("lib-ver", more == nullptr ? std::string_view() : more->library_version);
  return line.take();
}

bool is_client_type(std::string_view type) {
  return same_word(type, "normal") || same_word(type, "pubsub") || same_word(type, "replica") ||
         same_word(type, "slave") || same_word(type, "master");
}

bool has_client_type(const Session& session, std::string_view type) {
  const bool is_pubsub = session.all_subscription_count() != 0;
  if (same_word(type, "replica") || same_word(type, "slave")) {
    return session.has(kReplicaLink) && !session.has(kMonitoring);
  }
  if (same_word(type, "pubsub")) return is_pubsub && !session.has(kReplicaLink);
  if (same_word(type, "normal")) return !is_pubsub && !session.has(kReplicaLink);
  return false;
}

}  // namespace quorate
