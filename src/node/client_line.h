// The line of CLIENT LIST and CLIENT INFO that describes a session.
#pragma once

#include <string>

#include "node/state.h"

namespace quorate {

// Without a newline.  `asking`: the session whose command wants to know.
std::string client_line(const NodeState& node, const Session& session, const Session& asking);

// TYPE of CLIENT LIST and CLIENT KILL: "normal", "pubsub", "replica"; "master" never matches.
bool is_client_type(std::string_view type);
bool has_client_type(const Session& session, std::string_view type);

}  // namespace quorate
