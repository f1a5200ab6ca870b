// What can be asked of a value whatever its type: one place that knows all value classes.
#pragma once

#include <cstddef>
#include <string_view>

#include "store/entry.h"
#include "store/settings.h"

namespace quorate {

// Elements of a container; 1 for a string.
size_t value_size(const Entry& entry);
bool value_is_empty(const Entry& entry);
// As OBJECT ENCODING prints it.
std::string_view value_encoding(const Entry& entry, const StoreSettings& settings);
// Bytes allocated for the value besides the entry's own block.
size_t value_memory(const Entry& entry);
// A new entry named `key` with a copy of the value, and no expiry.
Entry* clone_entry(std::string_view key, const Entry& entry);

// Frees what the value object owns; the entry's block stays.
void destroy_value(Entry* entry);
// The same in steps: at most about `budget` elements, which is reduced by what was freed.  True
// when done.
bool destroy_value_some(Entry* entry, size_t& budget);

}  // namespace quorate
