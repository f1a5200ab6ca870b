// The command table: the rows of all families, found by name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "commands/spec.h"
#include "resp/request_parser.h"

namespace quorate {

// A row in the table.  `id` is dense (0, 1, ...), for arrays of what is counted per command.
struct CommandRow {
  const CommandSpec* spec = nullptr;
  uint32_t id = 0;
  const CommandRow* container = nullptr;              // of a subcommand
  std::vector<const CommandRow*> subcommands;         // of a container, sorted by name

  bool is_container() const { return !subcommands.empty(); }
  // "get" of "config|get"; the whole name of other rows.
  std::string_view own_name() const {
    return container == nullptr ? spec->name : spec->name.substr(container->spec->name.size() + 1);
  }
};

// Built once; rows and their ids do not change afterwards.  A container ("config") that has no row of its own
// gets one made from its subcommands; it has no handler.  Refuses (CHECK) duplicates.
class CommandTable {
 public:
  using Family = std::span<const CommandSpec>;

  explicit CommandTable(std::span<const Family> families);
  CommandTable(std::initializer_list<Family> families)
      : CommandTable(std::span<const Family>(families.begin(), families.size())) {}
  CommandTable(const CommandTable&) = delete;
  CommandTable& operator=(const CommandTable&) = delete;

  // The row of a top-level name in any case; null if there is none.
  const CommandRow* find(std::string_view name) const { return find_in(0, name); }
  const CommandRow* find_subcommand(const CommandRow& container, std::string_view name) const {
    return find_in(container.id + 1, name);
  }
  // The row of "config|get" or "get".
  const CommandRow* find_full(std::string_view full_name) const;
  // The row that a request means: of a container with a known subcommand the subcommand's.  A container
  // with an unknown or no subcommand gives the container's row, whose spec may have no handler.
  const CommandRow* find(Args args) const {
    const CommandRow* row = find_in(0, args[0]);
    if (row != nullptr && row->is_container() && args.size() > 1) [[unlikely]] {
      const CommandRow* subcommand = find_in(row->id + 1, args[1]);
      if (subcommand != nullptr) return subcommand;
    }
    return row;
  }

  size_t size() const { return rows_.size(); }
  const CommandRow& row(uint32_t id) const { return rows_[id]; }
  // Top-level rows, sorted by name.
  std::span<const CommandRow* const> commands() const { return commands_; }

 private:
  // A name of up to 16 letters is two words in lower case; a longer one is compared letter by letter as well.
  struct PackedName {
    uint64_t low = 0;
    uint64_t high = 0;
  };
  struct Slot {
    PackedName name;
    uint32_t size = 0;  // 0: the slot is free
    uint32_t parent = 0;
    const CommandRow* row = nullptr;
  };
  static PackedName pack(std::string_view name);
  size_t slot_of(const PackedName& name, size_t size, uint32_t parent) const;
  const CommandRow* find_in(uint32_t parent, std::string_view name) const;
  CommandRow& add(const CommandSpec& spec);
  void link_subcommands();
  void index_names();
  const CommandSpec& derive_container(std::string_view name, const CommandSpec& subcommand);

  std::deque<CommandRow> rows_;          // by id
  std::deque<CommandSpec> derived_;      // rows of containers that no family wrote
  std::vector<const CommandRow*> commands_;
  std::vector<Slot> slots_;              // open-addressed, a power of two
};

// Writes the reply of a container's HELP: its subcommands with their syntax and summary.
void write_help(const CommandRow& container, class Reply& reply);

}  // namespace quorate
