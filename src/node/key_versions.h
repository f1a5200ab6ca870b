// What clients of other nodes go by to learn whether a key that they watch has changed at its leader: numbers that grow with each change.
// Nothing is kept here of who watches what: the client's node keeps what it was told, and says it again with EXEC.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace quorate {

// What a key was when it was watched: whoever leads the partition in another term cannot tell what has happened to it since.
struct KeyVersion {
  uint64_t term = 0;    // 0: not known
  uint64_t number = 0;  // all changes up to this one were there
  friend bool operator==(const KeyVersion&, const KeyVersion&) = default;
};

// Of all partitions of a node.  Numbers are never used again, so what is forgotten counts as changed.
// Keys share kSlots places a partition: a change of one may count as one of another, never the other way round.
// Nothing is kept, and a change costs nothing, before the first key of a partition is watched elsewhere.
class KeyVersions {
 public:
  explicit KeyVersions(uint32_t partitions) : partitions_(partitions) {}

  // The node serves the partition from here on in this term, or serves it no longer: then its numbers are forgotten.
  void begin(uint32_t partition, uint64_t term) { partitions_[partition].term = term; }
  void end(uint32_t partition) { partitions_[partition] = Partition(); }

  // A key has changed, or any of the partition's may have.
  void note(uint32_t partition, uint64_t key_hash) {
    Numbers* const numbers = partitions_[partition].numbers.get();
    if (numbers == nullptr) [[likely]]
      return;
    numbers->of_slot[key_hash % kSlots] = ++last_;
  }
  void note_all(uint32_t partition) {
    if (Numbers* const numbers = partitions_[partition].numbers.get()) numbers->of_all = ++last_;
  }

  // Of term 0 if the node does not serve the partition.
  KeyVersion watch(uint32_t partition);
  // It is certain that the key has not changed since.
  bool is_unchanged(uint32_t partition, uint64_t key_hash, const KeyVersion& seen) const;
  // Another leader has said it, or this one in an earlier leadership.
  bool is_of_another_term(uint32_t partition, const KeyVersion& seen) const { return partitions_[partition].term != seen.term; }
  // Bytes of all.
  size_t memory() const;

 private:
  static constexpr size_t kSlots = 1024;
  struct Numbers {
    uint64_t of_all = 0;
    std::array<uint64_t, kSlots> of_slot{};
  };
  struct Partition {
    uint64_t term = 0;                  // 0: not served
    std::unique_ptr<Numbers> numbers;   // made by the first watch()
  };

  std::vector<Partition> partitions_;
  uint64_t last_ = 0;
};

}  // namespace quorate
