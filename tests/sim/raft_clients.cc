// Values that are written are told apart: registers and lists get a fresh number each time, a
// counter grows by another power of two each time, so that what is read says which writes took
// effect.
#include "tests/sim/raft_clients.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <set>

namespace quorate::sim {

namespace {

// Kinds of keys take turns: key % 3.
enum class KeyKind : uint8_t { kRegister, kCounter, kList };
constexpr uint32_t kKinds = 3;
// Powers of two of one counter; then another key takes its place.
constexpr uint32_t kAddsMax = 60;

KeyKind kind_of(uint32_t key) { return static_cast<KeyKind>(key % kKinds); }

}  // namespace

Clients::Clients(ClientHost& host, const RaftSwarm& swarm, uint64_t seed)
    : host_(host), swarm_(swarm), prng_(seed), clients_(swarm.clients) {}

void Clients::start() {
  for (uint32_t number = 0; number < clients_.size(); ++number) {
    clients_[number].target = {1 + prng_.below(swarm_.nodes)};
    sleep(number, static_cast<int64_t>(prng_.below(20'000)));
  }
}

void Clients::sleep(uint32_t number, int64_t delay_us) {
  Client& client = clients_[number];
  client.wakes_us = host_.now_us() + delay_us;
  host_.wake_client(number, client.wakes_us);
}

bool Clients::idle() const {
  return std::none_of(clients_.begin(), clients_.end(),
                      [](const Client& client) { return client.is_busy; });
}

uint64_t Clients::answered_in(raft::GroupId group) const {
  const auto at = answered_in_.find(group);
  return at == answered_in_.end() ? 0 : at->second;
}

uint64_t Clients::operations_in(raft::GroupId group) const {
  uint64_t sum = 0;
  for (const auto& [name, operations] : history_) {
    if (name.first == group) sum += operations.size();
  }
  return sum;
}

void Clients::on_timer(uint32_t number, int64_t at_us) {
  Client& client = clients_[number];
  if (client.wakes_us != at_us) return;  // it has slept again since
  if (!client.is_busy) {
    if (stopped_) return;
    if (host_.now_us() < rest_until_us_) {
      sleep(number, rest_until_us_ - host_.now_us() + static_cast<int64_t>(prng_.below(20'000)));
    } else {
      begin(number);
    }
    return;
  }
  if (host_.now_us() - client.invoked_us >= swarm_.request_us) {
    give_up(number);
    return;
  }
  if (host_.now_us() >= client.attempt_ends_us) client.target = {1 + prng_.below(swarm_.nodes)};
  attempt(number);
}

void Clients::begin(uint32_t number) {
  Client& client = clients_[number];
  client.is_busy = true;
  client.invoked_us = host_.now_us();
  client.request = GroupRequest{.client = number, .operation = next_operation_++};
  client.request.group = {1 + prng_.below(swarm_.groups)};
  pick_command(client);
  attempt(number);
}

void Clients::pick_command(Client& client) {
  GroupRequest& request = client.request;
  Command& command = request.command;
  const auto base = static_cast<uint32_t>(prng_.below(uint64_t{swarm_.keys} * kKinds));
  // A counter that has used up its powers is followed by another key of its kind.
  uint32_t& generation = generation_[{request.group, base}];
  command.key = base + generation * swarm_.keys * kKinds;
  if (prng_.chance(swarm_.reads)) {
    command.kind = OperationKind::kRead;
    request.mode = prng_.chance(0.5) ? ReadMode::kLease : ReadMode::kQuorum;
    return;
  }
  switch (kind_of(command.key)) {
    case KeyKind::kRegister:
      command.kind = prng_.chance(0.5) ? OperationKind::kWrite : OperationKind::kSwap;
      command.argument = next_value_++;
      break;
    case KeyKind::kCounter: {
      command.kind = OperationKind::kAdd;
      uint32_t& uses = uses_[{request.group, command.key}];
      command.argument = uint64_t{1} << uses;
      if (++uses == kAddsMax) ++generation;
      break;
    }
    case KeyKind::kList:
      command.kind = OperationKind::kAppend;
      command.argument = next_value_++;
      break;
  }
  if (!only_quorum_ && prng_.chance(swarm_.weak_writes)) {
    request.level = static_cast<uint32_t>(1 + prng_.below(swarm_.voters));
  }
  uint64_t& session = client.sessions[request.group];
  if (session == 0) session = 1;
  command.token = {
      .client = request.client, .session = session, .number = ++client.numbers[request.group]};
}

void Clients::attempt(uint32_t number) {
  Client& client = clients_[number];
  client.attempt_ends_us = host_.now_us() + swarm_.attempt_us;
  host_.send_request(client.target, client.request);
  sleep(number, swarm_.attempt_us);
}

void Clients::on_answer(const Answer& answer) {
  Client& client = clients_[answer.client];
  if (!client.is_busy || client.request.operation != answer.operation) return;
  switch (answer.kind) {
    case AnswerKind::kElsewhere:
      client.target =
          answer.hint.none() ? raft::NodeId{1 + prng_.below(swarm_.nodes)} : answer.hint;
      sleep(answer.client, answer.hint.none() ? 20'000 : 1'000);
      client.attempt_ends_us = INT64_MAX;
      return;
    case AnswerKind::kRetry:
      sleep(answer.client, 5'000);
      client.attempt_ends_us = INT64_MAX;
      return;
    case AnswerKind::kDone:
      break;
  }
  const Command& command = client.request.command;
  Operation operation{.invoked = client.invoked_us,
                      .returned = host_.now_us(),
                      .kind = command.kind,
                      .argument = command.argument};
  if (command.kind != OperationKind::kWrite) operation.output = answer.output;
  if (!answer.committed) {
    // The answer promises less: nobody knows yet whether the write took place.
    operation.returned = kNever;
    operation.output.reset();
  }
  history_[{client.request.group, command.key}].push_back(operation);
  ++answered_;
  if (answer.committed) ++answered_in_[client.request.group];
  finish(answer.client);
}

void Clients::give_up(uint32_t number) {
  Client& client = clients_[number];
  const GroupRequest& request = client.request;
  if (request.command.kind != OperationKind::kRead) {
    history_[{request.group, request.command.key}].push_back(
        {.invoked = client.invoked_us,
         .kind = request.command.kind,
         .argument = request.command.argument});
    ++client.sessions[request.group];
    client.numbers[request.group] = 0;
  }
  ++given_up_;
  if (turns_away_) client.target = raft::NodeId{1 + prng_.below(swarm_.nodes)};
  finish(number);
}

void Clients::finish(uint32_t number) {
  clients_[number].is_busy = false;
  sleep(number, 1 + static_cast<int64_t>(prng_.below(static_cast<uint64_t>(2 * swarm_.think_us))));
}

std::string Clients::check(raft::GroupId group, const Machine& final_state,
                           uint64_t& undecided) const {
  for (const auto& [name, operations] : history_) {
    if (name.first != group) continue;
    const Machine::Key& key = final_state.key(name.second);
    // A write without answer that left no trace may be taken as not done.
    std::set<uint64_t> seen(key.list.begin(), key.list.end());
    seen.insert(key.state);
    for (const Operation& operation : operations) {
      if (operation.output) seen.insert(*operation.output);
    }
    const auto left_a_trace = [&](const Operation& operation) {
      if (kind_of(name.second) != KeyKind::kCounter) return seen.contains(operation.argument);
      return (key.state & operation.argument) != 0;
    };
    std::vector<Operation> judged;
    for (const Operation& operation : operations) {
      if (operation.returned != kNever || left_a_trace(operation)) judged.push_back(operation);
    }
    // What is there at the end is read by all.
    judged.push_back({.invoked = INT64_MAX - 2,
                      .returned = INT64_MAX - 1,
                      .kind = OperationKind::kRead,
                      .output = key.state});
    const LinearizabilityResult result = check_linearizable(judged, 300'000);
    if (result.verdict == LinearizabilityVerdict::kUndecided) ++undecided;
    if (result.verdict != LinearizabilityVerdict::kViolated) continue;
    char line[100];
    std::snprintf(line, sizeof(line), "not linearizable: group %" PRIu64 " key %" PRIu32 "\n",
                  group.value, name.second);
    return line + result.explanation;
  }
  return "";
}

}  // namespace quorate::sim
