// Counted allocation.
#include "util/memory.h"

#include <gtest/gtest.h>

#include <thread>

namespace quorate {
namespace {

TEST(Memory, what_is_allocated_is_counted_and_given_back) {
  mem_free(mem_alloc(1));
  const uint64_t before = mem_used();
  void* block = mem_alloc(100000);
  EXPECT_GE(mem_usable(block), 100000u);
  EXPECT_GE(mem_used() - before, 100000u);
  block = mem_realloc(block, 200000);
  EXPECT_GE(mem_used() - before, 200000u);
  mem_free(block);
  EXPECT_LT(mem_used() - before, 1000u);
}

TEST(Memory, blocks_of_an_ended_thread_are_still_counted) {
  mem_free(mem_alloc(1));
  const uint64_t before = mem_used();
  void* block = nullptr;
  std::thread([&] { block = mem_alloc(1 << 20); }).join();
  EXPECT_GE(mem_used() - before, 1u << 20);
  mem_free(block);
  EXPECT_LT(static_cast<int64_t>(mem_used() - before), 100000);
}

TEST(Memory, the_good_size_is_what_an_allocation_gets) {
  for (size_t size = 1; size < 5000; size += 7) {
    void* block = mem_alloc(size);
    EXPECT_EQ(mem_good_size(size), mem_usable(block)) << size;
    mem_free(block);
  }
  void* aligned = mem_alloc_aligned(4096, 100);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(aligned) % 4096, 0u);
  mem_free(aligned);
  auto* zeroed = static_cast<char*>(mem_alloc_zeroed(1000));
  for (int index = 0; index < 1000; ++index) ASSERT_EQ(zeroed[index], 0);
  mem_free(zeroed);
}

}  // namespace
}  // namespace quorate
