// The model of what a disk keeps.
#include "tests/sim/sim_disk.h"

#include <algorithm>

#include "util/hash.h"

namespace quorate {

namespace {

Error no_such_file(std::string_view file) {
  return Error(ErrorCode::kIo, std::string(file) + ": no such file");
}

// Writes bytes at an offset; what lies between the end and the offset becomes zeros.
void write_at(std::string& content, uint64_t offset, std::string_view bytes) {
  const size_t end = static_cast<size_t>(offset) + bytes.size();
  if (content.size() < end) content.resize(end, '\0');
  std::copy(bytes.begin(), bytes.end(), content.begin() + static_cast<ptrdiff_t>(offset));
}

}  // namespace

void SimDisk::note(std::string_view what, std::string_view file, uint64_t number) {
  trace_ = hash64(what, trace_);
  trace_ = hash64(file, trace_ + number);
}

SimDisk::Inode* SimDisk::find(std::string_view file) {
  const auto found = names_.find(file);
  return found == names_.end() ? nullptr : found->second.get();
}

std::string SimDisk::content(std::string_view file) const {
  const auto found = names_.find(file);
  return found == names_.end() ? std::string() : found->second->visible;
}

uint64_t SimDisk::used() const {
  uint64_t sum = 0;
  for (const auto& [name, inode] : names_) sum += inode->visible.size();
  return sum;
}

Result<std::vector<std::string>> SimDisk::list() {
  std::vector<std::string> files;
  for (const auto& [name, inode] : names_) files.push_back(name);
  return files;
}

Result<uint64_t> SimDisk::size(std::string_view file) {
  const Inode* inode = find(file);
  if (inode == nullptr) return no_such_file(file);
  return uint64_t{inode->visible.size()};
}

Status SimDisk::read(std::string_view file, uint64_t offset, size_t count, Buffer& out) {
  const Inode* inode = find(file);
  if (inode == nullptr) return no_such_file(file);
  const std::string_view content(inode->visible);
  if (offset < content.size()) out.append(content.substr(static_cast<size_t>(offset), count));
  return done();
}

Status SimDisk::create(std::string_view file) {
  note("create", file, 0);
  if (find(file) != nullptr) return truncate(file, 0);
  NameChange change{.kind = NameChange::Kind::kLink,
                    .name = std::string(file),
                    .to = {},
                    .inode = std::make_shared<Inode>()};
  apply(names_, change);
  name_changes_.push_back(std::move(change));
  return done();
}

Status SimDisk::append(std::string_view file, std::string_view bytes) {
  note("append", file, hash64(bytes, 0));
  Inode* inode = find(file);
  if (inode == nullptr) return no_such_file(file);
  const uint64_t room = capacity_ - std::min(capacity_, used());
  const std::string_view fits =
      bytes.substr(0, static_cast<size_t>(std::min<uint64_t>(room, bytes.size())));
  const uint64_t offset = inode->visible.size();
  if (!fits.empty()) {
    inode->visible += fits;
    inode->changes.push_back({.offset = offset, .bytes = std::string(fits)});
  }
  if (fits.size() < bytes.size()) {
    return Error(ErrorCode::kNoSpace, std::string(file) + ": no space left on the disk");
  }
  return done();
}

Status SimDisk::rewrite(std::string_view file, uint64_t offset, std::string_view bytes) {
  note("rewrite", file, offset);
  Inode* inode = find(file);
  if (inode == nullptr) return no_such_file(file);
  CHECK(std::string_view(inode->visible).substr(static_cast<size_t>(offset), bytes.size()) == bytes);
  rewritten_ += bytes.size();
  if (bytes.empty() || lying_rewrite_) return done();
  inode->changes.push_back({.offset = offset, .bytes = std::string(bytes)});
  return done();
}

Status SimDisk::truncate(std::string_view file, uint64_t size) {
  note("truncate", file, size);
  Inode* inode = find(file);
  if (inode == nullptr) return no_such_file(file);
  if (size < inode->visible.size()) {
    inode->visible.resize(static_cast<size_t>(size));
    inode->changes.push_back({.offset = size, .bytes = {}});
  }
  return done();
}

Status SimDisk::sync(std::string_view file) {
  note("sync", file, 0);
  Inode* inode = find(file);
  if (inode == nullptr) return no_such_file(file);
  if (fail_next_sync_) {
    // The kernel marks the pages clean: a later sync succeeds, and what was to be written is read
    // until the pages are dropped.
    fail_next_sync_ = false;
    has_lost_ = true;
    inode->changes.clear();
    return Error(ErrorCode::kIo, std::string(file) + ": input/output error");
  }
  if (lying_sync_ || lies_) return done();
  // Not all that is visible: what a failed sync has lost is not written by this one.
  apply_changes(*inode, inode->durable);
  inode->changes.clear();
  return done();
}

void SimDisk::apply_changes(const Inode& inode, std::string& content) {
  for (const Inode::Change& change : inode.changes) {
    const auto offset = static_cast<size_t>(change.offset);
    if (!change.bytes.empty()) {
      write_at(content, offset, change.bytes);
    } else if (offset < content.size()) {
      content.resize(offset);
    }
  }
}

void SimDisk::evict() {
  note("evict", "", 0);
  has_lost_ = false;
  for (const auto& [name, inode] : names_) {
    std::string left = inode->durable;
    apply_changes(*inode, left);
    left.resize(inode->visible.size(), '\0');  // the size is no page
    inode->visible = std::move(left);
  }
}

void SimDisk::apply(Names& names, const NameChange& change) {
  switch (change.kind) {
    case NameChange::Kind::kLink:
      names[change.name] = change.inode;
      break;
    case NameChange::Kind::kUnlink: {
      const auto found = names.find(change.name);
      if (found != names.end() && found->second == change.inode) names.erase(found);
      break;
    }
    case NameChange::Kind::kRename: {
      const auto found = names.find(change.name);
      if (found != names.end() && found->second == change.inode) names.erase(found);
      names[change.to] = change.inode;
      break;
    }
  }
}

Status SimDisk::rename(std::string_view from, std::string_view to) {
  note("rename", from, hash64(to, 0));
  const auto found = names_.find(from);
  if (found == names_.end()) return no_such_file(from);
  NameChange change{.kind = NameChange::Kind::kRename,
                    .name = std::string(from),
                    .to = std::string(to),
                    .inode = found->second};
  apply(names_, change);
  name_changes_.push_back(std::move(change));
  return done();
}

Status SimDisk::remove(std::string_view file) {
  note("remove", file, 0);
  const auto found = names_.find(file);
  if (found == names_.end()) return no_such_file(file);
  NameChange change{.kind = NameChange::Kind::kUnlink,
                    .name = std::string(file),
                    .to = {},
                    .inode = found->second};
  apply(names_, change);
  name_changes_.push_back(std::move(change));
  return done();
}

Status SimDisk::sync_directory() {
  note("sync_directory", "", 0);
  if (lying_directory_sync_ || lies_) return done();
  durable_names_ = names_;
  name_changes_.clear();
  return done();
}

// Each sector written since the last sync is kept, lost, or torn; the size may have grown without
// the bytes.
void SimDisk::crash_inode(Inode& inode) {
  std::string after = inode.durable;
  const uint64_t mode = prng_.below(4);  // nothing, a prefix, anything, everything
  const size_t prefix = static_cast<size_t>(prng_.below(inode.changes.size() + 1));
  const double keep = prng_.fraction();
  for (size_t index = 0; index < inode.changes.size(); ++index) {
    const Inode::Change& change = inode.changes[index];
    if (mode == 0 || (mode == 1 && index >= prefix)) break;
    if (change.bytes.empty()) {
      const bool kept = mode != 2 || prng_.chance(keep);
      if (kept && change.offset < after.size()) after.resize(static_cast<size_t>(change.offset));
      continue;
    }
    for (size_t at = 0; at < change.bytes.size();) {
      const size_t offset = static_cast<size_t>(change.offset) + at;
      const size_t length = std::min(kSector - offset % kSector, change.bytes.size() - at);
      const bool last = mode == 1 && index + 1 == prefix;
      if (mode != 2 && !last) {
        write_at(after, offset, std::string_view(change.bytes).substr(at, length));
      } else if (prng_.chance(keep)) {
        const size_t torn = prng_.chance(0.2) ? static_cast<size_t>(prng_.below(length)) : length;
        write_at(after, offset, std::string_view(change.bytes).substr(at, torn));
      }
      at += length;
    }
  }
  inode.durable = after;
  inode.visible = std::move(after);
  inode.changes.clear();
}

void SimDisk::crash() {
  note("crash", "", 0);
  has_lost_ = false;
  lies_ = false;
  const uint64_t mode = prng_.below(4);
  const size_t prefix = static_cast<size_t>(prng_.below(name_changes_.size() + 1));
  for (size_t index = 0; index < name_changes_.size(); ++index) {
    if (mode == 0 || (mode == 1 && index >= prefix)) break;
    if (mode == 2 && prng_.chance(0.5)) continue;
    apply(durable_names_, name_changes_[index]);
  }
  name_changes_.clear();
  names_ = durable_names_;
  std::vector<Inode*> seen;
  for (const auto& [name, inode] : names_) {
    if (std::find(seen.begin(), seen.end(), inode.get()) != seen.end()) continue;
    seen.push_back(inode.get());
    crash_inode(*inode);
  }
}

void SimDisk::begin_to_lie() {
  note("lie", "", 0);
  lies_ = true;
}

void SimDisk::own_up() {
  if (!lies_) return;
  note("own up", "", 0);
  lies_ = false;
  for (const auto& [name, inode] : names_) {
    apply_changes(*inode, inode->durable);
    inode->changes.clear();
  }
  durable_names_ = names_;
  name_changes_.clear();
}

SimDisk SimDisk::left_by(Loss loss) const {
  SimDisk left(0);
  if (lies_) loss = Loss::kOfProcess;
  for (const auto& [name, inode] : loss == Loss::kOfPower ? durable_names_ : names_) {
    const std::string& content = loss == Loss::kOfPower ? inode->durable : inode->visible;
    left.names_[name] = std::make_shared<Inode>(Inode{.visible = content, .durable = content, .changes = {}});
  }
  left.durable_names_ = left.names_;
  return left;
}

void SimDisk::flip_bit(std::string_view file, uint64_t offset, int bit) {
  Inode* inode = find(file);
  CHECK(inode != nullptr);
  CHECK(offset < inode->visible.size());
  char& byte = inode->visible[static_cast<size_t>(offset)];
  byte = static_cast<char>(byte ^ (1 << bit));
  inode->durable = inode->visible;
  inode->changes.clear();
}

}  // namespace quorate
