// Keeping slow commands.
#include "node/slow_log.h"

namespace quorate {

namespace {

std::string shortened(std::string_view arg) {
  if (arg.size() <= SlowLog::kArgBytesMax) return std::string(arg);
  return std::string(arg.substr(0, SlowLog::kArgBytesMax)) + "... (" +
         std::to_string(arg.size() - SlowLog::kArgBytesMax) + " more bytes)";
}

}  // namespace

void SlowLog::add(int64_t unix_s, int64_t duration_us, Args args, std::string_view address,
                  std::string_view name, int64_t length_max) {
  Entry entry;
  entry.id = next_id_++;
  entry.unix_s = unix_s;
  entry.duration_us = duration_us;
  entry.address = address;
  entry.name = name;
  const size_t kept = args.size() > kArgsMax ? kArgsMax - 1 : args.size();
  for (size_t index = 0; index < kept; ++index) entry.args.push_back(shortened(args[index]));
  if (args.size() > kArgsMax) {
    entry.args.push_back("... (" + std::to_string(args.size() - kArgsMax + 1) + " more arguments)");
  }
  entries_.push_front(std::move(entry));
  trim(length_max);
}

}  // namespace quorate
