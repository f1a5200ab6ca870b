// The chain of entries.
#include "cluster/raft/entry.h"

#include "util/hash.h"
#include "util/varint.h"

namespace quorate::raft {

Chain chain_after(Chain previous, const Entry& entry) {
  char head[17];
  store_little<uint64_t>(head, entry.term.value);
  store_little<uint64_t>(head + 8, entry.index.value);
  head[16] = static_cast<char>(entry.kind);
  const uint64_t seed = hash64({head, sizeof(head)}, previous.value);
  return {hash64(entry.payload.view(), seed)};
}

}  // namespace quorate::raft
