// Rows of origins, and their bytes.
//
//   rows  = varint count, row *
//   row   = u64 origin, varint incarnation, varint lowest wanted, varint number of the first reply, varint count, reply *,
//           varint lowest token, varint count, (varint token, reply) *, varint count, varint token that is dropped *
//   reply = u8 0 (not kept) | u8 1 (+OK) | u8 2, varint zigzag integer | u8 3, sized RESP
#include "node/origin_rows.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "cluster/wire.h"
#include "util/check.h"
#include "util/hash.h"
#include "util/number.h"

namespace quorate {

namespace {

enum class ReplyKind : uint8_t { kNotKept = 0, kOk = 1, kInteger = 2, kBytes = 3 };

constexpr std::string_view kOk = "+OK\r\n";
constexpr size_t kShortMax = 15;  // takes no memory of its own

// The row of the leaders themselves: incarnations are terms, numbers what has been said in them.
constexpr NodeId kNoOrigin = 0;
constexpr uint64_t kLeads = 1;
constexpr uint64_t kAcknowledgesWeakly = 2;

Error damaged() { return Error(ErrorCode::kCorrupt, "what was forwarded to a partition cannot be read"); }

uint64_t zigzag(int64_t value) { return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63); }
int64_t unzigzag(uint64_t value) { return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1); }

std::string integer_reply(int64_t value) { return ":" + std::to_string(value) + "\r\n"; }

// Nothing: the reply is no integer as this server writes them.
std::optional<int64_t> integer_of(std::string_view reply) {
  if (reply.size() < 4 || reply.front() != ':') return std::nullopt;
  const auto value = parse_int(reply.substr(1, reply.size() - 3));
  if (!value || integer_reply(*value) != reply) return std::nullopt;
  return value;
}

void encode_reply(std::string_view reply, Buffer& out) {
  if (reply.empty()) {
    wire::write_byte(ReplyKind::kNotKept, out);
  } else if (reply == kOk) {
    wire::write_byte(ReplyKind::kOk, out);
  } else if (const auto integer = integer_of(reply)) {
    wire::write_byte(ReplyKind::kInteger, out);
    append_varint(out, zigzag(*integer));
  } else {
    wire::write_byte(ReplyKind::kBytes, out);
    append_sized(out, reply);
  }
}

std::string read_reply(wire::Reader& reader) {
  switch (reader.one_of(ReplyKind::kNotKept, ReplyKind::kBytes)) {
    case ReplyKind::kNotKept:
      return {};
    case ReplyKind::kOk:
      return std::string(kOk);
    case ReplyKind::kInteger:
      return integer_reply(unzigzag(reader.varint()));
    case ReplyKind::kBytes:
      break;
  }
  const std::string_view bytes = reader.sized();
  if (bytes.empty() || bytes.size() > OriginRows::kReplySizeMax) reader.refuse();
  return std::string(bytes);
}

// A row as it is said.
struct Told {
  NodeId origin = 0;
  uint64_t incarnation = 0;
  uint64_t lowest_wanted = 0;
  uint64_t first = 0;
  std::vector<std::string> replies;
  uint64_t lowest_token = 0;
  std::vector<std::pair<uint64_t, std::string>> waits;
  std::vector<uint64_t> dropped;
};

size_t count_of_replies(wire::Reader& reader) {
  const size_t count = reader.count(1);
  if (count > OriginRows::kRepliesMax) reader.refuse();
  return reader.good() ? count : 0;
}

Result<std::vector<Told>> read_rows(std::string_view bytes) {
  constexpr size_t kRowBytesMin = 15;
  wire::Reader reader(bytes);
  std::vector<Told> rows(reader.count(kRowBytesMin));
  for (Told& row : rows) {
    row.origin = reader.fixed64();
    row.incarnation = reader.varint();
    row.lowest_wanted = reader.varint_at_most(OriginRows::kNumberMax);
    row.first = reader.varint_at_most(OriginRows::kNumberMax);
    row.replies.resize(count_of_replies(reader));
    if (row.first == 0) reader.refuse();
    for (std::string& reply : row.replies) reply = read_reply(reader);
    row.lowest_token = reader.varint();
    row.waits.resize(count_of_replies(reader));
    for (auto& [token, reply] : row.waits) {
      token = reader.varint();
      reply = read_reply(reader);
    }
    row.dropped.resize(count_of_replies(reader));
    for (uint64_t& token : row.dropped) token = reader.varint();
    if (!reader.good()) return damaged();
  }
  if (!reader.good() || !reader.rest().empty()) return damaged();
  return rows;
}

}  // namespace

// ---- one row -------------------------------------------------------------------------------------------------

// The reply, or nothing if there is no room.
std::string_view OriginRows::Row::keep(std::string_view reply) {
  const size_t size = reply.size() > kShortMax ? reply.size() : 0;
  if (size > kReplySizeMax || bytes + size > kReplyBytesMax) return {};
  bytes += size;
  return reply;
}

void OriginRows::Row::release(std::string_view reply) {
  if (reply.size() > kShortMax) bytes -= reply.size();
}

void OriginRows::Row::add(std::string_view reply) {
  replies.emplace_back(keep(reply));
  while (replies.size() > kRepliesMax) drop_before(first + 1);
}

void OriginRows::Row::add_wait(uint64_t token, std::string_view reply) {
  erase_wait(token);
  waits[token].reply = keep(reply);
  while (waits.size() > kRepliesMax) {
    lowest_token = waits.begin()->first + 1;
    erase_wait(waits.begin()->first);
  }
}

void OriginRows::Row::erase_wait(uint64_t token) {
  const auto found = waits.find(token);
  if (found == waits.end()) return;
  release(found->second.reply);
  waits.erase(found);
}

bool OriginRows::Row::has_news() const {
  if (logged != last()) return true;
  return std::any_of(waits.begin(), waits.end(), [](const auto& each) { return !each.second.is_logged || each.second.is_dropped; });
}

void OriginRows::Row::drop_before(uint64_t number) {
  while (!replies.empty() && first < number) {
    release(replies.front());
    replies.pop_front();
    ++first;
  }
}

void OriginRows::Row::drop_behind(uint64_t number) {
  while (!replies.empty() && last() > number) {
    release(replies.back());
    replies.pop_back();
  }
  // Nothing is left of what is behind it: the next one follows the number.
  if (replies.empty()) first = std::min(first, number + 1);
}

// ---- on a leader ---------------------------------------------------------------------------------------------

const OriginRows::Row* OriginRows::find(NodeId origin, uint64_t incarnation) const {
  const auto found = rows_.find({origin, incarnation});
  return found == rows_.end() ? nullptr : &found->second;
}

bool OriginRows::has_newer(const Id& id) const {
  const auto newer = rows_.upper_bound(id);
  return newer != rows_.end() && newer->first.first == id.first;
}

uint64_t OriginRows::last(NodeId origin, uint64_t incarnation) const {
  const Row* const row = find(origin, incarnation);
  return row == nullptr ? 0 : row->last();
}

OriginRows::Place OriginRows::place_of(const NumberedWrite& write) const {
  if (has_newer({write.origin, write.incarnation})) return Place::kOutdated;
  const uint64_t last_run = last(write.origin, write.incarnation);
  if (write.number <= last_run) return Place::kBehind;
  const uint64_t done_with = std::max(last_run, write.lowest_wanted - 1);
  return write.number == done_with + 1 ? Place::kNext : Place::kTooEarly;
}

std::optional<std::string_view> OriginRows::reply_of(const NumberedWrite& write) const {
  const Row* const row = find(write.origin, write.incarnation);
  if (row == nullptr || write.number < row->first || write.number > row->last()) return std::nullopt;
  const std::string& reply = row->replies[static_cast<size_t>(write.number - row->first)];
  if (reply.empty()) return std::nullopt;
  return reply;
}

void OriginRows::note(const NumberedWrite& write, std::string_view reply) {
  DCHECK(!reply.empty());
  Row& row = rows_[{write.origin, write.incarnation}];
  row.lowest_wanted = std::max(row.lowest_wanted, write.lowest_wanted);
  row.drop_before(row.lowest_wanted);
  if (row.replies.empty()) row.first = write.number;
  CHECK(write.number == row.last() + 1);
  row.add(reply);
  has_news_ = true;
}

OriginRows::Place OriginRows::place_of_wait(const NumberedWrite& wait) const {
  if (has_newer({wait.origin, wait.incarnation})) return Place::kOutdated;
  const Row* const row = find(wait.origin, wait.incarnation);
  if (row == nullptr) return Place::kNext;
  if (row->waits.contains(wait.number)) return Place::kBehind;
  return wait.number < row->lowest_token ? Place::kOutdated : Place::kNext;
}

std::optional<std::string_view> OriginRows::reply_of_wait(const NumberedWrite& wait) const {
  const Row* const row = find(wait.origin, wait.incarnation);
  if (row == nullptr) return std::nullopt;
  const auto found = row->waits.find(wait.number);
  if (found == row->waits.end() || found->second.reply.empty()) return std::nullopt;
  return found->second.reply;
}

void OriginRows::note_wait(const NumberedWrite& wait, std::string_view reply) {
  DCHECK(!reply.empty());
  Row& row = rows_[{wait.origin, wait.incarnation}];
  for (auto& [token, served] : row.waits) {
    if (token >= wait.lowest_wanted) break;
    served.is_dropped = true;
  }
  row.add_wait(wait.number, reply);
  has_news_ = true;
}

void OriginRows::drop_wait(NodeId origin, uint64_t token) {
  // Of its newest incarnation: the others say nothing any more.
  auto at = rows_.upper_bound({origin, UINT64_MAX});
  if (at == rows_.begin() || (--at)->first.first != origin) return;
  const auto found = at->second.waits.find(token);
  if (found != at->second.waits.end()) found->second.is_dropped = true;
}

void OriginRows::say(uint64_t term, uint64_t what) {
  for (uint64_t number = last(kNoOrigin, term) + 1; number <= what; ++number) {
    note({.origin = kNoOrigin, .incarnation = term, .number = number, .lowest_wanted = 1}, kOk);
  }
}

void OriginRows::begin_term(uint64_t term) { say(term, kLeads); }
void OriginRows::say_weak(uint64_t term) { say(term, kAcknowledgesWeakly); }

uint64_t OriginRows::weak_term() const {
  const auto behind = rows_.upper_bound({kNoOrigin, UINT64_MAX});
  if (behind == rows_.begin()) return 0;
  const auto& [id, row] = *std::prev(behind);
  return row.last() >= kAcknowledgesWeakly ? id.second : 0;
}

void OriginRows::forget_older(const Id& id) {
  for (auto at = rows_.lower_bound({id.first, 0}); at->first != id;) at = rows_.erase(at);
}

void OriginRows::take_news(Buffer& out) {
  has_news_ = false;
  Buffer rows;
  uint64_t count = 0;
  for (auto& [id, row] : rows_) {
    if (!row.has_news()) continue;
    encode(id, row, Which::kNews, rows);
    row.logged = row.last();
    row.is_in_log = true;
    for (auto at = row.waits.begin(); at != row.waits.end();) {
      at->second.is_logged = true;
      const auto each = at++;
      if (each->second.is_dropped) row.erase_wait(each->first);
    }
    ++count;
  }
  append_varint(out, count);
  out.append(rows.view());
  for (auto at = rows_.begin(); at != rows_.end();) {
    const auto next = std::next(at);
    if (next != rows_.end() && next->first.first == at->first.first) rows_.erase(at);
    at = next;
  }
}

void OriginRows::forget_news() {
  has_news_ = false;
  for (auto at = rows_.begin(); at != rows_.end();) {
    Row& row = at->second;
    row.drop_behind(row.logged);
    for (auto wait = row.waits.begin(); wait != row.waits.end();) {
      const auto each = wait++;
      each->second.is_dropped = false;
      if (!each->second.is_logged) row.erase_wait(each->first);
    }
    at = row.is_in_log ? std::next(at) : rows_.erase(at);
  }
}

// ---- on all ----------------------------------------------------------------------------------------------------

void OriginRows::encode(const Id& id, const Row& row, Which which, Buffer& out) {
  // Replies that nobody wants any more may be gone while the number is not logged that said so.
  const uint64_t first = which == Which::kNews ? std::max(row.first, row.logged + 1) : std::min(row.first, row.logged + 1);
  const uint64_t last = which == Which::kNews ? row.last() : row.logged;
  append_little<uint64_t>(out, id.first);
  append_varint(out, id.second);
  append_varint(out, row.lowest_wanted);
  append_varint(out, first);
  append_varint(out, last + 1 - first);
  for (uint64_t number = first; number <= last; ++number) {
    encode_reply(row.replies[static_cast<size_t>(number - row.first)], out);
  }
  encode_waits(row, which, out);
}

void OriginRows::encode_waits(const Row& row, Which which, Buffer& out) {
  Buffer served;
  Buffer dropped;
  uint64_t served_count = 0;
  uint64_t dropped_count = 0;
  for (const auto& [token, wait] : row.waits) {
    if (wait.is_logged == (which == Which::kLogged)) {
      append_varint(served, token);
      encode_reply(wait.reply, served);
      ++served_count;
    }
    if (which == Which::kNews && wait.is_dropped) {
      append_varint(dropped, token);
      ++dropped_count;
    }
  }
  append_varint(out, row.lowest_token);
  append_varint(out, served_count);
  out.append(served.view());
  append_varint(out, dropped_count);
  out.append(dropped.view());
}

Status OriginRows::apply(std::string_view news) {
  TRY(std::vector<Told> rows, read_rows(news));
  for (const Told& told : rows) {
    const Id id{told.origin, told.incarnation};
    if (has_newer(id)) continue;
    Row& row = rows_[id];
    row.drop_behind(told.first - 1);
    if (row.replies.empty() || row.last() + 1 != told.first) {
      row.drop_before(told.first);
      row.first = told.first;
    }
    row.lowest_wanted = std::max(row.lowest_wanted, told.lowest_wanted);
    row.drop_before(row.lowest_wanted);
    for (const std::string& reply : told.replies) row.add(reply);
    row.drop_before(row.lowest_wanted);
    row.logged = row.last();
    for (const auto& [token, reply] : told.waits) {
      row.add_wait(token, reply);
      if (const auto added = row.waits.find(token); added != row.waits.end()) added->second.is_logged = true;
    }
    for (const uint64_t token : told.dropped) row.erase_wait(token);
    row.lowest_token = std::max(row.lowest_token, told.lowest_token);
    row.is_in_log = true;
    forget_older(id);
  }
  return done();
}

void OriginRows::encode(Buffer& out) const {
  const auto is_logged = [](const auto& each) { return each.second.is_in_log; };
  append_varint(out, static_cast<uint64_t>(std::count_if(rows_.begin(), rows_.end(), is_logged)));
  for (const auto& [id, row] : rows_) {
    if (row.is_in_log) encode(id, row, Which::kLogged, out);
  }
}

Status OriginRows::install(std::string_view bytes) {
  OriginRows rows;
  TRY(rows.apply(bytes));
  *this = std::move(rows);
  return done();
}

size_t OriginRows::memory() const {
  size_t sum = 0;
  for (const auto& [id, row] : rows_) {
    sum += sizeof(id) + sizeof(row) + row.replies.size() * sizeof(std::string) + row.waits.size() * sizeof(Wait) + row.bytes;
  }
  return sum;
}

uint64_t OriginRows::digest() const {
  uint64_t sum = 0;
  Buffer bytes;
  for (const auto& [id, row] : rows_) {
    if (!row.is_in_log) continue;
    bytes.clear();
    for (const uint64_t field : {id.first, id.second, row.logged}) append_little<uint64_t>(bytes, field);
    for (const auto& [token, wait] : row.waits) {
      if (wait.is_logged) append_little<uint64_t>(bytes, token);
    }
    sum += hash64(bytes.view(), 0);
  }
  return sum;
}

}  // namespace quorate
