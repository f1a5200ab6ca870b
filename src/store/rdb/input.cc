// Refilling of inputs.
#include "store/rdb/input.h"

#include <algorithm>

namespace quorate::rdb {

Status Input::more(uint64_t count) {
  if (count > left()) return damaged("the data is cut off");
  return refill(static_cast<size_t>(count));
}

Status MemoryInput::refill(size_t) { return damaged("the data is cut off"); }

uint64_t StreamInput::crc() {
  const auto taken = static_cast<size_t>(at_ - block_.data());
  if (taken > summed_) {
    crc_ = crc64(crc_, block_.view().substr(summed_, taken - summed_));
    summed_ = taken;
  }
  return crc_;
}

Status StreamInput::refill(size_t count) {
  if (!block_.empty()) {
    crc();
    block_.drop_front(static_cast<size_t>(at_ - block_.data()));
  }
  summed_ = 0;
  const size_t before = block_.size();
  const auto wanted =
      static_cast<size_t>(std::min<uint64_t>(behind_, std::max(count - before, kBlockBytes)));
  const uint64_t from = total_ - behind_;
  TRY(reader_.read(from, wanted, block_));
  if (block_.size() != before + wanted) return damaged("the file is shorter than its size says");
  behind_ -= wanted;
  at_ = block_.data();
  end_ = at_ + block_.size();
  return done();
}

}  // namespace quorate::rdb
