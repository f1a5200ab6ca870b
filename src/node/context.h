// What a session, node or cluster command sees (src/node/commands): its arguments like a data command, and the whole
// node besides.
#pragma once

#include <string_view>

#include "commands/context.h"
#include "commands/errors.h"
#include "node/session.h"
#include "node/state.h"

namespace quorate {

class NodeContext {
 public:
  NodeState& node;
  Session& session;
  Args args;               // args[0] is the command's name as sent
  const CommandSpec& spec;
  Reply& reply;
  Key first_key{};

  size_t size() const { return args.size(); }
  std::string_view operator[](size_t index) const { return args[index]; }
  Result<int64_t> integer(size_t index) const {
    const auto value = parse_int(args[index]);
    if (!value) return ErrorCode::kNotInteger;
    return *value;
  }
  Db& db() { return node.store.database(session.database); }
  Instant now() const { return node.now; }
};

}  // namespace quorate
