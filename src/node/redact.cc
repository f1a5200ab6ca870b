// Which arguments of which commands are secrets.
#include "node/redact.h"

#include <algorithm>

#include "commands/context.h"

namespace quorate {
namespace {

constexpr std::string_view kHidden = "(redacted)";
constexpr std::string_view kSecretSettings[] = {
    "requirepass", "masterauth", "masteruser", "tls-key-file-pass", "tls-client-key-file-pass",
};

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

}  // namespace quorate
