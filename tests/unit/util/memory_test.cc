// Counted allocation.
#include "util/memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
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

TEST(Memory, discarded_pages_are_lost_and_their_neighbours_stay) {
  constexpr size_t kSize = 256 * 1024;
  auto* block = static_cast<char*>(mem_alloc_aligned(kSize, 3 * kSize));
  std::memset(block, 1, 3 * kSize);
  // Parts of pages do not count.
  mem_discard(block + kSize + 1, kSize - 1);
  EXPECT_EQ(std::count(block, block + 3 * kSize, 1), static_cast<std::ptrdiff_t>(3 * kSize));
  mem_discard(block + kSize, kSize);
  EXPECT_EQ(std::count(block, block + 3 * kSize, 1), static_cast<std::ptrdiff_t>(2 * kSize));
  EXPECT_EQ(std::count(block + kSize, block + 2 * kSize, 0), static_cast<std::ptrdiff_t>(kSize));
  std::memset(block + kSize, 2, kSize);
  EXPECT_EQ(std::count(block + kSize, block + 2 * kSize, 2), static_cast<std::ptrdiff_t>(kSize));
  mem_free(block);
}

}  // namespace
}  // namespace quorate
