// What the files of Partitions (partitions*.cc) share beside the class.
#pragma once

#include <string>
#include <string_view>

#include "cluster/raft/core.h"
#include "util/result.h"

namespace quorate::partitions_parts {

inline Error damaged(std::string_view what) { return Error(ErrorCode::kCorrupt, "partitions: " + std::string(what)); }

inline bool leads(const raft::Core& core) { return core.role() == raft::RoleName::kLeader; }

}  // namespace quorate::partitions_parts
