// An allocator of small blocks in narrow size classes, on top of runs of pages.  Not for general use: whoever frees a
// block says its size, and a heap belongs to one thread at a time (util/block.h hands it round).
//
// jemalloc's classes are 16 bytes apart up to 128 and then 32 and 64: an entry of 40 bytes takes 48, one of 88 takes 96.
// Here they are 8 apart, and from 208 on such that a page is used up.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace quorate {

// The size classes of BlockHeap.
struct BlockClass {
  static constexpr size_t kCount = 31;
  static constexpr size_t kBlockMax = 288;
  static constexpr size_t kRunBytes = 4096;
  static constexpr size_t kRunHeader = 32;

  uint16_t size = 0;
  uint16_t begin = 0;     // where the first block of a run is
  uint16_t capacity = 0;  // blocks of a run

  // Blocks of a multiple of 64 begin with a cache line; those of 32 never lie across two.
  static constexpr BlockClass of_size(size_t size) {
    const size_t begin = size % 64 == 0 ? 64 : kRunHeader;
    return {static_cast<uint16_t>(size), static_cast<uint16_t>(begin),
            static_cast<uint16_t>((kRunBytes - begin) / size)};
  }
};

constexpr std::array<BlockClass, BlockClass::kCount> kBlockClasses = [] {
  // From 136 on only the largest of those that as many of fit into a run.
  constexpr std::array<size_t, BlockClass::kCount> kSizes = {
      8,   16,  24,  32,  40,  48,  56,  64,  72,  80,  88,  96,  104, 112, 120, 128,
      136, 144, 152, 160, 168, 176, 184, 192, 200, 208, 224, 232, 248, 264, 288};
  std::array<BlockClass, BlockClass::kCount> classes{};
  for (size_t index = 0; index < classes.size(); ++index) classes[index] = BlockClass::of_size(kSizes[index]);
  return classes;
}();

// The index of the class, by the number of words that are needed.
constexpr std::array<uint8_t, BlockClass::kBlockMax / 8 + 1> kBlockClassOfWords = [] {
  std::array<uint8_t, BlockClass::kBlockMax / 8 + 1> indexes{};
  size_t index = 0;
  for (size_t words = 0; words < indexes.size(); ++words) {
    while (kBlockClasses[index].size < words * 8) ++index;
    indexes[words] = static_cast<uint8_t>(index);
  }
  return indexes;
}();

// A run is a page at a multiple of its size, so that a block's run is found by masking its address, and its header lies
// on the page that whoever frees the block has just used.  (Larger runs would have less overhead; but jemalloc pads what
// is larger than 14 KB by a page, and a larger run is empty less often.)  It holds blocks of one class behind its header.
// Free blocks are chained through their first two bytes.
//
// Runs that are neither full nor the current one of their class stand in lists by how full they are.  A new block comes
// from the current run until that is full, then from one of the fullest: so the emptier ones get a chance to become
// empty, and are given back.  Every operation is O(1).
//
// Invariants: (1) a run is current, or full, or in exactly the list of its fill, or empty and kept for any class;
// (2) no class has an empty run; (3) unused_bytes() is the sum over all runs of what no block in use covers.
class BlockHeap {
 public:
  static constexpr size_t kRunBytes = BlockClass::kRunBytes;
  static constexpr size_t kBlockMax = BlockClass::kBlockMax;
  static constexpr size_t kClasses = BlockClass::kCount;

  BlockHeap();
  // Requires: no block is in use.
  ~BlockHeap();
  BlockHeap(const BlockHeap&) = delete;
  BlockHeap& operator=(const BlockHeap&) = delete;

  // Requires: size <= kBlockMax.  The block lies at a multiple of eight.
  [[nodiscard]] void* allocate(size_t size);
  // Requires: the block is of this heap, and good_size(size) is the size that it was allocated with.
  void free(void* block, size_t size);

  // Starts to load what free() reads and writes beside the block.
  static void prefetch_free(const void* block) { __builtin_prefetch(run_of(block), 1); }

  // What a block of `size` occupies; all of it may be used.  Requires: size <= kBlockMax.
  static constexpr size_t good_size(size_t size) { return kBlockClasses[class_of(size)].size; }

  // Gives the empty runs back that are kept for reuse.
  void release_empty_runs();
  // Bytes of runs that are not in a block in use.  May be read by any thread.
  uint64_t unused_bytes() const { return unused_.load(std::memory_order_relaxed); }

  struct ClassFacts {
    size_t block_size;
    size_t runs;
    size_t blocks;    // in use
    size_t capacity;  // of the runs
  };
  // Grows with the number of runs.
  ClassFacts facts(size_t class_index) const;

  // Stops the process if an invariant is broken.  For tests; grows with the number of runs.
  void verify() const;

 private:
  static constexpr size_t kBins = 4;
  static constexpr uint8_t kFull = kBins;
  static constexpr uint8_t kCurrent = kBins + 1;
  static constexpr uint32_t kEmptyRunsMax = 16;

  struct Run {
    Run* next;
    Run* previous;
    uint32_t heap_id;
    uint16_t used;         // blocks in use
    uint16_t touched;      // blocks that have ever been in use: the first so many
    uint16_t first_free;   // of the chain, in words from the run's begin; 0: none
    uint16_t leave_below;  // with fewer blocks in use the run must go elsewhere
    uint8_t class_index;
    uint8_t bin;  // which list by fill, or kFull or kCurrent
  };
  static_assert(sizeof(Run) == BlockClass::kRunHeader);
  struct Class {
    Run* current = nullptr;
    uint32_t runs = 0;
    uint32_t bins_in_use = 0;  // bit i: bins[i] is not empty
    std::array<Run*, kBins> bins{};
  };

  static constexpr size_t class_of(size_t size) { return kBlockClassOfWords[(size + 7) / 8]; }
  static Run* run_of(const void* block) {
    return reinterpret_cast<Run*>(reinterpret_cast<uintptr_t>(block) & ~uintptr_t{kRunBytes - 1});
  }
  static uint16_t* word_at(Run* run, size_t word) {
    return reinterpret_cast<uint16_t*>(reinterpret_cast<char*>(run) + word * 8);
  }
  // Only one thread changes it: an addition need not be one atomic step.
  void add_unused(uint64_t bytes) { unused_.store(unused_bytes() + bytes, std::memory_order_relaxed); }

  Run* next_run(size_t class_index);
  Run* empty_run(size_t class_index);
  void place_by_fill(Run* run);
  void leave(Run* run);
  void link(Run* run);
  void unlink(Run* run);
  void keep_or_release(Run* run);
  void release(Run* run);

  const uint32_t id_;  // of no other heap of this process
  std::array<Class, kClasses> classes_;
  Run* empty_ = nullptr;  // kept, chained by `next`
  uint32_t empty_count_ = 0;
  std::atomic<uint64_t> unused_{0};
};

}  // namespace quorate
