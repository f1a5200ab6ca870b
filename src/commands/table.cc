// Joins the families and finds rows: one multiplication, one probe, two compares of eight letters.
#include "commands/table.h"

#include <algorithm>
#include <cstring>

#include "commands/context.h"
#include "resp/reply.h"
#include "util/check.h"

namespace quorate {
namespace {

// Versions of ours are below 1, and say nothing of when Redis came to have the command.
bool is_earlier(std::string_view left, std::string_view right) {
  const bool left_is_ours = left.starts_with("0.");
  const bool right_is_ours = right.starts_with("0.");
  return left_is_ours == right_is_ours ? left < right : right_is_ours;
}

constexpr size_t kPackedLetters = 16;

// Eight letters to lower case at once; bytes above 127 stay.
uint64_t to_lower(uint64_t letters) {
  constexpr uint64_t kOnes = 0x0101010101010101;
  const uint64_t low_bits = letters & (kOnes * 0x7f);
  const uint64_t above_z = low_bits + kOnes * (0x7f - 'Z');
  const uint64_t from_a = low_bits + kOnes * (0x80 - 'A');
  const uint64_t is_capital = (from_a ^ above_z) & ~letters & (kOnes * 0x80);
  return letters | (is_capital >> 2);
}

template <class Word>
uint64_t load(const char* at) {
  Word word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

std::string_view container_of(std::string_view name) { return name.substr(0, name.find('|')); }

bool by_name(const CommandRow* left, const CommandRow* right) { return left->spec->name < right->spec->name; }

}  // namespace

// Injective for up to 16 letters of one size: longer than eight, the two words overlap.
CommandTable::PackedName CommandTable::pack(std::string_view name) {
  const char* const at = name.data();
  const size_t size = name.size();
  if (size >= 8) return {to_lower(load<uint64_t>(at)), to_lower(load<uint64_t>(at + size - 8))};
  if (size >= 4) return {to_lower(load<uint32_t>(at) | load<uint32_t>(at + size - 4) << 32), 0};
  uint64_t word = 0;
  if (size > 0) word = static_cast<unsigned char>(at[0]);
  if (size > 1) word |= load<uint16_t>(at + size - 2) << 16;
  return {to_lower(word), 0};
}

size_t CommandTable::slot_of(const PackedName& name, size_t size, uint32_t parent) const {
  uint64_t mixed = (name.low ^ (name.high * 0x9E3779B97F4A7C15)) + size + (uint64_t{parent} << 17);
  mixed *= 0xD6E8FEB86659FD93;
  return (mixed >> 40) & (slots_.size() - 1);
}

const CommandRow* CommandTable::find_in(uint32_t parent, std::string_view name) const {
  const PackedName packed = pack(name);
  for (size_t at = slot_of(packed, name.size(), parent);; at = (at + 1) & (slots_.size() - 1)) {
    const Slot& slot = slots_[at];
    if (slot.size == 0) return nullptr;
    if (slot.name.low != packed.low || slot.name.high != packed.high || slot.size != name.size() ||
        slot.parent != parent) {
      continue;
    }
    if (name.size() <= kPackedLetters || same_word(name, slot.row->own_name())) [[likely]]
      return slot.row;
  }
}

const CommandRow* CommandTable::find_full(std::string_view full_name) const {
  const size_t bar = full_name.find('|');
  const CommandRow* row = find(full_name.substr(0, bar));
  if (row == nullptr || bar == std::string_view::npos) return row;
  return find_subcommand(*row, full_name.substr(bar + 1));
}

CommandTable::CommandTable(std::span<const Family> families) {
  for (const Family& family : families) {
    for (const CommandSpec& spec : family) add(spec);
  }
  link_subcommands();
  for (CommandRow& row : rows_) {
    if (row.container == nullptr) commands_.push_back(&row);
    std::sort(row.subcommands.begin(), row.subcommands.end(), by_name);
  }
  std::sort(commands_.begin(), commands_.end(), by_name);
  index_names();
}

CommandRow& CommandTable::add(const CommandSpec& spec) {
  CommandRow& row = rows_.emplace_back();
  row.spec = &spec;
  row.id = static_cast<uint32_t>(rows_.size() - 1);
  return row;
}

void CommandTable::link_subcommands() {
  const size_t written = rows_.size();
  CommandRow* container = nullptr;   // of the row before
  for (size_t index = 0; index < written; ++index) {
    CommandRow& row = rows_[index];
    const std::string_view name = container_of(row.spec->name);
    if (name.size() == row.spec->name.size()) continue;
    if (container == nullptr || container->spec->name != name) {
      const auto found = std::find_if(rows_.begin(), rows_.end(), [&](const CommandRow& each) { return each.spec->name == name; });
      container = found != rows_.end() ? &*found : &add(derive_container(name, *row.spec));
    }
    row.container = container;
    container->subcommands.push_back(&row);
    CommandSpec* derived = nullptr;
    for (CommandSpec& spec : derived_) {
      if (spec.name == name) derived = &spec;
    }
    // A container is as old as its oldest subcommand.
    if (derived != nullptr && is_earlier(row.spec->since, derived->since)) derived->since = row.spec->since;
  }
}

const CommandSpec& CommandTable::derive_container(std::string_view name, const CommandSpec& subcommand) {
  CommandSpec& spec = derived_.emplace_back();
  spec.name = name;
  spec.arity = -2;
  spec.summary = "Holds the subcommands that its HELP lists.";
  spec.complexity = "Depends on subcommand.";
  spec.since = subcommand.since;
  spec.group = subcommand.group;
  spec.acl = "-keyspace,-connection,-scripting,-stream";  // a container does nothing: no category but @slow
  return spec;
}

void CommandTable::index_names() {
  size_t size = 64;
  while (size < rows_.size() * 4) size *= 2;
  slots_.resize(size);
  for (const CommandRow& row : rows_) {
    const uint32_t parent = row.container == nullptr ? 0 : row.container->id + 1;
    const std::string_view name = row.own_name();
    CHECK(!name.empty());
    CHECK(find_in(parent, name) == nullptr);
    const PackedName packed = pack(name);
    size_t at = slot_of(packed, name.size(), parent);
    while (slots_[at].size != 0) at = (at + 1) & (slots_.size() - 1);
    slots_[at] = Slot{packed, static_cast<uint32_t>(name.size()), parent, &row};
  }
}

void write_help(const CommandRow& container, Reply& reply) {
  const auto upper = [](std::string_view text) {
    std::string result(text);
    for (char& letter : result) {
      if (letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 32);
    }
    return result;
  };
  const Reply::Deferred lines = reply.begin(Reply::Shape::kArray);
  size_t count = 1;
  reply.simple(upper(container.spec->name) + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
  for (const CommandRow* row : container.subcommands) {
    std::string line = upper(row->own_name());
    if (!row->spec->syntax.empty()) line += ' ';
    // The types of the syntax line are for the reader of rows, not for people.
    bool is_type = false;
    for (const char letter : row->spec->syntax) {
      if (letter == ':') is_type = true;
      if (letter == ' ' || letter == ']' || letter == '>' || letter == '|') is_type = false;
      if (!is_type) line += letter;
    }
    reply.simple(line);
    reply.simple("    " + std::string(row->spec->summary));
    count += 2;
  }
  reply.end(lines, count);
}

}  // namespace quorate
