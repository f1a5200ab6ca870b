// Replies made of the elements of a list.
#pragma once

#include <cstddef>

#include "resp/reply.h"
#include "store/list.h"

namespace quorate {

// An array of `count` elements in the order in which they would be popped at `end`.
// Requires: 0 < count <= list.size().
inline void reply_elements(Reply& reply, const List& list, List::End end, size_t count) {
  reply.array(count);
  size_t left = count;
  list.walk(end == List::End::kFront ? 0 : list.size() - 1, end, [&](std::string_view element) {
    reply.bulk(element);
    return --left > 0;
  });
}

}  // namespace quorate
