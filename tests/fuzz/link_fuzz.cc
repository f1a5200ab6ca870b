// Any bytes on the peer port: a link refuses or waits, and hands out only messages of frames that prove themselves.  Frames with
// right checksums and any bodies, cut into any pieces, behave the same as in one piece.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "cluster/link/link.h"
#include "tests/fuzz/choices.h"
#include "util/check.h"

namespace quorate {
namespace {

LinkOptions options(uint64_t node) {
  LinkOptions made;
  made.own = {.lane = PeerLane::kData, .cluster = {'f'}, .partitions = 16, .node = node, .incarnation = 1};
  made.frame_size_max = 64 * 1024;
  return made;
}

// What came out, and how it ended.
std::string feed(std::string_view bytes, size_t piece_max) {
  Link link(options(1));
  std::string seen;
  size_t at = 0;
  uint64_t frame = 0;
  while (true) {
    PeerMessage message;
    while (link.next(message)) {
      CHECK(link.is_open());
      CHECK(message.frame >= frame);
      frame = message.frame;
      seen += std::to_string(message.kind) + ':' + std::string(message.bytes) + ';';
    }
    CHECK(link.acknowledged() == 0);
    if (at == bytes.size()) break;
    const size_t size = std::min(piece_max, bytes.size() - at);
    link.receive(bytes.substr(at, size));
    at += size;
  }
  return seen + std::string(refusal_text(link.refusal()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  feed(input, 7);
  const std::string greeting = Greeting{.partitions = 16, .cluster = {'f'}, .node = 2}.encode();
  std::string stream = greeting;
  stream += input;
  CHECK(feed(stream, 5) == feed(stream, stream.size()));
  // The same bytes as bodies of good frames.
  Choices choices(data, size);
  std::string framed = greeting;
  uint64_t number = 0;
  std::string_view left = input;
  while (!left.empty()) {
    const std::string_view body = left.substr(0, 1 + choices.below(64));
    left.remove_prefix(std::min(body.size(), left.size()));
    char header[FrameHeader::kSize];
    FrameHeader{.body_size = static_cast<uint32_t>(body.size()), .number = ++number, .acknowledged = 0}.encode(header, body);
    framed.append(header, sizeof header);
    framed += body;
  }
  CHECK(feed(framed, 11) == feed(framed, framed.size()));
  return 0;
}

}  // namespace quorate
