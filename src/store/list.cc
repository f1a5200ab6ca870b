// The list type: chunks of packed elements.  See list.h for what it promises.
#include "store/list.h"

#include <algorithm>

#include "util/block.h"
#include "util/check.h"

namespace quorate {
namespace {

// A chunk that is asked for room at one end slides its elements only when this part of it is free,
// so that many pushes pay for one slide.
constexpr size_t kSlideWhenFree = 4;
// Neighbours are merged when together they fill no more than three quarters of a chunk.
constexpr size_t worth_merging(size_t capacity) { return capacity / 4 * 3; }
constexpr uint32_t kSlotsMin = 8;
constexpr size_t kShrinkFrom = 256;
// What freeing a chunk costs, in elements.
constexpr size_t kChunkCost = 8;

uint32_t narrow(size_t size) {
  CHECK(size <= UINT32_MAX);
  return static_cast<uint32_t>(size);
}

}  // namespace

// ---- one chunk
// --------------------------------------------------------------------------------------

List::Chunk* List::new_chunk(size_t capacity, End filled_from) {
  size_t usable = block_good_size(sizeof(Chunk) + capacity) - sizeof(Chunk);
  if (capacity <= kChunkCapacity) usable = std::min(usable, kChunkCapacity);
  usable = std::min<size_t>(usable, UINT32_MAX);
  auto* chunk = static_cast<Chunk*>(block_alloc(sizeof(Chunk) + usable));
  chunk->capacity = narrow(usable);
  chunk->begin = chunk->end = filled_from == End::kFront ? 0 : chunk->capacity;
  chunk->count = 0;
  return chunk;
}

void List::free_chunk(Chunk* chunk) { block_free(chunk, chunk->allocated()); }

void List::write_element(char* at, std::string_view value) {
  at = packed::write_length(at, value.size());
  if (!value.empty()) std::memcpy(at, value.data(), value.size());
  at += value.size();
  packed::write_length_before(at + packed::length_size(value.size()), value.size());
}

// Requires: there is room at `end`.
void List::append(Chunk* chunk, End end, std::string_view value) {
  const uint32_t size = narrow(element_size(value.size()));
  if (end == End::kFront) {
    chunk->begin -= size;
    write_element(chunk->bytes() + chunk->begin, value);
  } else {
    write_element(chunk->bytes() + chunk->end, value);
    chunk->end += size;
  }
  ++chunk->count;
}

// Makes room for `size` bytes at `end` if the chunk has it and is not a big element's own; says
// whether.
bool List::make_room(Chunk* chunk, End end, size_t size) {
  if (chunk->capacity > kChunkCapacity) return false;
  const size_t gap = end == End::kFront ? chunk->begin : chunk->capacity - chunk->end;
  if (gap >= size) return true;
  const size_t free = chunk->free();
  if (free < size || free * kSlideWhenFree < chunk->capacity) return false;
  // Most of the free space goes to the end that asks; some stays, or pushes at both ends would
  // slide each time.
  const size_t here = std::max(size, free - free / 4);
  const size_t used = chunk->used();
  const size_t begin = end == End::kFront ? here : free - here;
  std::memmove(chunk->bytes() + begin, chunk->first(), used);
  chunk->begin = narrow(begin);
  chunk->end = narrow(begin + used);
  return true;
}

// A copy with `capacity`, the free space at `gap_at`; frees `chunk`.
List::Chunk* List::resized(Chunk* chunk, size_t capacity, End gap_at) {
  const End filled_from = gap_at == End::kFront ? End::kBack : End::kFront;
  Chunk* copy = new_chunk(capacity, filled_from);
  copy_elements(copy, gap_at, chunk);
  free_chunk(chunk);
  return copy;
}

// Adds all elements of `from` at `end` of `to`.  Requires: there is room at that end.
void List::copy_elements(Chunk* to, End end, const Chunk* from) {
  const uint32_t used = narrow(from->used());
  if (end == End::kFront) to->begin -= used;
  char* target = to->bytes() + (end == End::kFront ? to->begin : to->end);
  if (end == End::kBack) to->end += used;
  std::memcpy(target, from->first(), used);
  to->count += from->count;
}

// Where element `index` begins (index == count: the end).
const char* List::seek(const Chunk* chunk, size_t index) {
  size_t length;
  if (index <= chunk->count / 2) {
    const char* at = chunk->first();
    for (; index > 0; --index) {
      at = packed::read_length(at, length);
      at += length + packed::length_size(length);
    }
    return at;
  }
  const char* at = chunk->bytes() + chunk->end;
  for (size_t left = chunk->count - index; left > 0; --left) {
    at = packed::read_length_before(at, length);
    at -= length + packed::length_size(length);
  }
  return at;
}

// Takes `count` elements from number `first` on out of the chunk; returns how many bytes they had.
size_t List::cut(Chunk* chunk, size_t first, size_t count) {
  char* const from = chunk->bytes() + (seek(chunk, first) - chunk->bytes());
  char* const to = chunk->bytes() + (seek(chunk, first + count) - chunk->bytes());
  const auto bytes = static_cast<size_t>(to - from);
  const auto before = static_cast<size_t>(from - chunk->first());
  const size_t behind = chunk->used() - before - bytes;
  if (before < behind) {
    std::memmove(chunk->bytes() + chunk->begin + bytes, chunk->first(), before);
    chunk->begin += narrow(bytes);
  } else {
    std::memmove(from, to, behind);
    chunk->end -= narrow(bytes);
  }
  chunk->count -= narrow(count);
  return bytes;
}

// Puts `value` before element `index` of the chunk.  Requires: the chunk has room in all.
void List::insert_in_chunk(Chunk* chunk, size_t index, std::string_view value) {
  const uint32_t size = narrow(element_size(value.size()));
  size_t before = static_cast<size_t>(seek(chunk, index) - chunk->first());
  const size_t used = chunk->used();
  const size_t gap_behind = chunk->capacity - chunk->end;
  if (chunk->begin >= size && (before < used - before || gap_behind < size)) {
    std::memmove(chunk->bytes() + chunk->begin - size, chunk->first(), before);
    chunk->begin -= size;
  } else {
    if (gap_behind < size) {
      std::memmove(chunk->bytes(), chunk->first(), used);
      chunk->begin = 0;
      chunk->end = narrow(used);
    }
    char* const at = chunk->bytes() + chunk->begin + before;
    std::memmove(at + size, at, used - before);
    chunk->end += size;
  }
  write_element(chunk->bytes() + chunk->begin + before, value);
  ++chunk->count;
}

size_t List::count_in_chunk(const Chunk* chunk, std::string_view value) {
  size_t matches = 0;
  Run{chunk->first(), chunk->used(), chunk->count}.for_each([&](std::string_view element) {
    if (element == value) ++matches;
  });
  return matches;
}

// Takes `count` elements equal to `value` out of the chunk, leaving the first `skip` such ones.
void List::remove_in_chunk(Chunk* chunk, std::string_view value, size_t skip, size_t count) {
  const size_t size = element_size(value.size());
  const char* at = chunk->first();
  char* to = chunk->bytes() + chunk->begin;
  size_t left = count;
  for (size_t elements = chunk->count; elements > 0; --elements) {
    size_t length;
    const char* bytes = packed::read_length(at, length);
    const size_t whole = element_size(length);
    const bool equal = left > 0 && whole == size && std::string_view(bytes, length) == value;
    if (equal && skip == 0) {
      --left;
    } else {
      if (equal) --skip;
      if (to != at) std::memmove(to, at, whole);
      to += whole;
    }
    at += whole;
  }
  chunk->end = narrow(static_cast<size_t>(to - chunk->bytes()));
  chunk->count -= narrow(count);
}

// ---- the array of chunks
// ------------------------------------------------------------------------------

void List::become_deque() {
  Chunk* chunk = single();
  auto* made = static_cast<Deque*>(block_alloc(Deque::allocation(kSlotsMin)));
  *made = Deque{.size = chunk->count,
                .bytes = chunk->used(),
                .first = kSlotsMin / 2,
                .chunks = 1,
                .capacity = kSlotsMin,
                .reserved = 0};
  made->slots()[0] = Slot{chunk, chunk->count};
  bits_ = reinterpret_cast<uintptr_t>(made) + kDequeTag;
}

// After removals: an array of one chunk or none is given up.
void List::simplify() {
  Deque* array = deque();
  if (array->chunks > 1) return;
  bits_ = array->chunks == 0 ? 0 : reinterpret_cast<uintptr_t>(array->slots()[0].chunk);
  block_free(array, Deque::allocation(array->capacity));
}

void List::rebuild_slots(uint32_t capacity) {
  Deque* old = deque();
  auto* made = static_cast<Deque*>(block_alloc(Deque::allocation(capacity)));
  *made = *old;
  made->capacity = capacity;
  made->first = (capacity - old->chunks) / 2;
  std::memcpy(made->slots(), old->slots(), old->chunks * sizeof(Slot));
  block_free(old, Deque::allocation(old->capacity));
  bits_ = reinterpret_cast<uintptr_t>(made) + kDequeTag;
}

// Opens a free slot before chunk `index` and puts `chunk` there.  The totals are the caller's.
void List::insert_chunk(size_t index, Chunk* chunk) {
  const bool at_front = index < deque()->chunks / 2 + (index == 0);
  const uint32_t free_behind = deque()->capacity - deque()->first - deque()->chunks;
  if ((at_front ? deque()->first : free_behind) == 0) {
    const uint32_t chunks = deque()->chunks;
    // Much free space at the other end only: the same array, centred.
    const bool centre = deque()->capacity - chunks >= deque()->capacity / 2;
    rebuild_slots(centre ? deque()->capacity : std::max(kSlotsMin, (chunks + 1) * 2));
  }
  Deque* array = deque();
  Slot* slots = array->slots();
  if (at_front) {
    std::memmove(slots - 1, slots, index * sizeof(Slot));
    --array->first;
  } else {
    std::memmove(slots + index + 1, slots + index, (array->chunks - index) * sizeof(Slot));
  }
  ++array->chunks;
  array->slots()[index] = Slot{chunk, chunk->count};
}

// Forgets `count` slots; the chunks are gone already.
void List::close_slots(size_t index, size_t count) {
  Deque* array = deque();
  Slot* slots = array->slots();
  const size_t behind = array->chunks - index - count;
  if (index < behind) {
    std::memmove(slots + count, slots, index * sizeof(Slot));
    array->first += narrow(count);
  } else {
    std::memmove(slots + index, slots + index + count, behind * sizeof(Slot));
  }
  array->chunks -= narrow(count);
  if (array->capacity > 64 && array->chunks < array->capacity / 8) {
    rebuild_slots(array->capacity / 4);
  }
}

void List::note_chunk(size_t index, Chunk* chunk) {
  if (!is_deque()) {
    bits_ = reinterpret_cast<uintptr_t>(chunk);
    return;
  }
  deque()->slots()[index] = Slot{chunk, chunk->count};
}

void List::add_totals(size_t elements, size_t bytes) {
  if (!is_deque()) return;
  deque()->size += elements;
  deque()->bytes += bytes;
}

void List::take_totals(size_t elements, size_t bytes) {
  if (!is_deque()) return;
  deque()->size -= elements;
  deque()->bytes -= bytes;
}

// Cuts chunk `index` in two: elements from `at` on become a chunk behind it.
void List::split(size_t index, size_t at) {
  Chunk* left = chunk_at(index);
  const char* from = seek(left, at);
  const auto bytes = static_cast<size_t>(left->bytes() + left->end - from);
  const uint32_t count = left->count - narrow(at);
  Chunk* right = new_chunk(std::max(bytes, kChunkCapacity), End::kFront);
  std::memcpy(right->bytes(), from, bytes);
  right->end = narrow(bytes);
  right->count = count;
  left->end -= narrow(bytes);
  left->count -= count;
  note_chunk(index, left);
  insert_chunk(index + 1, right);
}

bool List::can_merge(const Chunk* left, const Chunk* right) {
  return left->used() + right->used() <= worth_merging(kChunkCapacity);
}

// Both become one; frees them.
List::Chunk* List::merged(Chunk* left, Chunk* right) {
  Chunk* both = new_chunk(kChunkCapacity, End::kFront);
  copy_elements(both, End::kBack, left);
  copy_elements(both, End::kBack, right);
  free_chunk(left);
  free_chunk(right);
  return both;
}

// After elements were taken out of chunk `index`: joins it with what it can.
void List::merge_around(size_t index) {
  if (index >= deque()->chunks) return;
  for (size_t left : {index, index - 1}) {
    if (left + 1 >= deque()->chunks || left == SIZE_MAX) continue;
    Slot* slots = deque()->slots();
    if (!can_merge(slots[left].chunk, slots[left + 1].chunk)) continue;
    note_chunk(left, merged(slots[left].chunk, slots[left + 1].chunk));
    close_slots(left + 1, 1);
  }
}

// ---- the ends
// -----------------------------------------------------------------------------------------

size_t List::size() const {
  if (bits_ == 0) return 0;
  return is_deque() ? deque()->size : single()->count;
}

void List::push(End end, std::string_view value) {
  const size_t need = element_size(value.size());
  if (bits_ == 0) {
    Chunk* chunk = new_chunk(need, end == End::kBack ? End::kFront : End::kBack);
    append(chunk, end, value);
    bits_ = reinterpret_cast<uintptr_t>(chunk);
    return;
  }
  const size_t index = end == End::kFront ? 0 : chunk_count() - 1;
  Chunk* chunk = chunk_at(index);
  if (!make_room(chunk, end, need)) {
    push_elsewhere(end, value);
    return;
  }
  append(chunk, end, value);
  if (is_deque()) {
    deque()->slots()[index].count = chunk->count;
    add_totals(1, need);
  }
}

// push() where the chunk at that end has no room.
void List::push_elsewhere(End end, std::string_view value) {
  const size_t need = element_size(value.size());
  if (!is_deque()) {
    const size_t wanted = single()->used() + need;
    if (wanted <= kChunkCapacity) {
      Chunk* grown = resized(single(), std::min(wanted + wanted / 4, kChunkCapacity), end);
      append(grown, end, value);
      bits_ = reinterpret_cast<uintptr_t>(grown);
      return;
    }
    become_deque();
  }
  // The chunk that is left behind gets no more pushes: what it wastes goes back.
  const size_t index = end == End::kFront ? 0 : deque()->chunks - 1;
  Chunk* full = chunk_at(index);
  if (full->capacity <= kChunkCapacity && full->free() > full->capacity / 8) {
    note_chunk(index, resized(full, full->used(), end));
  }
  const size_t capacity = need > kOwnChunkFrom ? need : kChunkCapacity;
  Chunk* chunk = new_chunk(capacity, end == End::kBack ? End::kFront : End::kBack);
  append(chunk, end, value);
  insert_chunk(end == End::kFront ? 0 : deque()->chunks, chunk);
  add_totals(1, need);
}

std::string_view List::peek(End end) const {
  const Chunk* chunk = chunk_at(end == End::kFront ? 0 : chunk_count() - 1);
  size_t length;
  if (end == End::kFront) {
    const char* bytes = packed::read_length(chunk->first(), length);
    return {bytes, length};
  }
  const char* behind = packed::read_length_before(chunk->bytes() + chunk->end, length);
  return {behind - length, length};
}

void List::pop(End end) {
  const uint32_t size = narrow(element_size(peek(end).size()));
  const size_t index = end == End::kFront ? 0 : chunk_count() - 1;
  Chunk* chunk = chunk_at(index);
  if (end == End::kFront) {
    chunk->begin += size;
  } else {
    chunk->end -= size;
  }
  --chunk->count;
  if (!is_deque()) {
    shrink_single();
    return;
  }
  take_totals(1, size);
  if (chunk->count > 0) {
    deque()->slots()[index].count = chunk->count;
    return;
  }
  free_chunk(chunk);
  close_slots(index, 1);
  simplify();
}

// After a removal from a list of one chunk.
void List::shrink_single() {
  Chunk* chunk = single();
  if (chunk->count == 0) {
    free_chunk(chunk);
    bits_ = 0;
  } else if (chunk->capacity > kShrinkFrom && chunk->used() < chunk->capacity / 4) {
    bits_ = reinterpret_cast<uintptr_t>(resized(chunk, chunk->used() * 2, End::kBack));
  }
}

// ---- the middle
// ---------------------------------------------------------------------------------------

List::Position List::locate(size_t index) const {
  if (!is_deque()) return {0, index, seek(single(), index)};
  const Deque* array = deque();
  const Slot* slots = array->slots();
  size_t chunk;
  if (index < array->size / 2) {
    for (chunk = 0; index >= slots[chunk].count; ++chunk) index -= slots[chunk].count;
  } else {
    size_t from_end = array->size - index;  // >= 1
    for (chunk = array->chunks - 1; from_end > slots[chunk].count; --chunk) {
      from_end -= slots[chunk].count;
    }
    index = slots[chunk].count - from_end;
  }
  return {chunk, index, seek(slots[chunk].chunk, index)};
}

bool List::step_forward(Position& position) const {
  const Chunk* chunk = chunk_at(position.chunk);
  if (position.index_in_chunk + 1 < chunk->count) {
    ++position.index_in_chunk;
    position.at += element_size(value_at(position).size());
    return true;
  }
  if (position.chunk + 1 >= chunk_count()) return false;
  ++position.chunk;
  position.index_in_chunk = 0;
  position.at = chunk_at(position.chunk)->first();
  return true;
}

bool List::step_back(Position& position) const {
  if (position.index_in_chunk == 0) {
    if (position.chunk == 0) return false;
    --position.chunk;
    const Chunk* chunk = chunk_at(position.chunk);
    position.index_in_chunk = chunk->count;
    position.at = chunk->bytes() + chunk->end;
  }
  --position.index_in_chunk;
  size_t length;
  position.at = packed::read_length_before(position.at, length);
  position.at -= length + packed::length_size(length);
  return true;
}

std::string_view List::at(size_t index) const { return value_at(locate(index)); }

void List::set(size_t index, std::string_view value) {
  const Position position = locate(index);
  const std::string_view old = value_at(position);
  Chunk* chunk = chunk_at(position.chunk);
  if (old.size() == value.size()) {
    char* const at = chunk->bytes() + (old.data() - chunk->bytes());
    if (!value.empty()) std::memcpy(at, value.data(), value.size());
    return;
  }
  take_totals(1, cut(chunk, position.index_in_chunk, 1));
  if (chunk->count == 0) {
    const size_t need = element_size(value.size());
    free_chunk(chunk);
    chunk = new_chunk(need, End::kFront);
    append(chunk, End::kBack, value);
    note_chunk(position.chunk, chunk);
    add_totals(1, need);
    return;
  }
  note_chunk(position.chunk, chunk);
  insert_at(position.chunk, position.index_in_chunk, value);
}

void List::insert(size_t index, std::string_view value) {
  if (index == 0 || index == size()) {
    push(index == 0 ? End::kFront : End::kBack, value);
    return;
  }
  const Position position = locate(index);
  insert_at(position.chunk, position.index_in_chunk, value);
}

// Puts `value` before element `at` (at <= count) of chunk `index`.
void List::insert_at(size_t index, size_t at, std::string_view value) {
  const size_t need = element_size(value.size());
  Chunk* chunk = chunk_at(index);
  const size_t wanted = chunk->used() + need;
  if (chunk->capacity < wanted && wanted <= kChunkCapacity) {
    const size_t capacity = is_deque() ? kChunkCapacity : wanted + wanted / 4;
    chunk = resized(chunk, std::min(capacity, kChunkCapacity), End::kBack);
  }
  if (chunk->capacity <= kChunkCapacity && chunk->capacity >= wanted) {
    insert_in_chunk(chunk, at, value);
    note_chunk(index, chunk);
    add_totals(1, need);
    return;
  }
  if (!is_deque()) become_deque();
  if (at > 0 && at < chunk->count) split(index, at);
  // Now the place is between two chunks: `behind` and the one before it.
  const size_t behind = at == 0 ? index : index + 1;
  add_totals(1, need);
  if (behind > 0 && make_room(chunk_at(behind - 1), End::kBack, need)) {
    append(chunk_at(behind - 1), End::kBack, value);
    note_chunk(behind - 1, chunk_at(behind - 1));
  } else if (behind < deque()->chunks && make_room(chunk_at(behind), End::kFront, need)) {
    append(chunk_at(behind), End::kFront, value);
    note_chunk(behind, chunk_at(behind));
  } else {
    Chunk* own = new_chunk(need > kOwnChunkFrom ? need : kChunkCapacity, End::kFront);
    append(own, End::kBack, value);
    insert_chunk(behind, own);
  }
}

void List::erase(size_t first, size_t count) {
  if (count == 0) return;
  if (count == size()) {
    destroy();
    return;
  }
  const Position from = locate(first);
  if (!is_deque()) {
    cut(single(), first, count);
    shrink_single();
    return;
  }
  size_t index = from.chunk;
  size_t skip = from.index_in_chunk;
  size_t gone = 0;  // chunks
  size_t gone_from = 0;
  for (size_t left = count; left > 0; ++index, skip = 0) {
    Chunk* chunk = chunk_at(index);
    const size_t here = std::min<size_t>(left, chunk->count - skip);
    left -= here;
    if (here < chunk->count) {
      take_totals(here, cut(chunk, skip, here));
      note_chunk(index, chunk);
      continue;
    }
    take_totals(here, chunk->used());
    free_chunk(chunk);
    if (gone++ == 0) gone_from = index;
  }
  if (gone > 0) close_slots(gone_from, gone);
  merge_around(std::min<size_t>(from.chunk, deque()->chunks - 1));
  simplify();
}

size_t List::remove_equal(std::string_view value, size_t limit, End from) {
  const size_t chunks = chunk_count();
  size_t removed = 0;
  for (size_t step = 0; step < chunks && removed < limit; ++step) {
    const size_t index = from == End::kFront ? step : chunks - 1 - step;
    Chunk* chunk = chunk_at(index);
    const size_t matches = count_in_chunk(chunk, value);
    if (matches == 0) continue;
    const size_t here = std::min(matches, limit - removed);
    remove_in_chunk(chunk, value, from == End::kFront ? 0 : matches - here, here);
    note_chunk(index, chunk);
    take_totals(here, here * element_size(value.size()));
    removed += here;
  }
  if (removed == 0) return 0;
  if (!is_deque()) {
    shrink_single();
  } else {
    join_chunks();
  }
  return removed;
}

// Frees empty chunks and merges neighbours, in one pass over the array.
void List::join_chunks() {
  Slot* slots = deque()->slots();
  size_t kept = 0;
  for (size_t index = 0; index < deque()->chunks; ++index) {
    Chunk* chunk = slots[index].chunk;
    if (chunk->count == 0) {
      free_chunk(chunk);
    } else if (kept > 0 && can_merge(slots[kept - 1].chunk, chunk)) {
      chunk = merged(slots[kept - 1].chunk, chunk);
      slots[kept - 1] = Slot{chunk, chunk->count};
    } else {
      slots[kept++] = Slot{chunk, chunk->count};
    }
  }
  const size_t closed = deque()->chunks - kept;
  if (closed > 0) close_slots(kept, closed);
  simplify();
}

// ---- the whole
// ------------------------------------------------------------------------------------------

std::string_view List::encoding_name(const StoreSettings& settings) const {
  constexpr std::string_view kSmall = "listpack";
  constexpr std::string_view kLarge = "quicklist";
  if (bits_ == 0) return kSmall;
  constexpr size_t kHeader = 7;  // of Redis' listpack, whose sizes the setting speaks of
  constexpr size_t kSafeBytes = 8192;
  const size_t bytes = (is_deque() ? deque()->bytes : single()->used()) + kHeader;
  const int64_t limit = settings.list_max_listpack_size;
  if (limit < 0) {
    const int64_t step = std::min<int64_t>(-limit, 5) - 1;
    return bytes <= (size_t{4096} << step) ? kSmall : kLarge;
  }
  const auto count = static_cast<size_t>(std::max<int64_t>(limit, 1));
  return size() <= count && bytes <= kSafeBytes ? kSmall : kLarge;
}

size_t List::memory_bytes() const {
  if (bits_ == 0) return 0;
  if (!is_deque()) return block_good_size(single()->allocated());
  size_t bytes = block_good_size(Deque::allocation(deque()->capacity));
  for (size_t i = 0; i < deque()->chunks; ++i) bytes += block_good_size(chunk_at(i)->allocated());
  return bytes;
}

bool List::destroy_some(size_t& budget) {
  if (bits_ != 0 && !is_deque()) {
    free_chunk(single());
    bits_ = 0;
    budget -= std::min<size_t>(budget, 1);
  }
  if (bits_ == 0) return true;
  Deque* array = deque();
  for (; array->chunks > 0; --array->chunks) {
    if (budget == 0) return false;
    free_chunk(array->slots()[array->chunks - 1].chunk);
    budget -= std::min(budget, kChunkCost);
  }
  simplify();
  return true;
}

void List::destroy() {
  size_t everything = SIZE_MAX;
  CHECK(destroy_some(everything));
}

void List::clone_into(List& copy) const {
  DCHECK(copy.empty());
  if (bits_ == 0) return;
  const auto clone = [](const Chunk* chunk) {
    Chunk* made = new_chunk(chunk->used(), End::kFront);
    copy_elements(made, End::kBack, chunk);
    return made;
  };
  if (!is_deque()) {
    copy.bits_ = reinterpret_cast<uintptr_t>(clone(single()));
    return;
  }
  const Deque* array = deque();
  auto* made = static_cast<Deque*>(block_alloc(Deque::allocation(array->capacity)));
  *made = *array;
  for (size_t i = 0; i < array->chunks; ++i) {
    Chunk* chunk = clone(array->slots()[i].chunk);
    made->slots()[i] = Slot{chunk, chunk->count};
  }
  copy.bits_ = reinterpret_cast<uintptr_t>(made) + kDequeTag;
}

}  // namespace quorate
