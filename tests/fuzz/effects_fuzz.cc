// Any bytes as a batch of effects: no crash, and what is read is written again as the same bytes.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "store/effects.h"
#include "util/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using quorate::Effect;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  quorate::EffectReader reader(bytes);
  quorate::Effects again;
  again.set_collecting(true);
  Effect effect;
  while (!reader.at_end()) {
    if (!reader.next(effect).ok()) return 0;
    again.add(effect.database, quorate::Key{{}, 0, effect.slot}, effect.args);
  }
  // Varints may be written longer than they need to be: what was written again reads back to
  // itself.
  CHECK(again.bytes().size() <= bytes.size());
  quorate::EffectReader second(again.bytes());
  quorate::Effects third;
  third.set_collecting(true);
  while (!second.at_end()) {
    CHECK(second.next(effect).ok());
    third.add(effect.database, quorate::Key{{}, 0, effect.slot}, effect.args);
  }
  CHECK(third.bytes() == again.bytes());
  return 0;
}
