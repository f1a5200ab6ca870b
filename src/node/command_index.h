// The commands of this node, found by the name a client sent, with the counters that belong to each.
// Built once from the families of src/commands and src/node/commands; nothing is added later.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "commands/spec.h"
#include "commands/table.h"
#include "node/latency.h"
#include "resp/request_parser.h"

namespace quorate {

// One command with what the node knows about it besides its row.
struct Command {
  const CommandRow* row = nullptr;
  const CommandSpec* spec = nullptr;
  uint32_t index = 0;          // the row's id
  bool has_first_key = false;  // args[1] is a key: worth prefetching
  bool has_one_key = false;    // args[1] is the only key
  bool removes_key = false;    // the first key
  bool may_be_long = false;    // timed alone even within a pipeline

  // INFO commandstats and latencystats.
  uint64_t calls = 0;
  uint64_t nanoseconds = 0;
  uint64_t rejected = 0;
  uint64_t failed = 0;
  std::unique_ptr<LatencyHistogram> latency;

  bool has_subcommands() const { return row->is_container(); }
  // HELP of a container: its row has no handler, the reply is made from the table.
  bool is_help() const {
    return spec->run == nullptr && spec->run_on_node == nullptr && row->container != nullptr;
  }
  bool has_handler() const {
    return spec->run != nullptr || spec->run_on_node != nullptr || is_help();
  }
};

class CommandIndex {
 public:
  explicit CommandIndex(std::span<const CommandTable::Family> families);
  CommandIndex(const CommandIndex&) = delete;
  CommandIndex& operator=(const CommandIndex&) = delete;

  const CommandTable& table() const { return table_; }
  // Any case.  Null: no such command.  Never gives a subcommand.
  Command* find(std::string_view name) {
    const CommandRow* const row = table_.find(name);
    return row == nullptr ? nullptr : &commands_[row->id];
  }
  // Null: the container has no such subcommand.
  Command* find_subcommand(const Command& container, std::string_view name) {
    const CommandRow* const row = table_.find_subcommand(*container.row, name);
    return row == nullptr ? nullptr : &commands_[row->id];
  }

  // By id.
  std::span<Command> commands() { return commands_; }
  Command& at(uint32_t index) { return commands_[index]; }
  void reset_statistics();

 private:
  CommandTable table_;
  std::vector<Command> commands_;
};

// The families of src/node/commands and the data families of src/commands.
std::vector<CommandTable::Family> all_command_families();

}  // namespace quorate
