// The families of data commands, each the table at the foot of its file.
#pragma once

#include <array>
#include <span>

#include "commands/spec.h"

namespace quorate {

std::span<const CommandSpec> string_commands();
std::span<const CommandSpec> generic_commands();
std::span<const CommandSpec> list_commands();
std::span<const CommandSpec> list_move_commands();
std::span<const CommandSpec> hash_commands();
std::span<const CommandSpec> hash_expiry_commands();
std::span<const CommandSpec> set_commands();
std::span<const CommandSpec> sorted_set_commands();
std::span<const CommandSpec> sorted_set_range_commands();
std::span<const CommandSpec> sorted_set_combine_commands();
std::span<const CommandSpec> sort_commands();
std::span<const CommandSpec> dump_commands();
std::span<const CommandSpec> memory_usage_commands();

// All of them, for the CommandTable.
inline auto data_commands() {
  return std::to_array<std::span<const CommandSpec>>({
      string_commands(),
      generic_commands(),
      list_commands(),
      list_move_commands(),
      hash_commands(),
      hash_expiry_commands(),
      set_commands(),
      sorted_set_commands(),
      sorted_set_range_commands(),
      sorted_set_combine_commands(),
      sort_commands(),
      dump_commands(),
      memory_usage_commands(),
  });
}

}  // namespace quorate
