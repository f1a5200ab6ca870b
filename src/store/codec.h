// Whole values to and from bytes, by the RDB encoding: DUMP and RESTORE, snapshots, files,
// transfer.
#pragma once

#include <cstdint>
#include <string_view>

#include "store/entry.h"
#include "store/rdb/encoder.h"
#include "store/rdb/input.h"
#include "store/settings.h"
#include "util/buffer.h"
#include "util/result.h"

namespace quorate {

struct EncodeOptions {
  int version = 10;  // of the format: which types may be used
  rdb::Compression compression = rdb::Compression::kOn;
  // kKeep writes a hash whose fields expire as version 12 does, whatever `version` says.  kDrop
  // writes a plain hash without the fields that have expired at `now`.
  enum class FieldExpiry : uint8_t { kKeep, kDrop } field_expiry = FieldExpiry::kKeep;
  int64_t now = 0;
};

// Appends the type byte and the value to `out`.  False: nothing is left to write (kDrop).
bool encode_value(const Entry& entry, const StoreSettings& settings, const EncodeOptions& options,
                  Buffer& out);
// True if the entry is a hash with fields that expire.
bool has_field_expiry(const Entry& entry);

// Reads a value of `type` into a new entry, which the caller owns: Db::put or destroy_entry.  Null
// if the value is an empty container, which no key may hold.  Any bytes are allowed: kCorrupt,
// kUnsupported.
Result<Entry*> decode_value(rdb::Input& input, uint8_t type, int version, std::string_view key,
                            int64_t expiry, const StoreSettings& settings);
// Frees an entry that is in no Db, with its value.
void destroy_entry(Entry* entry);

// DUMP's form: type, value, u16 version, CRC64.
void encode_payload(const Entry& entry, const StoreSettings& settings, Buffer& out);
// Any bytes are allowed.  kBadRestorePayload: version or checksum are wrong; kCorrupt: they are
// right, but the value is not.
Result<Entry*> decode_payload(std::string_view payload, std::string_view key, int64_t expiry,
                              const StoreSettings& settings);

}  // namespace quorate
