// What is known of weak acknowledgements (losses.h), on disk: the file `node.losses` of the data directory (docs/FORMATS.md).  Company replaces it
// (persist/replaced_file.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "node/losses.h"
#include "persist/disk.h"
#include "util/result.h"

namespace quorate {

constexpr std::string_view kLossesFile = "node.losses";
constexpr uint8_t kLossesOwner = 6;   // of its requests

std::string encode(const Losses& losses);
// Nothing: the bytes are no such file.
std::optional<Losses> decode_losses(std::string_view bytes);

// At start, on the disk itself.  Nothing: the file is damaged.  Where there is none nothing is known.
Result<std::optional<Losses>> read_losses(Disk& disk);

}  // namespace quorate
