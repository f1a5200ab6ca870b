// The steps of replacing a file.
#include "persist/file_writer.h"

#include <utility>

#include "persist/log_format.h"
#include "util/check.h"

namespace quorate {

std::string FileWriter::temporary() const { return file_ + std::string(kTemporarySuffix); }

void FileWriter::ask(DiskRequest::Op op, Buffer&& bytes, std::vector<DiskRequest>& requests) {
  requests.push_back(
      DiskRequest{.id = next_id_++,
                  .lane = lane_,
                  .op = op,
                  .file = temporary(),
                  .to = op == DiskRequest::Op::kRename ? file_ : std::string(),
                  .size = 0,
                  .heals = op == DiskRequest::Op::kCreate || op == DiskRequest::Op::kRemove,
                  .is_apart = true,
                  .bytes = std::move(bytes)});
}

void FileWriter::begin(std::string file, std::vector<DiskRequest>& requests) {
  CHECK(state_ != State::kWriting);
  CHECK(state_ != State::kFinishing);
  CHECK(state_ != State::kWritten);
  is_held_ = false;
  file_ = std::move(file);
  state_ = State::kWriting;
  outcome_ = done();
  size_ = unsynced_ = in_flight_bytes_ = 0;
  flights_.clear();
  first_id_ = next_id_;
  ask(DiskRequest::Op::kCreate, {}, requests);
}

void FileWriter::write(Buffer&& bytes, std::vector<DiskRequest>& requests) {
  if (state_ == State::kFailed || bytes.empty()) return;
  CHECK(state_ == State::kWriting);
  const uint64_t count = bytes.size();
  size_ += count;
  unsynced_ += count;
  in_flight_bytes_ += count;
  flights_.push_back({next_id_, count});
  ask(DiskRequest::Op::kAppend, std::move(bytes), requests);
  if (unsynced_ >= kSyncEveryBytes) {
    unsynced_ = 0;
    ask(DiskRequest::Op::kSync, {}, requests);
  }
}

void FileWriter::finish(std::vector<DiskRequest>& requests) {
  if (state_ == State::kFailed) return;
  CHECK(state_ == State::kWriting);
  state_ = State::kFinishing;
  ask(DiskRequest::Op::kSync, {}, requests);
  last_step_ = LastStep::kSync;
}

void FileWriter::publish(std::vector<DiskRequest>& requests) {
  is_held_ = false;
  if (state_ != State::kWritten) return;
  state_ = State::kFinishing;
  ask(DiskRequest::Op::kRename, {}, requests);
  last_step_ = LastStep::kRename;
}

void FileWriter::abort(std::vector<DiskRequest>& requests) {
  if (state_ == State::kIdle || state_ == State::kDone) return;
  const bool is_named = state_ == State::kFinishing && last_step_ != LastStep::kSync;
  if (!is_named) ask(DiskRequest::Op::kRemove, {}, requests);
  first_id_ = next_id_;
  in_flight_bytes_ = 0;
  state_ = State::kIdle;
}

void FileWriter::fail(Error error) {
  if (state_ == State::kFailed) return;
  state_ = State::kFailed;
  outcome_ = std::move(error);
}

void FileWriter::on_reply(DiskReply&& reply, std::vector<DiskRequest>& requests) {
  if (reply.id < first_id_) return;
  if (!flights_.empty() && flights_.front().id == reply.id) {
    in_flight_bytes_ -= flights_.front().bytes;
    flights_.pop_front();
  }
  if (!reply.status.ok()) fail(std::move(reply.status).error());
  if (state_ != State::kFinishing || reply.id + 1 != next_id_) return;
  // Each last step waits for the one before, so that a failure never reaches the final name.
  switch (last_step_) {
    case LastStep::kSync:
      if (is_held_) {
        state_ = State::kWritten;
        return;
      }
      ask(DiskRequest::Op::kRename, {}, requests);
      last_step_ = LastStep::kRename;
      return;
    case LastStep::kRename:
      ask(DiskRequest::Op::kSyncDirectory, {}, requests);
      last_step_ = LastStep::kSyncDirectory;
      return;
    case LastStep::kSyncDirectory:
      state_ = State::kDone;
      return;
  }
}

}  // namespace quorate
