// Counted allocation.  jemalloc counts per thread already: each thread that allocates registers where its
// two counters are, and mem_used() adds them up.  With another malloc the wrappers count usable sizes.
#include "util/memory.h"

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

#ifdef QUORATE_JEMALLOC
#include <jemalloc/jemalloc.h>
#endif

#include "util/block.h"

namespace quorate {
namespace {

[[noreturn]] void out_of_memory(size_t size) {
  std::fprintf(stderr, "out of memory: %zu bytes cannot be allocated -> exit\n", size);
  std::abort();
}

#ifdef QUORATE_JEMALLOC

// Where one thread's counters are.  A list of living threads, guarded by a spin lock: it is taken when a
// thread first allocates, when it ends, and by mem_used().
struct ThreadCounters {
  ThreadCounters();
  ~ThreadCounters();
  const uint64_t* allocated = nullptr;
  const uint64_t* deallocated = nullptr;
  ThreadCounters* next = nullptr;
};

std::atomic_flag registry_lock = ATOMIC_FLAG_INIT;
ThreadCounters* registry = nullptr;
uint64_t of_ended_threads = 0;  // may wrap below zero: what they freed of others' blocks

struct RegistryGuard {
  RegistryGuard() {
    while (registry_lock.test_and_set(std::memory_order_acquire)) {
    }
  }
  ~RegistryGuard() { registry_lock.clear(std::memory_order_release); }
};

uint64_t counted(const ThreadCounters& counters) {
  return __atomic_load_n(counters.allocated, __ATOMIC_RELAXED) -
         __atomic_load_n(counters.deallocated, __ATOMIC_RELAXED);
}

ThreadCounters::ThreadCounters() {
  size_t size = sizeof allocated;
  if (mallctl("thread.allocatedp", &allocated, &size, nullptr, 0) != 0 ||
      mallctl("thread.deallocatedp", &deallocated, &size, nullptr, 0) != 0) {
    static constexpr uint64_t kZero = 0;
    allocated = deallocated = &kZero;
  }
  const RegistryGuard guard;
  next = registry;
  registry = this;
}

ThreadCounters::~ThreadCounters() {
  const RegistryGuard guard;
  of_ended_threads += counted(*this);
  ThreadCounters** link = &registry;
  while (*link != this) link = &(*link)->next;
  *link = next;
}

thread_local ThreadCounters thread_counters;

void count_alloc(void*) { (void)&thread_counters; }
void count_free(void*) {}

#else

std::atomic<uint64_t> bytes_used{0};

void count_alloc(void* block) {
  bytes_used.fetch_add(malloc_usable_size(block), std::memory_order_relaxed);
}
void count_free(void* block) {
  bytes_used.fetch_sub(malloc_usable_size(block), std::memory_order_relaxed);
}

#endif

}  // namespace

void* mem_alloc(size_t size) {
  void* block = std::malloc(size == 0 ? 1 : size);
  if (block == nullptr) [[unlikely]]
    out_of_memory(size);
  count_alloc(block);
  return block;
}

void* mem_alloc_zeroed(size_t size) {
  void* block = std::calloc(1, size == 0 ? 1 : size);
  if (block == nullptr) [[unlikely]]
    out_of_memory(size);
  count_alloc(block);
  return block;
}

void* mem_alloc_aligned(size_t alignment, size_t size) {
  void* block = nullptr;
  if (posix_memalign(&block, alignment, size == 0 ? 1 : size) != 0) [[unlikely]]
    out_of_memory(size);
  count_alloc(block);
  return block;
}

void* mem_realloc(void* block, size_t size) {
  if (block == nullptr) return mem_alloc(size);
  count_free(block);
  void* moved = std::realloc(block, size == 0 ? 1 : size);
  if (moved == nullptr) [[unlikely]]
    out_of_memory(size);
  count_alloc(moved);
  return moved;
}

void mem_free(void* block) {
  if (block == nullptr) return;
  count_free(block);
  std::free(block);
}

size_t mem_usable(const void* block) {
  return block == nullptr ? 0 : malloc_usable_size(const_cast<void*>(block));
}

size_t mem_good_size(size_t size) {
  if (size == 0) size = 1;
#ifdef QUORATE_JEMALLOC
  return nallocx(size, 0);
#elif defined(__SANITIZE_ADDRESS__)
  return size;
#else
  const size_t with_header = (size + sizeof(size_t) + 15) & ~size_t{15};
  return (with_header < 32 ? 32 : with_header) - sizeof(size_t);
#endif
}

uint64_t mem_used() {
#ifdef QUORATE_JEMALLOC
  (void)&thread_counters;
  const RegistryGuard guard;
  uint64_t used = of_ended_threads;
  for (const ThreadCounters* thread = registry; thread != nullptr; thread = thread->next) {
    used += counted(*thread);
  }
#else
  const uint64_t used = bytes_used.load(std::memory_order_relaxed);
#endif
  return used - unused_block_bytes();
}

void mem_discard(void* begin, size_t size) {
  // Larger pages than asked for would take neighbours along.
  static const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  if (reinterpret_cast<uintptr_t>(begin) % page != 0 || size % page != 0) return;
  // Where it is refused (locked memory) the pages only stay.
  (void)madvise(begin, size, MADV_DONTNEED);
}

void mem_release_pages() {
  own_block_heap().release_empty_runs();
#ifdef QUORATE_JEMALLOC
  char name[40];
  // "arena.<all>.purge"
  std::snprintf(name, sizeof name, "arena.%u.purge", static_cast<unsigned>(MALLCTL_ARENAS_ALL));
  mallctl(name, nullptr, nullptr, nullptr, 0);
#endif
}

std::string mem_report() {
#ifdef QUORATE_JEMALLOC
  std::string report = block_report();
  malloc_stats_print(
      [](void* to, const char* text) { static_cast<std::string*>(to)->append(text); }, &report, nullptr);
  return report;
#else
  return block_report() + "the allocator below has no statistics\n";
#endif
}

}  // namespace quorate
