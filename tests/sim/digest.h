// The content of a store as one number: keys, values, expiries, of every database.  Equal contents
// have equal digests whatever the order of tables and the forms of values.  What is past its expiry
// and still stands there counts: only a logged effect takes it away.
#pragma once

#include <cstdint>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "store/db.h"

namespace quorate::sim {

uint64_t digest(const Store& store);

// The same key by key; the digest of the store is the sum.
using KeyDigests = std::map<std::pair<int, std::string>, uint64_t>;
KeyDigests key_digests(const Store& store);
// And partition by partition.
std::vector<uint64_t> partition_digests(const Store& store);

// The keys of the database that are past their expiry and still stand there.
std::vector<std::string> expired_keys(const Store& store, int database, int64_t now);

}  // namespace quorate::sim
