// Recovery, step by step: list, snapshot, log, repair of the tail, cleaning.
#include "persist/recovery.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>

#include "persist/log_reader.h"

namespace quorate {

namespace {

// It is more than a tail that nobody was promised.  `sequence`: of the first record that cannot be
// read; nothing: the segment's header cannot.
bool is_proven(const SegmentReader::Damage& behind, std::optional<uint64_t> sequence) {
  return sequence ? behind.synced >= *sequence : behind.header_follows || behind.synced > 0;
}

class Recovery {
 public:
  Recovery(Disk& disk, const RecoveryOptions& options, RecoveryTarget& target)
      : disk_(disk), options_(options), target_(target) {}

  Result<RecoveryResult> run();

 private:
  // Between two records of a segment.
  struct Place {
    uint64_t offset = 0;
    uint64_t sequence = 0;  // of the record that begins there
    uint64_t chain = 0;     // of the record before
  };

  Status list();
  Status load_snapshot();
  Status load_snapshot_file(uint64_t sequence);
  Status check_reach();
  Error lost_snapshot() const;
  Status drop_awaiting_segments();
  Status replay();
  Status replay_segment(size_t index);
  Status check_header(const SegmentHeader& header, size_t index);
  Status bad_segment_header(SegmentReader& reader, size_t index);
  Status handle_damage(SegmentReader& reader, size_t index);
  Status cut(const SegmentReader& reader, size_t index, uint64_t offset);
  void note_record(const RecordHeader& header, const Place& place);
  Status rewrite_unproven();
  Error changed_since(const std::string& file, const Place& place) const;
  Status clean();

  static Place place_of(const SegmentReader& reader) {
    return {.offset = reader.offset(), .sequence = reader.next_sequence(), .chain = reader.chain()};
  }
  bool is_last(size_t index) const { return index + 1 == segments_.size(); }
  std::string name_of(size_t index) const { return segment_name(options_.shard, segments_[index]); }
  Error refuse(const std::string& file, uint64_t offset, const std::string& what) const;
  static Error misplaced(const std::string& file, const std::string& what);
  Status taken_of_snapshot(Status status);
  void note(std::string line) { result_.notes.push_back(std::move(line)); }

  Disk& disk_;
  const RecoveryOptions& options_;
  RecoveryTarget& target_;
  RecoveryResult result_;
  std::vector<uint64_t> snapshots_;  // ascending
  std::vector<uint64_t> segments_;   // ascending; those that count
  std::vector<std::string> leftovers_;
  bool have_snapshot_ = false;
  std::vector<std::string> damaged_;  // snapshots
  uint64_t damaged_sequence_ = 0;     // of the newest of them: the log must reach it without them
  std::optional<Error> damage_;       // of the newest of them
  bool snapshot_was_whole_ = false;   // one of them could be read, and was not understood

  // Of the segment that was read last: places in it, so many bytes apart, of which the first lies
  // before all records that nothing proves to have been synced; and where it ends.
  static constexpr uint64_t kPlaceBytes = 1 << 20;
  std::deque<Place> places_;
  Place end_;
  uint64_t proven_ = 0;  // every record up to this one is durable
};

Error Recovery::refuse(const std::string& file, uint64_t offset, const std::string& what) const {
  target_.damaged();
  std::string text = file + ": " + what + " at byte " + std::to_string(offset) +
                     "; records that were acknowledged may stand there, so nothing was changed. ";
  if (options_.on_damage != RecoveryOptions::OnDamage::kTell) {
    text += "Restore the directory from a copy, or start once with --log-repair cut to "
            "keep what comes before this place and set the rest aside";
  }
  return Error(ErrorCode::kCorrupt, std::move(text));
}

// Somebody has moved or renamed files: the disk has done nothing wrong.
Error Recovery::misplaced(const std::string& file, const std::string& what) {
  return Error(ErrorCode::kCorrupt,
               file + ": " + what + ", so nothing was changed. Restore the directory from a copy");
}

Status Recovery::taken_of_snapshot(Status status) {
  if (!status.ok()) snapshot_was_whole_ = true;
  return status;
}

Status Recovery::list() {
  TRY(const std::vector<std::string> files, disk_.list());
  for (const std::string& file : files) {
    const auto name = parse_name(file);
    if (!name || name->shard != options_.shard) continue;
    switch (name->kind) {
      case ParsedName::Kind::kSegment:
        segments_.push_back(name->sequence);
        break;
      case ParsedName::Kind::kSnapshot:
        snapshots_.push_back(name->sequence);
        break;
      case ParsedName::Kind::kTemporary:
        leftovers_.push_back(file);
        break;
    }
  }
  std::sort(segments_.begin(), segments_.end());
  std::sort(snapshots_.begin(), snapshots_.end());
  return done();
}

Status Recovery::load_snapshot_file(uint64_t sequence) {
  const std::string file = snapshot_name(options_.shard, sequence);
  SnapshotReader reader(disk_, file);
  TRY(reader.open());
  const SnapshotHeader& header = reader.header();
  if (header.shard != options_.shard || header.sequence != sequence) {
    snapshot_was_whole_ = true;
    return Error(ErrorCode::kCorrupt, file + ": the name and the header disagree");
  }
  if (header.partitions != options_.partitions) {
    return Error(ErrorCode::kInvalidArgument, file + ": made with partitions " +
                                                  std::to_string(header.partitions) + ", not " +
                                                  std::to_string(options_.partitions));
  }
  TRY(taken_of_snapshot(target_.snapshot_begin(header)));
  TRY(const std::string_view groups, reader.groups());
  if (!groups.empty()) TRY(taken_of_snapshot(target_.snapshot_groups(groups)));
  while (true) {
    TRY(const auto payload, reader.next());
    if (!payload) break;
    TRY(taken_of_snapshot(target_.snapshot_block(*payload)));
  }
  result_.position = {.log_id = header.log_id,
                      .next_sequence = header.sequence,
                      .chain = header.chain,
                      .base = LogBase::kFollows};
  result_.snapshot_sequence = sequence;
  result_.hash_seed = header.hash_seed;
  have_snapshot_ = true;
  return done();
}

// The newest that is whole.  An older one is as good, and so is a log that begins with nothing,
// since what is older is removed only after a snapshot is durable: whether the log fills what a
// damaged one leaves is seen when it has been read (check_reach).
Status Recovery::load_snapshot() {
  while (!snapshots_.empty() && !have_snapshot_) {
    const uint64_t sequence = snapshots_.back();
    Status loaded = load_snapshot_file(sequence);
    if (loaded.ok()) break;
    if (loaded.error().code() != ErrorCode::kCorrupt) return loaded;
    target_.forget();
    note("snapshot is damaged (" + std::string(loaded.error().detail()) +
         ") -> try an older one and the log");
    if (!damage_) damage_ = std::move(loaded).error();
    damaged_sequence_ = std::max(damaged_sequence_, sequence);
    damaged_.push_back(snapshot_name(options_.shard, sequence));
    snapshots_.pop_back();
  }
  return done();
}

// Requires: the log was read.
Status Recovery::check_reach() {
  if (!damage_ || (result_.found_anything && result_.position.next_sequence >= damaged_sequence_)) {
    return done();
  }
  return lost_snapshot();
}

Error Recovery::lost_snapshot() const {
  if (!snapshot_was_whole_) target_.damaged();
  std::string text = std::string(damage_->detail()) +
                     "; neither an older snapshot nor the log holds all that it held. ";
  if (options_.on_damage != RecoveryOptions::OnDamage::kTell) {
    text +=
        "Restore the directory from a copy, or move this file and the log away "
        "to start without their data";
  } else if (snapshot_was_whole_) {
    // Nobody else says more: the disk is not damaged.
    text += "Restore the directory from a copy";
  }
  return Error(ErrorCode::kCorrupt, std::move(text));
}

// A log that was switched on and whose base was never finished: what it follows is not on this
// disk.
Status Recovery::drop_awaiting_segments() {
  for (size_t index = 0; index < segments_.size(); ++index) {
    if (have_snapshot_ && segments_[index] <= result_.snapshot_sequence) continue;
    SegmentReader reader(disk_, name_of(index));
    TRY(const bool whole, reader.open());
    if (!whole || reader.header().base != LogBase::kAwaits) continue;
    note(name_of(index) +
         ": its first snapshot was never finished -> the log from here is dropped");
    for (size_t gone = index; gone < segments_.size(); ++gone) leftovers_.push_back(name_of(gone));
    segments_.resize(index);
    return done();
  }
  return done();
}

Status Recovery::check_header(const SegmentHeader& header, size_t index) {
  const std::string file = name_of(index);
  if (header.shard != options_.shard || header.first_sequence != segments_[index]) {
    return misplaced(file, "the name and the header disagree");
  }
  if (header.partitions != options_.partitions) {
    return Error(ErrorCode::kInvalidArgument, file + ": made with partitions " +
                                                  std::to_string(header.partitions) + ", not " +
                                                  std::to_string(options_.partitions));
  }
  LogPosition& position = result_.position;
  if (index == 0 && !have_snapshot_) {
    if (header.base != LogBase::kEmpty || header.first_sequence != 1) {
      if (damage_) return lost_snapshot();
      return refuse(file, 0, "the snapshot that this log follows is missing: damage");
    }
    position = {.log_id = header.log_id,
                .next_sequence = header.first_sequence,
                .chain = header.chain,
                .base = LogBase::kEmpty};
    return done();
  }
  if (header.log_id != position.log_id) return misplaced(file, "a segment of another log");
  if (header.first_sequence > position.next_sequence) {
    if (damage_ && header.first_sequence <= damaged_sequence_) return lost_snapshot();
    return refuse(file, 0,
                  "records " + std::to_string(position.next_sequence) + " to " +
                      std::to_string(header.first_sequence - 1) + " are missing: damage");
  }
  if (header.first_sequence == position.next_sequence && header.chain != position.chain) {
    return refuse(file, 0, "the chain of checksums is broken: damage");
  }
  return done();
}

Status Recovery::cut(const SegmentReader& reader, size_t index, uint64_t offset) {
  const std::string file = name_of(index);
  result_.cut_bytes += reader.size() - offset;
  if (offset == 0) {
    leftovers_.push_back(file);
    segments_.pop_back();
    return done();
  }
  return disk_.truncate(file, offset);
}

Status Recovery::handle_damage(SegmentReader& reader, size_t index) {
  const std::string file = name_of(index);
  const uint64_t offset = reader.offset();
  TRY(const SegmentReader::Damage damage, reader.classify_damage(reader.next_sequence()));
  const bool proven = !is_last(index) || is_proven(damage, reader.next_sequence());
  if (!proven) {
    note(file + ": torn record at byte " + std::to_string(offset) + " -> cut " +
         std::to_string(reader.size() - offset) + " bytes that nobody was promised");
    return cut(reader, index, offset);
  }
  if (options_.on_damage != RecoveryOptions::OnDamage::kCut) {
    return refuse(file, offset, "a damaged record");
  }
  // What is set aside keeps its bytes for whoever wants to look.
  for (size_t later = segments_.size() - 1; later > index; --later) {
    TRY(disk_.rename(name_of(later), name_of(later) + std::string(kDamagedSuffix)));
    segments_.pop_back();
  }
  note(file + ": damaged record at byte " + std::to_string(offset) + " -> cut as told");
  return cut(reader, index, offset);
}

// Nothing but the header stands before the first record, it is synced before a record is written,
// and nothing is written behind one that a full disk has torn (DiskExecutor): so a header that
// cannot be read means a crash while the segment was made, unless records follow.
Status Recovery::bad_segment_header(SegmentReader& reader, size_t index) {
  TRY(const SegmentReader::Damage damage, reader.classify_damage(0));
  const bool proven = !is_last(index) || is_proven(damage, std::nullopt);
  if (proven && options_.on_damage != RecoveryOptions::OnDamage::kCut) {
    return refuse(name_of(index), 0, "a damaged segment header");
  }
  for (size_t later = segments_.size() - 1; later > index; --later) {
    TRY(disk_.rename(name_of(later), name_of(later) + std::string(kDamagedSuffix)));
    segments_.pop_back();
  }
  note(name_of(index) + ": unfinished header -> segment removed");
  if (proven) {
    TRY(disk_.rename(name_of(index), name_of(index) + std::string(kDamagedSuffix)));
    segments_.pop_back();
    return done();
  }
  return cut(reader, index, 0);
}

Status Recovery::replay_segment(size_t index) {
  SegmentReader reader(disk_, name_of(index));
  TRY(const bool whole, reader.open());
  if (!whole) return bad_segment_header(reader, index);
  TRY(check_header(reader.header(), index));
  places_.assign(1, place_of(reader));
  RecordHeader header;
  std::vector<LogEntry> entries;
  LogPosition& position = result_.position;
  while (true) {
    const Place place = place_of(reader);
    TRY(const SegmentReader::Outcome outcome, reader.next(header, entries));
    if (outcome == SegmentReader::Outcome::kDamage) {
      TRY(handle_damage(reader, index));
      break;
    }
    if (outcome == SegmentReader::Outcome::kEnd) break;
    note_record(header, place);
    if (header.sequence < position.next_sequence) continue;  // contained in the snapshot
    switch (header.kind) {
      case RecordHeader::Kind::kTurn:
        TRY(target_.record(header, entries));
        break;
      case RecordHeader::Kind::kGroups:
        TRY(target_.group_record(header, reader.body()));
        break;
    }
    position.next_sequence = header.sequence + 1;
    position.chain = header.chain;
    ++result_.records;
  }
  end_ = place_of(reader);
  result_.log_bytes += end_.offset;
  return done();
}

void Recovery::note_record(const RecordHeader& header, const Place& place) {
  proven_ = std::max(proven_, header.synced);
  while (places_.size() > 1 && places_[1].sequence <= proven_ + 1) places_.pop_front();
  if (place.offset - places_.back().offset >= kPlaceBytes) places_.push_back(place);
}

// A process that ends since a sync has failed leaves records that are read and are not on the disk,
// nor get there by another sync: the system takes them for written.  Once this process has told of
// them they must stay, so what nothing proves to be durable is written once more, and synced by
// clean().  Earlier segments were synced before the last one was made, and the segment's header
// before its first record; without a record the writer makes the segment anew.
//
// The system may drop such pages at any moment, and then reads what the disk has.  So only bytes
// that have just been checked are written over what is there, and what no longer reads as it was
// replayed ends the start: nobody was told of it, and the next one finds the log as it is.
Status Recovery::rewrite_unproven() {
  if (segments_.empty()) return done();
  const std::string file = name_of(segments_.size() - 1);
  SegmentReader reader(disk_, file);
  const Place& begin = places_.front();
  TRY(reader.open_at(begin.offset, begin.sequence, begin.chain));
  RecordHeader header;
  std::vector<LogEntry> entries;
  Buffer checked;
  uint64_t offset = 0;  // of what was checked and is not written
  while (reader.next_sequence() < end_.sequence) {
    const Place place = place_of(reader);
    TRY(const SegmentReader::Outcome outcome, reader.next(header, entries));
    if (outcome != SegmentReader::Outcome::kRecord) return changed_since(file, place);
    if (header.sequence <= proven_) continue;
    if (checked.empty()) offset = place.offset;
    checked.append(reader.record());
    if (checked.size() < kPlaceBytes) continue;
    TRY(disk_.rewrite(file, offset, checked.view()));
    checked.clear();
  }
  if (reader.chain() != end_.chain) return changed_since(file, end_);
  return disk_.rewrite(file, offset, checked.view());
}

Error Recovery::changed_since(const std::string& file, const Place& place) const {
  return Error(ErrorCode::kIo, file + ": record " + std::to_string(place.sequence) + " at byte " +
                                   std::to_string(place.offset) +
                                   " was read once and cannot be read again; start again");
}

Status Recovery::replay() {
  // Segments that end before the snapshot's position are left over from an interrupted removal.
  size_t first = 0;
  if (have_snapshot_) {
    while (first + 1 < segments_.size() && segments_[first + 1] <= result_.snapshot_sequence)
      ++first;
  }
  for (size_t index = 0; index < first; ++index) leftovers_.push_back(name_of(index));
  segments_.erase(segments_.begin(), segments_.begin() + static_cast<ptrdiff_t>(first));
  for (size_t index = 0; index < segments_.size(); ++index) TRY(replay_segment(index));
  // A log that ends below the snapshot adds nothing to it.
  if (have_snapshot_ && result_.position.next_sequence == result_.snapshot_sequence &&
      !segments_.empty() && segments_.back() < result_.snapshot_sequence) {
    for (size_t index = 0; index < segments_.size(); ++index) leftovers_.push_back(name_of(index));
    segments_.clear();
  }
  return done();
}

Status Recovery::clean() {
  // Records were read, perhaps only from the system's cache: they must be as durable as what will
  // follow.  (The snapshot got its name after a sync that did not fail.)
  TRY(rewrite_unproven());
  if (!segments_.empty()) TRY(disk_.sync(name_of(segments_.size() - 1)));
  TRY(disk_.sync_directory());
  for (const uint64_t sequence : snapshots_) {
    if (sequence != result_.snapshot_sequence) {
      leftovers_.push_back(snapshot_name(options_.shard, sequence));
    }
  }
  for (const std::string& file : damaged_) {
    note(file + ": the log holds what it held -> set aside as " + file + std::string(kDamagedSuffix));
    TRY(disk_.rename(file, file + std::string(kDamagedSuffix)));
  }
  if (!damaged_.empty()) TRY(disk_.sync_directory());
  for (const std::string& file : leftovers_) {
    note(file + ": left over -> removed");
    TRY(disk_.remove(file));
  }
  return done();
}

Result<RecoveryResult> Recovery::run() {
  result_.position.log_id = options_.new_log_id;
  TRY(list());
  TRY(load_snapshot());
  TRY(drop_awaiting_segments());
  result_.found_anything = have_snapshot_ || !segments_.empty();
  TRY(replay());
  TRY(check_reach());
  TRY(clean());
  result_.segments = segments_;
  if (have_snapshot_) result_.position.base = LogBase::kFollows;
  return std::move(result_);
}

}  // namespace

namespace {

// Sequences in the names of a shard's files.
struct ShardFiles {
  std::vector<uint64_t> snapshots;  // descending
  std::vector<uint64_t> segments;   // ascending
};

Result<ShardFiles> files_of_shard(Disk& disk, uint32_t shard) {
  TRY(const std::vector<std::string> names, disk.list());
  ShardFiles files;
  for (const std::string& file : names) {
    const auto name = parse_name(file);
    if (!name || name->shard != shard) continue;
    if (name->kind == ParsedName::Kind::kSnapshot) files.snapshots.push_back(name->sequence);
    if (name->kind == ParsedName::Kind::kSegment) files.segments.push_back(name->sequence);
  }
  std::sort(files.snapshots.rbegin(), files.snapshots.rend());
  std::sort(files.segments.begin(), files.segments.end());
  return files;
}

// Nothing: the segment has no record that stays.  All are of one kind, so where the first is damaged,
// and that is no tail, those behind it tell.
enum class SegmentPlace : uint8_t { kLast, kEarlier };
Result<std::optional<RecordHeader::Kind>> first_kind(Disk& disk, const std::string& file,
                                                     SegmentPlace place) {
  SegmentReader reader(disk, file);
  TRY(const bool whole, reader.open());
  RecordHeader header;
  std::vector<LogEntry> entries;
  if (whole) {
    TRY(const SegmentReader::Outcome outcome, reader.next(header, entries));
    if (outcome == SegmentReader::Outcome::kRecord) return std::optional(header.kind);
  }
  const std::optional<uint64_t> sequence = whole ? std::optional(reader.next_sequence()) : std::nullopt;
  TRY(const SegmentReader::Damage behind, reader.classify_damage(sequence.value_or(0)));
  if (place == SegmentPlace::kLast && !is_proven(behind, sequence)) return std::optional<RecordHeader::Kind>();
  return behind.kind;
}

}  // namespace

Result<LogOwner> log_owner(Disk& disk, uint32_t shard) {
  TRY(ShardFiles files, files_of_shard(disk, shard));
  LogOwner owner = LogOwner::kNobody;
  uint64_t reach = 0;
  for (const uint64_t sequence : files.snapshots) {
    SnapshotReader reader(disk, snapshot_name(shard, sequence));
    if (!reader.open().ok()) continue;
    if (reader.has_groups()) return LogOwner::kCompany;
    owner = LogOwner::kAlone;
    reach = sequence;
    break;
  }
  // A log that waits for a snapshot which never came does not count (recover() drops it).
  for (size_t index = 0; index < files.segments.size(); ++index) {
    SegmentReader reader(disk, segment_name(shard, files.segments[index]));
    TRY(const bool whole, reader.open());
    if (!whole || reader.header().base != LogBase::kAwaits || files.segments[index] <= reach) continue;
    files.segments.resize(index);
  }
  for (size_t index = files.segments.size(); index-- > 0;) {
    const auto place = index + 1 == files.segments.size() ? SegmentPlace::kLast : SegmentPlace::kEarlier;
    TRY(const auto kind, first_kind(disk, segment_name(shard, files.segments[index]), place));
    if (!kind) continue;
    return *kind == RecordHeader::Kind::kGroups ? LogOwner::kCompany : LogOwner::kAlone;
  }
  return owner;
}

Status drop_unfinished_log(Disk& disk, uint32_t shard) {
  TRY(const ShardFiles files, files_of_shard(disk, shard));
  if (!files.snapshots.empty() || files.segments.size() != 1) return done();
  const std::string file = segment_name(shard, files.segments.front());
  TRY(const auto kind, first_kind(disk, file, SegmentPlace::kLast));
  if (kind) return done();
  TRY(disk.remove(file));
  return disk.sync_directory();
}

LogIdentity log_identity(Disk& disk, uint32_t shard, uint64_t random) {
  LogIdentity identity{.new_log_id = random | 1, .hash_seed = hash_seed_of_log(random | 1)};
  const auto files = files_of_shard(disk, shard);
  if (!files.ok()) return identity;  // recover() will say so
  for (const uint64_t sequence : files.value().snapshots) {
    SnapshotReader reader(disk, snapshot_name(shard, sequence));
    if (!reader.open().ok()) continue;
    identity.hash_seed = reader.header().hash_seed;
    return identity;
  }
  for (const uint64_t sequence : files.value().segments) {
    SegmentReader reader(disk, segment_name(shard, sequence));
    const auto whole = reader.open();
    if (!whole.ok() || !whole.value()) continue;
    identity.hash_seed = hash_seed_of_log(reader.header().log_id);
    return identity;
  }
  return identity;
}

Result<RecoveryResult> recover(Disk& disk, const RecoveryOptions& options, RecoveryTarget& target) {
  return Recovery(disk, options, target).run();
}

}  // namespace quorate
