// What simulated clients send: random commands over a few keys, as RESP.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "util/prng.h"

namespace quorate::sim {

struct Request {
  std::string bytes;               // RESP of all its commands
  size_t replies = 1;              // how many are still to come
  size_t replies_in_all = 1;
  std::vector<std::string> words;  // of all its commands
};

class Workload {
 public:
  explicit Workload(Prng& prng) : prng_(prng) {}
  // One data command, a transaction, or now and then a command that makes snapshots.
  Request next();

 private:
  std::vector<std::string> words_of(std::string_view pattern);
  std::string word(std::string_view place);
  // False: it is the place of one word.
  bool add_many(std::string_view place, std::vector<std::string>& words);
  void add(Request& request, const std::vector<std::string>& words);

  Prng& prng_;
};

}  // namespace quorate::sim
