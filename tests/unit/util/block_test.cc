// Blocks whose owner knows their size: small ones of the thread's heap, large ones of the allocator.
#include "util/block.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "util/memory.h"

namespace quorate {
namespace {

TEST(Block, small_and_large_ones_are_counted_as_what_they_occupy) {
  block_free(block_alloc(1), 1);
  for (size_t size : {1, 8, 40, 88, 200, 280, 288, 289, 300, 5000, 100000}) {
    const uint64_t before = mem_used();
    void* block = block_alloc(size);
    std::memset(block, 1, block_good_size(size));
    EXPECT_EQ(mem_used() - before, block_good_size(size)) << size;
    block_free(block, size);
    EXPECT_EQ(mem_used(), before) << size;
  }
  block_free(nullptr, 0);
}

TEST(Block, a_resized_block_begins_as_the_old_one_did) {
  constexpr size_t kSizes[] = {1, 7, 8, 9, 40, 41, 280, 288, 289, 1000, 20000};
  for (size_t from : kSizes) {
    for (size_t to : kSizes) {
      auto* block = static_cast<char*>(block_alloc(from));
      for (size_t at = 0; at < from; ++at) block[at] = static_cast<char>(at);
      block = static_cast<char*>(block_resize(block, from, to));
      for (size_t at = 0; at < std::min(from, to); ++at) ASSERT_EQ(block[at], static_cast<char>(at)) << from << to;
      std::memset(block, 2, to);
      block_free(block, to);
    }
  }
  void* block = block_resize(nullptr, 0, 40);
  block_free(block, 40);
}

TEST(Block, a_heap_is_handed_from_thread_to_thread) {
  std::vector<void*> blocks;
  BlockHeap& heap = own_block_heap();
  std::thread([&] {
    use_block_heap(heap);
    EXPECT_EQ(&own_block_heap(), &heap);
    for (int count = 0; count < 1000; ++count) blocks.push_back(block_alloc(40));
  }).join();
  for (void* block : blocks) block_free(block, 40);
  std::thread([&] { EXPECT_NE(&own_block_heap(), &heap); }).join();
  heap.verify();
}

TEST(Block, the_report_names_sizes_in_use) {
  if (kSmallBlockMax == 0) GTEST_SKIP() << "no small blocks in this build";
  void* block = block_alloc(40);
  EXPECT_NE(block_report().find("\n  40 "), std::string::npos);
  EXPECT_NE(mem_report().find("\n  40 "), std::string::npos);
  block_free(block, 40);
}

}  // namespace
}  // namespace quorate
