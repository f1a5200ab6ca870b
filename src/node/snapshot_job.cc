// The walk and its two destinations.
#include "node/snapshot_job.h"

#include <iterator>
#include <utility>

#include "store/loader.h"
#include "util/check.h"

namespace quorate {

SnapshotJob::~SnapshotJob() {
  if (walking_) store_.end_snapshot();
}

void SnapshotJob::begin_log(const SnapshotHeader& header, std::string_view groups,
                            Publication publication) {
  CHECK(!is_under_way());
  kind_ = Kind::kLog;
  state_ = State::kRunning;
  log_writer_.begin(header, groups, requests_);
  if (publication == Publication::kHeld) log_writer_.hold();
  store_.begin_snapshot(*this);
  walking_ = true;
}

void SnapshotJob::begin_bare(const SnapshotHeader& header, std::string_view groups) {
  CHECK(!is_under_way());
  CHECK(!groups.empty());
  kind_ = Kind::kLog;
  state_ = State::kRunning;
  log_writer_.begin(header, groups, requests_);
  log_writer_.finish(requests_);
}

void SnapshotJob::begin_rdb(std::string file, const rdb::FileOptions& options) {
  CHECK(!is_under_way());
  kind_ = Kind::kRdb;
  state_ = State::kRunning;
  encoder_.emplace(store_, options);
  rdb_writer_.begin(std::move(file), requests_);
  store_.begin_snapshot(*this);
  walking_ = true;
}

void SnapshotJob::write_rdb() {
  if (encoder_->pending() >= kRdbChunkBytes) rdb_writer_.write(encoder_->take(), requests_);
}

void SnapshotJob::save(int database, const Entry& entry) {
  if (kind_ == Kind::kRdb) {
    encoder_->save(database, entry);
    write_rdb();
  } else if (is_open_) {
    encode_snapshot_entry(database, entry, store_.settings(), log_writer_.between());
    log_writer_.end_between(requests_);
  } else {
    encode_snapshot_entry(database, entry, store_.settings(), log_writer_.block());
    log_writer_.end_entry(requests_);
  }
}

bool SnapshotJob::wants_pieces(const Entry& entry) const {
  if (kind_ == Kind::kRdb) return encoder_->wants_pieces(entry);
  return ValuePieces::suit(entry, store_.settings(), snapshot_options(entry, store_.settings()));
}

void SnapshotJob::open(int database, const Entry& entry) {
  if (kind_ == Kind::kRdb) return encoder_->open(database, entry);
  CHECK(!is_open_);
  is_open_ = true;
  encode_snapshot_front(database, entry, log_writer_.block());
  pieces_.begin(entry, snapshot_options(entry, store_.settings()), log_writer_.block());
}

bool SnapshotJob::give(size_t elements) {
  if (kind_ == Kind::kRdb) {
    const bool more = encoder_->give(elements);
    write_rdb();
    return more;
  }
  CHECK(is_open_);
  is_open_ = pieces_.give(elements, log_writer_.block());
  if (is_open_) {
    log_writer_.end_part(requests_);
  } else {
    log_writer_.end_entry(requests_);
  }
  return is_open_;
}

bool SnapshotJob::catch_up() {
  if (kind_ == Kind::kLog) return false;
  const bool had_some = encoder_->catch_up();
  write_rdb();
  return had_some;
}

uint64_t SnapshotJob::in_flight_bytes() const {
  return kind_ == Kind::kLog ? log_writer_.in_flight_bytes() : rdb_writer_.in_flight_bytes();
}

uint64_t SnapshotJob::encoded_bytes() const {
  if (kind_ == Kind::kLog) return log_writer_.size() + log_writer_.waiting_bytes();
  return rdb_writer_.size() + encoder_->pending();
}

uint64_t SnapshotJob::keys() const {
  if (kind_ == Kind::kLog) return log_writer_.entries();
  return encoder_ ? encoder_->keys() : 0;
}

bool SnapshotJob::wants_step() const {
  return walking_ && state_ == State::kRunning && in_flight_bytes() < kInFlightBytesMax;
}

void SnapshotJob::step(size_t budget) {
  if (!wants_step()) return;
  if (!walk_slice(store_, budget, [this] { return encoded_bytes(); })) finish_walk();
}

void SnapshotJob::finish_walk() {
  store_.end_snapshot();
  walking_ = false;
  if (kind_ == Kind::kLog) {
    log_writer_.finish(requests_);
    return;
  }
  encoder_->finish();
  rdb_writer_.write(encoder_->take(), requests_);
  rdb_writer_.finish(requests_);
}

void SnapshotJob::drain(std::vector<DiskRequest>& requests) {
  requests.insert(requests.end(), std::make_move_iterator(requests_.begin()),
                  std::make_move_iterator(requests_.end()));
  requests_.clear();
}

void SnapshotJob::on_reply(DiskReply&& reply) {
  if (log_writer_.owns(reply.id)) {
    log_writer_.on_reply(std::move(reply), requests_);
  } else {
    rdb_writer_.on_reply(std::move(reply), requests_);
  }
  look_at_writer();
}

void SnapshotJob::look_at_writer() {
  if (!is_under_way()) return;
  const bool is_log = kind_ == Kind::kLog;
  const FileWriter::State writer = is_log ? log_writer_.state() : rdb_writer_.state();
  if (writer == FileWriter::State::kWritten) state_ = State::kWritten;
  if (writer == FileWriter::State::kDone) state_ = State::kDone;
  if (writer == FileWriter::State::kFailed) {
    const Status& outcome = is_log ? log_writer_.outcome() : rdb_writer_.outcome();
    failure_ = outcome.error().detail();
    abort();
    state_ = State::kFailed;
  }
}

void SnapshotJob::publish() {
  if (!is_under_way() || kind_ != Kind::kLog) return;
  state_ = State::kRunning;
  log_writer_.publish(requests_);
}

void SnapshotJob::release() {
  encoder_.reset();
  pieces_ = ValuePieces();
  is_open_ = false;
}

void SnapshotJob::abort() {
  if (walking_) store_.end_snapshot();
  walking_ = false;
  release();
  if (is_under_way()) {
    if (kind_ == Kind::kLog) {
      log_writer_.abort(requests_);
    } else {
      rdb_writer_.abort(requests_);
    }
  }
  state_ = State::kIdle;
}

}  // namespace quorate
