// The opcodes of RDB files.
#include "store/rdb/file.h"

#include <algorithm>
#include <utility>

#include "store/codec.h"
#include "store/rdb/decoder.h"
#include "store/rdb/format.h"
#include "util/check.h"
#include "util/number.h"
#include "util/varint.h"

namespace quorate::rdb {

namespace {

constexpr size_t kMagicSize = 9;  // "REDIS0010" or "VALKEY080"
constexpr int kChecksumVersion = 5;
// Values of a module's aux data.
enum ModulePart : uint8_t {
  kPartEnd = 0,
  kPartSigned = 1,
  kPartUnsigned = 2,
  kPartFloat = 3,
  kPartDouble = 4,
  kPartString = 5
};
constexpr size_t kWarningsMax = 20;
// A file is written between commands, not by a process of its own: LZF on shorter strings took more than half of that
// time, and gains little.
constexpr size_t kCompressFrom = 256;

class FileReader {
 public:
  FileReader(StreamInput& input, Store& store, int64_t now)
      : input_(input), store_(store), now_(now), loader_(store) {}
  Result<FileReport> run();

 private:
  enum class Next : uint8_t { kGoOn, kEnd };
  Status magic();
  Result<Next> step(uint8_t opcode);
  Status key(uint8_t type);
  Status skip_lengths(int count);
  Status make_room();
  Status skip_strings(int count);
  Status module_aux();
  Status select();
  Status checksum();
  void warn(std::string line) {
    if (report_.warnings.size() < kWarningsMax) report_.warnings.push_back(std::move(line));
  }

  StreamInput& input_;
  Store& store_;
  const int64_t now_;
  Loader loader_;
  FileReport report_;
  Buffer scratch_;
  std::string key_;
  int database_ = 0;
  // Of the key that follows.
  int64_t expiry_ = kNever;
  int64_t idle_seconds_ = -1;
  int frequency_ = -1;
};

Status FileReader::magic() {
  TRY(const std::string_view bytes, input_.take(kMagicSize));
  std::string_view digits;
  if (bytes.starts_with("REDIS")) {
    digits = bytes.substr(5);
  } else if (bytes.starts_with("VALKEY")) {
    digits = bytes.substr(6);
  } else {
    return Error(ErrorCode::kCorrupt,
                 "this is no RDB file: it does not begin with REDIS or VALKEY");
  }
  int version = 0;
  for (const char digit : digits) {
    if (digit < '0' || digit > '9') return input_.damaged("the version is no number");
    version = version * 10 + (digit - '0');
  }
  if (!is_readable_version(version)) {
    return Error(ErrorCode::kUnsupported, "RDB version " + std::to_string(version) +
                                              " cannot be read (1 to 12, and 80, can)");
  }
  report_.version = version;
  return done();
}

Status FileReader::skip_lengths(int count) {
  for (; count > 0; --count) TRY(read_length(input_));
  return done();
}

// The file says how many keys follow; it is believed as far as its size allows.
Status FileReader::make_room() {
  constexpr uint64_t kBytesPerKeyMin = 8;
  TRY(const uint64_t keys, read_length(input_));
  TRY(skip_lengths(1));
  store_.database(database_).reserve(
      static_cast<size_t>(std::min(keys, input_.left() / kBytesPerKeyMin)));
  return done();
}

Status FileReader::skip_strings(int count) {
  for (; count > 0; --count) TRY(read_string(input_, scratch_));
  return done();
}

// Module id, two lengths that say when it was saved, then parts up to an end mark.
Status FileReader::module_aux() {
  TRY(skip_lengths(3));
  while (true) {
    TRY(const uint64_t part, read_length(input_));
    switch (part) {
      case kPartEnd:
        warn("data of a module stands in the file -> skipped");
        return done();
      case kPartSigned:
      case kPartUnsigned:
        TRY(skip_lengths(1));
        break;
      case kPartFloat:
        TRY(input_.take(4));
        break;
      case kPartDouble:
        TRY(input_.take(8));
        break;
      case kPartString:
        TRY(skip_strings(1));
        break;
      default:
        return input_.damaged("data of a module is damaged");
    }
  }
}

Status FileReader::select() {
  TRY(const uint64_t database, read_length(input_));
  if (database >= static_cast<uint64_t>(store_.database_count())) {
    return Error(ErrorCode::kInvalidArgument,
                 "the file has a database " + std::to_string(database) + ", but `databases` is " +
                     std::to_string(store_.database_count()));
  }
  database_ = static_cast<int>(database);
  return done();
}

Status FileReader::checksum() {
  if (report_.version < kChecksumVersion) return done();
  const uint64_t expected = input_.crc();
  TRY(const uint64_t stored, read_little64(input_));
  // Zero: the writer had checksums switched off.
  if (stored != 0 && stored != expected) return input_.damaged("the checksum is wrong");
  return done();
}

Status FileReader::key(uint8_t type) {
  TRY(const std::string_view name, read_string(input_, scratch_));
  key_.assign(name);
  Result<Entry*> decoded =
      decode_value(input_, type, report_.version, key_, expiry_, store_.settings());
  if (!decoded.ok()) {
    const Error& error = decoded.error();
    return Error(error.code(), "key '" + key_.substr(0, 64) + "' in database " +
                                   std::to_string(database_) + ": " + std::string(error.detail()));
  }
  Entry* entry = decoded.value();
  if (entry == nullptr) {
    ++report_.empty;
  } else if (expiry_ <= now_) {
    ++report_.expired;
    destroy_entry(entry);
  } else {
    store_.set_idle_seconds(entry, idle_seconds_ >= 0 ? idle_seconds_ : 0);
    if (frequency_ >= 0) store_.set_lfu_frequency(entry, static_cast<uint32_t>(frequency_));
    TRY(loader_.add(database_, entry));
  }
  expiry_ = kNever;
  idle_seconds_ = -1;
  frequency_ = -1;
  return done();
}

Result<FileReader::Next> FileReader::step(uint8_t opcode) {
  switch (opcode) {
    case kEnd:
      return Next::kEnd;
    case kSelectDatabase:
      TRY(select());
      break;
    case kResizeDatabase:
      TRY(make_room());
      break;
    case kAux:
      TRY(skip_strings(2));
      break;
    case kSlotInfo:
      TRY(skip_lengths(3));
      break;
    case kModuleAux:
      TRY(module_aux());
      break;
    case kFunction:
      TRY(skip_strings(1));
      warn("a function library stands in the file -> skipped");
      break;
    case kFrequency: {
      TRY(frequency_, read_byte(input_));
      break;
    }
    case kIdle: {
      TRY(const uint64_t idle, read_length(input_));
      idle_seconds_ = static_cast<int64_t>(std::min<uint64_t>(idle, INT32_MAX));
      break;
    }
    case kExpiryMs: {
      TRY(const uint64_t bits, read_little64(input_));
      expiry_ = static_cast<int64_t>(bits);
      break;
    }
    case kExpirySeconds: {
      TRY(const std::string_view bytes, input_.take(4));
      expiry_ = int64_t{load_little<int32_t>(bytes.data())} * 1000;
      break;
    }
    case kSlotImport:
    case kFunctionOld:
      return Error(ErrorCode::kUnsupported, "opcode " + std::to_string(opcode) +
                                                " (a slot being imported, or a function of a "
                                                "release candidate) cannot be read");
    default:
      TRY(key(opcode));
      break;
  }
  return Next::kGoOn;
}

Result<FileReport> FileReader::run() {
  TRY(magic());
  while (true) {
    TRY(const uint8_t opcode, read_byte(input_));
    TRY(const Next next, step(opcode));
    if (next == Next::kEnd) break;
  }
  TRY(checksum());
  TRY(loader_.flush());
  report_.keys = loader_.loaded();
  if (report_.empty > 0) warn(std::to_string(report_.empty) + " empty keys -> left out");
  return std::move(report_);
}

}  // namespace

Result<FileReport> load_file(StreamInput& input, Store& store, int64_t now) {
  const bool was_replaying = store.replaying();
  store.set_replaying(true);
  Result<FileReport> report = FileReader(input, store, now).run();
  store.set_replaying(was_replaying);
  return report;
}

FileEncoder::FileEncoder(Store& store, const FileOptions& options)
    : store_(store),
      options_(options),
      announced_(static_cast<size_t>(store.database_count()), false) {
  const std::string digits = std::to_string(options.version);
  out_.append("REDIS");
  out_.append(std::string_view("0000").substr(digits.size()));
  out_.append(digits);
  aux("redis-ver", options.server_version);
  aux("redis-bits", "64");
  aux("ctime", std::to_string(options.now / 1000));
  aux("used-mem", std::to_string(options.used_memory));
  aux("aof-base", "0");
}

void FileEncoder::aux(std::string_view name, std::string_view value) {
  out_.push_back(static_cast<char>(kAux));
  write_string(out_, name, Compression::kOff);
  write_string(out_, value, Compression::kOff);
}

void FileEncoder::select(int database, Buffer& out) {
  database_ = database;
  out.push_back(static_cast<char>(kSelectDatabase));
  write_length(out, static_cast<uint64_t>(database));
  if (announced_[static_cast<size_t>(database)]) return;
  announced_[static_cast<size_t>(database)] = true;
  const Db& db = store_.database(database);
  out.push_back(static_cast<char>(kResizeDatabase));
  write_length(out, db.size());
  write_length(out, db.size_with_expiry());
}

EncodeOptions FileEncoder::options_of(const Entry& entry) const {
  const bool loses_expiry = has_field_expiry(entry) && options_.version < kHashExpiryVersion;
  const bool is_short = entry.is_string() && entry.string_size() < kCompressFrom;
  return {.version = options_.version,
          .compression = is_short ? Compression::kOff : options_.compression,
          .field_expiry = loses_expiry ? EncodeOptions::FieldExpiry::kDrop : EncodeOptions::FieldExpiry::kKeep,
          .now = options_.now};
}

void FileEncoder::write(int database, const Entry& entry, Buffer& out) {
  if (database != database_) select(database, out);
  if (entry.has_expiry()) {
    out.push_back(static_cast<char>(kExpiryMs));
    write_little64(out, static_cast<uint64_t>(entry.expiry()));
  }
  out.append(value_.view().substr(0, 1));
  write_string(out, entry.key(), entry.key().size() < kCompressFrom ? Compression::kOff : options_.compression);
  out.append(value_.view_from(1));
  ++keys_;
}

void FileEncoder::save(int database, const Entry& entry) {
  const EncodeOptions options = options_of(entry);
  value_.clear();
  if (!encode_value(entry, store_.settings(), options, value_)) return;
  if (options.field_expiry == EncodeOptions::FieldExpiry::kDrop) ++hashes_without_expiry_;
  Buffer& out = place();
  const size_t before = out.size();
  write(database, entry, out);
  if (&out == &out_) return;
  const size_t bytes = out.size() - before;
  kept_ += bytes;
  if (kept_ > kKeptFree) assist(bytes);
}

Buffer& FileEncoder::place() {
  if (!is_open_ && behind_.empty()) return out_;
  if (behind_.empty() || behind_.back().size() >= kChunkBytes) behind_.emplace_back();
  return behind_.back();
}

// The value may be complete before the walk has heard of it: then what stands behind it goes on its way.
void FileEncoder::assist(size_t bytes) {
  constexpr size_t kElementsAtOnce = 32;
  const size_t end = out_.size() + bytes;
  while (out_.size() < end) {
    if (!pieces_.is_complete()) {
      pieces_.give(kElementsAtOnce, out_);
    } else if (!catch_up()) {
      return;
    }
  }
}

bool FileEncoder::wants_pieces(const Entry& entry) const {
  return ValuePieces::suit(entry, store_.settings(), options_of(entry));
}

void FileEncoder::open(int database, const Entry& entry) {
  CHECK(!is_open_);
  CHECK(behind_.empty());
  value_.clear();
  pieces_.begin(entry, options_of(entry), value_);
  write(database, entry, out_);
  is_open_ = true;
}

bool FileEncoder::give(size_t elements) {
  CHECK(is_open_);
  is_open_ = pieces_.give(elements, out_);
  return is_open_;
}

bool FileEncoder::catch_up() {
  CHECK(pieces_.is_complete());
  if (behind_.empty()) return false;
  kept_ -= behind_.front().size();
  if (out_.empty()) {
    out_ = std::move(behind_.front());
  } else {
    out_.append(behind_.front().view());
  }
  behind_.pop_front();
  return true;
}

Buffer FileEncoder::take() {
  crc_ = crc64(crc_, out_.view());
  return std::exchange(out_, Buffer());
}

void FileEncoder::finish() {
  CHECK(!is_open_);
  CHECK(behind_.empty());
  value_.release();
  out_.push_back(static_cast<char>(kEnd));
  const uint64_t sum = crc64(crc_, out_.view());
  write_little64(out_, sum);
}

}  // namespace quorate::rdb
