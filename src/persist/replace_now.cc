// Under a temporary name first.
#include "persist/replace_now.h"

#include <string>

#include "persist/log_format.h"

namespace quorate {

Status replace_now(Disk& disk, std::string_view file, std::string_view bytes) {
  const std::string temporary = std::string(file) + std::string(kTemporarySuffix);
  TRY(disk.create(temporary));
  TRY(disk.append(temporary, bytes));
  TRY(disk.sync(temporary));
  TRY(disk.rename(temporary, file));
  return disk.sync_directory();
}

}  // namespace quorate
