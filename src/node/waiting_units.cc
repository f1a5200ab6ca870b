// Units stand in one vector and their requests in one buffer; what is over is left behind until it is more than what is not.
#include "node/waiting_units.h"

#include <algorithm>
#include <cstring>

#include "util/check.h"

namespace quorate {

WaitingUnit& WaitingUnits::add_unit(UnitKind kind, size_t size) {
  constexpr size_t kOverMin = 64;
  constexpr size_t kGoneBytesMin = 4096;
  if (units_.size() - count_ > count_ + kOverMin) forget_units();
  if (bytes_.size() - live_requests_ > live_requests_ + kGoneBytesMin) forget_bytes();
  WaitingUnit& unit = units_.emplace_back();
  unit.number = ++last_number_;
  unit.kind = kind;
  unit.requests_at = bytes_.size();
  unit.requests_size = size;
  ++count_;
  if (kind != UnitKind::kBlocks) {
    ++bounded_count_;
    bounded_bytes_ += size;
  }
  uint64_t& first = first_[static_cast<size_t>(kind)];
  if (first == kNone) first = unit.number;
  return unit;
}

WaitingUnit& WaitingUnits::add(UnitKind kind, std::string_view requests) {
  WaitingUnit& unit = add_unit(kind, requests.size());
  bytes_.append(requests);
  live_requests_ += requests.size();
  return unit;
}

WaitingUnit& WaitingUnits::add(UnitKind kind, SharedBytes requests) {
  WaitingUnit& unit = add_unit(kind, requests.size());
  unit.large = std::move(requests);
  return unit;
}

void WaitingUnits::set_watched(WaitingUnit& unit, std::string_view watched) {
  CHECK(unit.kind != UnitKind::kBlocks);
  bounded_bytes_ += watched.size() - unit.watched.size();
  unit.watched = watched;
}

void WaitingUnits::remove(size_t place) {
  WaitingUnit& unit = units_[place];
  CHECK(!unit.is_over);
  unit.is_over = true;
  if (unit.large.empty()) live_requests_ -= unit.requests_size;
  unit.large = SharedBytes();
  if (unit.kind != UnitKind::kBlocks) {
    --bounded_count_;
    bounded_bytes_ -= unit.requests_size + unit.watched.size();
  }
  if (!unit.watched.empty()) unit.watched = std::string();
  if (uint64_t& first = first_[static_cast<size_t>(unit.kind)]; first == unit.number) {
    size_t next = place + 1;
    while (next < units_.size() && (units_[next].is_over || units_[next].kind != unit.kind)) ++next;
    first = next < units_.size() ? units_[next].number : kNone;
  }
  if (--count_ != 0) {
    while (units_[front_].is_over) ++front_;
    return;
  }
  CHECK(bounded_count_ == 0);
  CHECK(bounded_bytes_ == 0);
  front_ = 0;
  units_.clear();
  if (units_.capacity() > kUnitsKept) units_.shrink_to_fit();
  bytes_.clear();
  if (bytes_.capacity() > kBytesKept) bytes_.release();
}

void WaitingUnits::forget_units() {
  std::erase_if(units_, [](const WaitingUnit& unit) { return unit.is_over; });
  front_ = 0;
}

void WaitingUnits::forget_bytes() {
  size_t end = 0;
  for (WaitingUnit& unit : units_) {
    if (unit.is_over || !unit.large.empty()) continue;
    std::memmove(bytes_.data() + end, bytes_.data() + unit.requests_at, unit.requests_size);
    unit.requests_at = end;
    end += unit.requests_size;
  }
  bytes_.truncate(end);
}

size_t WaitingUnits::place_of(uint64_t number) const {
  if (front_ == units_.size() || units_[front_].number >= number) return front_;
  // Seldom does one go before those in front of it, and then it stays where it is for a while.
  const size_t guess = front_ + static_cast<size_t>(number - units_[front_].number);
  if (guess < units_.size() && units_[guess].number == number) [[likely]]
    return guess;
  const auto found = std::lower_bound(units_.begin() + static_cast<std::ptrdiff_t>(front_), units_.end(), number,
                                      [](const WaitingUnit& unit, uint64_t wanted) { return unit.number < wanted; });
  return static_cast<size_t>(found - units_.begin());
}

size_t WaitingUnits::find(uint64_t number) const {
  const size_t place = place_of(number);
  const bool is_there = place < units_.size() && units_[place].number == number && !units_[place].is_over;
  return is_there ? place : units_.size();
}

size_t WaitingUnits::first_bounded() const {
  uint64_t number = kNone;
  for (const UnitKind kind : {UnitKind::kReads, UnitKind::kWrites, UnitKind::kWatches}) {
    number = std::min(number, first_[static_cast<size_t>(kind)]);
  }
  return place_or_end(number);
}

std::string_view WaitingUnits::requests(size_t place, size_t count) const {
  if (!units_[place].large.empty()) {
    CHECK(count == 1);
    return units_[place].large.view();
  }
  const WaitingUnit& last = units_[place + count - 1];
  const size_t begin = units_[place].requests_at;
  return bytes_.view().substr(begin, last.requests_at + last.requests_size - begin);
}

}  // namespace quorate
