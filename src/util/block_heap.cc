// Runs of small blocks: where the next block comes from, and when a run is given back.
#include "util/block_heap.h"

#include <algorithm>
#include <bit>

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
  if (run->first_free == 0) {
    return reinterpret_cast<char*>(run) + of.begin + size_t{run->touched++} * of.size;
  }
  uint16_t* block = word_at(run, run->first_free);
  run->first_free = *block;
  // The next allocation reads the chain there; at the chain's end this is the header.
  __builtin_prefetch(word_at(run, run->first_free), 1);
  return block;
}

void BlockHeap::free(void* block, size_t size) {
  Run* run = run_of(block);
  const size_t class_index = class_of(size);
  // Of another thread's heap, or not of this size: the chains would be spoilt, and noticed much later.
  CHECK(run->heap_id == id_);
  CHECK(run->class_index == class_index);
  const auto offset = static_cast<size_t>(static_cast<char*>(block) - reinterpret_cast<char*>(run));
  const BlockClass& of = kBlockClasses[class_index];
  DCHECK((offset - of.begin) % of.size == 0);
  *static_cast<uint16_t*>(block) = run->first_free;
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
  }
  of.current->bin = kCurrent;
  of.current->leave_below = 1;
  return of.current;
}

BlockHeap::Run* BlockHeap::empty_run(size_t class_index) {
  Run* run = empty_;
  if (run != nullptr) {
    empty_ = run->next;
    --empty_count_;
  } else {
    run = static_cast<Run*>(mem_alloc_aligned(kRunBytes, kRunBytes));
    add_unused(kRunBytes);
  }
  *run = Run{.next = nullptr,
             .previous = nullptr,
             .heap_id = id_,
             .used = 0,
             .touched = 0,
             .first_free = 0,
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
  keep_or_release(run);
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

// A few are kept: a class whose only block comes and goes must not ask for a run each time.
void BlockHeap::keep_or_release(Run* run) {
  if (empty_count_ == kEmptyRunsMax) {
    release(run);
    return;
  }
  run->next = empty_;
  empty_ = run;
  ++empty_count_;
}

void BlockHeap::release(Run* run) {
  add_unused(-uint64_t{kRunBytes});
  mem_free(run);
}

void BlockHeap::release_empty_runs() {
  while (empty_ != nullptr) {
    Run* run = empty_;
    empty_ = run->next;
    --empty_count_;
    release(run);
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
  uint64_t unused = uint64_t{empty_count_} * kRunBytes;
  for (size_t index = 0; index < kClasses; ++index) {
    const Class& of = classes_[index];
    const ClassFacts known = facts(index);
    unused += known.runs * kRunBytes - known.blocks * known.block_size;
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
  CHECK(unused == unused_bytes());
}

}  // namespace quorate
