// The bytes of questions and answers about memory.
#include "node/memory_message.h"

#include "util/varint.h"

namespace quorate {

namespace {

Error damaged() { return Error(ErrorCode::kCorrupt, "a message about memory cannot be read"); }

}  // namespace

void encode(const MemoryQuestion& question, Buffer& out) {
  append_varint(out, question.number);
  append_varint(out, question.places.size());
  for (const MemoryQuestion::Place& place : question.places) {
    append_varint(out, place.partition);
    append_varint(out, place.index);
  }
}

Result<MemoryQuestion> decode_memory_question(std::string_view bytes, uint32_t partitions) {
  MemoryQuestion question;
  uint64_t count = 0;
  if (!take_varint(bytes, question.number) || !take_varint(bytes, count) || count > partitions) return damaged();
  for (; count > 0; --count) {
    uint64_t partition = 0;
    uint64_t index = 0;
    if (!take_varint(bytes, partition) || partition >= partitions || !take_varint(bytes, index)) return damaged();
    const bool is_in_order = question.places.empty() || question.places.back().partition < partition;
    if (!is_in_order) return damaged();
    question.places.push_back({.partition = static_cast<uint32_t>(partition), .index = index});
  }
  if (!bytes.empty()) return damaged();
  return question;
}

void encode(const MemoryAnswer& answer, Buffer& out) {
  append_varint(out, answer.number);
  append_varint(out, answer.excess);
  append_varint(out, answer.keys);
}

Result<MemoryAnswer> decode_memory_answer(std::string_view bytes) {
  MemoryAnswer answer;
  const bool is_whole = take_varint(bytes, answer.number) && take_varint(bytes, answer.excess) && take_varint(bytes, answer.keys);
  if (!is_whole || !bytes.empty()) return damaged();
  return answer;
}

}  // namespace quorate
