// Replaces a small file as a whole at a start, when nothing else is done with the directory.  While a process works, ReplacedFile
// does it in the log's lane.
#pragma once

#include <string_view>

#include "persist/disk.h"
#include "util/result.h"

namespace quorate {

// Durable when it returns; a crash leaves the old file or the new one, and perhaps one with kTemporarySuffix.
Status replace_now(Disk& disk, std::string_view file, std::string_view bytes);

}  // namespace quorate
