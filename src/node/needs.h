// What replies wait for (docs/CLUSTER.md): that streams, numbers that grow, have got as far as a position.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "util/check.h"

namespace quorate {

class Session;

// The log of the shard first, then of each partition its commit index and the number of its last read barrier that
// leadership was confirmed for; then those that add_streams() has made (level_streams.h).
enum class StreamId : uint32_t {};
constexpr StreamId kLogStream{0};
constexpr StreamId kNoStream{UINT32_MAX};
constexpr StreamId commit_stream(uint32_t partition) { return StreamId{1 + 2 * partition}; }
constexpr StreamId read_stream(uint32_t partition) { return StreamId{2 + 2 * partition}; }
constexpr size_t stream_count(uint32_t partitions) { return 1 + 2 * size_t{partitions}; }

// Met once the stream has reached the position.
struct Need {
  StreamId stream = kNoStream;
  uint64_t position = 0;
};

// What the replies of a session's running turn wait for; of one stream the largest position.  Filled by await()
// (node/output.h).
struct TurnNeeds {
  uint64_t log_position = 0;  // of kLogStream; alone there is no other
  std::vector<Need> others;

  bool empty() const { return log_position == 0 && others.empty(); }
  void clear() {
    log_position = 0;
    others.clear();
  }
};

// How far the streams of a node have got, and who waits for which.  The log's own position is Durability::durable():
// it is asked for there, since another appendfsync changes what it means.
// Invariant: a session stands in one list at most, that of Session::waits_for.
class Streams {
 public:
  explicit Streams(uint32_t partitions) : streams_(stream_count(partitions)) {}

  // Requires: not kLogStream.
  uint64_t position(StreamId stream) const {
    DCHECK(stream != kLogStream);
    return at(stream).position;
  }
  // The stream has got so far (or was there before).  release_held() then looks at who waits for it.
  // Requires: not kLogStream.
  void advance(StreamId stream, uint64_t position);

  // So many more; the first of them.
  StreamId add_streams(size_t count) {
    const StreamId first{static_cast<uint32_t>(streams_.size())};
    streams_.resize(streams_.size() + count);
    return first;
  }

  // Adds a need to those of a session's turn.  O(1).  Requires: not of kLogStream.
  void add(uint64_t session_id, TurnNeeds& needs, Need need);

  // Sessions whose output waits for the stream before all else.
  std::vector<Session*>& waiting(StreamId stream) { return at(stream).waiting; }
  // Streams that have advanced since the last call, each once.
  std::vector<StreamId> take_advanced();

 private:
  struct Stream {
    uint64_t position = 0;
    bool has_advanced = false;
    // Where the last need of this stream stands, and in whose needs: it may be gone from there.
    uint32_t added_at = 0;
    uint64_t added_to = 0;
    std::vector<Session*> waiting;
  };
  Stream& at(StreamId stream) { return streams_[static_cast<size_t>(stream)]; }
  const Stream& at(StreamId stream) const { return streams_[static_cast<size_t>(stream)]; }

  std::vector<Stream> streams_;
  std::vector<StreamId> advanced_;
};

}  // namespace quorate
