// Requests that concern several partitions but each key for itself: taken apart into requests of one partition each, and the
// answers put together.  Pure; who sends them where is forward.h's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "commands/spec.h"
#include "resp/reply.h"
#include "resp/request_parser.h"
#include "store/db.h"

namespace quorate {

struct Gathering {
  // How the answers become one.
  enum class Rule : uint8_t {
    kSum,         // integers (DEL, DBSIZE ...)
    kAllOk,       // MSET, FLUSHALL
    kByPosition,  // arrays with a value a key; the values stand where the keys stood (MGET)
    kArrays,      // arrays one behind the other (KEYS)
    kByWeight,    // of each partition an answer and an integer, its weight: one that is not null, if there is one (RANDOMKEY)
  };
  struct Part {
    uint32_t partition = 0;
    std::string request;             // encoded
    std::vector<size_t> positions;   // kByPosition: of its keys
    std::string answer = {};         // encoded
    bool is_answered = false;        // here, by a copy: nobody is asked
  };
  Rule rule = Rule::kSum;
  bool writes = false;
  size_t key_count = 0;
  std::vector<Part> parts;           // each of another partition; kByWeight: two of each

  // Every part has its answer.  The first error of a part is the answer; if others may have been done, as -UNCERTAIN.  `chance` decides
  // kByWeight.
  void combine(uint64_t chance, Reply& reply) const;

 private:
  void combine_by_weight(uint64_t chance, Reply& reply) const;
};

// Nothing: the command needs all its keys in one place.  A request on the whole keyspace has a part a partition, or two.
std::optional<Gathering> take_apart(const Store& store, const CommandSpec& spec, Args args);
// The command concerns the whole keyspace, and runs for each partition where that is led.
bool is_keyspace_wide(const CommandSpec& spec);
// ... or for one after the other (SCAN).
bool is_of_all_keys(const CommandSpec& spec);

}  // namespace quorate
