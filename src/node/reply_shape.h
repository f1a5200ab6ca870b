// Where encoded replies begin and end.  Debug builds check for every command that it wrote exactly one value.
#pragma once

#include <cstddef>
#include <string_view>

#include "util/buffer.h"

namespace quorate {

// The size of the RESP value (RESP2 or RESP3) that `bytes` begin with; 0: none, or it is not whole.
size_t value_size(std::string_view bytes);
// True if `bytes` are one whole RESP value (RESP2 or RESP3) and nothing else.
bool is_one_value(std::string_view bytes);
// The text of an encoded bulk string, and nothing else.
std::string_view text_of_bulk(std::string_view value);

// `said` goes on with `bytes`: visit(value) gets each value that is whole, and what is left is the beginning of the next.
template <class Visit>
void take_values(Buffer& said, std::string_view bytes, Visit&& visit) {
  said.append(bytes);
  const std::string_view all = said.view();
  size_t done = 0;
  while (const size_t size = value_size(all.substr(done))) {
    visit(all.substr(done, size));
    done += size;
  }
  said.drop_front(done);
}

}  // namespace quorate
