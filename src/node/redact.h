// Secrets do not belong in the slow log, in MONITOR, or in what is said of a bad line of the configuration.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "commands/spec.h"
#include "resp/request_parser.h"

namespace quorate {

// The arguments as they may be shown: passwords (AUTH, HELLO ... AUTH, CONFIG SET of a secret setting) are
// replaced.  The views are those of `args`, or literals.
std::vector<std::string_view> shown_args(const CommandSpec& spec, Args args);

// A line of the configuration as it may be shown: of one that sets a password, or seems to be meant to, only the name.
std::string shown_line(std::string_view line);

}  // namespace quorate
