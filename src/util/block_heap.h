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

  uint16_t size = 0;
  uint16_t capacity = 0;  // blocks of a run
};

// Blocks of a multiple of 64 begin with a cache line; those of 32 never lie across two.
constexpr std::array<BlockClass, BlockClass::kCount> kBlockClasses = [] {
  // From 136 on only the largest of those that as many of fit into a run.
  constexpr std::array<uint16_t, BlockClass::kCount> kSizes = {
      8,   16,  24,  32,  40,  48,  56,  64,  72,  80,  88,  96,  104, 112, 120, 128,
      136, 144, 152, 160, 168, 176, 184, 192, 200, 208, 224, 240, 256, 272, 288};
  std::array<BlockClass, BlockClass::kCount> classes{};
  for (size_t index = 0; index < classes.size(); ++index) {
    classes[index] = {kSizes[index], static_cast<uint16_t>(BlockClass::kRunBytes / kSizes[index])};
  }
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

// A run is a page of blocks of one class.  Pages are cut from chunks that begin at a multiple of a power of two, so that
// a block's chunk and page are found by masking its address.  The runs' headers lie side by side in the chunk's first
// page: at the heads of their own pages they would all meet in a few sets of the cache.  Free blocks are chained through
// their first two bytes.
//
// Runs that are neither full nor the current one of their class stand in lists by how full they are.  A new block comes
// from the current run until that is full, then from one of the fullest: so the emptier ones get a chance to become
// empty.  Empty ones are kept for any class that needs one.  If there are too many, chunks of which no run is in use go
// back to the allocator at once, and pages to the operating system when release_some() is called, since that
// takes a system call for each that does not lie beside the next.  Every operation is O(1); when a chunk goes it takes
// its kept runs out of their list.
//
// Invariants: (1) a run is current, or full, or in exactly the list of its fill, or empty and kept; (2) no class has an
// empty run; (3) a page of a chunk has a run or its bit in free_pages, and a chunk with such bits is in the list of those
// with room; (4) unused_bytes() is what of all chunks no block in use covers.
class BlockHeap {
 public:
  static constexpr size_t kRunBytes = BlockClass::kRunBytes;
  static constexpr size_t kBlockMax = BlockClass::kBlockMax;
  static constexpr size_t kClasses = BlockClass::kCount;
  // Less than the alignment by what jemalloc may put behind a block, so that chunks can follow each other closely.
  static constexpr size_t kPages = 112;
  static constexpr size_t kChunkBytes = kPages * kRunBytes;
  static constexpr size_t kChunkAlignment = 128 * kRunBytes;

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

  // Gives back some of the empty runs that are kept beyond what is worth it: whole chunks, or pages that lie side by side,
  // a few; at most `calls` times one of these.
  void release_some(size_t calls);
  // Gives back all that are kept.
  void release_empty_runs();
  // Bytes of chunks that are not in a block in use, whether they occupy memory or not.  May be read by any thread.
  uint64_t unused_bytes() const { return unused_.load(std::memory_order_relaxed); }
  // Runs that hold blocks, and empty ones that are kept.
  size_t runs() const { return runs_; }
  size_t kept_runs() const { return kept_count_; }

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
  static constexpr uint8_t kNoClass = 0xff;     // of a run that is kept
  static constexpr uint16_t kNoBlock = 0xffff;  // the end of a chain
  // A class whose only block comes and goes must not ask for a page each time, nor a large heap that breathes.
  static constexpr size_t kKeptMin = 16;
  static constexpr size_t kRunsForOneKept = 32;
  // Pages that go with one system call: together they take longer than the call.
  static constexpr size_t kPagesAtOnce = 16;

  struct Run {
    Run* next;
    Run* previous;
    uint32_t heap_id;      // 0: the page has no run
    uint16_t used;         // blocks in use
    uint16_t touched;      // blocks that have ever been in use: the first so many
    uint16_t first_free;   // of the chain, in words from the page's begin
    uint16_t leave_below;  // with fewer blocks in use the run must go elsewhere
    uint8_t class_index;
    uint8_t bin;  // which list by fill, or kFull or kCurrent
  };
  static_assert(sizeof(Run) == 32);
  using PageSet = std::array<uint64_t, 2>;
  // Lies on its page 0, which has no run.
  struct Chunk {
    std::array<Run, kPages> runs;
    Chunk* next;  // of those with room
    Chunk* previous;
    PageSet free_pages;
    uint32_t runs_in_use;
  };
  static_assert(sizeof(Chunk) <= kRunBytes);
  struct Class {
    Run* current = nullptr;
    uint32_t runs = 0;
    uint32_t bins_in_use = 0;  // bit i: bins[i] is not empty
    std::array<Run*, kBins> bins{};
  };

  static constexpr size_t class_of(size_t size) { return kBlockClassOfWords[(size + 7) / 8]; }
  static Chunk* chunk_of(const void* inside) {
    return reinterpret_cast<Chunk*>(reinterpret_cast<uintptr_t>(inside) & ~uintptr_t{kChunkAlignment - 1});
  }
  // The header of page i is i times its size behind the chunk's begin.
  static Run* run_of(const void* block) {
    const auto address = reinterpret_cast<uintptr_t>(block);
    const uintptr_t page = (address & (kChunkAlignment - 1)) / kRunBytes;
    return reinterpret_cast<Run*>((address & ~uintptr_t{kChunkAlignment - 1}) + page * sizeof(Run));
  }
  static size_t page_number(const Run* run) {
    return (reinterpret_cast<uintptr_t>(run) & (kChunkAlignment - 1)) / sizeof(Run);
  }
  static char* page_of(Run* run) {
    return reinterpret_cast<char*>(chunk_of(run)) + page_number(run) * kRunBytes;
  }
  // Only one thread changes it: an addition need not be one atomic step.
  void add_unused(uint64_t bytes) { unused_.store(unused_bytes() + bytes, std::memory_order_relaxed); }

  Run* next_run(size_t class_index);
  Run* empty_run(size_t class_index);
  void place_by_fill(Run* run);
  void leave(Run* run);
  void link(Run* run);
  void unlink(Run* run);
  size_t kept_max() const { return kKeptMin + runs_ / kRunsForOneKept; }
  void keep(Run* run);
  void take_out(Run* kept);
  Run* take_page();
  bool is_kept(const Run& run) const { return run.heap_id == id_ && run.class_index == kNoClass; }
  // That run's page, and those beside it that are kept too, `most` in all.
  void release_pages(Run* kept, size_t most);
  void add_chunk();
  void release_chunk(Chunk* chunk);
  void link_chunk(Chunk* chunk);
  void unlink_chunk(Chunk* chunk);

  const uint32_t id_;  // of no other heap of this process
  std::array<Class, kClasses> classes_;
  size_t runs_ = 0;       // with blocks in use
  Run* kept_ = nullptr;   // empty ones
  size_t kept_count_ = 0;
  Chunk* chunks_with_room_ = nullptr;
  std::atomic<uint64_t> unused_{0};
};

}  // namespace quorate
