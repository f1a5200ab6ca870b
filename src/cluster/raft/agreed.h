// What enough members of every active half agree on, read from the leader's rows.  For
// src/cluster/raft only.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "cluster/raft/configuration.h"
#include "cluster/raft/progress.h"
#include "cluster/raft/quorum.h"
#include "util/check.h"

namespace quorate::raft {

// The largest value that `needed_of(half)` voters reach in each half: the smaller one of the halves; 0
// if there are fewer.  `value` reads a row.  A voter without a row counts as 0.
template <class NeededOf, class Value>
uint64_t agreed_by(const Configuration& configuration, std::span<const Progress> rows,
                   NeededOf needed_of, Value value) {
  const auto of_half = [&](const Half& half, auto is_in) {
    std::array<uint64_t, kMembersMax> values;
    size_t count = 0;
    for (const Progress& row : rows) {
      if (!is_in(row)) continue;
      CHECK(count < values.size());
      values[count++] = value(row);
    }
    CHECK(count == half.voters.size());
    return reached_by(std::span(values.data(), count), needed_of(half));
  };
  const uint64_t incoming =
      of_half(configuration.incoming, [](const Progress& row) { return row.in_incoming; });
  if (!configuration.joint()) return incoming;
  const uint64_t outgoing =
      of_half(*configuration.outgoing, [](const Progress& row) { return row.in_outgoing; });
  return std::min(incoming, outgoing);
}

// The same for a quorum of `kind`.
template <class Value>
uint64_t agreed(const Configuration& configuration, std::span<const Progress> rows, QuorumKind kind,
                Value value) {
  return agreed_by(
      configuration, rows, [&](const Half& half) { return needed(half, kind); }, value);
}

// The same for times, which may be INT64_MIN ("never yet").
template <class Value>
int64_t agreed_time(const Configuration& configuration, std::span<const Progress> rows,
                    QuorumKind kind, Value value) {
  constexpr uint64_t kSign = uint64_t{1}
                             << 63;  // turned, the order of signed numbers is that of unsigned
  return static_cast<int64_t>(
      agreed(configuration, rows, kind,
             [&](const Progress& row) { return static_cast<uint64_t>(value(row)) ^ kSign; }) ^
      kSign);
}

}  // namespace quorate::raft
