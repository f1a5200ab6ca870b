// The text of INFO: facts of the node, the store, the log and the process, by sections.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "node/host.h"
#include "node/state.h"

namespace quorate {

// CONFIG RESETSTAT.
void reset_statistics(NodeState& node);

// `sections`: names in any case, or "all", "everything", "default"; none = default.  Unknown names give nothing.  `session`: who asks
// (keyspace_counts.h), null: nobody.
std::string info_text(NodeState& node, const ProcessFacts& facts, std::span<const std::string_view> sections, const Session* session);
// One of these sections is the keyspace.
bool has_keyspace(std::span<const std::string_view> sections);

}  // namespace quorate
