// How far streams have got.
#include "node/needs.h"

#include <algorithm>
#include <utility>

namespace quorate {

void Streams::advance(StreamId id, uint64_t position) {
  DCHECK(id != kLogStream);
  Stream& stream = at(id);
  if (position <= stream.position) return;
  stream.position = position;
  if (stream.has_advanced) return;
  stream.has_advanced = true;
  advanced_.push_back(id);
}

void Streams::add(uint64_t session_id, TurnNeeds& needs, Need need) {
  Stream& stream = at(need.stream);
  if (need.position <= stream.position) return;
  const bool is_there = stream.added_to == session_id && stream.added_at < needs.others.size() &&
                        needs.others[stream.added_at].stream == need.stream;
  if (is_there) {
    Need& added = needs.others[stream.added_at];
    added.position = std::max(added.position, need.position);
    return;
  }
  // Sessions that take turns within a turn may have a stream twice; both must be met, so no harm is done.
  stream.added_to = session_id;
  stream.added_at = static_cast<uint32_t>(needs.others.size());
  needs.others.push_back(need);
}

std::vector<StreamId> Streams::take_advanced() {
  for (const StreamId id : advanced_) at(id).has_advanced = false;
  return std::exchange(advanced_, {});
}

}  // namespace quorate
