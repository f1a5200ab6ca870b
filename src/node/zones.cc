// Values of zones.
#include "node/zones.h"

#include "cluster/raft/quorum.h"
#include "util/check.h"

namespace quorate {

uint64_t ZoneValues::reached_in(uint32_t zones) const {
  CHECK(zones >= 1);
  std::array<uint64_t, kZonesMax> values = values_;
  return raft::reached_by({values.data(), count_}, zones);
}

}  // namespace quorate
