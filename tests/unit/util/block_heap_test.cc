// The heap of small blocks against a model: what is in use keeps its bytes, runs empty and go back, the count is true.
#include "util/block_heap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <set>
#include <vector>

#include "util/memory.h"
#include "util/prng.h"

namespace quorate {
namespace {

// Blocks in use with what was written to them.
class Model {
 public:
  void allocate(size_t size) {
    Block block{static_cast<unsigned char*>(heap.allocate(size)), size, next_fill_++};
    std::memset(block.bytes, block.fill, BlockHeap::good_size(size));
    blocks_.push_back(block);
    in_use_ += BlockHeap::good_size(size);
  }
  // Frees the block that was allocated as number `index` of those that are left, or another in its place.
  void free(size_t index) {
    const Block block = blocks_[index];
    const size_t whole = BlockHeap::good_size(block.size);
    for (size_t at = 0; at < whole; ++at) ASSERT_EQ(block.bytes[at], block.fill);
    heap.free(block.bytes, block.size);
    blocks_[index] = blocks_.back();
    blocks_.pop_back();
    in_use_ -= whole;
  }
  void free_all() {
    while (!blocks_.empty()) free(blocks_.size() - 1);
  }
  size_t count() const { return blocks_.size(); }
  size_t bytes_in_use() const { return in_use_; }
  // Of all classes together.
  size_t runs() const {
    size_t sum = 0;
    for (size_t index = 0; index < BlockHeap::kClasses; ++index) sum += heap.facts(index).runs;
    return sum;
  }

  BlockHeap heap;

 private:
  struct Block {
    unsigned char* bytes;
    size_t size;
    unsigned char fill;
  };
  std::vector<Block> blocks_;
  size_t in_use_ = 0;
  unsigned char next_fill_ = 1;
};

TEST(BlockHeap, a_size_gets_at_least_that_and_little_more) {
  for (size_t size = 1; size <= BlockHeap::kBlockMax; ++size) {
    const size_t good = BlockHeap::good_size(size);
    EXPECT_GE(good, size);
    EXPECT_EQ(good % 8, 0u);
    EXPECT_LT(good - size, size <= 208 ? 8u : 24u) << size;
    EXPECT_EQ(BlockHeap::good_size(good), good);
  }
}

TEST(BlockHeap, blocks_of_every_size_lie_apart_and_on_words) {
  for (size_t size = 1; size <= BlockHeap::kBlockMax; size += 7) {
    BlockHeap heap;
    std::set<char*> blocks;
    for (int count = 0; count < 1000; ++count) {
      auto* block = static_cast<char*>(heap.allocate(size));
      ASSERT_EQ(reinterpret_cast<uintptr_t>(block) % 8, 0u);
      if (BlockHeap::good_size(size) % 64 == 0) {
        ASSERT_EQ(reinterpret_cast<uintptr_t>(block) % 64, 0u);
      }
      ASSERT_TRUE(blocks.insert(block).second);
    }
    const char* before = nullptr;
    for (char* block : blocks) {
      if (before != nullptr) {
        ASSERT_GE(static_cast<size_t>(block - before), BlockHeap::good_size(size));
      }
      before = block;
    }
    heap.verify();
    for (char* block : blocks) heap.free(block, size);
    heap.verify();
  }
}

TEST(BlockHeap, a_long_random_walk_keeps_bytes_and_count) {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(seed);
    Prng random(seed);
    Model model;
    // Phases that grow and phases that shrink, with few sizes and with all.
    for (int phase = 0; phase < 12; ++phase) {
      const uint64_t allocations_of_16 = phase % 3 == 2 ? 5 : 10;
      const size_t size_max = phase % 2 == 0 ? 48 : BlockHeap::kBlockMax;
      for (int step = 0; step < 4000; ++step) {
        if (model.count() == 0 || random.below(16) < allocations_of_16) {
          model.allocate(1 + random.below(size_max));
        } else {
          model.free(random.below(model.count()));
        }
      }
      model.heap.verify();
      EXPECT_GE(model.heap.unused_bytes() + model.bytes_in_use(), model.runs() * BlockHeap::kRunBytes);
    }
    model.free_all();
    model.heap.verify();
    EXPECT_EQ(model.runs(), 0u);
  }
}

TEST(BlockHeap, a_few_empty_runs_are_kept_and_all_others_go_back) {
  const uint64_t before = mem_used();
  Model model;
  for (int count = 0; count < 100000; ++count) model.allocate(40);
  EXPECT_GE(mem_used() - before, 100000u * 40);
  Prng random(3);
  size_t kept_most = 0;
  while (model.count() > 0) {
    for (size_t count = 0; count < 1000; ++count) model.free(random.below(model.count()));
    const size_t kept = model.heap.kept_runs();
    const size_t worth_it = 16 + model.heap.runs() / 32;
    kept_most = std::max(kept_most, kept);
    model.heap.release_some(8);
    EXPECT_LE(model.heap.kept_runs(), kept <= worth_it ? kept : std::max(kept - 8, worth_it));
  }
  EXPECT_GT(kept_most, 16u);
  model.heap.verify();
  EXPECT_EQ(model.heap.runs(), 0u);
  model.heap.release_some(SIZE_MAX);
  EXPECT_LE(model.heap.kept_runs(), 16u);
  EXPECT_GE(model.heap.unused_bytes(), model.heap.kept_runs() * BlockHeap::kRunBytes);
  model.heap.verify();
  model.heap.release_empty_runs();
  EXPECT_EQ(model.heap.unused_bytes(), 0u);
}

// Blocks that were allocated one behind the other and go so leave pages that lie side by side.
TEST(BlockHeap, pages_that_lie_side_by_side_go_back_together) {
  constexpr size_t kBlocks = 40'000;
  constexpr size_t kStaysEach = 2'000;  // so that no chunk becomes empty
  BlockHeap heap;
  std::vector<void*> blocks;
  for (size_t count = 0; count < kBlocks; ++count) blocks.push_back(heap.allocate(88));
  for (size_t index = 0; index < kBlocks; ++index) {
    if (index % kStaysEach != 0) heap.free(blocks[index], 88);
  }
  const size_t kept = heap.kept_runs();
  ASSERT_GT(kept, 200u);
  heap.release_some(4);
  EXPECT_LE(heap.kept_runs(), kept - 30);
  EXPECT_GE(heap.kept_runs(), kept - 4 * 16);
  heap.verify();
  heap.release_some(SIZE_MAX);
  EXPECT_EQ(heap.kept_runs(), 16 + heap.runs() / 32);
  heap.verify();
  // What went back is used again.
  for (size_t index = 0; index < kBlocks; ++index) {
    if (index % kStaysEach != 0) blocks[index] = heap.allocate(88);
  }
  heap.verify();
  for (void* block : blocks) heap.free(block, 88);
  heap.release_empty_runs();
  EXPECT_EQ(heap.unused_bytes(), 0u);
}

// No page goes alone: a chunk does as soon as it holds nothing.
TEST(BlockHeap, a_large_heap_that_is_freed_leaves_little) {
  Model model;
  for (int count = 0; count < 100000; ++count) model.allocate(88);
  model.free_all();
  EXPECT_LE(model.heap.kept_runs(), 16u + BlockHeap::kPages);
  EXPECT_LE(model.heap.unused_bytes(), 18 * BlockHeap::kChunkBytes);
  model.heap.verify();
}

TEST(BlockHeap, pages_that_were_given_back_are_used_again) {
  Model model;
  for (int count = 0; count < 30000; ++count) model.allocate(1 + static_cast<size_t>(count) % 200);
  const uint64_t full = model.heap.unused_bytes() + model.bytes_in_use();
  for (int turn = 0; turn < 3; ++turn) {
    // A block in some hundred stays, so no chunk goes back whole.
    for (size_t index = model.count(); index-- > 0;) {
      if (index % 300 != 0) model.free(index);
    }
    model.heap.release_empty_runs();
    model.heap.verify();
    const size_t left = model.count();
    for (size_t count = left; count < 30000; ++count) model.allocate(1 + count % 200);
    model.heap.verify();
    EXPECT_LE(model.heap.unused_bytes() + model.bytes_in_use(), full + 2 * BlockHeap::kChunkBytes);
  }
  model.free_all();
}

TEST(BlockHeap, a_lone_block_that_comes_and_goes_stays_on_its_page) {
  BlockHeap heap;
  void* first = heap.allocate(40);
  heap.free(first, 40);
  const uint64_t used = mem_used();
  for (int count = 0; count < 1000; ++count) {
    void* block = heap.allocate(40);
    EXPECT_EQ(block, first);
    heap.free(block, 40);
  }
  EXPECT_EQ(mem_used(), used);
}

// Blocks of which nine in ten went are dense again once as many have come and gone as there are.
TEST(BlockHeap, new_blocks_fill_the_fullest_runs_so_that_others_empty) {
  constexpr size_t kBlocks = 50000;
  Prng random(7);
  Model model;
  for (size_t count = 0; count < kBlocks; ++count) model.allocate(88);
  const size_t dense = model.runs();
  while (model.count() > kBlocks / 10) model.free(random.below(model.count()));
  const size_t sparse = model.runs();
  EXPECT_LE(sparse, dense);
  for (size_t turn = 0; turn < kBlocks; ++turn) {
    model.allocate(88);
    model.free(random.below(model.count()));
  }
  model.heap.verify();
  EXPECT_LT(model.runs(), dense / 4);
  model.free_all();
}

// Nothing is allocated into a run that is nearly empty while there is room in fuller ones.
TEST(BlockHeap, the_fullest_run_is_chosen) {
  BlockHeap heap;
  constexpr size_t kSize = 128;
  std::vector<std::vector<void*>> runs;  // by page, in order of arrival
  const auto page = [](const void* block) { return reinterpret_cast<uintptr_t>(block) / BlockHeap::kRunBytes; };
  while (runs.size() < 4) {
    void* block = heap.allocate(kSize);
    if (runs.empty() || page(runs.back().back()) != page(block)) runs.emplace_back();
    runs.back().push_back(block);
  }
  // The first keeps one block, the second all but three, the third half; the fourth is the current one.
  const auto shrink = [&](size_t run, size_t left) {
    while (runs[run].size() > left) {
      heap.free(runs[run].back(), kSize);
      runs[run].pop_back();
    }
  };
  const size_t capacity = runs[1].size();
  shrink(0, 1);
  shrink(1, capacity - 3);
  shrink(2, capacity / 2);
  while (runs[3].size() < capacity) {
    runs[3].push_back(heap.allocate(kSize));
    ASSERT_EQ(page(runs[3].back()), page(runs[3].front()));
  }
  for (int count = 0; count < 3; ++count) {
    runs[1].push_back(heap.allocate(kSize));
    EXPECT_EQ(page(runs[1].back()), page(runs[1].front()));
  }
  runs[2].push_back(heap.allocate(kSize));
  EXPECT_EQ(page(runs[2].back()), page(runs[2].front()));
  heap.verify();
  for (const std::vector<void*>& run : runs) {
    for (void* block : run) heap.free(block, kSize);
  }
}

TEST(BlockHeapDeathTest, a_wrong_size_and_a_foreign_block_are_noticed) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  BlockHeap heap;
  BlockHeap other;
  void* block = heap.allocate(40);
  EXPECT_DEATH(heap.free(block, 48), "class_index");
  EXPECT_DEATH(other.free(block, 40), "heap_id");
  void* neighbour = heap.allocate(48);
  heap.free(block, 40);
  // Its run is empty and kept, then gone.
  EXPECT_DEATH(heap.free(block, 40), "class_index");
  heap.release_empty_runs();
  EXPECT_DEATH(heap.free(block, 40), "heap_id");
  heap.free(neighbour, 48);
}

}  // namespace
}  // namespace quorate
