// The order of what is copied and what is shared.
#include "util/outgoing.h"

#include <algorithm>

namespace quorate {

std::vector<std::string_view> Outgoing::pieces(size_t offset) const {
  CHECK(offset <= size());
  std::vector<std::string_view> found;
  size_t begin = 0;
  const auto add = [&](std::string_view piece) {
    const size_t before = std::min(offset - std::min(offset, begin), piece.size());
    if (before < piece.size()) found.push_back(piece.substr(before));
    begin += piece.size();
  };
  size_t place = 0;
  for (const SharedPart& part : shared_) {
    add(copied_.view().substr(place, part.place - place));
    add(part.bytes.view());
    place = part.place;
  }
  add(copied_.view().substr(place));
  return found;
}

Buffer Outgoing::take_front() {
  Buffer front = std::move(copied_);
  if (has_shared()) front.truncate(shared_.front().place);
  clear();
  return front;
}

}  // namespace quorate
