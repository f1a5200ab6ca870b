// The hot path: from bytes to executed commands.
#include "node/input.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "commands/errors.h"
#include "node/blocking.h"
#include "node/execute.h"
#include "node/followers.h"
#include "node/node.h"
#include "node/output.h"

namespace quorate {

namespace {

// Kept for the next bytes when an input buffer is emptied; more is given back.
constexpr size_t kInlineSizeMax = 64 * 1024;

RequestLimits limits_of(const NodeState& node, const Session& session) {
  return {.inline_size_max = kInlineSizeMax,
          .bulk_size_max = node.store_settings.proto_max_bulk_len,
          .authenticated = !session.has(kNeedsAuth)};
}

bool is_stopped(const NodeState& node, const Session& session) {
  return session.has(kStopsInput) || (node.flags & kNodeBusy) != 0;
}

// Row and key of a batch's request.
void find_row(NodeState& node, size_t index, Args args) {
  Command* const row = node.commands.find(args[0]);
  node.batch_rows[index] = row;
  const bool takes_key = row != nullptr && row->has_first_key && args.size() >= 2;
  node.batch_keys[index] = takes_key ? node.store.make_key(args[1]) : Key{};
}

bool has_key(const NodeState& node, size_t index) { return node.batch_keys[index].bytes.data() != nullptr; }

// Of a batch those whose keys are likely to be looked at here, a bit each: what another node leads runs there.
using Lookups = uint32_t;
static_assert(NodeState::kBatchMax <= 32);

bool may_look_up(const NodeState& node, const Session& session, size_t index) {
  if (!has_key(node, index)) return false;
  if ((node.flags & kNodeInCompany) == 0 || node.company.serves(node.store.partition_of(node.batch_keys[index].slot))) return true;
  return session.has(kHasLevels | kReadonlyReplica) || !node.company.levels_are_plain();
}

// Requires: the buckets have been prefetched.  Looks at the keys' hashes only: their bytes may be gone.
void prefetch_entries(const NodeState& node, const Db& db, Lookups lookups) {
  for (Lookups left = lookups; left != 0; left &= left - 1) db.prefetch_entry(node.batch_keys[static_cast<size_t>(std::countr_zero(left))]);
  for (Lookups left = lookups; left != 0; left &= left - 1) {
    const auto index = static_cast<size_t>(std::countr_zero(left));
    if (node.batch_rows[index]->removes_key) db.prefetch_removal(node.batch_keys[index]);
  }
}

// Finds rows and keys of a batch and starts loading the memory that they will need.  Three misses of a command
// (bucket, entry, value) overlap with those of its neighbours instead of following one another.
void look_ahead(NodeState& node, const Session& session) {
  const Db& db = node.store.database(session.database);
  const size_t count = node.requests.size();
  Lookups lookups = 0;
  for (size_t index = 0; index < count; ++index) {
    find_row(node, index, node.requests[index].args);
    if (count == 1 || !may_look_up(node, session, index)) continue;
    lookups |= Lookups{1} << index;
    db.prefetch_bucket(node.batch_keys[index]);
  }
  prefetch_entries(node, db, lookups);
  for (Lookups left = lookups; left != 0; left &= left - 1) {
    const auto index = static_cast<size_t>(std::countr_zero(left));
    const size_t member_at = node.batch_rows[index]->spec->member_at;
    const Args args = node.requests[index].args;
    if (member_at != 0 && member_at < args.size()) db.prefetch_member(node.batch_keys[index], args[member_at]);
  }
}

// The same for the first requests of several sessions, of the first one's database.  Only a hint: they are parsed again when they run.
void look_ahead(NodeState& node, std::span<const Received> inputs) {
  const Db& db = node.store.database(inputs.front().session->database);
  size_t count = 0;
  Lookups lookups = 0;
  for (const auto& [session, bytes] : inputs) {
    if (!session->in.empty() || is_stopped(node, *session)) continue;
    size_t consumed = 0;
    node.fresh_parser.parse(bytes, limits_of(node, *session), 1, node.requests, consumed);
    if (node.requests.empty()) {
      node.fresh_parser = RequestParser();
      continue;
    }
    find_row(node, count, node.requests.front().args);
    if (!may_look_up(node, *session, count)) continue;
    db.prefetch_bucket(node.batch_keys[count]);
    lookups |= Lookups{1} << count++;
  }
  prefetch_entries(node, db, lookups);
}

// Runs the parsed requests; returns how many (fewer if the session has to stop).
size_t run_batch(NodeState& node, Session& session) {
  look_ahead(node, session);
  node.buffers.lend(session.out);
  const size_t count = node.requests.size();
  BatchClock clock(node, count);
  for (size_t index = 0; index < count; ++index) {
    const Args args = node.requests[index].args;
    node.batch_index = index;
    execute(node, session, node.batch_rows[index], args, node.batch_keys[index], clock);
    if (session.has(kStopsInput)) [[unlikely]] {
      clock.finish();
      return index + 1;
    }
  }
  clock.finish();
  return count;
}

void refuse_protocol(NodeState& node, Session& session, std::string_view text) {
  const Error error = errors::protocol(text);
  reply_error(node, session, error_line(error));
  close_session(node, session, CloseWhen::kAfterReply);
}

// Parses and runs `input` until it is used up or the session must stop.  Returns how many bytes are done with.
size_t run_input(NodeState& node, Session& session, RequestParser& parser, std::string_view input) {
  size_t done = 0;
  while (true) {
    size_t consumed = 0;
    const auto outcome = parser.parse(input.substr(done), limits_of(node, session),
                                      NodeState::kBatchMax, node.requests, consumed);
    const size_t parsed = node.requests.size();
    if (parsed != 0) {
      const size_t ran = run_batch(node, session);
      if (session.has(kClosing | kCloseAfterReply)) return input.size();
      if (ran < parsed) {
        // What was parsed ahead is parsed again when the session goes on.
        const char* const next = node.requests[ran].raw.data();
        parser = RequestParser();
        return static_cast<size_t>(next - input.data());
      }
    }
    done += consumed;
    if (outcome == RequestParser::Outcome::kProtocolError) {
      refuse_protocol(node, session, parser.error_text());
      return input.size();
    }
    if (parsed < NodeState::kBatchMax || session.has(kStopsInput)) return done;
  }
}

// Runs what stands in session.in.
void run_pending(NodeState& node, Session& session) {
  if (session.parser == nullptr) session.parser = std::make_unique<RequestParser>();
  const size_t done = run_input(node, session, *session.parser, session.in.view());
  if (done == session.in.size()) {
    node.buffers.take_back(session.in);
    session.parser.reset();
    return;
  }
  if (done != 0) session.in.drop_front(done);
}

void append_input(NodeState& node, Session& session, std::string_view bytes) {
  if (bytes.data() == session.in.data() + session.in.size() && session.read_reserved != 0) {
    session.in.commit(bytes.size());  // read_target() gave the place
  } else {
    node.buffers.lend(session.in);
    session.in.append(bytes);
  }
  session.read_reserved = 0;
}

}  // namespace

void begin_input(NodeState& node, Instant now) {
  // Inputs of a turn carry the time at which it began, and may follow raise_clock().
  now.steady_us = std::max(now.steady_us, node.now.steady_us);
  node.wall_ms = now.unix_ms;
  node.now = {.steady_us = now.steady_us, .unix_ms = std::min(now.unix_ms, now.steady_us / 1000 + node.time_limit_offset_ms)};
  // While the wall clock is behind what it was, or behind the log, time goes on at half its rate: it stands for what
  // has expired, so it never runs back.
  const int64_t least_ms = node.newest_time.unix_ms + (now.steady_us - node.newest_time.steady_us) / 2000;
  if (node.now.unix_ms >= least_ms) [[likely]] {
    node.newest_time = node.now;
  } else {
    node.now.unix_ms = least_ms;
  }
  node.store.set_now(node.now.unix_ms);
}

void raise_time(NodeState& node, int64_t unix_ms) {
  node.newest_stamp_ms = std::max(node.newest_stamp_ms, unix_ms);
  if (unix_ms <= node.now.unix_ms) [[likely]]
    return;
  node.newest_time = {.steady_us = node.now.steady_us, .unix_ms = unix_ms};
  node.now.unix_ms = unix_ms;
  node.store.set_now(unix_ms);
}

void raise_clock(NodeState& node, int64_t steady_us) {
  if (node.mistakes.believes_turns_clock) return;
  node.now.steady_us = std::max(node.now.steady_us, steady_us);
}

void limit_time(NodeState& node, int64_t latest_ms) {
  node.time_limit_offset_ms = latest_ms - node.now.steady_us / 1000;
  // What no record says was never said to anybody.
  const int64_t least_ms = std::max(latest_ms, node.newest_stamp_ms);
  if (node.newest_time.unix_ms <= least_ms) return;
  node.newest_time = {.steady_us = node.now.steady_us, .unix_ms = least_ms};
  node.now.unix_ms = least_ms;
  node.store.set_now(least_ms);
}

void take_input(NodeState& node, Session& session, std::string_view bytes) {
  node.statistics.bytes_received += bytes.size();
  ++node.statistics.reads_processed;
  if (session.has(kClosing | kCloseAfterReply)) return;
  session.active_us = node.now.steady_us;
  if (session.in.empty() && !is_stopped(node, session)) [[likely]] {
    // The common case: nothing is left over, and the requests are parsed where the driver read them.
    const size_t done = run_input(node, session, node.fresh_parser, bytes);
    if (done != bytes.size() || session.has(kClosing | kCloseAfterReply)) {
      node.fresh_parser = RequestParser();
      if (done != bytes.size()) append_input(node, session, bytes.substr(done));
    }
  } else {
    append_input(node, session, bytes);
    if (!is_stopped(node, session)) run_pending(node, session);
  }
  if (session.in.size() > node.settings.client_query_buffer_limit) [[unlikely]] {
    ++node.statistics.query_buffer_disconnections;
    session.set(kAbortClose);
    close_session(node, session, CloseWhen::kNow);
    return;
  }
  if (!session.out.empty() || session.has(kCloseAfterReply)) queue_flush(node, session);
  if (!session.in.empty() && session.has(kStopsInput)) update_reading(node, session);
}

void take_inputs(NodeState& node, std::span<const Received> inputs) {
  while (!inputs.empty()) {
    const auto batch = inputs.first(std::min(inputs.size(), NodeState::kBatchMax));
    inputs = inputs.subspan(batch.size());
    if (batch.size() > 1) look_ahead(node, batch);
    for (const Received& input : batch) take_input(node, *input.session, input.bytes);
  }
}

void resume_later(NodeState& node, Session& session) {
  if (session.has(kQueuedToResume)) return;
  session.set(kQueuedToResume);
  node.to_resume.push_back(&session);
}

void end_turn(NodeState& node) {
  // A resumed session may make others ready, which resume in turn.
  for (size_t index = 0; index < node.to_resume.size(); ++index) {
    Session& session = *node.to_resume[index];
    session.clear(kQueuedToResume);
    if (!session.in.empty() && !is_stopped(node, session)) run_pending(node, session);
    update_reading(node, session);
    if (!session.out.empty()) queue_flush(node, session);
  }
  node.to_resume.clear();
  if (node.flags & kNodeFollowed) [[unlikely]]
    end_unit(node);
  if (node.company.is_alone()) node.durability.end_turn(node.now.unix_ms);
  effects_are_forgotten(node.followers);
  end_turn_of_persistence(node);
}

}  // namespace quorate
