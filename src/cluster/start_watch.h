// What leaders wait for that have not committed the first entry of their term for a second: they serve nothing meanwhile, and nothing else
// would tell why.  It decides nothing.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "cluster/groups.h"
#include "cluster/peers.h"
#include "cluster/raft/types.h"
#include "util/time.h"

namespace quorate {

// One a node.  Calls: look() in each turn.
class StartWatch {
 public:
  // Looks at what is led here, four times a second at most.  A line for the log, about all of it; once a second at most, and less and less
  // often.  Empty: nothing is to be said.
  std::string look(Instant now, const Groups& groups, const Peers& peers);

 private:
  struct Start {
    raft::Term term;
    int64_t seen_us = 0;
  };

  int64_t next_look_us_ = INT64_MIN;
  std::optional<int64_t> said_us_;
  int64_t rest_us_ = 0;   // until the next line; doubles while nothing gets better
  std::map<raft::GroupId, Start> starts_;   // that are not over
};

}  // namespace quorate
