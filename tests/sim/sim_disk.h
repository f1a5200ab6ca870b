// A disk in memory with exactly the promises of a real one.  What was not synced may be lost, torn
// or kept out of order in a crash; names survive only a sync of the directory.  The seed decides;
// faults are switched on by the test.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "persist/disk.h"
#include "util/prng.h"

namespace quorate {

class SimDisk final : public Disk {
 public:
  explicit SimDisk(uint64_t seed) : prng_(seed) {}

  Result<std::vector<std::string>> list() override;
  Result<uint64_t> size(std::string_view file) override;
  Status read(std::string_view file, uint64_t offset, size_t count, Buffer& out) override;
  Status create(std::string_view file) override;
  Status append(std::string_view file, std::string_view bytes) override;
  Status rewrite(std::string_view file, uint64_t offset, std::string_view bytes) override;
  Status truncate(std::string_view file, uint64_t size) override;
  Status sync(std::string_view file) override;
  Status rename(std::string_view from, std::string_view to) override;
  Status remove(std::string_view file) override;
  Status sync_directory() override;

  // Power fails: of what was not synced a part chosen by the seed stays.  (A process that is killed
  // loses nothing that reached the disk: then call nothing.)
  void crash();
  // What would be left for sure if that happened now, on a disk of its own, which does not lie.
  enum class Loss : uint8_t { kOfProcess, kOfPower };
  SimDisk left_by(Loss loss) const;

  // ---- faults
  // ------------------------------------------------------------------------------------- Bytes
  // that all files together may hold.
  void set_capacity(uint64_t bytes) { capacity_ = bytes; }
  uint64_t used() const;
  // The next sync fails with kIo, and what it should have made durable is lost in the next crash.
  void fail_next_sync() { fail_next_sync_ = true; }
  bool will_fail_a_sync() const { return fail_next_sync_; }
  void spare_next_sync() { fail_next_sync_ = false; }
  // The system drops what it takes for written: what failed syncs were to write is gone from now on.
  void evict();
  // There is something that evict() would take away.
  bool has_lost() const { return has_lost_; }
  void heal() {
    capacity_ = UINT64_MAX;
    fail_next_sync_ = false;
  }
  // Flips a bit of the durable content.
  void flip_bit(std::string_view file, uint64_t offset, int bit);
  // Planted bugs: the disk says it synced and did not.
  void set_lying_sync(bool lying) { lying_sync_ = lying; }
  void set_lying_directory_sync(bool lying) { lying_directory_sync_ = lying; }
  // The same of rewrite().
  void set_lying_rewrite(bool lying) { lying_rewrite_ = lying; }

  // From here on it answers syncs, of files and of the directory, that it does not do: until it owns up, and all is there that was written, or
  // until a crash.
  void begin_to_lie();
  void own_up();
  bool is_lying() const { return lies_; }

  // What happened so far, as one number: two runs are equal if these are.
  uint64_t trace() const { return trace_; }
  // Bytes that were written once more.
  uint64_t rewritten() const { return rewritten_; }
  // The visible content.
  std::string content(std::string_view file) const;
  bool has(std::string_view file) const { return names_.find(file) != names_.end(); }

 private:
  static constexpr size_t kSector = 512;

  // Content of one file, apart from its name.
  struct Inode {
    std::string visible;
    std::string durable;
    // Sectors changed since the last sync, in order of writing, and changes of size downwards.
    struct Change {
      uint64_t offset = 0;
      std::string bytes;  // empty: the file was cut to `offset`
    };
    std::vector<Change> changes;
  };
  using InodePtr =
      std::shared_ptr<Inode>;  // shared: a name in the directory, and names not yet durable
  using Names = std::map<std::string, InodePtr, std::less<>>;
  struct NameChange {
    enum class Kind : uint8_t { kLink, kUnlink, kRename } kind;
    std::string name;
    std::string to;
    InodePtr inode;
  };

  Inode* find(std::string_view file);
  void note(std::string_view what, std::string_view file, uint64_t number);
  void crash_inode(Inode& inode);
  static void apply_changes(const Inode& inode, std::string& content);
  static void apply(Names& names, const NameChange& change);

  Prng prng_;
  Names names_;
  Names durable_names_;
  std::vector<NameChange> name_changes_;
  uint64_t capacity_ = UINT64_MAX;
  uint64_t trace_ = 0;
  uint64_t rewritten_ = 0;
  bool fail_next_sync_ = false;
  bool lying_sync_ = false;
  bool lying_directory_sync_ = false;
  bool lying_rewrite_ = false;
  bool lies_ = false;
  bool has_lost_ = false;
};

}  // namespace quorate
