// Building the index of commands.
#include "node/command_index.h"

namespace quorate {

CommandIndex::CommandIndex(std::span<const CommandTable::Family> families) : table_(families) {
  commands_.resize(table_.size());
  for (uint32_t id = 0; id < table_.size(); ++id) {
    Command& command = commands_[id];
    command.row = &table_.row(id);
    command.spec = command.row->spec;
    command.index = id;
    const CommandSpec& spec = *command.spec;
    const KeySpec& keys = spec.keys[0];
    command.has_first_key = keys.begin == KeySpec::Begin::kIndex && keys.at == 1 &&
                            keys.find == KeySpec::Find::kRange && spec.run != nullptr;
    command.has_one_key =
        command.has_first_key && keys.last == 0 && spec.keys[1].begin == KeySpec::Begin::kNone;
    command.removes_key = command.has_first_key && (keys.flags & kKeyRemove) != 0;
    // SET is not "fast" only because of the value it may replace; that is freed in the background.
    command.may_be_long = (spec.flags & kFast) == 0 && spec.name != "set";
  }
}

void CommandIndex::reset_statistics() {
  for (Command& command : commands_) {
    command.calls = 0;
    command.nanoseconds = 0;
    command.rejected = 0;
    command.failed = 0;
    command.latency.reset();
  }
}

}  // namespace quorate
