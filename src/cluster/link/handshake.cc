// Openings, greetings, proofs.
#include "cluster/link/handshake.h"

#include <utility>

#include "util/check.h"

namespace quorate {

namespace {

// Parts of version 3 of the bytes between nodes, as docs/FORMATS.md says them.
constexpr std::string_view kSecretSalt = "quorate masterauth 2";
constexpr uint32_t kSecretRounds = 4096;
constexpr std::string_view kProofLabel = "quorate proof 2 ";

Greeting greeting_of(const LinkOptions& options) {
  return {.lane = options.own.lane,
          .partitions = options.own.partitions,
          .cluster = options.own.cluster,
          .node = options.own.node,
          .wanted_node = options.wanted_node,
          .incarnation = options.own.incarnation};
}

}  // namespace

Bytes32 link_secret(std::string_view password) {
  return key_of_password(password, kSecretSalt, kSecretRounds);
}

Handshake::Handshake(const LinkOptions& options)
    : options_(options),
      role_(options.own.role()),
      own_opening_(
          Opening{.role = role_, .has_secret = options.secret.has_value(), .nonce = options.nonce}
              .encode()),
      own_greeting_(greeting_of(options).encode()) {}

// Of what `speaker` has said and heard up to the end of its greeting.  Without a secret there is
// none: zeros.
Bytes32 Handshake::proof_of(LinkRole speaker) const {
  if (!options_.secret) return {};
  const bool is_caller = role_ == LinkRole::kCaller;
  std::string said(kProofLabel);
  said.push_back(static_cast<char>(speaker));
  said += is_caller ? own_opening_ : other_opening_;
  said += is_caller ? other_opening_ : own_opening_;
  said += is_caller ? own_greeting_ : other_greeting_;
  if (speaker == LinkRole::kCalled) said += is_caller ? other_greeting_ : own_greeting_;
  return hmac_sha256(*options_.secret, said);
}

void Handshake::greet(Buffer& output) {
  output.append(own_greeting_);
  output.append(view_of(proof_of(role_)));
}

Refusal Handshake::read_opening(std::string_view bytes) {
  const std::optional<Opening> opening = Opening::decode(bytes);
  if (!opening) return Refusal::kNotAPeer;
  version_ = opening->version;
  if (opening->version != kPeerVersion) return Refusal::kVersion;
  // Our own words come back, or two that both believe to have called.
  if (opening->role == role_) return Refusal::kNotAPeer;
  const bool has_secret = options_.secret.has_value();
  if (opening->has_secret != has_secret)
    return has_secret ? Refusal::kSecretMissing : Refusal::kSecretUnknown;
  other_opening_ = bytes;
  return Refusal::kNone;
}

Refusal Handshake::judge(const Greeting& greeting) const {
  const LinkIdentity& own = options_.own;
  if (role_ == LinkRole::kCaller && greeting.lane != PeerLane::kEither) return Refusal::kLane;
  if (role_ == LinkRole::kCalled &&
      (greeting.lane < PeerLane::kData || greeting.lane > PeerLane::kPubsub))
    return Refusal::kLane;
  constexpr ClusterId kNone{};
  // Who has no cluster yet may speak to anyone, and be spoken to, as a guest.
  if (greeting.cluster != own.cluster && greeting.cluster != kNone && own.cluster != kNone) {
    return Refusal::kOtherCluster;
  }
  if (greeting.partitions != own.partitions) return Refusal::kPartitions;
  if (greeting.node == own.node) return Refusal::kSameNode;
  if (options_.wanted_node != 0 && greeting.node != options_.wanted_node)
    return Refusal::kOtherNode;
  if (greeting.wanted_node != 0 && greeting.wanted_node != own.node) return Refusal::kOtherNode;
  const bool is_line = options_.wanted_node != 0 || greeting.wanted_node != 0;
  if (is_line && greeting.cluster == kNone) return Refusal::kNoCluster;
  return Refusal::kNone;
}

// The proof comes before all else: who has not given it learns nothing from what is refused.
Refusal Handshake::read_greeting(std::string_view bytes, Buffer& output) {
  const std::string_view greeting = bytes.substr(0, Greeting::kSize);
  const std::optional<Greeting> decoded = Greeting::decode(greeting);
  if (!decoded) return Refusal::kNotAPeer;
  other_greeting_ = greeting;
  const LinkRole speaker = role_ == LinkRole::kCaller ? LinkRole::kCalled : LinkRole::kCaller;
  if (!is_same_secret(view_of(proof_of(speaker)), bytes.substr(Greeting::kSize, kProofSize))) {
    return options_.secret ? Refusal::kSecretDiffers : Refusal::kNotAPeer;
  }
  if (const Refusal why = judge(*decoded); why != Refusal::kNone) return why;
  other_ = *decoded;
  if (role_ == LinkRole::kCalled) greet(output);
  is_done_ = true;
  return Refusal::kNone;
}

Refusal Handshake::read(std::string_view bytes, Buffer& output) {
  CHECK(!is_done_);
  if (!has_opened()) {
    if (bytes.size() < Opening::kSize) return Refusal::kNone;
    const Refusal why = read_opening(bytes.substr(0, Opening::kSize));
    if (why != Refusal::kNone) return why;
    bytes.remove_prefix(Opening::kSize);
    count_ += Opening::kSize;
    if (role_ == LinkRole::kCaller) greet(output);
  }
  if (bytes.size() < Greeting::kSize + kProofSize) return Refusal::kNone;
  const Refusal why = read_greeting(bytes, output);
  if (why == Refusal::kNone) count_ += Greeting::kSize + kProofSize;
  return why;
}

size_t Handshake::take_count() { return std::exchange(count_, 0); }

}  // namespace quorate
