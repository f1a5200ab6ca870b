// Reads replies without recursion: a stack of open aggregates, bounded by depth_max, holds what is half read.
#include "resp/reply_parser.h"

#include <optional>
#include <utility>

#include "util/check.h"
#include "util/number.h"

namespace quorate {

using Kind = ReplyValue::Kind;

ReplyParser::Outcome ReplyParser::next(ReplyValue& value) {
  if (!error_.empty()) return Outcome::kProtocolError;
  while (true) {
    ReplyValue one;
    switch (read_one(one)) {
      case Step::kNeedMore:
        forget_consumed();
        return Outcome::kNeedMore;
      case Step::kError:
        return Outcome::kProtocolError;
      case Step::kOpened:
        break;
      case Step::kValue:
        if (place(one)) {
          value = std::move(one);
          forget_consumed();
          return Outcome::kValue;
        }
        break;
    }
  }
}

// Puts a complete value where it belongs; closes aggregates that are complete by it.  True if `value` then is
// a whole reply.
bool ReplyParser::place(ReplyValue& value) {
  while (true) {
    if (!attributes_.empty()) value.attributes = std::exchange(attributes_, {});
    if (open_.empty()) return true;
    Open& parent = open_.back();
    parent.value.items.push_back(std::move(value));
    if (--parent.missing > 0) return false;
    const bool is_attribute = parent.is_attribute;
    ReplyValue closed = std::move(parent.value);
    open_.pop_back();
    if (is_attribute) {
      attributes_ = std::move(closed.items);
      return false;
    }
    // The attributes of an aggregate came before it and wait in itself.
    attributes_ = std::exchange(closed.attributes, {});
    value = std::move(closed);
  }
}

// Consumed bytes are dropped in large steps, so that a long pipeline is not moved once a reply.
void ReplyParser::forget_consumed() {
  if (position_ < input_.size() && position_ < 64 * 1024) return;
  input_.erase(0, position_);
  searched_ = searched_ > position_ ? searched_ - position_ : 0;
  position_ = 0;
}

ReplyParser::Step ReplyParser::fail(std::string_view what) {
  error_ = what;
  return Step::kError;
}

ReplyParser::Step ReplyParser::read_line(std::string_view& line) {
  const size_t from = searched_ > position_ ? searched_ : position_;
  const size_t end = input_.find('\n', from);
  const size_t known = end == std::string::npos ? input_.size() : end;
  if (known - position_ > limits_.line_size_max) return fail("a line is too long");
  if (end == std::string::npos) {
    searched_ = input_.size();
    return Step::kNeedMore;
  }
  searched_ = end;
  if (end == position_ || input_[end - 1] != '\r') return fail("a line does not end in CR LF");
  line = std::string_view(input_).substr(position_, end - 1 - position_);
  return Step::kValue;
}

ReplyParser::Step ReplyParser::read_one(ReplyValue& value) {
  std::string_view line;
  const Step step = read_line(line);
  if (step != Step::kValue) return step;
  if (line.empty()) return fail("an empty line where a reply begins");
  const char type = line[0];
  const std::string_view rest = line.substr(1);
  const size_t line_size = line.size() + 2;
  switch (type) {
    case '$':
    case '=':
    case '!':
      return read_bulk(type, rest, line_size, value);
    case '*':
    case '%':
    case '~':
    case '>':
    case '|':
      position_ += line_size;
      return open_aggregate(type, rest, value);
    default:
      position_ += line_size;
      return read_scalar(type, rest, value);
  }
}

ReplyParser::Step ReplyParser::read_bulk(char type, std::string_view count_text, size_t header_size,
                                         ReplyValue& value) {
  const auto size = parse_int(count_text);
  if (!size || *size < -1 || *size > limits_.bulk_size_max) return fail("a bulk length is not valid");
  if (*size == -1) {
    if (type != '$') return fail("a bulk length is not valid");
    position_ += header_size;
    value.kind = Kind::kNull;
    return Step::kValue;
  }
  const size_t length = static_cast<size_t>(*size);
  if (pending() < header_size + length + 2) return Step::kNeedMore;
  std::string_view bytes = std::string_view(input_).substr(position_ + header_size, length + 2);
  if (!bytes.ends_with("\r\n")) return fail("a bulk does not end in CR LF");
  bytes.remove_suffix(2);
  if (type == '=') {
    if (bytes.size() < 4 || bytes[3] != ':') return fail("a verbatim text lacks its format");
    bytes.remove_prefix(4);
  }
  value.kind = type == '$' ? Kind::kBulk : type == '=' ? Kind::kVerbatim : Kind::kError;
  value.text.assign(bytes);
  position_ += header_size + length + 2;
  return Step::kValue;
}

ReplyParser::Step ReplyParser::open_aggregate(char type, std::string_view count_text, ReplyValue& value) {
  const auto count = parse_int(count_text);
  if (!count || *count < -1 || *count > limits_.item_count_max) return fail("an item count is not valid");
  if (*count == -1) {
    if (type != '*') return fail("an item count is not valid");
    value.kind = Kind::kNullArray;
    return Step::kValue;
  }
  switch (type) {
    case '%': value.kind = Kind::kMap; break;
    case '~': value.kind = Kind::kSet; break;
    case '>': value.kind = Kind::kPush; break;
    default: value.kind = Kind::kArray; break;
  }
  const bool is_attribute = type == '|';
  const bool has_pairs = type == '%' || is_attribute;
  if (*count == 0) return is_attribute ? Step::kOpened : Step::kValue;
  if (open_.size() >= limits_.depth_max) return fail("aggregates are nested too deeply");
  // What an outer attribute said is kept with the aggregate until that is complete.
  value.attributes = std::exchange(attributes_, {});
  open_.push_back({std::move(value), has_pairs ? *count * 2 : *count, is_attribute});
  return Step::kOpened;
}

ReplyParser::Step ReplyParser::read_scalar(char type, std::string_view text, ReplyValue& value) {
  switch (type) {
    case '+':
      value.kind = Kind::kSimple;
      break;
    case '-':
      value.kind = Kind::kError;
      break;
    case ':': {
      const auto number = parse_int(text);
      if (!number) return fail("an integer is not valid");
      value.kind = Kind::kInteger;
      value.integer = *number;
      return Step::kValue;
    }
    case '_':
      if (!text.empty()) return fail("a null is not valid");
      value.kind = Kind::kNull;
      return Step::kValue;
    case '#':
      if (text != "t" && text != "f") return fail("a boolean is not valid");
      value.kind = Kind::kBoolean;
      value.integer = text == "t" ? 1 : 0;
      return Step::kValue;
    case ',':
      if (!parse_double(text) && text != "nan" && text != "-nan") return fail("a double is not valid");
      value.kind = Kind::kDouble;
      break;
    case '(': {
      const std::string_view digits = text.starts_with('-') ? text.substr(1) : text;
      if (digits.empty() || digits.find_first_not_of("0123456789") != std::string_view::npos) {
        return fail("a big number is not valid");
      }
      value.kind = Kind::kBigNumber;
      break;
    }
    default:
      return fail("an unknown type of reply");
  }
  value.text.assign(text);
  return Step::kValue;
}

void append_quoted(std::string& out, std::string_view bytes) {
  constexpr std::string_view kHex = "0123456789abcdef";
  out += '"';
  for (const char byte : bytes) {
    switch (byte) {
      case '\\':
      case '"':
        out += '\\';
        out += byte;
        break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\a': out += "\\a"; break;
      case '\b': out += "\\b"; break;
      default:
        if (byte >= 0x20 && byte < 0x7f) {
          out += byte;
        } else {
          const auto value = static_cast<unsigned char>(byte);
          out += "\\x";
          out += kHex[value >> 4];
          out += kHex[value & 15];
        }
    }
  }
  out += '"';
}

namespace {

size_t digit_count(size_t number) {
  size_t digits = 1;
  for (; number >= 10; number /= 10) ++digits;
  return digits;
}

void append_number(std::string& out, size_t number) {
  char text[kIntTextMax];
  out.append(text, format_unsigned(text, number));
}

void append_scalar(std::string& out, const ReplyValue& value) {
  switch (value.kind) {
    case Kind::kSimple:
    case Kind::kVerbatim:
    case Kind::kBigNumber: out += value.text; break;
    case Kind::kError: out.append("(error) ").append(value.text); break;
    case Kind::kInteger: {
      char text[kIntTextMax];
      out.append("(integer) ").append(text, format_int(text, value.integer));
      break;
    }
    case Kind::kBulk: append_quoted(out, value.text); break;
    case Kind::kNull:
    case Kind::kNullArray: out += "(nil)"; break;
    case Kind::kBoolean: out += value.integer != 0 ? "(true)" : "(false)"; break;
    case Kind::kDouble: out.append("(double) ").append(value.text); break;
    case Kind::kArray: out += "(empty array)"; break;
    case Kind::kMap: out += "(empty hash)"; break;
    case Kind::kSet: out += "(empty set)"; break;
    case Kind::kPush: out += "(empty push)"; break;
  }
}

// An aggregate that is being printed.
struct Cursor {
  const ReplyValue* value;
  size_t next = 0;    // index of the item to print
  size_t indent = 0;  // columns before its item numbers
  size_t width = 0;   // columns of an item number
};

Cursor cursor_of(const ReplyValue& value, size_t indent) {
  const size_t count = value.kind == Kind::kMap ? value.items.size() / 2 : value.items.size();
  return {.value = &value, .indent = indent, .width = digit_count(count)};
}

// What stands before an item: the line break, the indentation and the number, or a map's arrow.
void append_item_start(std::string& out, const Cursor& at) {
  const bool is_map = at.value->kind == Kind::kMap;
  if (is_map && at.next % 2 == 1) {
    out += " => ";
    return;
  }
  if (at.next > 0) {
    out += '\n';
    out.append(at.indent, ' ');
  }
  const size_t number = (is_map ? at.next / 2 : at.next) + 1;
  out.append(at.width - digit_count(number), ' ');
  append_number(out, number);
  out += is_map ? "# " : at.value->kind == Kind::kSet ? "~ " : ") ";
}

}  // namespace

std::string print_reply(const ReplyValue& value) {
  std::string out;
  if (!value.is_aggregate() || value.items.empty()) {
    append_scalar(out, value);
    return out;
  }
  std::vector<Cursor> open{cursor_of(value, 0)};
  while (!open.empty()) {
    Cursor& at = open.back();
    if (at.next == at.value->items.size()) {
      open.pop_back();
      continue;
    }
    append_item_start(out, at);
    const ReplyValue& item = at.value->items[at.next++];
    if (item.is_aggregate() && !item.items.empty()) {
      open.push_back(cursor_of(item, at.indent + at.width + 2));
    } else {
      append_scalar(out, item);
    }
  }
  return out;
}

}  // namespace quorate
