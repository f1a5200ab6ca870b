// The bytes of beats and echoes; docs/FORMATS.md is the prose.
#include "cluster/beats.h"
#include "cluster/wire.h"

namespace quorate::beats {

namespace {

using wire::Reader;
using wire::write;
using wire::write_byte;

enum class PacketKind : uint8_t { kBeat = 1, kEcho = 2 };

void write_packet(const Beat& beat, Buffer& out) {
  write_byte(PacketKind::kBeat, out);
  write(beat.incarnation, out);
  write(beat.number, out);
  append_little<uint64_t>(out, beat.nonce);
  write_byte(beat.health.disk_is_healthy ? 1 : 0, out);
  write_byte(beat.health.is_draining ? 1 : 0, out);
  write_byte(beat.health.clock_is_right ? 1 : 0, out);
  write_byte(beat.health.kept, out);
  write_byte(beat.health.is_over_memory ? 1 : 0, out);
  append_little<uint64_t>(out, static_cast<uint64_t>(beat.health.wall_ms));
  append_varint(out, beat.led_version);
  write_byte(beat.led ? 1 : 0, out);
  if (!beat.led) return;
  append_varint(out, beat.led->size());
  for (const Led& led : *beat.led) {
    write(led.group, out);
    write(led.leader, out);
    write(led.term, out);
  }
}

Beat read_beat(Reader& in) {
  constexpr size_t kLedBytesMin = 3;
  Beat beat;
  in.read(beat.incarnation);
  in.read(beat.number);
  beat.nonce = in.fixed64();
  beat.health.disk_is_healthy = in.flag();
  beat.health.is_draining = in.flag();
  beat.health.clock_is_right = in.flag();
  beat.health.kept = in.one_of(raft::Durability::kMemory, raft::Durability::kSynced);
  beat.health.is_over_memory = in.flag();
  beat.health.wall_ms = static_cast<int64_t>(in.fixed64());
  beat.led_version = in.varint();
  if (!in.flag()) return beat;
  std::vector<Led> list;
  size_t left = in.count(kLedBytesMin);
  if (left > kLedMax) in.refuse();
  for (; in.good() && left > 0; --left) {
    Led led;
    in.read(led.group);
    in.read(led.leader);
    in.read(led.term);
    if (!list.empty() && !(list.back().group < led.group)) in.refuse();  // sorted, each group once
    list.push_back(led);
  }
  beat.led = std::move(list);
  return beat;
}

void write_packet(const Echo& echo, Buffer& out) {
  write_byte(PacketKind::kEcho, out);
  write(echo.incarnation, out);
  write(echo.beat_incarnation, out);
  write(echo.number, out);
  append_little<uint64_t>(out, echo.nonce);
  append_varint(out, echo.led_version);
  append_varint(out, echo.support_epoch);
  append_varint(out, echo.not_confirmed.size());
  for (const GroupId group : echo.not_confirmed) write(group, out);
}

Echo read_echo(Reader& in) {
  Echo echo;
  in.read(echo.incarnation);
  in.read(echo.beat_incarnation);
  in.read(echo.number);
  echo.nonce = in.fixed64();
  echo.led_version = in.varint();
  echo.support_epoch = in.varint();
  size_t left = in.count(1);
  if (left > kLedMax) in.refuse();
  for (; in.good() && left > 0; --left) {
    GroupId group;
    in.read(group);
    if (!echo.not_confirmed.empty() && !(echo.not_confirmed.back() < group)) in.refuse();
    echo.not_confirmed.push_back(group);
  }
  return echo;
}

}  // namespace

void encode(const Packet& packet, Buffer& out) {
  write_byte(kBeatVersion, out);
  std::visit([&](const auto& one) { write_packet(one, out); }, packet);
}

Result<Packet> decode_packet(std::string_view& bytes) {
  Reader in(bytes);
  if (in.byte() != kBeatVersion) return Error(ErrorCode::kCorrupt, "unknown version of a beat");
  const auto kind = in.one_of(PacketKind::kBeat, PacketKind::kEcho);
  Packet packet;
  if (kind == PacketKind::kBeat) {
    packet = read_beat(in);
  } else {
    packet = read_echo(in);
  }
  if (!in.good()) return Error(ErrorCode::kCorrupt, "a beat that cannot be read");
  bytes = in.rest();
  return packet;
}

}  // namespace quorate::beats
