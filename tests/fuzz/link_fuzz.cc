// Any bytes on the peer port, before and behind the handshake, with and without a secret: a link
// refuses or waits, believes nobody without proof, and hands out only messages of frames that prove
// themselves.  Frames with right checksums and any bodies, cut into any pieces, behave the same as
// in one piece.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cluster/link/link.h"
#include "tests/fuzz/choices.h"
#include "util/check.h"

namespace quorate {
namespace {

const std::optional<Bytes32> kSecret = Bytes32{'s', 'e', 'c', 'r', 'e', 't'};

LinkOptions options(uint64_t node, PeerLane lane, const std::optional<Bytes32>& secret) {
  LinkOptions made;
  made.own = {.lane = lane, .cluster = {'f'}, .partitions = 16, .node = node, .incarnation = 1};
  made.secret = secret;
  made.nonce.fill(static_cast<char>('a' + node));
  made.frame_size_max = 64 * 1024;
  return made;
}

// What came out, and how it ended.
std::string feed(Link& link, std::string_view bytes, size_t piece_max) {
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

// A link that was called, and what its caller says.
struct Called {
  explicit Called(const std::optional<Bytes32>& secret)
      : link(options(1, PeerLane::kEither, secret)) {
    Link caller(options(2, PeerLane::kData, secret));
    feed(caller, link.output().view(), SIZE_MAX);
    words = caller.output().view();
  }
  Link link;
  std::string words;
};

// Behind a handshake that is done.
std::string feed_open(std::string_view bytes, size_t piece_max,
                      const std::optional<Bytes32>& secret) {
  Called called(secret);
  feed(called.link, called.words, 50);
  CHECK(called.link.is_open());
  return feed(called.link, bytes, piece_max);
}

// With a nonce that no input knows.
void feed_stranger(std::string_view input, PeerLane lane, const std::optional<Bytes32>& secret) {
  LinkOptions own = options(1, lane, secret);
  own.nonce.fill('z');
  Link link(own);
  feed(link, input, 7);
  if (secret) CHECK(!link.is_open());
  Link at_once(own);
  feed(at_once, input, input.size());
  if (secret) CHECK(!at_once.is_open());
}

// What a caller says, with the input written over a part of it.
void feed_changed(std::string_view input, const std::optional<Bytes32>& secret) {
  if (input.empty()) return;
  Called called(secret);
  std::string words = called.words;
  const size_t at = static_cast<uint8_t>(input[0]) % words.size();
  words.replace(at, std::min(input.size() - 1, words.size() - at),
                input.substr(1, words.size() - at));
  feed(called.link, words, 13);
  if (secret) CHECK(called.link.is_open() == (words == called.words));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  for (const auto& secret : {std::optional<Bytes32>(), kSecret}) {
    for (const PeerLane lane : {PeerLane::kEither, PeerLane::kBeats})
      feed_stranger(input, lane, secret);
    feed_changed(input, secret);
    CHECK(feed_open(input, 5, secret) == feed_open(input, input.size(), secret));
  }
  // The same bytes as bodies of good frames.
  Choices choices(data, size);
  std::string framed;
  uint64_t number = 0;
  std::string_view left = input;
  while (!left.empty()) {
    const std::string_view body = left.substr(0, 1 + choices.below(64));
    left.remove_prefix(std::min(body.size(), left.size()));
    char header[FrameHeader::kSize];
    FrameHeader{
        .body_size = static_cast<uint32_t>(body.size()), .number = ++number, .acknowledged = 0}
        .encode(header, body);
    framed.append(header, sizeof header);
    framed += body;
  }
  CHECK(feed_open(framed, 11, kSecret) == feed_open(framed, framed.size(), kSecret));
  return 0;
}

}  // namespace quorate
