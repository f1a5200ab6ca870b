// Which arguments of which commands are secrets.
#include "node/redact.h"

#include <algorithm>
#include <string>

#include "commands/context.h"
#include "node/config_syntax.h"

namespace quorate {
namespace {

constexpr std::string_view kHidden = "(redacted)";
constexpr std::string_view kSecretSettings[] = {
    "requirepass", "masterauth", "masteruser", "tls-key-file-pass", "tls-client-key-file-pass",
};

// Lines of redis.conf that may hold passwords, and set nothing here.
constexpr std::string_view kSecretLines[] = {"user", "sentinel"};

// A slip of the fingers, or `masterauth=...`.
bool is_meant(std::string_view name, std::string_view secret) {
  constexpr size_t kSlipsMax = 2;
  if (name.size() > secret.size() + kSlipsMax) name = name.substr(0, secret.size());
  return edit_distance(name, secret) <= kSlipsMax;
}

bool is_secret(std::string_view setting) {
  return std::any_of(std::begin(kSecretSettings), std::end(kSecretSettings),
                     [&](std::string_view secret) { return same_word(setting, secret); });
}

}  // namespace

std::vector<std::string_view> shown_args(const CommandSpec& spec, Args args) {
  std::vector<std::string_view> shown(args.begin(), args.end());
  const auto hide = [&](size_t first, size_t count) {
    for (size_t index = first; index < first + count && index < shown.size(); ++index) shown[index] = kHidden;
  };
  if (spec.name == "auth") {
    hide(1, 2);
  } else if (spec.name == "hello") {
    for (size_t index = 2; index < args.size(); ++index) {
      if (same_word(args[index], "AUTH")) {
        hide(index + 1, 2);
        index += 2;
      } else if (same_word(args[index], "SETNAME")) {
        ++index;
      }
    }
  } else if (spec.name == "config|set") {
    for (size_t index = 2; index + 1 < args.size(); index += 2) {
      if (is_secret(args[index])) hide(index + 1, 1);
    }
  }
  return shown;
}

std::string shown_line(std::string_view line) {
  constexpr std::string_view kQuotes = "\"'";
  line.remove_prefix(std::min(line.find_first_not_of(kQuotes), line.size()));
  std::string name(line.substr(0, line.find_first_of(" \t\"'")));
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  for (const std::string_view secret : kSecretSettings) {
    if (is_meant(name, secret)) return name.substr(0, secret.size()) + " " + std::string(kHidden);
  }
  for (const std::string_view secret : kSecretLines) {
    if (name == secret) return name + " " + std::string(kHidden);
  }
  return std::string(line);
}

}  // namespace quorate
