// Which heap a thread has, and what is too large for one.
#include "util/block.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <new>

#include "util/check.h"
#include "util/memory.h"

namespace quorate {

namespace {

// Heaps are only ever added: what a thread leaves behind may be freed by one that is given its heap.
struct ListedHeap {
  BlockHeap heap;
  ListedHeap* next = nullptr;
};

std::atomic<ListedHeap*> heaps{nullptr};
constinit thread_local BlockHeap* heap_of_thread = nullptr;

BlockHeap& new_heap() {
  auto* listed = new (mem_alloc_aligned(alignof(ListedHeap), sizeof(ListedHeap))) ListedHeap;
  listed->next = heaps.load(std::memory_order_relaxed);
  while (!heaps.compare_exchange_weak(listed->next, listed, std::memory_order_release)) {
  }
  return listed->heap;
}

}  // namespace

BlockHeap& own_block_heap() {
  if (heap_of_thread == nullptr) [[unlikely]]
    heap_of_thread = &new_heap();
  return *heap_of_thread;
}

void use_block_heap(BlockHeap& heap) { heap_of_thread = &heap; }

size_t block_good_size(size_t size) {
  return is_small_block(size) ? BlockHeap::good_size(size) : mem_good_size(size);
}

void* block_alloc(size_t size) {
  return is_small_block(size) ? own_block_heap().allocate(size) : mem_alloc(size);
}

void block_free(void* block, size_t size) {
  if (block == nullptr) return;
  if (is_small_block(size)) {
    own_block_heap().free(block, size);
    return;
  }
  DCHECK(mem_usable(block) == mem_good_size(size));
  mem_free(block);
}

void* block_resize(void* block, size_t old_size, size_t size) {
  if (block == nullptr) return block_alloc(size);
  if (!is_small_block(old_size) && !is_small_block(size)) return mem_realloc(block, size);
  if (block_good_size(old_size) == block_good_size(size)) return block;
  void* moved = block_alloc(size);
  std::memcpy(moved, block, std::min(old_size, size));
  block_free(block, old_size);
  return moved;
}

void block_release_some(size_t calls) { own_block_heap().release_some(calls); }

uint64_t unused_block_bytes() {
  uint64_t sum = 0;
  for (const ListedHeap* each = heaps.load(std::memory_order_acquire); each != nullptr; each = each->next) {
    sum += each->heap.unused_bytes();
  }
  return sum;
}

std::string block_report() {
  std::string report = "Small blocks: size, runs of " + std::to_string(BlockHeap::kRunBytes) +
                       " bytes, blocks in use, per cent of the runs' blocks\n";
  for (size_t index = 0; index < BlockHeap::kClasses; ++index) {
    const BlockHeap::ClassFacts facts = own_block_heap().facts(index);
    if (facts.runs == 0) continue;
    char line[96];
    std::snprintf(line, sizeof line, "%4zu %9zu %12zu %6.1f\n", facts.block_size, facts.runs, facts.blocks,
                  100.0 * static_cast<double>(facts.blocks) / static_cast<double>(facts.capacity));
    report += line;
  }
  return report + "Empty runs that are kept: " + std::to_string(own_block_heap().kept_runs()) +
         "\nIn chunks and not in use: " + std::to_string(unused_block_bytes()) + " bytes\n";
}

}  // namespace quorate
