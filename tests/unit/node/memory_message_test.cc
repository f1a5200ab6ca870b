// What nodes ask each other about memory.
#include "node/memory_message.h"

#include <gtest/gtest.h>

#include <string>

namespace quorate {
namespace {

TEST(MemoryMessage, what_is_asked_comes_back_and_nothing_else_is_taken) {
  const MemoryQuestion question{.number = 300, .places = {{.partition = 1, .index = 7}, {.partition = 5, .index = 1'000'000}}};
  Buffer out;
  encode(question, out);
  EXPECT_EQ(decode_memory_question(out.view(), 6).value(), question);
  EXPECT_FALSE(decode_memory_question(out.view(), 5).ok());
  EXPECT_FALSE(decode_memory_question(std::string(out.view()) + "x", 6).ok());
  for (size_t size = 0; size < out.size(); ++size) EXPECT_FALSE(decode_memory_question(out.view().substr(0, size), 6).ok()) << size;
  Buffer disordered;
  encode(MemoryQuestion{.number = 1, .places = {{.partition = 5, .index = 1}, {.partition = 5, .index = 2}}}, disordered);
  EXPECT_FALSE(decode_memory_question(disordered.view(), 6).ok());
}

TEST(MemoryMessage, what_is_told_comes_back_and_nothing_else_is_taken) {
  const MemoryAnswer answer{.number = 300, .excess = 1 << 20, .keys = 77};
  Buffer out;
  encode(answer, out);
  EXPECT_EQ(decode_memory_answer(out.view()).value(), answer);
  EXPECT_FALSE(decode_memory_answer(std::string(out.view()) + "x").ok());
  for (size_t size = 0; size < out.size(); ++size) EXPECT_FALSE(decode_memory_answer(out.view().substr(0, size)).ok()) << size;
}

}  // namespace
}  // namespace quorate
