// The heads of forwarded commands and their answers.
#include "node/forward_message.h"

#include <algorithm>

#include "cluster/wire.h"
#include "node/origin_rows.h"
#include "node/reply_shape.h"
#include "node/session.h"
#include "node/watch_message.h"

namespace quorate {

namespace {

Error corrupt(std::string_view what) { return Error(ErrorCode::kCorrupt, std::string(what) + " cannot be read"); }

uint32_t partition(wire::Reader& reader, const ForwardLimits& limits) {
  return static_cast<uint32_t>(reader.varint_at_most(uint64_t{limits.partitions} - 1));
}

bool is_unit_count(uint64_t number, uint64_t count) { return count != 0 && count <= UINT64_MAX - number; }

// Units that have a message in common have nothing of their own but a request, and a number of each kind.
bool fits_units(const ForwardCommand& command) {
  if (!is_unit_count(command.number, command.unit_count)) return false;
  if (command.unit_count == 1) return true;
  if (command.request_count != 1 || command.watches() || command.goes_by_watched() || command.may_block()) return false;
  return command.writes() ? command.unit_count <= OriginRows::kNumberMax - command.write_number : command.write_number == 0;
}

bool holds_replies(std::string_view bytes, uint32_t count) {
  for (; count > 0; --count) {
    const size_t size = value_size(bytes);
    if (size == 0) return false;
    bytes.remove_prefix(size);
  }
  return bytes.empty();
}

// So many requests, each an array of at least one word, and nothing else: then so many replies will be made.
bool holds_requests(std::string_view bytes, uint32_t count) {
  for (; count > 0; --count) {
    const bool is_request = bytes.size() > 1 && bytes[0] == '*' && bytes[1] >= '1' && bytes[1] <= '9';
    const size_t size = is_request ? value_size(bytes) : 0;
    if (size == 0) return false;
    bytes.remove_prefix(size);
  }
  return bytes.empty();
}

// WATCH reads, and nothing else stands in its message; what is watched is that of a transaction, which does not block.
bool fits_watching(const ForwardCommand& command, const ForwardLimits& limits) {
  if (command.watches()) {
    const bool is_alone = !command.writes() && !command.may_block() && !command.goes_by_watched();
    return is_alone && !command.requests.empty() && decode_keys(command.requests).ok();
  }
  if (!command.goes_by_watched()) return true;
  return !command.may_block() && !command.watched.empty() && decode_watched(command.watched, limits.databases).ok();
}

}  // namespace

void encode_head(const ForwardCommand& command, Buffer& out) {
  append_varint(out, command.partition);
  append_varint(out, command.number);
  append_varint(out, command.unit_count);
  append_varint(out, command.attempt);
  append_varint(out, command.request_count);
  append_varint(out, command.database);
  out.push_back(static_cast<char>(command.flags));
  append_varint(out, number_of(command.levels.write));
  append_varint(out, number_of(command.levels.read));
  append_varint(out, command.incarnation);
  append_varint(out, command.write_number);
  if (command.writes() || command.may_block()) append_varint(out, command.lowest_wanted);
  if (command.may_block()) append_varint(out, command.waited_ms);
  if (!command.goes_by_watched()) return;
  append_sized(out, command.watched);
}

void encode_head(const ForwardAnswer& answer, Buffer& out) {
  append_varint(out, answer.partition);
  append_varint(out, answer.number);
  append_varint(out, answer.unit_count);
  append_varint(out, answer.attempt);
  wire::write_byte(answer.outcome, out);
  append_varint(out, answer.term);
  append_varint(out, answer.index);
}

void encode_head(const ForwardCancel& cancel, Buffer& out) {
  append_varint(out, cancel.partition);
  append_varint(out, cancel.number);
  wire::write_byte(cancel.reason, out);
}

Result<ForwardCommand> decode_command(std::string_view bytes, const ForwardLimits& limits) {
  wire::Reader reader(bytes);
  ForwardCommand command;
  command.partition = partition(reader, limits);
  command.number = reader.varint();
  command.unit_count = static_cast<uint32_t>(reader.varint_at_most(ForwardCommand::kUnitsMax));
  command.attempt = reader.varint();
  command.request_count = static_cast<uint32_t>(reader.varint_at_most(ForwardCommand::kRequestsMax));
  command.database = static_cast<uint32_t>(reader.varint_at_most(uint64_t{limits.databases} - 1));
  command.flags = reader.byte();
  const auto write = write_level_of(reader.varint());
  const auto read = read_level_of(reader.varint());
  command.levels = {.write = write.value_or(WriteLevel()), .read = read.value_or(ReadLevel())};
  command.incarnation = reader.varint();
  command.write_number = reader.varint_at_most(OriginRows::kNumberMax);
  if (command.writes()) command.lowest_wanted = reader.varint_at_most(command.write_number);
  if (command.may_block()) command.lowest_wanted = reader.varint_at_most(command.number);
  if (command.may_block()) command.waited_ms = reader.varint_at_most(ForwardCommand::kWaitedMsMax);
  if (command.goes_by_watched()) command.watched = reader.sized();
  command.requests = reader.rest();
  const bool is_numbered = !command.writes() || (command.lowest_wanted != 0 && !command.may_block());
  const uint32_t requests = std::max(command.request_count, command.unit_count);
  const bool makes_sense = (command.flags & ~kForwardFlags) == 0 && command.number != 0 && command.request_count != 0 && write &&
                           read && is_numbered && fits_units(command) && fits_watching(command, limits) &&
                           (command.watches() || holds_requests(command.requests, requests));
  if (!reader.good() || !makes_sense) return corrupt("a forwarded command");
  return command;
}

Result<ForwardAnswer> decode_answer(std::string_view bytes, const ForwardLimits& limits) {
  wire::Reader reader(bytes);
  ForwardAnswer answer;
  answer.partition = partition(reader, limits);
  answer.number = reader.varint();
  answer.unit_count = static_cast<uint32_t>(reader.varint_at_most(ForwardCommand::kUnitsMax));
  answer.attempt = reader.varint();
  answer.outcome = reader.one_of(ForwardOutcome::kReply, ForwardOutcome::kNotKept);
  answer.term = reader.varint();
  answer.index = reader.varint();
  answer.reply = reader.rest();
  const bool has_reply = answer.outcome == ForwardOutcome::kReply;
  const bool makes_sense = is_unit_count(answer.number, answer.unit_count) && answer.reply.empty() == !has_reply &&
                           (!has_reply || answer.unit_count == 1 || holds_replies(answer.reply, answer.unit_count));
  if (!reader.good() || !makes_sense) return corrupt("the answer of a forwarded command");
  return answer;
}

Result<ForwardCancel> decode_cancel(std::string_view bytes, const ForwardLimits& limits) {
  wire::Reader reader(bytes);
  ForwardCancel cancel;
  cancel.partition = partition(reader, limits);
  cancel.number = reader.varint();
  cancel.reason = reader.one_of(CancelReason::kGone, CancelReason::kAsError);
  if (!reader.good() || !reader.rest().empty()) return corrupt("the end of a forwarded command");
  return cancel;
}

}  // namespace quorate
