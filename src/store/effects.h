// Effects: what a write did, as deterministic commands on single keys ("SREM k m" for a SPOP, "PEXPIREAT k t"
// for an EXPIRE).  The effects of one command, script or MULTI form one atomic batch of the log.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

#include "store/key.h"
#include "util/buffer.h"
#include "util/result.h"

namespace quorate {

// Collects the effects of one batch, encoded.  Each: varint database, u16 slot (little-endian), varint
// argument count, then each argument as varint length and bytes.  docs/FORMATS.md has the grammar.
// When nobody keeps a log, collecting is off and every call is a test of one flag.
class Effects {
 public:
  bool collecting() const { return collecting_; }
  void set_collecting(bool on) { collecting_ = on; }

  void add(int database, const Key& key, std::span<const std::string_view> args);
  void add(int database, const Key& key, std::initializer_list<std::string_view> args) {
    add(database, key, std::span<const std::string_view>(args.begin(), args.size()));
  }

  // The batch since the last clear().
  std::string_view bytes() const { return bytes_.view(); }
  size_t count() const { return count_; }
  void clear() {
    bytes_.clear();
    count_ = 0;
  }

 private:
  bool collecting_ = false;
  size_t count_ = 0;
  Buffer bytes_;
};

struct Effect {
  int database = 0;
  uint16_t slot = 0;
  std::vector<std::string_view> args;  // views into the bytes read
};

// Reads what Effects wrote.  Any input is allowed; damage is an error.
class EffectReader {
 public:
  explicit EffectReader(std::string_view bytes) : left_(bytes) {}
  bool at_end() const { return left_.empty(); }
  // Requires: !at_end().  Reuses the vector of `effect`.
  Status next(Effect& effect);

 private:
  std::string_view left_;
};

}  // namespace quorate
