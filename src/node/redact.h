// Secrets do not belong in the slow log or in MONITOR.
#pragma once

#include <string_view>
#include <vector>

#include "commands/spec.h"
#include "resp/request_parser.h"

namespace quorate {

// The arguments as they may be shown: passwords (AUTH, HELLO ... AUTH, CONFIG SET of a secret setting) are
// replaced.  The views are those of `args`, or literals.
std::vector<std::string_view> shown_args(const CommandSpec& spec, Args args);

}  // namespace quorate
