// Blocks of the store: allocations whose owner knows how large they are, and says so when it frees them.  Small ones come
// from a heap with narrow size classes (block_heap.h), others from the allocator of util/memory.h.  In builds with the
// address sanitizer all come from its allocator, at exactly the size that was asked for.
//
// Small blocks belong to the heap of the thread that allocates them, and are freed by a thread that has that heap.  Each
// thread has one of its own unless it is given another's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "util/block_heap.h"

namespace quorate {

#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kSmallBlockMax = 0;
#else
constexpr size_t kSmallBlockMax = BlockHeap::kBlockMax;
#endif

// Whether a block of that size is of the heap.
constexpr bool is_small_block(size_t size) { return size > 0 && size <= kSmallBlockMax; }

// What a block of `size` occupies.  All of it may be used.
size_t block_good_size(size_t size);
// Never null, as mem_alloc().  Requires: size > 0.
[[nodiscard]] void* block_alloc(size_t size);
// `block` may be null.  Requires: block_good_size(size) is that of the size it was allocated with.
void block_free(void* block, size_t size);
// Starts to load what freeing the block will touch beside it, if it is a small one.
inline void block_prefetch_free(const void* block) { BlockHeap::prefetch_free(block); }
// A block of `size` that begins as the old one did.  The same requirement of `old_size`, unless `block` is null.
[[nodiscard]] void* block_resize(void* block, size_t old_size, size_t size);

// The heap of this thread.  It lives as long as the process.
BlockHeap& own_block_heap();
// From here on this thread has that heap.  Requires: no other thread uses it until this one ends or takes another.
void use_block_heap(BlockHeap& heap);

// If many pages of this thread's heap hold nothing, gives some back: at most `calls` system calls.
void block_release_some(size_t calls);

// Of all heaps: bytes in chunks that are not in a block in use.
uint64_t unused_block_bytes();
// A table for people: how many runs and blocks of each size this thread's heap has.
std::string block_report();

}  // namespace quorate
