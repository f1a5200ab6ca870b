// The order and the failure rule of disk requests, the same under the server and the simulator.
#include "persist/disk.h"

namespace quorate {

namespace {

bool poisons(DiskRequest::Op op) {
  return op == DiskRequest::Op::kAppend || op == DiskRequest::Op::kSync ||
         op == DiskRequest::Op::kCreate || op == DiskRequest::Op::kSyncDirectory;
}

// No file has this name.
constexpr std::string_view kLog;

// Requests that fail together.
std::string_view poison_name(const DiskRequest& request) {
  const bool is_of_log = request.lane == DiskLane::kLog && !request.is_apart;
  return is_of_log ? kLog : std::string_view(request.file);
}

}  // namespace

Status DiskExecutor::run(const DiskRequest& request) {
  switch (request.op) {
    case DiskRequest::Op::kCreate:
      return disk_.create(request.file);
    case DiskRequest::Op::kAppend:
      return disk_.append(request.file, request.bytes.view());
    case DiskRequest::Op::kTruncate:
      return disk_.truncate(request.file, request.size);
    case DiskRequest::Op::kSync:
      return disk_.sync(request.file);
    case DiskRequest::Op::kRename:
      return disk_.rename(request.file, request.to);
    case DiskRequest::Op::kRemove:
      return disk_.remove(request.file);
    case DiskRequest::Op::kSyncDirectory:
      return disk_.sync_directory();
  }
  CHECK(false);
}

// The earlier failure because of which `request` must not be carried out, or null.
const ErrorCode* DiskExecutor::poison_of(const DiskRequest& request) const {
  const auto log = request.is_apart ? poisoned_.find(kLog) : poisoned_.end();
  if (log != poisoned_.end()) return &log->second;
  const auto found = poisoned_.find(poison_name(request));
  return found == poisoned_.end() || request.heals ? nullptr : &found->second;
}

DiskReply DiskExecutor::execute(DiskRequest& request) {
  DiskReply reply{.id = request.id, .lane = request.lane, .status = {}, .bytes = {}};
  if (const ErrorCode* code = poison_of(request)) {
    reply.status = Error(*code, request.file + ": an earlier write failed");
  } else {
    reply.status = run(request);
    if (reply.status.ok()) {
      if (request.heals) poisoned_.erase(std::string(poison_name(request)));
    } else if (poisons(request.op)) {
      poisoned_.insert_or_assign(std::string(poison_name(request)), reply.status.error().code());
    }
  }
  if (!reply.status.ok()) reply.bytes = std::move(request.bytes);
  return reply;
}

}  // namespace quorate
