// Connections of the clients and of the operator with the machines of the world `cluster`, and what these two need to know of it.
#include "tests/sim/cluster_world.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <utility>

#include "node/company.h"
#include "node/state.h"
#include "util/hash.h"

namespace quorate::sim {

namespace {

constexpr uint64_t kDrainUsMax = 500;

}  // namespace

// ---- clients

int64_t ClusterWorld::client_delay_us() {
  return 1 + swarm_.delay_us +
         static_cast<int64_t>(node_prng_.below(static_cast<uint64_t>(swarm_.jitter_us) + 1));
}

void ClusterWorld::send_request(uint32_t client, uint32_t machine, ClientDoor door,
                                std::string_view bytes) {
  const auto current = lines_.find(line_of_[client]);
  if (current != lines_.end() && current->second.machine != machine) {
    hang_up(client);
  } else if (current != lines_.end() && current->second.is_closed) {
    // Lost: the client does not know yet that the connection is closed, and hears of that soon.
    return;
  }
  if (line_of_[client] == 0) {
    line_of_[client] = ++last_line_;
    const auto added = lines_.try_emplace(last_line_, Line{.client = client, .machine = machine, .door = door}).first;
    machines_[machine]->lines.push_back(&*added);
  }
  Line& line = lines_.at(line_of_[client]);
  line.sent_us = std::max(line.sent_us, now_us_ + client_delay_us());
  push({.at = line.sent_us,
        .kind = EventKind::kRequest,
        .machine = machine,
        .number = line_of_[client],
        .bytes = std::string(bytes)});
}

void ClusterWorld::hang_up(uint32_t client) {
  const uint64_t number = std::exchange(line_of_[client], 0);
  const auto found = lines_.find(number);
  if (found == lines_.end()) return;
  Line& line = found->second;
  line.sent_us = std::max(line.sent_us, now_us_ + client_delay_us());
  push({.at = line.sent_us, .kind = EventKind::kHangUp, .machine = line.machine, .number = number});
}

void ClusterWorld::wake_client(uint32_t client, int64_t at_us) {
  push({.at = at_us, .kind = EventKind::kClient, .number = client});
}

void ClusterWorld::log_client(uint32_t client, const std::string& text) {
  trace_ = mix(trace_, hash64(text, client));
  if (!options_.log) return;
  std::printf("%10.3f ms  client %" PRIu32 " > %s\n",
              static_cast<double>(now_us_ - kStartUs) / 1000, client, text.c_str());
}

bool ClusterWorld::may_be_lost(const std::string& key) {
  if (crashes_ != 0) return true;
  for (const auto& machine : machines_) {
    Store& store = machine->node->node().store();
    const uint32_t partition = store.partition_of(store.make_key(key).slot);
    for (const Loss& loss : company_of(*machine->node).losses().of(Loss::Kind::kLost)) {
      if (loss.partition == partition) return true;
    }
  }
  return false;
}

void ClusterWorld::on_request(const Event& event) {
  Machine& machine = *machines_[event.machine];
  const auto found = lines_.find(event.number);
  if (found == lines_.end() || !machine.has_power) return;
  Line& line = found->second;
  if (machine.node == nullptr || (line.life != 0 && line.life != machine.life)) {
    return tell_closed(event.number, line);
  }
  if (line.life == 0) {
    line.life = machine.life;
    line.connection = machine.node->connect(line.door);
  }
  machine.node->send(line.connection, event.bytes);
  input(event.machine);
}

void ClusterWorld::on_hang_up(const Event& event) {
  Machine& machine = *machines_[event.machine];
  const auto found = lines_.find(event.number);
  if (found == lines_.end()) return;
  const Line line = found->second;
  forget_line(found);
  if (machine.node == nullptr || line.life != machine.life) return;
  machine.node->disconnect(line.connection);
  input(event.machine);
}

void ClusterWorld::forget_line(Lines::iterator line) {
  std::erase(machines_[line->second.machine]->lines, &*line);
  lines_.erase(line);
}

// What the node has said leaves for its clients.
void ClusterWorld::collect_answers(uint32_t number) {
  Machine& machine = *machines_[number];
  for (auto* const each : machine.lines) {
    auto& [id, line] = *each;
    if (line.life != machine.life || line.is_closed) continue;
    std::string& received = machine.node->received(line.connection);
    if (!received.empty()) {
      line.answered_us = std::max(line.answered_us, now_us_ + client_delay_us());
      push({.at = line.answered_us,
            .kind = EventKind::kAnswer,
            .number = id,
            .bytes = std::move(received)});
      received.clear();
    }
    if (machine.node->is_closed(line.connection)) {
      tell_closed(id, line);
    } else if (machine.node->is_sending(line.connection)) {
      push({.at = now_us_ + 1 + static_cast<int64_t>(node_prng_.below(kDrainUsMax)),
            .kind = EventKind::kDrain,
            .machine = number,
            .life = machine.life,
            .number = static_cast<uint64_t>(line.connection)});
    }
  }
}

void ClusterWorld::tell_closed(uint64_t number, Line& line) {
  if (line.is_closed) return;
  line.is_closed = true;
  line.answered_us = std::max(line.answered_us, now_us_ + client_delay_us());
  push({.at = line.answered_us, .kind = EventKind::kClosed, .number = number});
}

void ClusterWorld::handle_client(Event& event) {
  const auto found = lines_.find(event.number);
  if (found == lines_.end()) return;
  const uint32_t client = found->second.client;
  const bool is_used = line_of_[client] == event.number;
  if (event.kind == EventKind::kAnswer) {
    if (!is_used) return;
    if (client == operator_number()) return operator_.on_bytes(event.bytes);
    if (client == modes_number()) return modes_.on_bytes(event.bytes);
    if (client == arranger_number()) return arranger_.on_bytes(event.bytes);
    if (client >= swarm_.clients) return pubsub_.on_bytes(client, event.bytes);
    return clients_.on_bytes(client, event.bytes);
  }
  forget_line(found);
  if (!is_used) return;
  line_of_[client] = 0;
  if (client == operator_number()) return operator_.on_closed();
  if (client == modes_number()) return modes_.on_closed();
  if (client == arranger_number()) return arranger_.on_closed();
  if (client >= swarm_.clients) return pubsub_.on_closed(client);
  clients_.on_closed(client);
}

// ---- the operator

void ClusterWorld::operator_sends(uint32_t machine, std::string_view bytes) {
  hang_up(operator_number());
  send_request(operator_number(), machine, ClientDoor::kMain, bytes);
}

void ClusterWorld::modes_send(uint32_t machine, std::string_view bytes) {
  hang_up(modes_number());
  send_request(modes_number(), machine, ClientDoor::kMain, bytes);
}

void ClusterWorld::log_modes(std::string_view text) {
  log_client(modes_number(), "modes: " + std::string(text));
}

void ClusterWorld::arranger_sends(uint32_t machine, std::string_view bytes) {
  hang_up(arranger_number());
  send_request(arranger_number(), machine, ClientDoor::kMain, bytes);
}

void ClusterWorld::log_arranger(std::string_view text) {
  log_client(arranger_number(), "arranger: " + std::string(text));
}

void ClusterWorld::log_operator(std::string_view text) {
  log_client(operator_number(), "operator: " + std::string(text));
}

bool ClusterWorld::holds_nothing(const std::string& name) {
  // What nobody else serves may be on its disk alone.
  std::vector<bool> is_served(swarm_.partitions, false);
  for (uint32_t other = 0; other < size(); ++other) {
    Machine& machine = *machines_[other];
    // Somebody who is down may know of a copy there.
    if (machine.node == nullptr && machine.node_name != name) return false;
    if (machine.node == nullptr) continue;
    Company& company = company_of(*machine.node);
    if (!company.is_started() || company.is_alone()) continue;
    for (uint32_t partition = 0; partition < swarm_.partitions; ++partition) {
      const raft::Core* const core = company.cluster().partitions().core(partition);
      if (core == nullptr) continue;
      if (machine.node_name == name) return false;
      for (const raft::Member& member : core->configuration().members()) {
        if (node_name(member.node.value) == name) return false;
      }
      if (company.serves(partition)) is_served[partition] = true;
    }
  }
  return std::find(is_served.begin(), is_served.end(), false) == is_served.end();
}

// One whose node is in this state, as far as a member knows.
std::optional<uint32_t> ClusterWorld::machine_in(MemberState state) const {
  for (uint32_t witness = 0; witness < size(); ++witness) {
    if (machines_[witness]->node == nullptr || !company_joined(witness)) continue;
    for (const MemberRecord& member : company_of(*machines_[witness]->node).cluster().state().members()) {
      if (member.state != state) continue;
      for (uint32_t number = 0; number < size(); ++number) {
        if (machines_[number]->node_id == member.id) return number;
      }
    }
  }
  return std::nullopt;
}

// Where another node is on its way to its place, nobody runs.
std::optional<uint32_t> ClusterWorld::removed_machine() {
  const auto removed = machine_in(MemberState::kRemoved);
  return removed && machines_[*removed]->node != nullptr ? removed : std::nullopt;
}

}  // namespace quorate::sim
