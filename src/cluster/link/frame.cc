// The bytes of openings, greetings and frame headers.
#include "cluster/link/frame.h"

#include <cstring>

#include "util/check.h"
#include "util/hash.h"
#include "util/varint.h"

namespace quorate {

namespace {

constexpr std::string_view kMagic = "QRTPEER";
constexpr uint64_t kGreetingSeed = 0x706565726772746e;
constexpr uint64_t kHeaderSeed = 0x7065657266726d31;

// What openings and greetings have in common, of every version: name and version in front, a checksum at the end.
constexpr size_t kGreetingCheckAt = Greeting::kSize - sizeof(uint64_t);
static_assert(Opening::kSize == Greeting::kSize);
constexpr size_t kNonceAt = 16;
// The checksum of a frame: 32 bits for the header, so that a length is never believed unproven, 64 for header and body.
constexpr size_t kHeaderCheckAt = 4;
constexpr size_t kBodyCheckAt = FrameHeader::kSize - sizeof(uint64_t);

// Of the header without its own checksums.
uint32_t header_check(std::string_view header) {
  const uint64_t numbers = hash64(header.substr(8, kBodyCheckAt - 8), kHeaderSeed);
  return static_cast<uint32_t>(hash64(header.substr(0, kHeaderCheckAt), numbers));
}

template <class Body>
uint64_t body_check(std::string_view header, const Body& body) {
  return hash64(body, hash64(header.substr(0, kBodyCheckAt), kHeaderSeed));
}

std::string begin_greeting(uint8_t version) {
  std::string bytes(Greeting::kSize, '\0');
  std::memcpy(bytes.data(), kMagic.data(), kMagic.size());
  bytes[kMagic.size()] = static_cast<char>(version);
  return bytes;
}

void end_greeting(std::string& bytes) {
  char* const at = bytes.data();
  store_little<uint64_t>(at + kGreetingCheckAt, hash64({at, kGreetingCheckAt}, kGreetingSeed));
}

// The version.
std::optional<uint8_t> check_greeting(std::string_view bytes) {
  if (bytes.size() < Greeting::kSize || bytes.substr(0, kMagic.size()) != kMagic) return std::nullopt;
  const uint64_t check = hash64(bytes.substr(0, kGreetingCheckAt), kGreetingSeed);
  if (load_little<uint64_t>(bytes.data() + kGreetingCheckAt) != check) return std::nullopt;
  return static_cast<uint8_t>(bytes[kMagic.size()]);
}

}  // namespace

std::string Opening::encode() const {
  std::string bytes = begin_greeting(version);
  bytes[8] = static_cast<char>(role);
  bytes[9] = has_secret ? 1 : 0;
  std::memcpy(bytes.data() + kNonceAt, nonce.data(), nonce.size());
  end_greeting(bytes);
  return bytes;
}

std::optional<Opening> Opening::decode(std::string_view bytes) {
  const std::optional<uint8_t> version = check_greeting(bytes);
  if (!version) return std::nullopt;
  if (*version != kPeerVersion) return Opening{.version = *version};
  const auto role = static_cast<LinkRole>(bytes[8]);
  if (role != LinkRole::kCaller && role != LinkRole::kCalled) return std::nullopt;
  if (bytes[9] != 0 && bytes[9] != 1) return std::nullopt;
  Opening opening{.role = role, .has_secret = bytes[9] == 1};
  std::memcpy(opening.nonce.data(), bytes.data() + kNonceAt, opening.nonce.size());
  return opening;
}

std::string Greeting::encode() const {
  std::string bytes = begin_greeting(kPeerVersion);
  char* const at = bytes.data();
  at[8] = static_cast<char>(lane);
  store_little<uint32_t>(at + 12, partitions);
  std::memcpy(at + 16, cluster.data(), cluster.size());
  store_little<uint64_t>(at + 32, node);
  store_little<uint64_t>(at + 40, wanted_node);
  store_little<uint64_t>(at + 48, incarnation);
  end_greeting(bytes);
  return bytes;
}

std::optional<Greeting> Greeting::decode(std::string_view bytes) {
  if (check_greeting(bytes) != kPeerVersion) return std::nullopt;
  const char* const at = bytes.data();
  Greeting greeting{.lane = static_cast<PeerLane>(at[8]),
                    .partitions = load_little<uint32_t>(at + 12),
                    .node = load_little<uint64_t>(at + 32),
                    .wanted_node = load_little<uint64_t>(at + 40),
                    .incarnation = load_little<uint64_t>(at + 48)};
  std::memcpy(greeting.cluster.data(), at + 16, greeting.cluster.size());
  return greeting;
}

std::string_view refusal_text(Refusal refusal) {
  switch (refusal) {
    case Refusal::kNone: return "none";
    case Refusal::kNotAPeer: return "not a peer";
    case Refusal::kVersion: return "another version";
    case Refusal::kOtherCluster: return "another cluster";
    case Refusal::kOtherNode: return "another node than expected";
    case Refusal::kSameNode: return "a node with our own id";
    case Refusal::kOldIncarnation: return "an old incarnation";
    case Refusal::kPartitions: return "another number of partitions";
    case Refusal::kLane: return "another lane";
    case Refusal::kDamaged: return "damaged bytes";
    case Refusal::kTooLarge: return "a frame over the limit";
    case Refusal::kSecretDiffers: return "masterauth differs";
    case Refusal::kSecretMissing: return "it has no masterauth";
    case Refusal::kSecretUnknown: return "it has a masterauth and this node has none";
    case Refusal::kTooMany: return "too many connections that are no member's";
    case Refusal::kNoCluster: return "one of the two has not joined yet";
  }
  return "unknown";
}

void FrameHeader::encode(char* out, std::string_view body) const {
  CHECK(body.size() == body_size);
  encode_numbers(out);
  store_little<uint64_t>(out + kBodyCheckAt, body_check({out, kSize}, body));
}

void FrameHeader::encode(char* out, std::span<const std::string_view> body) const {
  size_t size = 0;
  for (const std::string_view piece : body) size += piece.size();
  CHECK(size == body_size);
  encode_numbers(out);
  store_little<uint64_t>(out + kBodyCheckAt, body_check({out, kSize}, body));
}

// All but the checksum of the body.
void FrameHeader::encode_numbers(char* out) const {
  CHECK(body_size <= kBodyMax);
  out[0] = kMark;
  out[1] = static_cast<char>(kPeerVersion);
  out[2] = 0;
  out[3] = 0;
  store_little<uint32_t>(out + 8, body_size);
  // 48 bits each: enough for a frame a microsecond for nine years.
  for (size_t index = 0; index < 6; ++index) {
    out[12 + index] = static_cast<char>(number >> (8 * index));
    out[18 + index] = static_cast<char>(acknowledged >> (8 * index));
  }
  store_little<uint32_t>(out + kHeaderCheckAt, header_check({out, kSize}));
}

std::optional<FrameHeader> FrameHeader::decode(std::string_view bytes) {
  if (bytes.size() < kSize || bytes[0] != kMark) return std::nullopt;
  const char* const at = bytes.data();
  if (load_little<uint32_t>(at + kHeaderCheckAt) != header_check(bytes.substr(0, kSize))) return std::nullopt;
  FrameHeader header{.body_size = load_little<uint32_t>(at + 8)};
  for (size_t index = 6; index-- > 0;) {
    header.number = header.number << 8 | static_cast<uint8_t>(at[12 + index]);
    header.acknowledged = header.acknowledged << 8 | static_cast<uint8_t>(at[18 + index]);
  }
  return header;
}

bool FrameHeader::proves(std::string_view header, std::string_view body) {
  return load_little<uint64_t>(header.data() + kBodyCheckAt) == body_check(header, body);
}

}  // namespace quorate
