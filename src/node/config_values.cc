// Settings of more than one plain value.  Reasons for refusing are Redis' words.
#include "node/config_values.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "node/own_member.h"
#include "store/db.h"
#include "util/number.h"

namespace quorate {

namespace {

Error refused(std::string_view reason) { return Error(ErrorCode::kInvalidArgument, std::string(reason)); }

// Blank-separated words; these settings have no use for quotes.
std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  size_t at = 0;
  while (at < text.size()) {
    const size_t begin = text.find_first_not_of(" \t", at);
    if (begin == std::string_view::npos) break;
    const size_t end = std::min(text.find_first_of(" \t", begin), text.size());
    words.push_back(text.substr(begin, end - begin));
    at = end;
  }
  return words;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) {
    if (!out.empty()) out += ' ';
    out += word;
  }
  return out;
}

// The letters of notify-keyspace-events in the order Redis prints them; A stands for those marked so.
struct EventLetter {
  char letter;
  EventClass event_class;
  bool is_in_all;
};
constexpr EventLetter kEventLetters[] = {
    {'g', EventClass::kGeneric, true},   {'$', EventClass::kString, true},  {'l', EventClass::kList, true},
    {'s', EventClass::kSet, true},       {'h', EventClass::kHash, true},    {'z', EventClass::kSortedSet, true},
    {'x', EventClass::kExpired, true},   {'e', EventClass::kEvicted, true}, {'t', EventClass::kStream, true},
    {'d', EventClass::kModule, true},    {'m', EventClass::kKeyMiss, false}, {'n', EventClass::kNew, false},
};

struct EventFlags {
  uint16_t classes = 0;
  bool keyspace = false;
  bool keyevent = false;
};

constexpr uint16_t all_classes() {
  uint16_t all = 0;
  for (const EventLetter& row : kEventLetters)
    if (row.is_in_all) all = static_cast<uint16_t>(all | static_cast<uint16_t>(row.event_class));
  return all;
}

std::optional<EventFlags> event_flags(std::string_view text) {
  EventFlags flags;
  for (const char c : text) {
    if (c == 'A') {
      flags.classes |= all_classes();
    } else if (c == 'K') {
      flags.keyspace = true;
    } else if (c == 'E') {
      flags.keyevent = true;
    } else {
      const auto* row = std::find_if(std::begin(kEventLetters), std::end(kEventLetters),
                                     [c](const EventLetter& each) { return each.letter == c; });
      if (row == std::end(kEventLetters)) return std::nullopt;
      flags.classes = static_cast<uint16_t>(flags.classes | static_cast<uint16_t>(row->event_class));
    }
  }
  return flags;
}

constexpr std::string_view kClassNames[] = {"normal", "slave", "pubsub"};  // by ClientClass

std::optional<size_t> client_class(std::string_view name) {
  const std::string wanted = lower(name);
  if (wanted == "replica") return 1;
  for (size_t i = 0; i < std::size(kClassNames); ++i)
    if (kClassNames[i] == wanted) return i;
  return std::nullopt;
}

using OutputLimits = std::array<OutputLimit, 3>;

// Overwrites the classes that are named.
Status read_output_limits(std::string_view text, OutputLimits& limits) {
  const auto words = words_of(text);
  if (words.size() % 4 != 0) return refused("Wrong number of arguments in buffer limit configuration.");
  for (size_t i = 0; i < words.size(); i += 4) {
    const auto which = client_class(words[i]);
    if (!which) return refused("Invalid client class specified in buffer limit configuration.");
    const auto hard = parse_memory(words[i + 1]);
    const auto soft = parse_memory(words[i + 2]);
    const auto seconds = parse_int(words[i + 3]);
    if (!hard || !soft || !seconds || *hard < 0 || *soft < 0 || *seconds < 0)
      return refused("Error in hard, soft or soft_seconds setting in buffer limit configuration.");
    limits[*which] = {static_cast<uint64_t>(*hard), static_cast<uint64_t>(*soft), *seconds};
  }
  return done();
}

constexpr std::pair<std::string_view, ShutdownOption> kShutdownWords[] = {
    {"save", kShutdownSave}, {"nosave", kShutdownNoSave}, {"now", kShutdownNow}, {"force", kShutdownForce}};

std::optional<uint8_t> shutdown_options(std::string_view text) {
  uint8_t options = 0;
  const auto words = words_of(text);
  if (words.empty()) return std::nullopt;
  for (const std::string_view word : words) {
    const std::string name = lower(word);
    if (name == "default") continue;
    const auto* row = std::find_if(std::begin(kShutdownWords), std::end(kShutdownWords),
                                   [&name](const auto& each) { return each.first == name; });
    if (row == std::end(kShutdownWords)) return std::nullopt;
    options = static_cast<uint8_t>(options | row->second);
  }
  return options;
}

}  // namespace

// ---- save: "seconds changes" pairs ---------------------------------------------------------------------

Result<std::string> normalize_save(std::string_view text, std::string_view /*current*/) {
  const auto words = words_of(text);
  if (words.size() % 2 != 0) return refused("Invalid save parameters");
  std::vector<std::string> out;
  for (size_t i = 0; i < words.size(); i += 2) {
    const auto seconds = parse_int(words[i]);
    const auto changes = parse_int(words[i + 1]);
    if (!seconds || !changes || *seconds < 1 || *changes < 0 || *seconds > INT32_MAX || *changes > INT32_MAX)
      return refused("Invalid save parameters");
    out.push_back(std::to_string(*seconds));
    out.push_back(std::to_string(*changes));
  }
  return joined(out);
}

void assign_save(SettingTargets& targets, const SettingValue& value) {
  targets.node.save.clear();
  const auto words = words_of(value.text);
  for (size_t i = 0; i + 1 < words.size(); i += 2)
    targets.node.save.push_back({parse_int(words[i]).value_or(0), parse_int(words[i + 1]).value_or(0)});
}

// ---- bind ----------------------------------------------------------------------------------------------

Result<std::string> normalize_bind(std::string_view text, std::string_view /*current*/) {
  constexpr size_t kAddressesMax = 16;
  std::vector<std::string> out;
  for (const std::string_view word : words_of(text)) out.emplace_back(word);
  if (out.size() > kAddressesMax) return refused("Too many bind addresses specified.");
  return joined(out);
}

void assign_bind(SettingTargets& targets, const SettingValue& value) {
  targets.process.bind.clear();
  for (const std::string_view word : words_of(value.text)) targets.process.bind.emplace_back(word);
}

// ---- join: "host:port,host:port" -------------------------------------------------------------------------

namespace {

std::vector<std::string> join_entries(std::string_view text) {
  std::string blank_separated(text);
  std::replace(blank_separated.begin(), blank_separated.end(), ',', ' ');
  std::vector<std::string> entries;
  for (const std::string_view word : words_of(blank_separated)) entries.emplace_back(word);
  return entries;
}

}  // namespace

Result<std::string> normalize_join(std::string_view text, std::string_view /*current*/) {
  const std::vector<std::string> entries = join_entries(text);
  TRY(parse_join(entries));
  std::string out;
  for (const std::string& entry : entries) {
    if (!out.empty()) out += ',';
    out += entry;
  }
  return out;
}

void assign_join(SettingTargets& targets, const SettingValue& value) { targets.node.join = join_entries(value.text); }

// ---- cluster-port, cluster-client-port: "auto" or a port ----------------------------------------------------

Result<std::string> normalize_port_or_auto(std::string_view text, std::string_view /*current*/) {
  constexpr int64_t kPortMax = 65535;
  if (lower(text) == "auto") return std::string("auto");
  const auto port = parse_int(text);
  if (!port) return refused("argument couldn't be parsed into an integer");
  if (*port < 0 || *port > kPortMax) return refused("argument must be between 0 and 65535 inclusive");
  return std::to_string(*port);
}

void assign_cluster_port(SettingTargets& targets, const SettingValue& value) {
  targets.process.cluster_port = parse_int(value.text).value_or(kPortAuto);
}

void assign_cluster_client_port(SettingTargets& targets, const SettingValue& value) {
  targets.process.cluster_client_port = parse_int(value.text).value_or(kPortAuto);
}

// ---- client-output-buffer-limit ----------------------------------------------------------------------------

Result<std::string> normalize_output_limits(std::string_view text, std::string_view current) {
  OutputLimits limits{};
  TRY(read_output_limits(current, limits));
  TRY(read_output_limits(text, limits));
  std::vector<std::string> out;
  for (size_t i = 0; i < limits.size(); ++i) {
    out.emplace_back(kClassNames[i]);
    out.push_back(std::to_string(limits[i].hard));
    out.push_back(std::to_string(limits[i].soft));
    out.push_back(std::to_string(limits[i].soft_seconds));
  }
  return joined(out);
}

void assign_output_limits(SettingTargets& targets, const SettingValue& value) {
  const Status read = read_output_limits(value.text, targets.node.output_limits);
  CHECK(read.ok());
}

// ---- notify-keyspace-events ----------------------------------------------------------------------------------

Result<std::string> normalize_notify(std::string_view text, std::string_view /*current*/) {
  const auto flags = event_flags(text);
  if (!flags) return refused("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
  std::string out;
  const bool has_all = (flags->classes & all_classes()) == all_classes();
  if (has_all) out += 'A';
  for (const EventLetter& row : kEventLetters)
    if (row.is_in_all && !has_all && (flags->classes & static_cast<uint16_t>(row.event_class)) != 0)
      out += row.letter;
  const auto has = [&](EventClass wanted) { return (flags->classes & static_cast<uint16_t>(wanted)) != 0; };
  if (has(EventClass::kNew)) out += 'n';
  if (flags->keyspace) out += 'K';
  if (flags->keyevent) out += 'E';
  if (has(EventClass::kKeyMiss)) out += 'm';
  return out;
}

void assign_notify(SettingTargets& targets, const SettingValue& value) {
  const EventFlags flags = event_flags(value.text).value_or(EventFlags{});
  targets.node.notify_keyspace_events = flags.classes;
  targets.node.notify_keyspace = flags.keyspace;
  targets.node.notify_keyevent = flags.keyevent;
}

// ---- latency-tracking-info-percentiles -------------------------------------------------------------------------

Result<std::string> normalize_percentiles(std::string_view text, std::string_view /*current*/) {
  constexpr size_t kPercentilesMax = 64;
  std::vector<std::string> out;
  for (const std::string_view word : words_of(text)) {
    const auto value = parse_double(word);
    if (!value || out.size() == kPercentilesMax) return refused("Invalid latency-tracking-info-percentiles parameters");
    if (!(*value >= 0.0 && *value <= 100.0))
      return refused("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]");
    char digits[kDoubleTextMax];
    out.emplace_back(digits, format_double(digits, *value));
  }
  return joined(out);
}

void assign_percentiles(SettingTargets& targets, const SettingValue& value) {
  targets.node.latency_tracking_info_percentiles.clear();
  for (const std::string_view word : words_of(value.text))
    targets.node.latency_tracking_info_percentiles.push_back(parse_double(word).value_or(0));
}

// ---- oom-score-adj-values ----------------------------------------------------------------------------------------

Result<std::string> normalize_oom_values(std::string_view text, std::string_view /*current*/) {
  const auto words = words_of(text);
  if (words.size() != 3) return refused("wrong number of arguments");
  std::vector<std::string> out;
  for (const std::string_view word : words) {
    const auto value = parse_int(word);
    if (!value || *value < -2000 || *value > 2000)
      return refused("Invalid oom-score-adj-values, elements must be between -2000 and 2000.");
    out.push_back(std::to_string(*value));
  }
  return joined(out);
}

void assign_oom_values(SettingTargets& targets, const SettingValue& value) {
  const auto words = words_of(value.text);
  for (size_t i = 0; i < 3; ++i) targets.process.oom_score_adj_values[i] = parse_int(words[i]).value_or(0);
}

// ---- shutdown-on-sigterm, shutdown-on-sigint -----------------------------------------------------------------------

Result<std::string> normalize_shutdown_options(std::string_view text, std::string_view /*current*/) {
  const auto options = shutdown_options(text);
  if (!options)
    return refused("argument(s) must be one of the following: default, save, nosave, now, force");
  if ((*options & kShutdownSave) != 0 && (*options & kShutdownNoSave) != 0)
    return refused("shutdown options SAVE and NOSAVE can't be used simultaneously");
  std::vector<std::string> out;
  for (const auto& [word, bit] : kShutdownWords)
    if ((*options & bit) != 0) out.emplace_back(word);
  return out.empty() ? std::string("default") : joined(out);
}

void assign_shutdown_on_sigterm(SettingTargets& targets, const SettingValue& value) {
  targets.process.shutdown_on_sigterm = shutdown_options(value.text).value_or(0);
}

void assign_shutdown_on_sigint(SettingTargets& targets, const SettingValue& value) {
  targets.process.shutdown_on_sigint = shutdown_options(value.text).value_or(0);
}

// ---- proc-title-template ---------------------------------------------------------------------------------------------

Result<std::string> normalize_title_template(std::string_view text, std::string_view /*current*/) {
  constexpr std::string_view kKnown[] = {"{title}",    "{listen-addr}",  "{server-mode}", "{port}",
                                         "{tls-port}", "{unixsocket}", "{config-file}"};
  size_t at = 0;
  while ((at = text.find('{', at)) != std::string_view::npos) {
    const std::string_view rest = text.substr(at);
    const auto* known = std::find_if(std::begin(kKnown), std::end(kKnown),
                                     [rest](std::string_view each) { return rest.starts_with(each); });
    if (known == std::end(kKnown)) return refused("template format is invalid or contains unknown variables");
    at += known->size();
  }
  return std::string(text);
}

// ---- levels ------------------------------------------------------------------------------------------------------------

Result<std::string> normalize_write_level(std::string_view text, std::string_view /*current*/) {
  if (const auto level = parse_write_level(text)) return text_of(*level);
  return refused("argument must be a number of copies, quorum or all");
}

void assign_write_level(SettingTargets& targets, const SettingValue& value) {
  targets.node.write_quorum = *parse_write_level(value.text);
}

Result<std::string> normalize_read_level(std::string_view text, std::string_view /*current*/) {
  if (const auto level = parse_read_level(text)) return text_of(*level);
  return refused("argument must be a number of copies, lease, quorum, local or bounded:milliseconds");
}

void assign_read_level(SettingTargets& targets, const SettingValue& value) {
  targets.node.read_quorum = *parse_read_level(value.text);
}

Result<std::string> normalize_policies(std::string_view text, std::string_view /*current*/) {
  if (const auto policies = parse_policies(text)) return text_of(*policies);
  return refused("argument must be prefixes of keys, each once and with its levels: user: w=all cache: w=1 r=local");
}

void assign_policies(SettingTargets& targets, const SettingValue& value) {
  targets.node.quorum_policies = *parse_policies(value.text);
}

}  // namespace quorate
