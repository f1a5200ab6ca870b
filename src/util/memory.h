// Allocation for long-lived data, counted.  With jemalloc the count is the allocator's own (per-thread
// counters, free to read); with another malloc these functions count usable sizes themselves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace quorate {

// Never return null: the process ends when the machine has no memory left (maxmemory is the user's limit).
[[nodiscard]] void* mem_alloc(size_t size);
[[nodiscard]] void* mem_alloc_zeroed(size_t size);
[[nodiscard]] void* mem_alloc_aligned(size_t alignment, size_t size);  // alignment: power of two >= 8
[[nodiscard]] void* mem_realloc(void* block, size_t size);
void mem_free(void* block);
// Bytes that the block really occupies (>= what was asked for; all of it may be used).
size_t mem_usable(const void* block);
// What an allocation of `size` would occupy.
size_t mem_good_size(size_t size);

// Bytes in use by the process as the allocator counts them, free small blocks (util/block.h) not included.  O(number of
// threads).
uint64_t mem_used();

// What lies there is lost; what it occupied goes back to the operating system until it is written again.  Requires: a
// part of one allocation.  Does nothing unless it is of whole pages of this machine.
void mem_discard(void* begin, size_t size);
// Gives pages that hold nothing back to the operating system.
void mem_release_pages();
// The allocator's own report, for people to read.
std::string mem_report();

}  // namespace quorate
