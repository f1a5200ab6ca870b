// Any text as a configuration file: no crash; what is accepted is written by CONFIG REWRITE in a form that reads
// back to the same settings, and rewriting once more changes nothing.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "node/config.h"
#include "util/check.h"

namespace {

using quorate::Configuration;
using quorate::Directive;

// "include self" reads the whole input again, anything else is missing.
class SelfIncluding : public quorate::ConfigFiles {
 public:
  explicit SelfIncluding(std::string_view text) : text_(text) {}
  quorate::Result<std::vector<File>> read(std::string_view pattern) override {
    if (pattern == "self") return std::vector<File>{{"self", std::string(text_)}};
    return quorate::Error(quorate::ErrorCode::kIo, "no such file");
  }

 private:
  std::string_view text_;
};

struct World {
  quorate::StoreSettings store;
  quorate::NodeSettings node;
  quorate::ProcessSettings process;
  Configuration config{quorate::SettingTargets{store, node, process}};

  bool load(std::string_view text) {
    SelfIncluding files(text);
    std::vector<Directive> directives;
    const quorate::Status read = quorate::read_directives(text, "fuzz.conf", files, directives);
    if (!read.ok()) {
      CHECK(!read.error().detail().empty());
      return false;
    }
    const quorate::Status loaded = config.load(directives);
    if (!loaded.ok()) CHECK(!loaded.error().detail().empty());
    return loaded.ok();
  }
  std::string all() const {
    constexpr std::string_view kEverything[] = {"*"};
    std::string out;
    for (const auto& [name, value] : config.get(kEverything)) out.append(name).append("=").append(value).append("\n");
    return out;
  }
};

}  // namespace

std::span<const std::string_view> fuzz_dictionary() {
  static constexpr std::string_view kWords[] = {
      "include self\n", "save ",  "\"\"",        "port ",      "bind * ",    "maxmemory ", "1gb",
      "100%",           "normal ", "slave 0 0 0", "hz ",        "\\x00",      "'",          "yes",
      "no",             "\n",      "shutdown-on-sigint ", "nosave force now", "oom-score-adj-values 1 2 3",
      "latency-tracking-info-percentiles 50 99.9", "proc-title-template {port}", "read-quorum bounded:5"};
  return kWords;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kSizeMax = 4096;
  if (size > kSizeMax) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  World world;
  if (!world.load(text)) return 0;

  const std::string rewritten = world.config.rewrite(text);
  World again;
  // An include keeps its place, so what stands behind it in the file still does.
  if (text.find("nclude") != std::string_view::npos) return 0;
  CHECK(again.load(rewritten));
  CHECK(again.all() == world.all());
  CHECK(again.config.rewrite(rewritten) == rewritten);
  return 0;
}
