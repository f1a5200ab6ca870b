// The settings that the store and the data commands obey, by their Redis names.  src/node maps CONFIG onto them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace quorate {

enum class EvictionPolicy : uint8_t {
  kNoEviction,
  kAllKeysLru,
  kVolatileLru,
  kAllKeysLfu,
  kVolatileLfu,
  kAllKeysRandom,
  kVolatileRandom,
  kVolatileTtl,
};

struct StoreSettings {
  int64_t hash_max_listpack_entries = 512;
  int64_t hash_max_listpack_value = 64;
  int64_t set_max_intset_entries = 512;
  int64_t set_max_listpack_entries = 128;
  int64_t set_max_listpack_value = 64;
  int64_t zset_max_listpack_entries = 128;
  int64_t zset_max_listpack_value = 64;
  int64_t list_max_listpack_size = -2;
  int64_t list_compress_depth = 0;  // accepted; a list is never compressed
  int64_t proto_max_bulk_len = 512LL * 1024 * 1024;
  uint64_t maxmemory = 0;  // bytes; 0 = no limit
  EvictionPolicy maxmemory_policy = EvictionPolicy::kNoEviction;
  int64_t maxmemory_samples = 5;
  int64_t maxmemory_eviction_tenacity = 10;
  int64_t lfu_log_factor = 10;
  int64_t lfu_decay_time = 1;
  int64_t active_expire_effort = 1;
  int rdb_version = 10;
  bool rdb_compression = true;
  bool active_expire = true;  // DEBUG SET-ACTIVE-EXPIRE
  // Seed of the hash tables inside values, so that nobody can choose colliding members.  The node derives it from
  // that of the keyspace, which is drawn when a data directory is first used, or is the cluster's.
  uint64_t hash_seed = 0;
  // A value of so many elements is given to a snapshot in pieces.  Tests have less.
  size_t pieces_from = 1024;
};

inline bool is_lfu(EvictionPolicy policy) {
  return policy == EvictionPolicy::kAllKeysLfu || policy == EvictionPolicy::kVolatileLfu;
}

}  // namespace quorate
