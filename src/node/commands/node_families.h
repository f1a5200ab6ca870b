// The families of session, node and cluster commands, each the table at the foot of its file.
#pragma once

#include <array>
#include <span>

#include "commands/spec.h"

namespace quorate {

std::span<const CommandSpec> connection_commands();
std::span<const CommandSpec> client_commands();
std::span<const CommandSpec> transaction_commands();
std::span<const CommandSpec> pubsub_commands();
std::span<const CommandSpec> keyspace_commands();  // DBSIZE FLUSHALL FLUSHDB SWAPDB MONITOR
std::span<const CommandSpec> persistence_commands();
std::span<const CommandSpec> debug_commands();
std::span<const CommandSpec> config_commands();
std::span<const CommandSpec> process_commands();   // INFO SHUTDOWN
std::span<const CommandSpec> command_commands();  // COMMAND
std::span<const CommandSpec> slowlog_commands();
std::span<const CommandSpec> latency_commands();
std::span<const CommandSpec> memory_commands();
std::span<const CommandSpec> about_commands();  // TIME ROLE LOLWUT
std::span<const CommandSpec> cluster_commands();  // CLUSTER READONLY READWRITE ASKING
std::span<const CommandSpec> quorum_commands();
std::span<const CommandSpec> wait_commands();    // WAIT WAITAOF

inline auto node_commands() {
  return std::to_array<std::span<const CommandSpec>>({
      connection_commands(),
      client_commands(),
      transaction_commands(),
      pubsub_commands(),
      keyspace_commands(),
      persistence_commands(),
      debug_commands(),
      config_commands(),
      process_commands(),
      command_commands(),
      slowlog_commands(),
      latency_commands(),
      memory_commands(),
      about_commands(),
      cluster_commands(),
      quorum_commands(),
      wait_commands(),
  });
}

}  // namespace quorate
