// Where encoded replies begin and end.  Debug builds check for every command that it wrote exactly one value.
#pragma once

#include <cstddef>
#include <string_view>
#include <utility>

#include "util/buffer.h"

namespace quorate {

// The size of the RESP value (RESP2 or RESP3) that `bytes` begin with; 0: none, or it is not whole.
size_t value_size(std::string_view bytes);
// True if `bytes` are one whole RESP value (RESP2 or RESP3) and nothing else.
bool is_one_value(std::string_view bytes);
// The text of an encoded bulk string, and nothing else.
std::string_view text_of_bulk(std::string_view value);

// `said` goes on with `bytes`: visit(value) gets each value that is whole, done() comes behind the last of them while they still stand there, and
// what is left is the beginning of the next.
template <class Visit, class Done>
void take_values(Buffer& said, std::string_view bytes, Visit&& visit, Done&& done) {
  const bool goes_on = !said.empty();
  if (goes_on) said.append(bytes);
  const std::string_view all = goes_on ? said.view() : bytes;
  size_t taken = 0;
  while (const size_t size = value_size(all.substr(taken))) {
    visit(all.substr(taken, size));
    taken += size;
  }
  done();
  if (goes_on) {
    said.drop_front(taken);
  } else {
    said.append(all.substr(taken));
  }
}

template <class Visit>
void take_values(Buffer& said, std::string_view bytes, Visit&& visit) {
  take_values(said, bytes, std::forward<Visit>(visit), [] {});
}

}  // namespace quorate
