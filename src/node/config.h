// All settings of a process: reads redis.conf syntax, answers CONFIG GET, SET and REWRITE.  Each setting is a row of one
// table (config_table.cc); its value is kept as the text CONFIG GET shows, and assigned to the typed struct that the
// code obeys.  Pure: files come in as text.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "node/config_syntax.h"
#include "node/host.h"
#include "node/process_settings.h"
#include "node/settings.h"
#include "store/settings.h"
#include "util/result.h"

namespace quorate {

enum class SettingType : uint8_t {
  kBool,      // yes, no
  kInt,
  kOctal,
  kMemory,    // bytes, with units on input
  kMemoryOrPercent,
  kEnum,      // one of `choices`
  kString,
  kSpecial,   // `normalize` reads it
};

// Where values are assigned to.
struct SettingTargets {
  StoreSettings& store;
  NodeSettings& node;
  ProcessSettings& process;
};

struct SettingValue {
  std::string text;    // as CONFIG GET shows it
  int64_t number = 0;  // kBool: 0 or 1; kEnum: index in choices; kInt, kOctal, kMemory: the value
};

// One row.  Aliases are names of Redis' past; CONFIG GET gives both.
struct Setting {
  std::string_view name;
  std::string_view alias{};
  SettingType type = SettingType::kString;
  std::string_view initial{};
  int64_t least = 0;
  int64_t most = INT64_MAX;
  std::string_view choices{};    // kEnum: "a, b, c"
  bool immutable = false;        // not by CONFIG SET
  bool is_cluster_wide = false;  // in company one value holds at all nodes (cluster_settings.h)
  bool is_protected = false;     // CONFIG SET only with enable-protected-configs
  bool hidden = false;           // CONFIG GET only by its whole name
  bool many_words = false;       // takes the rest of the line
  bool adds_up = false;          // several lines add to one value
  bool has_no_effect = false;    // accepted because Redis has it; said in the log when it is set
  std::string_view refusal{};    // why any value but the initial one is refused (a part that does not exist yet)
  // kSpecial: the canonical text, or the reason for refusing.
  Result<std::string> (*normalize)(std::string_view text, std::string_view current) = nullptr;
  // After the type's own check: may adjust the value, or say the reason for refusing.
  Status (*check)(SettingValue& value) = nullptr;
  void (*assign)(SettingTargets& targets, const SettingValue& value) = nullptr;
};

std::span<const Setting> setting_table();

using SettingPair = std::pair<std::string_view, std::string_view>;

// Owned by main; lives as long as the node.  Calls must match: load? (get | set | rewrite)*
class Configuration {
 public:
  // Assigns every default.
  explicit Configuration(const SettingTargets& targets);

  // Applies directives in order (the file's, then the command line's).  The error's detail is the whole message.
  Status load(std::span<const Directive> directives);
  // "rdbchecksum has no effect here": for the log, in the order met.
  const std::vector<std::string>& notes() const { return notes_; }

  // The names that match one of the patterns, each once, with their values; sorted by name.
  std::vector<SettingPair> get(std::span<const std::string_view> patterns) const;
  // Requires: a setting has that name.
  std::string_view value(std::string_view name) const;

  // A line of the file or the command line has set it.  Requires: a setting has that name.
  bool was_loaded(std::string_view name) const;

  // What the process found out about a value ("dir" as an absolute path, "maxclients" as the system allows).
  // Requires: a setting has that name, and the text is valid.
  void learn(std::string_view name, std::string_view text);

  // The names and values as CONFIG GET would show them, if set() would take the pairs, and they fit together and to the others.
  Result<std::vector<std::pair<std::string_view, std::string>>> canonical(std::span<const SettingPair> pairs) const;
  // The settings of the cluster were assigned as they were at this version of its state (cluster_settings.h).
  uint64_t followed_version() const { return followed_version_; }
  void set_followed_version(uint64_t version) { followed_version_ = version; }

  // All pairs or none; what they mean together is not looked at.  `host` may be null (tests).  The error's detail is the text without "ERR ".
  Status set(std::span<const SettingPair> pairs, Host* host);

  // `text` (the file as it is) with the running values: comments, order and unknown lines stay.
  std::string rewrite(std::string_view text) const;

 private:
  struct Planned {
    size_t index;
    SettingValue value;
  };
  Result<SettingValue> parse(size_t index, std::string_view text) const;
  Status load_one(const Directive& directive);
  Status plan(std::span<const SettingPair> pairs, std::vector<Planned>& planned) const;
  Status check_together(std::span<const Planned> planned) const;
  int64_t value_of(std::string_view name) const;
  void assign(size_t index, SettingValue value);
  std::string line_of(size_t index) const;

  SettingTargets targets_;
  std::vector<SettingValue> values_;  // by row
  std::vector<bool> was_loaded_;      // by row: a line of the file or command line set it
  std::vector<std::string> notes_;
  uint64_t followed_version_ = 0;
};

// The row's index, by name or alias, any case; the table's size if there is none.
size_t find_setting(std::string_view name);

}  // namespace quorate
