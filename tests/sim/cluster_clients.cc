// Values that are written are told apart: registers and queues get a fresh number each time, a
// counter grows by another power of two each time, so that what is read says which writes took
// effect.  A pair is two counters with a common tag that only transactions change, both alike.
#include "tests/sim/cluster_clients.h"

#include <algorithm>
#include <bit>
#include <cinttypes>
#include <initializer_list>
#include <set>
#include <utility>

#include "tests/sim/cluster_network.h"
#include "util/number.h"

namespace quorate::sim {

namespace {

// Powers of two of one counter; then another key takes its place.
constexpr uint32_t kAddsMax = 60;
constexpr uint32_t kVerifyingAddsMax = 2;
constexpr uint64_t kSetMembers = 6;
// A history longer than this is hard to judge; another key takes its place.
constexpr size_t kOperationsMax = 400;
constexpr int64_t kRetryUs = 10'000;
constexpr double kPrivateCalls = 0.2;
// How far two wall clocks part that nobody sets, and what a failover may add.
constexpr int64_t kWallsApartUs = 3'500'000;
constexpr double kOptimisticAdds = 0.4;

std::string command(std::initializer_list<std::string> words) {
  std::string bytes = "*" + std::to_string(words.size()) + "\r\n";
  for (const std::string& word : words) {
    bytes += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
  }
  return bytes;
}

// Errors that say that nothing was done (REPLICATION.md 2).
bool says_not_executed(std::string_view error) {
  static constexpr std::string_view kCertain[] = {"CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS",
                                                  "LOADING",     "READONLY", "MISCONF",
                                                  "EXECABORT",   "OOM",     "UNBLOCKED"};
  return std::any_of(std::begin(kCertain), std::end(kCertain),
                     [&](std::string_view word) { return error.starts_with(word); });
}

std::optional<uint64_t> number_of(const ReplyValue& value) {
  if (value.kind == ReplyValue::Kind::kNull || value.kind == ReplyValue::Kind::kNullArray) return 0;
  if (value.kind == ReplyValue::Kind::kInteger) return static_cast<uint64_t>(value.integer);
  if (value.kind == ReplyValue::Kind::kBulk) return parse_unsigned(value.text);
  return std::nullopt;
}

// The elements of LRANGE 0 -1, oldest first, which is from the tail.
std::optional<std::vector<uint64_t>> elements_of(const ReplyValue& value) {
  if (value.kind != ReplyValue::Kind::kArray) return std::nullopt;
  std::vector<uint64_t> elements;
  for (const ReplyValue& item : value.items) {
    const auto element = number_of(item);
    if (!element) return std::nullopt;
    elements.push_back(*element);
  }
  std::reverse(elements.begin(), elements.end());
  return elements;
}

std::optional<uint64_t> members_of(const ReplyValue& value) {
  if (value.kind != ReplyValue::Kind::kArray && value.kind != ReplyValue::Kind::kSet) {
    return std::nullopt;
  }
  uint64_t members = 0;
  for (const ReplyValue& item : value.items) {
    const auto member = number_of(item);
    if (!member || *member >= kSetMembers) return std::nullopt;
    members |= uint64_t{1} << *member;
  }
  return members;
}

}  // namespace

ClusterClients::ClusterClients(ClusterClientHost& host, const ClusterSwarm& swarm, uint64_t seed)
    : host_(host), swarm_(swarm), prng_(seed), optimist_prng_(seed ^ 0x7761746368), clients_(swarm.clients) {
  // Of those that know the cluster, which come by the second door.
  Prng doors(seed ^ 0x646f6f72);
  for (Client& client : clients_) {
    if (doors.chance(swarm.cluster_clients)) client.door = ClientDoor::kCluster;
  }
}

void ClusterClients::start() {
  for (uint32_t number = 0; number < clients_.size(); ++number) {
    sleep(number, static_cast<int64_t>(prng_.below(20'000)));
  }
}

void ClusterClients::sleep(uint32_t number, int64_t delay_us) {
  Client& client = clients_[number];
  client.wakes_us = host_.now_us() + delay_us;
  host_.wake_client(number, client.wakes_us);
}

bool ClusterClients::is_idle() const {
  return std::none_of(clients_.begin(), clients_.end(),
                      [](const Client& client) { return client.is_busy; });
}

void ClusterClients::on_timer(uint32_t number, int64_t at_us) {
  Client& client = clients_[number];
  if (client.wakes_us != at_us) return;  // it has slept again since
  if (!client.is_busy) return begin(number);
  if (client.is_dawdling) return send_second_half(number);
  if (client.is_waiting) return give_up(number, "no answer");
  attempt(number);
}

// ---- requests

bool ClusterClients::is_used_up(const KeyHistory& history, uint32_t adds_max) {
  const bool has_adds = history.kind == KeyKind::kCounter || history.kind == KeyKind::kPair;
  return has_adds && history.writes >= adds_max;
}

std::string ClusterClients::pick_key(KeyKind& kind) {
  static constexpr const char* kNames[kKinds] = {"register", "counter", "set",
                                               "queue",    "pair",    "fading"};
  const bool is_weak = prng_.chance(swarm_.weak_writes);
  const uint64_t which = prng_.below(kKinds);
  kind = is_weak || swarm_.only_counters ? KeyKind::kCounter : static_cast<KeyKind>(which);
  const std::string base = (is_weak ? "weak" : kNames[static_cast<size_t>(kind)]) + std::to_string(prng_.below(swarm_.keys));
  uint32_t& generation = generation_[base];
  std::string key = base + "." + std::to_string(generation);
  KeyHistory& history = history_[key];
  history.kind = kind;
  if (history.operations.size() >= kOperationsMax || is_used_up(history, kAddsMax)) {
    key = base + "." + std::to_string(++generation);
    history_[key].kind = kind;
  }
  history_[key].is_weak = is_weak;
  return key;
}

ClusterClients::Call ClusterClients::make_read(const std::string& key, KeyKind kind) const {
  Call call{.key = key, .key_kind = kind, .text = "read " + key};
  switch (kind) {
    case KeyKind::kRegister:
    case KeyKind::kFading:
    case KeyKind::kCounter:
      call.bytes = command({"GET", key});
      break;
    case KeyKind::kSet:
      call.bytes = command({"SMEMBERS", key});
      break;
    case KeyKind::kQueue:
      call.bytes = command({"LRANGE", key, "0", "-1"});
      break;
    case KeyKind::kPair:
      call.bytes = command({"MULTI"}) + command({"GET", "{" + key + "}a"}) +
                   command({"GET", "{" + key + "}b"}) + command({"EXEC"});
      call.replies = 4;
      break;
    case KeyKind::kPrivate:
      break;
  }
  return call;
}

// Each attempt writes another value, so that one that was not done must never be seen.
ClusterClients::Call ClusterClients::make_private(uint32_t number) {
  const std::string key = "private" + std::to_string(number);
  Call call{.key = key, .key_kind = KeyKind::kPrivate, .kind = OperationKind::kWrite, .argument = next_value_++, .replies = 3};
  call.bytes = command({"GET", key}) + command({"SET", key, std::to_string(call.argument)}) + command({"GET", key});
  call.text = "read, write, read " + key + " " + std::to_string(call.argument);
  return call;
}

ClusterClients::Call ClusterClients::make_write(const std::string& key, KeyKind kind) {
  Call call{.key = key, .key_kind = kind};
  KeyHistory& history = history_[key];
  switch (kind) {
    case KeyKind::kRegister: {
      call.argument = next_value_++;
      const std::string value = std::to_string(call.argument);
      call.kind = prng_.chance(0.5) ? OperationKind::kWrite : OperationKind::kSwap;
      call.bytes = call.kind == OperationKind::kSwap ? command({"SET", key, value, "GET"})
                                                     : command({"SET", key, value});
      break;
    }
    case KeyKind::kCounter:
      call.kind = OperationKind::kAdd;
      call.argument = uint64_t{1} << history.writes;
      call.bytes = command({"INCRBY", key, std::to_string(call.argument)});
      break;
    case KeyKind::kSet: {
      const uint64_t member = prng_.below(kSetMembers);
      call.kind = prng_.chance(0.6) ? OperationKind::kInsert : OperationKind::kRemove;
      call.argument = uint64_t{1} << member;
      call.bytes = command(
          {call.kind == OperationKind::kInsert ? "SADD" : "SREM", key, std::to_string(member)});
      break;
    }
    case KeyKind::kQueue:
      call.kind = prng_.chance(0.6) ? OperationKind::kPush : OperationKind::kPop;
      if (call.kind == OperationKind::kPush) call.argument = next_value_++;
      if (call.kind == OperationKind::kPush) {
        call.bytes = command({"LPUSH", key, std::to_string(call.argument)});
      } else {
        call.waits = prng_.chance(0.5);
        call.bytes = call.waits ? command({"BRPOP", key, "0.05"}) : command({"RPOP", key});
      }
      break;
    case KeyKind::kFading: {
      call.argument = next_value_++;
      call.kind = OperationKind::kWrite;
      call.fades_after_us = 1000 * static_cast<int64_t>(1 + prng_.below(prng_.chance(0.5) ? 100 : 6000));
      const std::string after_ms = std::to_string(call.fades_after_us / 1000);
      call.bytes = command({"SET", key, std::to_string(call.argument), "PX", after_ms});
      break;
    }
    case KeyKind::kPair: {
      call.kind = OperationKind::kAdd;
      call.argument = uint64_t{1} << history.writes;
      const std::string by = std::to_string(call.argument);
      call.bytes = command({"MULTI"}) + command({"INCRBY", "{" + key + "}a", by}) +
                   command({"INCRBY", "{" + key + "}b", by}) + command({"EXEC"});
      call.replies = 4;
      break;
    }
    case KeyKind::kPrivate:
      break;
  }
  ++history.writes;
  call.text = "write " + key + " " + std::to_string(call.argument);
  return call;
}

// A counter grows by what its client makes of what it has read, if nobody has changed it since.
void ClusterClients::make_optimistic(Call& call) {
  call.is_optimistic = true;
  call.bytes = command({"WATCH", call.key}) + command({"GET", call.key});
  call.replies = 2;
  call.text = "watched " + call.text;
}

// None of these is below what a request gets that asks for nothing: its writes are committed, its reads linearizable.  But any copy may
// answer some reads of counters: what they say is judged by itself.
void ClusterClients::ask_for_level(Call& call) {
  if (history_.at(call.key).is_weak) {
    call.bytes = command({"CLIENT", "QUORUM", "ONCE", "W", "1", "R", prng_.chance(0.5) ? "1" : "lease"}) + call.bytes;
    ++call.replies;
    return;
  }
  const bool may_be_local = call.key_kind == KeyKind::kCounter && call.kind == OperationKind::kRead;
  if (may_be_local && prng_.chance(swarm_.local_reads)) {
    const bool is_bounded = prng_.chance(0.5);
    const uint64_t bound_ms = 20 + prng_.below(300);
    call.is_local = true;
    if (is_bounded) call.bound_us = static_cast<int64_t>(bound_ms) * 1000;
    const std::string level = is_bounded ? "bounded:" + std::to_string(bound_ms) : "local";
    call.bytes = command({"CLIENT", "QUORUM", "ONCE", "R", level}) + call.bytes;
    call.text = level + " " + call.text;
  } else if (prng_.chance(swarm_.other_levels)) {
    const uint64_t commit = (swarm_.replication + 1) / 2;
    const std::string number = std::to_string(commit + prng_.below(swarm_.replication - commit + 1));
    const std::string writes[] = {"quorum", "all", number};
    const std::string reads[] = {"lease", "quorum", number};
    const std::string& write = writes[prng_.below(3)];
    const std::string& read = reads[prng_.below(3)];
    call.bytes = command({"CLIENT", "QUORUM", "ONCE", "W", write, "R", read}) + call.bytes;
    call.text += " (w=" + write + " r=" + read + ")";
  } else {
    return;
  }
  ++call.replies;
}

void ClusterClients::begin(uint32_t number) {
  Client& client = clients_[number];
  if (is_paused_) return sleep(number, kRetryUs);
  if (verifies_) {
    if (!take_verification(client)) return sleep(number, kRetryUs);
  } else if (prng_.chance(kPrivateCalls)) {
    client.call = make_private(number);
  } else {
    KeyKind kind = KeyKind::kRegister;
    const std::string key = pick_key(kind);
    client.call = prng_.chance(swarm_.reads) ? make_read(key, kind) : make_write(key, kind);
    const bool is_add = kind == KeyKind::kCounter && client.call.kind == OperationKind::kAdd;
    if (is_add && !history_[key].is_weak && optimist_prng_.chance(kOptimisticAdds)) {
      make_optimistic(client.call);
    } else {
      ask_for_level(client.call);
    }
  }
  client.is_busy = true;
  client.gives_up_us = host_.now_us() + swarm_.request_us;
  attempt(number);
}

void ClusterClients::attempt(uint32_t number) {
  Client& client = clients_[number];
  const auto hint = hints_.find(client.call.key);
  const bool knows = hint != hints_.end() && prng_.chance(0.8);
  client.target = knows ? hint->second : static_cast<uint32_t>(prng_.below(swarm_.nodes));
  if (number % 2 == 0 && host_.now_us() < flock_until_us_) client.target = flock_;
  send(number);
}

void ClusterClients::send(uint32_t number) {
  Client& client = clients_[number];
  if (!client.has_connection || client.connected_to != client.target) ++client.connection;
  client.connected_to = client.target;
  client.is_waiting = true;
  client.has_connection = true;
  client.replies_left = client.call.replies;
  client.parser = ReplyParser();
  client.moved_to.reset();
  if (client.call.key_kind == KeyKind::kPrivate) {
    client.call = make_private(number);
    client.private_sent.insert(client.call.argument);
  }
  client.call.next_value.reset();
  client.replies.clear();
  client.invoked_us = host_.now_us();
  host_.send_request(number, client.target, client.door, client.call.bytes);
  sleep(number, std::max<int64_t>(client.gives_up_us - host_.now_us(), 1));
}

void ClusterClients::finish(uint32_t number) {
  Client& client = clients_[number];
  client.is_busy = client.is_waiting = false;
  const uint64_t usual_us = static_cast<uint64_t>(verifies_ ? kRetryUs : swarm_.think_us);
  sleep(number, 1 + static_cast<int64_t>(prng_.below(2 * usual_us)));
}

// Nothing was done: perhaps another node can.
void ClusterClients::retry(uint32_t number) {
  Client& client = clients_[number];
  client.is_waiting = false;
  hints_.erase(client.call.key);
  if (host_.now_us() >= client.gives_up_us) {
    if (client.verifies) to_verify_.at(*client.verifies).is_taken = false;
    client.verifies.reset();
    return finish(number);
  }
  sleep(number, 1 + static_cast<int64_t>(prng_.below(2 * kRetryUs)));
}

// Nobody knows whether it was done.
void ClusterClients::give_up(uint32_t number, const char* why) {
  Client& client = clients_[number];
  client.is_dawdling = false;
  host_.log_client(number, client.call.text + ": " + why + " -> unknown");
  host_.hang_up(number);
  client.has_connection = false;
  hints_.erase(client.call.key);
  ++unknown_;
  if (client.call.key_kind == KeyKind::kPrivate) client.private_unknown.insert(client.call.argument);
  record(client, kNever, std::nullopt);
  if (client.verifies) {
    Verification& task = to_verify_.at(*client.verifies);
    task.last_trouble = why;
    task.is_taken = false;
    client.verifies.reset();
  }
  finish(number);
}

// ---- answers

void ClusterClients::on_closed(uint32_t number) {
  Client& client = clients_[number];
  if (!client.has_connection) return;
  client.has_connection = false;
  if (client.is_waiting) give_up(number, "the connection was closed");
}

void ClusterClients::on_bytes(uint32_t number, std::string_view bytes) {
  Client& client = clients_[number];
  if (!client.is_waiting)
    return fail("client " + std::to_string(number) + " was told what it has not asked for");
  client.parser.feed(bytes);
  while (client.is_waiting) {
    const auto outcome = client.parser.next(client.last_reply);
    if (outcome == ReplyParser::Outcome::kNeedMore) return;
    if (outcome == ReplyParser::Outcome::kProtocolError) {
      return fail("an answer is no RESP: " + std::string(client.parser.error_text()));
    }
    note_moved(number);
    client.replies.push_back(client.last_reply);
    if (--client.replies_left == 0) on_reply(number);
  }
  if (!client.parser.idle()) fail("an answer too many");
}

// "MOVED slot host:port": nothing was done, the leader is there.
void ClusterClients::note_moved(uint32_t number) {
  Client& client = clients_[number];
  const ReplyValue& reply = client.last_reply;
  if (reply.kind != ReplyValue::Kind::kError || !reply.text.starts_with("MOVED ")) return;
  const std::string address = reply.text.substr(reply.text.rfind(' ') + 1);
  for (uint32_t machine = 0; machine < swarm_.nodes; ++machine) {
    if (address == ClusterNetwork::host_of(machine) + ":8001") client.moved_to = machine;
  }
  const bool is_welcome = client.door == ClientDoor::kCluster && client.moved_to && *client.moved_to != client.target;
  if (!is_welcome) fail(client.call.text + " at n" + std::to_string(client.target + 1) + ": " + reply.text);
}

// True: the first half has told what the second one needs, which is on its way.
bool ClusterClients::begin_second_half(uint32_t number) {
  Client& client = clients_[number];
  if (!client.call.is_optimistic || client.call.next_value) return false;
  const bool is_watched = client.replies[0].text == "OK";
  const auto value = is_watched ? number_of(client.replies[1]) : std::nullopt;
  if (!value || client.moved_to) return false;
  client.call.next_value = *value + client.call.argument;
  client.replies.clear();
  client.replies_left = 3;
  if (swarm_.dawdle_us == 0) {
    send_second_half(number);
  } else {
    client.is_dawdling = true;
    sleep(number, 1 + static_cast<int64_t>(optimist_prng_.below(static_cast<uint64_t>(2 * swarm_.dawdle_us))));
  }
  return true;
}

void ClusterClients::send_second_half(uint32_t number) {
  Client& client = clients_[number];
  if (std::exchange(client.is_dawdling, false)) sleep(number, std::max<int64_t>(client.gives_up_us - host_.now_us(), 1));
  host_.send_request(number, client.target, client.door,
                     command({"MULTI"}) + command({"SET", client.call.key, std::to_string(*client.call.next_value)}) + command({"EXEC"}));
}

void ClusterClients::on_reply(uint32_t number) {
  if (begin_second_half(number)) return;
  Client& client = clients_[number];
  std::optional<KeyState> output;
  const Outcome outcome = judge(client, output);
  const std::string shown = print_reply(client.last_reply);
  host_.log_client(number,
                   client.call.text + " at n" + std::to_string(client.target + 1) + ": " + shown);
  if (client.verifies && outcome != Outcome::kDone)
    to_verify_.at(*client.verifies).last_trouble = shown;
  switch (outcome) {
    case Outcome::kMoved:
      ++moved_;
      hints_[client.call.key] = *client.moved_to;
      client.target = *client.moved_to;
      return host_.now_us() < client.gives_up_us ? send(number) : retry(number);
    case Outcome::kNotExecuted:
      ++refused_;
      return retry(number);
    case Outcome::kUnknown:
      return give_up(number, "uncertain");
    case Outcome::kDone:
      break;
  }
  client.is_waiting = false;
  hints_[client.call.key] = client.target;
  ++answered_;
  if (client.call.kind != OperationKind::kRead) ++writes_answered_;
  if (may_be_of_loss(client)) {
    record(client, kNever, std::nullopt);
    return finish(number);
  }
  if (client.call.is_local) {
    judge_local(client, *output);
    return finish(number);
  }
  record(client, host_.now_us(), output);
  if (client.call.key_kind == KeyKind::kCounter && output) note_seen(client, *output & acknowledged(client.call.key));
  if (client.verifies) note_final(client, output);
  finish(number);
}

bool ClusterClients::is_moved(const Client& client, const ReplyValue& reply) {
  return client.moved_to && (reply.text.starts_with("MOVED ") || reply.text.starts_with("EXECABORT"));
}

// An error that no client should see.
bool ClusterClients::is_wrong_error(const Client& client, const ReplyValue& reply) {
  // What was forwarded and run has its reply, which is short here, when it is asked for again.
  const bool is_given_up = swarm_.is_gentle || reply.text.find("was not kept") != std::string::npos;
  if (is_moved(client, reply) || says_not_executed(reply.text)) return false;
  if (!is_given_up && reply.text.starts_with("UNCERTAIN")) return false;
  fail(client.call.text + ": " + reply.text);
  return true;
}

void ClusterClients::read_private(Client& client, const ReplyValue& reply) {
  if (reply.kind == ReplyValue::Kind::kError) {
    is_wrong_error(client, reply);
    return;
  }
  const auto value = number_of(reply);
  const bool is_known = value && (*value == client.private_value || client.private_unknown.contains(*value));
  const bool may_be = is_known || (value && client.private_may_be_lost && client.private_sent.contains(*value));
  if (!may_be) {
    fail(client.call.text + ": read " + print_reply(reply) + " where " + std::to_string(client.private_value) + " was");
    return;
  }
  client.private_value = *value;
  client.private_may_be_lost = client.private_may_be_lost && may_be_of_loss(client);
}

// Commands of one connection on one key run in their order, each once, whatever becomes of the leader.
ClusterClients::Outcome ClusterClients::judge_private(Client& client) {
  read_private(client, client.replies[0]);
  const ReplyValue& written = client.replies[1];
  Outcome outcome = Outcome::kDone;
  if (written.kind != ReplyValue::Kind::kError) {
    client.private_value = client.call.argument;
  } else if (is_moved(client, written)) {
    outcome = Outcome::kMoved;
  } else if (is_wrong_error(client, written) || !says_not_executed(written.text)) {
    client.private_unknown.insert(client.call.argument);
    outcome = Outcome::kUnknown;
  } else {
    outcome = Outcome::kNotExecuted;
  }
  read_private(client, client.replies[2]);
  return outcome;
}

ClusterClients::Outcome ClusterClients::judge(Client& client, std::optional<KeyState>& output) {
  if (client.call.key_kind == KeyKind::kPrivate) return judge_private(client);
  const ReplyValue& reply = client.last_reply;
  if (reply.kind == ReplyValue::Kind::kError) {
    if (is_moved(client, reply)) return Outcome::kMoved;
    if (says_not_executed(reply.text)) return Outcome::kNotExecuted;
    is_wrong_error(client, reply);
    return Outcome::kUnknown;
  }
  if (client.call.key_kind == KeyKind::kPair) return judge_pair(client, output);
  if (client.call.is_optimistic) return judge_optimist(client, output);
  switch (client.call.kind) {
    case OperationKind::kWrite:
      if (reply.text != "OK") fail(client.call.text + ": " + print_reply(reply));
      return Outcome::kDone;
    case OperationKind::kPush:
      if (reply.kind != ReplyValue::Kind::kInteger)
        fail(client.call.text + ": " + print_reply(reply));
      return Outcome::kDone;
    case OperationKind::kRead:
      if (client.call.key_kind == KeyKind::kSet) {
        output = members_of(reply);
      } else if (client.call.key_kind == KeyKind::kQueue) {
        const auto elements = elements_of(reply);
        if (elements) {
          output = list_hash(*elements);
          history_[client.call.key].seen.insert(elements->begin(), elements->end());
        }
      } else {
        output = number_of(reply);
      }
      break;
    case OperationKind::kSwap:
    case OperationKind::kAdd:
    case OperationKind::kAppend:
    case OperationKind::kPop:
    case OperationKind::kInsert:
    case OperationKind::kRemove:
      // BRPOP names the key, too.
      output = number_of(client.call.waits && reply.items.size() == 2 ? reply.items[1] : reply);
      break;
    case OperationKind::kFade:
      break;
  }
  if (!output) fail(client.call.text + ": " + print_reply(reply));
  if (client.call.kind == OperationKind::kPop && output)
    history_[client.call.key].seen.insert(*output);
  return Outcome::kDone;
}

ClusterClients::Outcome ClusterClients::judge_optimist(const Client& client, std::optional<KeyState>& output) {
  // WATCH was refused, and GET was not.
  if (!client.call.next_value) {
    const ReplyValue& watch = client.replies[0];
    if (is_moved(client, watch)) return Outcome::kMoved;
    if (!says_not_executed(watch.text)) fail(client.call.text + ": " + print_reply(watch));
    return Outcome::kNotExecuted;
  }
  const ReplyValue& reply = client.last_reply;
  if (reply.kind == ReplyValue::Kind::kNullArray || reply.kind == ReplyValue::Kind::kNull) return Outcome::kNotExecuted;
  if (reply.items.size() != 1 || reply.items[0].text != "OK") fail(client.call.text + ": " + print_reply(reply));
  output = client.call.next_value;
  return Outcome::kDone;
}

ClusterClients::Outcome ClusterClients::judge_pair(const Client& client,
                                                   std::optional<KeyState>& output) {
  const ReplyValue& reply = client.last_reply;
  if (reply.kind == ReplyValue::Kind::kArray && reply.items.size() == 2) {
    const auto is_error = [](const ReplyValue& item) {
      return item.kind == ReplyValue::Kind::kError;
    };
    if (!is_error(reply.items[0]) && !is_error(reply.items[1])) {
      output = number_of(reply.items[0]);
      if (output && output == number_of(reply.items[1])) return Outcome::kDone;
    }
  }
  fail(client.call.text + ": half a transaction: " + print_reply(reply));
  return Outcome::kUnknown;
}

void ClusterClients::record(const Client& client, int64_t returned_us,
                            std::optional<KeyState> output) {
  if (client.call.key_kind == KeyKind::kPrivate) return;
  if (client.call.kind == OperationKind::kRead && returned_us == kNever) return;
  history_[client.call.key].operations.push_back({.invoked = client.invoked_us,
                                                  .returned = returned_us,
                                                  .kind = client.call.kind,
                                                  .argument = client.call.argument,
                                                  .output = output});
  if (client.call.key_kind != KeyKind::kFading || client.call.kind != OperationKind::kWrite) return;
  // It may go by itself at any time from then on; not earlier, as far as the wall clocks agree.
  const int64_t after_us = std::max<int64_t>(client.call.fades_after_us - kWallsApartUs, 0);
  history_[client.call.key].operations.push_back(
      {.invoked = client.invoked_us + (swarm_.wall_jump.on() ? 0 : after_us),
       .returned = kNever,
       .kind = OperationKind::kFade,
       .argument = client.call.argument,
       .output = std::nullopt});
}

uint64_t ClusterClients::operations() const {
  uint64_t sum = 0;
  for (const auto& [key, history] : history_) sum += history.operations.size();
  return sum;
}

void ClusterClients::begin_loss() {
  is_losing_ = true;
  for (Client& client : clients_) client.private_may_be_lost = true;
}

void ClusterClients::forget_since(int64_t us) {
  is_losing_ = false;
  for (auto& [key, history] : history_) {
    history.local_reads.clear();
    for (Operation& operation : history.operations) {
      if (operation.returned == kNever || operation.returned < us) continue;
      operation.returned = kNever;
      operation.output.reset();
    }
    std::erase_if(history.operations, [](const Operation& operation) {
      return operation.kind == OperationKind::kRead && operation.returned == kNever;
    });
  }
  seen_.clear();
  forgotten_us_ = host_.now_us();
  for (Client& client : clients_) client.private_may_be_lost = true;
}

// ---- local reads

// Everything that has been added for certain by now.
uint64_t ClusterClients::acknowledged(const std::string& key) const {
  uint64_t sum = 0;
  for (const Operation& operation : history_.at(key).operations) {
    if (operation.kind == OperationKind::kAdd && operation.returned != kNever) sum |= operation.argument;
  }
  return sum;
}

void ClusterClients::note_seen(const Client& client, uint64_t sum) {
  Seen& seen = seen_[{static_cast<uint32_t>(&client - clients_.data()), client.call.key}];
  if (seen.connection != client.connection) seen = {.connection = client.connection};
  seen.sum |= sum;
}

// A connection to one node never looks back: what it has seen of acknowledged writes, or has written itself, it sees again.
void ClusterClients::judge_local(const Client& client, uint64_t sum) {
  KeyHistory& history = history_.at(client.call.key);
  const uint64_t all = history.writes >= 64 ? UINT64_MAX : (uint64_t{1} << history.writes) - 1;
  if ((sum & ~all) != 0) return fail(client.call.text + ": nobody has written that");
  const Seen& seen = seen_[{static_cast<uint32_t>(&client - clients_.data()), client.call.key}];
  if (seen.connection == client.connection && (seen.sum & ~sum) != 0) {
    return fail(client.call.text + ": runs back, " + std::to_string(seen.sum) + " was seen and now " + std::to_string(sum));
  }
  for (const Operation& operation : history.operations) {
    // Clocks may run a few percent fast or slow.
    const bool is_due = client.call.bound_us != kNever && operation.kind == OperationKind::kAdd &&
                        operation.returned < client.invoked_us - client.call.bound_us * 11 / 10;
    if (is_due && (sum & operation.argument) == 0) return fail(client.call.text + ": older than that, " + std::to_string(sum));
  }
  note_seen(client, sum & acknowledged(client.call.key));
  history.local_reads.push_back(sum);
}

// One copy's word for it may be lost with that copy, and then somebody says so.
std::string ClusterClients::check_weak_writes(const std::string& key, const KeyHistory& history) const {
  if (!history.final_state) return key + " was never read at the end";
  for (const Operation& operation : history.operations) {
    const bool is_gone = operation.kind == OperationKind::kAdd && operation.returned != kNever && (*history.final_state & operation.argument) == 0;
    if (is_gone && !host_.may_be_lost(key)) return key + ": a weakly acknowledged write is lost, and nobody says so";
  }
  return "";
}

// What a copy shows is a beginning of the history: with something that was added, all that had been acknowledged before that was asked for.
std::string ClusterClients::check_local_reads(const std::string& key, const KeyHistory& history) {
  for (const Operation& later : history.operations) {
    if (later.kind != OperationKind::kAdd) continue;
    uint64_t before = 0;
    for (const Operation& operation : history.operations) {
      if (operation.kind == OperationKind::kAdd && operation.returned < later.invoked) before |= operation.argument;
    }
    for (const uint64_t sum : history.local_reads) {
      if ((sum & later.argument) != 0 && (before & ~sum) != 0) {
        return key + ": a local read shows " + std::to_string(sum) + ", which is no beginning of the history";
      }
    }
  }
  return "";
}

// ---- the end

void ClusterClients::begin_verification() {
  verifies_ = true;
  for (const auto& [key, history] : history_) {
    to_verify_.emplace(to_verify_.size(), Verification{.key = key});
  }
}

bool ClusterClients::take_verification(Client& client) {
  // What is read at the end comes after all that was asked for before.
  const bool is_early = std::any_of(clients_.begin(), clients_.end(), [](const Client& other) {
    return other.is_busy && !other.verifies;
  });
  if (is_early) return false;
  const auto task = std::find_if(to_verify_.begin(), to_verify_.end(),
                                 [](const auto& entry) { return !entry.second.is_taken; });
  if (task == to_verify_.end()) return false;
  Verification& verification = task->second;
  verification.is_taken = true;
  client.verifies = task->first;
  const KeyHistory& history = history_.at(verification.key);
  const KeyKind kind = history.kind;
  if (is_used_up(history, kAddsMax + kVerifyingAddsMax)) verification.wants_write = false;
  client.call = verification.wants_write ? make_write(verification.key, kind)
                                         : make_read(verification.key, kind);
  return true;
}

void ClusterClients::note_final(const Client& client, std::optional<KeyState> output) {
  const auto task = to_verify_.find(*client.verifies);
  clients_[static_cast<size_t>(&client - clients_.data())].verifies.reset();
  if (client.call.kind != OperationKind::kRead) {
    task->second.wants_write = false;
    task->second.is_taken = false;
    return;
  }
  KeyHistory& history = history_.at(client.call.key);
  history.final_state = output;
  if (history.kind == KeyKind::kQueue) history.final_elements = *elements_of(client.last_reply);
  to_verify_.erase(task);
}

std::string ClusterClients::describe_unverified() const {
  std::string text;
  for (const auto& [number, task] : to_verify_) {
    text +=
        "\n  " + task.key + (task.wants_write ? ": no write: " : ": no read: ") + task.last_trouble;
  }
  return text;
}

// A write without answer that left no trace may be taken as not done.
bool ClusterClients::left_a_trace(const KeyHistory& history, const Operation& operation) {
  if (operation.kind == OperationKind::kFade) return true;
  const auto is_seen = [&](auto&& shows) {
    return std::any_of(
        history.operations.begin(), history.operations.end(),
        [&](const Operation& other) { return other.output && shows(*other.output); });
  };
  switch (history.kind) {
    case KeyKind::kCounter:
    case KeyKind::kPair:
      return (*history.final_state & operation.argument) != 0 ||
             is_seen([&](KeyState output) { return (output & operation.argument) != 0; });
    case KeyKind::kRegister:
      return is_seen([&](KeyState output) { return output == operation.argument; });
    case KeyKind::kQueue:
      return operation.kind != OperationKind::kPush || history.seen.contains(operation.argument);
    case KeyKind::kFading:  // that what it replaced is gone
    case KeyKind::kSet:
    case KeyKind::kPrivate:
      return true;
  }
  return true;
}

std::string ClusterClients::check(uint64_t& undecided) const {
  for (const auto& [key, history] : history_) {
    std::vector<Operation> judged;
    for (const Operation& operation : history.operations) {
      if (operation.returned != kNever || left_a_trace(history, operation))
        judged.push_back(operation);
    }
    if (history.is_weak) {
      if (std::string lost = check_weak_writes(key, history); !lost.empty()) return lost;
      continue;
    }
    std::string lost = check_ledger(key, history);
    if (lost.empty()) lost = check_local_reads(key, history);
    const LinearizabilityResult result = check_linearizable(judged, 300'000);
    if (result.verdict == LinearizabilityVerdict::kViolated) {
      return "not linearizable: " + key + (lost.empty() ? "" : " (" + lost + ")") + "\n" +
             result.explanation;
    }
    if (!lost.empty()) return lost;
    if (result.verdict == LinearizabilityVerdict::kUndecided) ++undecided;
  }
  return "";
}

// Every acknowledged write is there at the end, where the final state can tell.
std::string ClusterClients::check_ledger(const std::string& key, const KeyHistory& history) {
  if (!history.final_state) return key + " was never read at the end";
  std::set<uint64_t> elements(history.final_elements.begin(), history.final_elements.end());
  if (elements.size() != history.final_elements.size()) return key + " holds an element twice";
  uint64_t unknown_pops = 0;
  uint64_t missing = 0;
  for (const Operation& operation : history.operations) {
    if (operation.kind != OperationKind::kPop) continue;
    if (operation.returned == kNever) {
      ++unknown_pops;
    } else if (*operation.output != 0 && !elements.insert(*operation.output).second) {
      return key + ": an element was popped twice, or popped and is still there";
    }
  }
  for (const Operation& operation : history.operations) {
    if (operation.returned == kNever) continue;
    if (operation.kind == OperationKind::kAdd && (*history.final_state & operation.argument) == 0) {
      return key + ": an acknowledged write is lost";
    }
    if (operation.kind == OperationKind::kPush && !elements.contains(operation.argument)) ++missing;
  }
  return missing > unknown_pops ? key + ": an acknowledged element is lost" : "";
}

}  // namespace quorate::sim
