// How the interaction scripts show terms, messages and states: one line each, for people to read.
#pragma once

#include <string>

#include "cluster/raft/core.h"
#include "cluster/raft/message.h"
#include "cluster/raft/output.h"

namespace quorate::interaction {

std::string show(const raft::Entry& entry);  // 3/2 "abc", 2/2 no-op, 4/2 configuration voters 1 2 3
std::string show(const raft::Message& message);  // 1->2 t2 append after 1/1 commit 1: 2/2 no-op
std::string show(const raft::RoleState& state);  // leader t2 serving
std::string show(raft::Failure::Kind kind);
std::string show(raft::ChangeRefusal refusal);
// The whole replica on one line.
std::string show(const raft::Core& core);

}  // namespace quorate::interaction
