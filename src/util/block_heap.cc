// Runs of small blocks: where the next block comes from, and when a run is given back.
#include "util/block_heap.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>

#include "util/check.h"
#include "util/memory.h"

namespace quorate {

namespace {
std::atomic<uint32_t> last_heap_id{0};
}

BlockHeap::BlockHeap() : id_(++last_heap_id) {}

BlockHeap::~BlockHeap() {
  release_empty_runs();
  for (const Class& each : classes_) CHECK(each.runs == 0);
}

void* BlockHeap::allocate(size_t size) {
  DCHECK(size <= kBlockMax);
  const size_t class_index = class_of(size);
  const BlockClass& of = kBlockClasses[class_index];
  Run* run = classes_[class_index].current;
  if (run == nullptr || run->used == of.capacity) [[unlikely]]
    run = next_run(class_index);
  ++run->used;
  add_unused(-uint64_t{of.size});
  char* const page = page_of(run);
  if (run->first_free == kNoBlock) return page + size_t{run->touched++} * of.size;
  char* const block = page + size_t{run->first_free} * 8;
  std::memcpy(&run->first_free, block, sizeof run->first_free);
  // The next allocation reads the chain there.
  if (run->first_free != kNoBlock) __builtin_prefetch(page + size_t{run->first_free} * 8, 1);
  return block;
}

void BlockHeap::free(void* block, size_t size) {
  Run* run = run_of(block);
  const size_t class_index = class_of(size);
  // Of another thread's heap, or not of this size: the chains would be spoilt, and noticed much later.
  CHECK(run->heap_id == id_);
  CHECK(run->class_index == class_index);
  const BlockClass& of = kBlockClasses[class_index];
  const size_t offset = reinterpret_cast<uintptr_t>(block) & (kRunBytes - 1);
  DCHECK(offset % of.size == 0);
  std::memcpy(block, &run->first_free, sizeof run->first_free);
  run->first_free = static_cast<uint16_t>(offset / 8);
  add_unused(of.size);
  if (--run->used < run->leave_below) leave(run);
}

// The current run is full, or there is none.
BlockHeap::Run* BlockHeap::next_run(size_t class_index) {
  Class& of = classes_[class_index];
  if (of.current != nullptr) {
    of.current->bin = kFull;
    of.current->leave_below = kBlockClasses[class_index].capacity;
  }
  if (of.bins_in_use != 0) {
    of.current = of.bins[static_cast<size_t>(std::bit_width(of.bins_in_use)) - 1];
    unlink(of.current);
  } else {
    of.current = empty_run(class_index);
    ++of.runs;
    ++runs_;
  }
  of.current->bin = kCurrent;
  of.current->leave_below = 1;
  return of.current;
}

BlockHeap::Run* BlockHeap::empty_run(size_t class_index) {
  Run* run = kept_;
  if (run != nullptr) {
    take_out(run);
  } else {
    run = take_page();
  }
  ++chunk_of(run)->runs_in_use;
  *run = Run{.next = nullptr,
             .previous = nullptr,
             .heap_id = id_,
             .used = 0,
             .touched = 0,
             .first_free = kNoBlock,
             .leave_below = 0,
             .class_index = static_cast<uint8_t>(class_index),
             .bin = kFull};
  return run;
}

// A block was freed, and with so few in use the run has to go elsewhere.
void BlockHeap::leave(Run* run) {
  if (run->bin < kBins) unlink(run);
  if (run->used > 0) {
    place_by_fill(run);
    return;
  }
  Class& of = classes_[run->class_index];
  if (of.current == run) of.current = nullptr;
  --of.runs;
  --runs_;
  keep(run);
}

void BlockHeap::place_by_fill(Run* run) {
  const size_t capacity = kBlockClasses[run->class_index].capacity;
  const size_t bin = run->used * kBins / capacity;
  run->bin = static_cast<uint8_t>(bin);
  const size_t least = (bin * capacity + kBins - 1) / kBins;
  run->leave_below = static_cast<uint16_t>(std::max<size_t>(least, 1));
  link(run);
}

void BlockHeap::link(Run* run) {
  Class& of = classes_[run->class_index];
  run->previous = nullptr;
  run->next = of.bins[run->bin];
  if (run->next != nullptr) run->next->previous = run;
  of.bins[run->bin] = run;
  of.bins_in_use |= 1u << run->bin;
}

void BlockHeap::unlink(Run* run) {
  Class& of = classes_[run->class_index];
  if (run->next != nullptr) run->next->previous = run->previous;
  if (run->previous != nullptr) {
    run->previous->next = run->next;
    return;
  }
  of.bins[run->bin] = run->next;
  if (run->next == nullptr) of.bins_in_use &= ~(1u << run->bin);
}

void BlockHeap::keep(Run* run) {
  run->class_index = kNoClass;
  run->previous = nullptr;
  run->next = kept_;
  if (run->next != nullptr) run->next->previous = run;
  kept_ = run;
  ++kept_count_;
  Chunk* chunk = chunk_of(run);
  if (--chunk->runs_in_use == 0 && kept_count_ > kept_max()) release_chunk(chunk);
}

void BlockHeap::take_out(Run* kept) {
  if (kept->next != nullptr) kept->next->previous = kept->previous;
  if (kept->previous != nullptr) {
    kept->previous->next = kept->next;
  } else {
    kept_ = kept->next;
  }
  --kept_count_;
}

void BlockHeap::release_some(size_t calls) {
  for (; calls > 0 && kept_count_ > kept_max(); --calls) {
    release_pages(kept_, std::min(kept_count_ - kept_max(), kPagesAtOnce));
  }
}

void BlockHeap::release_empty_runs() {
  while (kept_ != nullptr) release_pages(kept_, kPages);
}

// The first page, in the order of addresses, of a chunk that has one.
BlockHeap::Run* BlockHeap::take_page() {
  if (chunks_with_room_ == nullptr) add_chunk();
  Chunk* chunk = chunks_with_room_;
  size_t word = 0;
  while (chunk->free_pages[word] == 0) ++word;
  const auto bit = static_cast<size_t>(std::countr_zero(chunk->free_pages[word]));
  chunk->free_pages[word] &= ~(uint64_t{1} << bit);
  if (chunk->free_pages == PageSet{}) unlink_chunk(chunk);
  return &chunk->runs[word * 64 + bit];
}

void BlockHeap::release_pages(Run* kept, size_t most) {
  Chunk* chunk = chunk_of(kept);
  if (chunk->runs_in_use == 0) {
    release_chunk(chunk);
    return;
  }
  size_t first = page_number(kept);
  size_t end = first + 1;
  while (end - first < most && end < kPages && is_kept(chunk->runs[end])) ++end;
  while (end - first < most && first > 1 && is_kept(chunk->runs[first - 1])) --first;
  if (chunk->free_pages == PageSet{}) link_chunk(chunk);
  for (size_t page = first; page < end; ++page) {
    take_out(&chunk->runs[page]);
    chunk->runs[page].heap_id = 0;
    chunk->free_pages[page / 64] |= uint64_t{1} << page % 64;
  }
  mem_discard(page_of(&chunk->runs[first]), (end - first) * kRunBytes);
}

void BlockHeap::add_chunk() {
  auto* chunk = new (mem_alloc_aligned(kChunkAlignment, kChunkBytes)) Chunk{};
  for (size_t page = 1; page < kPages; ++page) chunk->free_pages[page / 64] |= uint64_t{1} << page % 64;
  add_unused(kChunkBytes);
  link_chunk(chunk);
}

// Requires: no run of it is in use.
void BlockHeap::release_chunk(Chunk* chunk) {
  if (chunk->free_pages != PageSet{}) unlink_chunk(chunk);
  for (size_t page = 1; page < kPages; ++page) {
    if ((chunk->free_pages[page / 64] >> page % 64 & 1) == 0) take_out(&chunk->runs[page]);
  }
  add_unused(-uint64_t{kChunkBytes});
  mem_free(chunk);
}

void BlockHeap::link_chunk(Chunk* chunk) {
  chunk->previous = nullptr;
  chunk->next = chunks_with_room_;
  if (chunk->next != nullptr) chunk->next->previous = chunk;
  chunks_with_room_ = chunk;
}

void BlockHeap::unlink_chunk(Chunk* chunk) {
  if (chunk->next != nullptr) chunk->next->previous = chunk->previous;
  if (chunk->previous != nullptr) {
    chunk->previous->next = chunk->next;
  } else {
    chunks_with_room_ = chunk->next;
  }
}

BlockHeap::ClassFacts BlockHeap::facts(size_t class_index) const {
  const Class& of = classes_[class_index];
  size_t free = 0;
  const auto count_free = [&](const Run* run) { free += size_t{kBlockClasses[class_index].capacity} - run->used; };
  if (of.current != nullptr) count_free(of.current);
  for (const Run* run : of.bins) {
    for (; run != nullptr; run = run->next) count_free(run);
  }
  const size_t capacity = of.runs * kBlockClasses[class_index].capacity;
  return {.block_size = kBlockClasses[class_index].size, .runs = of.runs, .blocks = capacity - free, .capacity = capacity};
}

void BlockHeap::verify() const {
  uint64_t in_use = 0;
  size_t runs = 0;
  for (size_t index = 0; index < kClasses; ++index) {
    const Class& of = classes_[index];
    const ClassFacts known = facts(index);
    in_use += known.blocks * known.block_size;
    runs += known.runs;
    if (of.current != nullptr) CHECK(of.current->bin == kCurrent);
    for (size_t bin = 0; bin < kBins; ++bin) {
      CHECK((of.bins[bin] != nullptr) == ((of.bins_in_use >> bin & 1) != 0));
      for (const Run* run = of.bins[bin]; run != nullptr; run = run->next) {
        CHECK(run->heap_id == id_);
        CHECK(run->class_index == index);
        CHECK(run->bin == bin);
        CHECK(run->used > 0);
        CHECK(run->used < kBlockClasses[index].capacity);
        CHECK(run->used * kBins / kBlockClasses[index].capacity == bin);
        CHECK(run->next == nullptr || run->next->previous == run);
      }
    }
  }
  CHECK(runs == runs_);
  size_t kept = 0;
  for (const Run* run = kept_; run != nullptr; run = run->next) {
    CHECK(run->class_index == kNoClass);
    CHECK(run->next == nullptr || run->next->previous == run);
    ++kept;
  }
  CHECK(kept == kept_count_);
  size_t free_pages = 0;
  for (const Chunk* chunk = chunks_with_room_; chunk != nullptr; chunk = chunk->next) {
    const auto free_here = static_cast<size_t>(std::popcount(chunk->free_pages[0]) + std::popcount(chunk->free_pages[1]));
    CHECK(free_here > 0);
    CHECK(free_here < kPages);
    CHECK(chunk->next == nullptr || chunk->next->previous == chunk);
    free_pages += free_here;
  }
  // Every page of a chunk but its first is one of these.
  const size_t pages = runs + kept + free_pages;
  CHECK(pages % (kPages - 1) == 0);
  CHECK(in_use + unused_bytes() == pages / (kPages - 1) * kChunkBytes);
}

}  // namespace quorate
