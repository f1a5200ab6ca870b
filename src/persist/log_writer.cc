// Building records, and the book of what was asked of the disk and what became of it.
#include "persist/log_writer.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "util/check.h"
#include "util/varint.h"

namespace quorate {

LogWriter::LogWriter(const Options& options, const LogPosition& position,
                     std::vector<uint64_t> segments)
    : options_(options),
      position_(position),
      begun_at_(position.next_sequence),
      segments_(segments.begin(), segments.end()),
      segment_sizes_(segments.size(), 0),
      sync_wanted_(position.next_sequence - 1),
      sync_asked_(position.next_sequence - 1),
      written_(position.next_sequence - 1),
      synced_(position.next_sequence - 1) {}

void LogWriter::ask(Flight&& flight, Buffer&& bytes, std::vector<DiskRequest>& requests) {
  if (failure_ != Failure::kNone) {
    // It would be refused like what is under way, which comes to an end so: only then can all be tried again, and where a disk is slow
    // there is always something under way otherwise.
    if (flight.op == DiskRequest::Op::kSync) --syncs_in_flight_;
    held_.push_back({std::move(flight), std::move(bytes)});
    return;
  }
  flight.id = next_id_++;
  flight.bytes = bytes.size();
  in_flight_bytes_ += flight.bytes;
  requests.push_back(
      DiskRequest{.id = flight.id,
                  .lane = DiskLane::kLog,
                  .op = flight.op,
                  .file = flight.file,
                  .to = {},
                  .size = flight.op == DiskRequest::Op::kTruncate ? flight.offset : 0,
                  .heals = flight.heals,
                  .bytes = std::move(bytes)});
  flights_.push_back(std::move(flight));
}

void LogWriter::ask_sync(std::vector<DiskRequest>& requests) {
  sync_asked_ = appended();
  ++syncs_in_flight_;
  ask({.op = DiskRequest::Op::kSync, .file = segment_, .sequence = appended()}, {}, requests);
}

void LogWriter::start_segment(std::vector<DiskRequest>& requests) {
  if (!segment_.empty()) ask_sync(requests);
  const bool is_oldest = segments_.empty() || segments_.front() == position_.next_sequence;
  // What was there before a log that is switched on again does not lead up to it.
  const bool awaits = position_.base == LogBase::kAwaits && position_.next_sequence == begun_at_;
  const LogBase base = is_oldest || awaits ? position_.base : LogBase::kFollows;
  // An empty segment has the name of the one that replaces it.
  if (segments_.empty() || segments_.back() != position_.next_sequence) {
    segments_.push_back(position_.next_sequence);
    segment_sizes_.push_back(0);
  }
  segment_ = segment_name(options_.shard, position_.next_sequence);
  segment_kind_.reset();
  const SegmentHeader header{.shard = options_.shard,
                             .partitions = options_.partitions,
                             .log_id = position_.log_id,
                             .first_sequence = position_.next_sequence,
                             .chain = position_.chain,
                             .base = base};
  Buffer bytes;
  bytes.append(header.encode());
  log_size_ += bytes.size() - segment_sizes_.back();
  segment_size_ = segment_sizes_.back() = bytes.size();
  ask({.op = DiskRequest::Op::kCreate, .file = segment_}, {}, requests);
  ask({.op = DiskRequest::Op::kAppend, .file = segment_, .sequence = appended()}, std::move(bytes),
      requests);
  ask_sync(requests);
  ask({.op = DiskRequest::Op::kSyncDirectory, .file = segment_}, {}, requests);
}

uint64_t LogWriter::append(std::span<const LogEntry> entries, int64_t unix_ms,
                           std::vector<DiskRequest>& requests) {
  CHECK(!segment_.empty());
  size_t room = RecordHeader::kSize;
  for (const LogEntry& entry : entries) room += 4 * kVarintMax + entry.batch.size();
  Buffer bytes;
  char* const begin = bytes.reserve(room);
  char* at = begin + RecordHeader::kSize;
  for (const LogEntry& entry : entries) {
    at = put_varint(at, entry.partition == kMixedPartition ? 0 : uint64_t{entry.partition} + 1);
    at = put_varint(at, entry.term);
    at = put_varint(at, entry.index);
    at = put_varint(at, entry.batch.size());
    if (!entry.batch.empty()) std::memcpy(at, entry.batch.data(), entry.batch.size());
    at += entry.batch.size();
  }
  bytes.commit(static_cast<size_t>(at - begin));
  return add_record(RecordHeader::Kind::kTurn, std::move(bytes), unix_ms, requests);
}

uint64_t LogWriter::append_groups(std::string_view body, int64_t unix_ms,
                                  std::vector<DiskRequest>& requests) {
  Buffer record = begin_record();
  record.append(body);
  return append_groups(std::move(record), unix_ms, requests);
}

Buffer LogWriter::begin_record() {
  Buffer record;
  record.reserve(RecordHeader::kSize);
  record.commit(RecordHeader::kSize);
  return record;
}

uint64_t LogWriter::append_groups(Buffer&& record, int64_t unix_ms, std::vector<DiskRequest>& requests) {
  CHECK(!segment_.empty());
  if (segment_kind_ == RecordHeader::Kind::kTurn) start_segment(requests);
  return add_record(RecordHeader::Kind::kGroups, std::move(record), unix_ms, requests);
}

uint64_t LogWriter::add_record(RecordHeader::Kind kind, Buffer&& bytes, int64_t unix_ms,
                               std::vector<DiskRequest>& requests) {
  CHECK(!segment_kind_ || segment_kind_ == kind);
  segment_kind_ = kind;
  const size_t size = bytes.size();
  const std::string_view body = bytes.view_from(RecordHeader::kSize);
  position_.chain = log_chain(position_.chain, body);
  const uint64_t sequence = position_.next_sequence++;
  RecordHeader{.kind = kind,
               .body_size = body.size(),
               .sequence = sequence,
               .synced = synced_,
               .unix_ms = unix_ms,
               .chain = position_.chain}
      .encode(bytes.data());
  const uint64_t offset = segment_size_;
  segment_size_ += size;
  segment_sizes_.back() += size;
  log_size_ += size;
  ask({.op = DiskRequest::Op::kAppend, .file = segment_, .sequence = sequence, .offset = offset},
      std::move(bytes), requests);
  return sequence;
}

void LogWriter::sync(std::vector<DiskRequest>& requests) {
  sync_wanted_ = appended();
  if (sync_asked_ < sync_wanted_ && syncs_in_flight_ == 0) ask_sync(requests);
}

void LogWriter::drop_before(uint64_t sequence, std::vector<DiskRequest>& requests) {
  // The segment written to stays, whatever it holds.
  while (segments_.size() > 1 && segments_[1] <= sequence) {
    ask({.op = DiskRequest::Op::kRemove, .file = segment_name(options_.shard, segments_.front())},
        {}, requests);
    log_size_ -= segment_sizes_.front();
    segments_.pop_front();
    segment_sizes_.pop_front();
    // The oldest that is left has a past, also if it is made anew.
    position_.base = LogBase::kFollows;
  }
}

uint64_t LogWriter::oldest_work() const {
  for (const Flight& flight : flights_) {
    if (flight.op != DiskRequest::Op::kRemove) return flight.id;
  }
  return 0;
}

void LogWriter::count_success(const Flight& flight) {
  if (flight.op == DiskRequest::Op::kAppend && flight.sequence > written_) {
    written_ = flight.sequence;
  }
  if (flight.op == DiskRequest::Op::kSync && flight.sequence > synced_) synced_ = flight.sequence;
}

void LogWriter::on_reply(DiskReply&& reply, std::vector<DiskRequest>& requests) {
  CHECK(!flights_.empty());
  CHECK(flights_.front().id == reply.id);
  Flight flight = std::move(flights_.front());
  flights_.pop_front();
  in_flight_bytes_ -= flight.bytes;
  if (flight.op == DiskRequest::Op::kSync) --syncs_in_flight_;
  if (reply.status.ok()) {
    count_success(flight);
    if (failure_ == Failure::kNone && syncs_in_flight_ == 0 && sync_asked_ < sync_wanted_) {
      ask_sync(requests);
    }
    return;
  }
  // A segment that cannot be removed wastes room and harms nothing: recovery removes it.
  if (flight.op == DiskRequest::Op::kRemove && failure_ == Failure::kNone) return;
  if (failure_ == Failure::kNone) {
    const bool was_sync =
        flight.op == DiskRequest::Op::kSync || flight.op == DiskRequest::Op::kSyncDirectory;
    failure_ = was_sync ? Failure::kFatal : Failure::kRetry;
    failure_detail_ = reply.status.error().detail();
  }
  refused_.push_back({std::move(flight), std::move(reply.bytes)});
}

void LogWriter::retry(std::vector<DiskRequest>& requests) {
  CHECK(failure_ == Failure::kRetry);
  CHECK(flights_.empty());
  CHECK(!refused_.empty());
  failure_ = Failure::kNone;
  failure_detail_.clear();
  const Flight& first = refused_.front().flight;
  if (first.op == DiskRequest::Op::kAppend) {
    ask({.op = DiskRequest::Op::kTruncate,
         .file = first.file,
         .offset = first.offset,
         .heals = true},
        {}, requests);
  }
  std::deque<Refused> again;
  again.swap(refused_);
  std::move(held_.begin(), held_.end(), std::back_inserter(again));
  held_.clear();
  for (Refused& refused : again) refused.flight.heals = false;
  if (again.front().flight.op != DiskRequest::Op::kAppend) again.front().flight.heals = true;
  for (Refused& refused : again) {
    if (refused.flight.op == DiskRequest::Op::kSync) ++syncs_in_flight_;
    ask(std::move(refused.flight), std::move(refused.bytes), requests);
  }
}

}  // namespace quorate
