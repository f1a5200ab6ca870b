// Where the keys of a request stand, from the key specifications of its row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "commands/spec.h"
#include "resp/request_parser.h"

namespace quorate {

struct KeyPosition {
  size_t index = 0;     // of args
  uint16_t flags = 0;   // KeyFlag bits: what is done to it
};

// Whether the command can have keys at all.
bool may_have_keys(const CommandSpec& spec);

// Fills `keys` (cleared first) with the keys of a request, args[0] being its name (args[1] the subcommand's,
// where there is one).  False: the arguments do not fit, "numkeys" promises more keys than there are.
// Never reads behind the arguments, whatever they say.
bool find_keys(const CommandSpec& spec, Args args, std::vector<KeyPosition>& keys);
// The same by name; none where the arguments do not fit.
std::vector<std::string_view> names_of_keys(const CommandSpec& spec, Args args);

// The first key's place, the last one's (relative to the end if negative) and the step, as COMMAND INFO tells
// them; all 0 without keys.
struct LegacyKeyRange {
  int first = 0;
  int last = 0;
  int step = 0;
};
LegacyKeyRange legacy_key_range(const CommandSpec& spec);

// Whether the legacy range leaves keys out (the flag "movablekeys").
bool has_movable_keys(const CommandSpec& spec);

}  // namespace quorate
