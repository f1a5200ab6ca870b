// The bytes of messages: every kind comes back as it was, the bytes stay what they are, and what is
// cut off, of another version or out of range is refused.
#include "cluster/raft/message_codec.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cluster/beats.h"
#include "util/outgoing.h"

namespace quorate::raft {
namespace {

Message message_with(MessageBody body) {
  return {.group = {7},
          .from = {{1}, {11}},
          .to = {{2}, {22}},
          .term = {300},
          .epoch = {1},
          .body = std::move(body)};
}

Append two_entries() {
  Append append{
      .prev_index = {4}, .prev_term = {2}, .prev_chain = {0x1122334455667788}, .commit = {3}};
  Entry first{.term = {2},
              .index = {5},
              .payload = SharedBytes(std::string_view("ab")),
              .kind = EntryKind::kCommand};
  first.chain = chain_after(append.prev_chain, first);
  Entry second{.term = {300}, .index = {6}, .kind = EntryKind::kNoOp};
  second.chain = chain_after(first.chain, second);
  append.entries.push_back(first);
  append.entries.push_back(second);
  return append;
}

std::string bytes_of(const Message& message) {
  Buffer out;
  encode(message, out);
  return std::string(out.view());
}

std::string hexadecimal(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    text += kDigits[static_cast<unsigned char>(byte) >> 4];
    text += kDigits[static_cast<unsigned char>(byte) & 15];
  }
  return text;
}

std::vector<Message> one_of_each() {
  const Position position{{1}, {2}, {3}};
  Configuration configuration;
  configuration.incoming.voters = {{{1}, {11}}, {{2}, {22}}};
  return {message_with(two_entries()),
          message_with(Append{.prev_index = {4}, .prev_term = {2}}),
          message_with(AppendAnswer{.result = AppendResult::kMismatch,
                                    .match = {1},
                                    .rejected = {9},
                                    .hint = {5},
                                    .hint_term = {2}}),
          message_with(CommitNotice{.commit = {12}}),
          message_with(RequestVote{.kind = VoteKind::kRecoveryVote,
                                   .proposed = {301},
                                   .position = position,
                                   .configuration = {position, configuration},
                                   .standing = Standing::kRecovering,
                                   .is_loaded = false,
                                   .rank = 2,
                                   .transfer_mark = {299},
                                   .left_out = {{7}, {uint64_t{1} << 63}}}),
          message_with(VoteAnswer{.kind = VoteKind::kPreVote,
                                  .result = VoteResult::kPromised,
                                  .proposed = {301},
                                  .position = position,
                                  .rank = 1,
                                  .wait_ms = 77}),
          message_with(TimeoutNow()),
          message_with(TransferRefused()),
          message_with(RecoveryRequest{.nonce = 0xfeedfacecafebeef}),
          message_with(RecoveryAnswer{.nonce = 0xfeedfacecafebeef, .last_index = {99}}),
          message_with(RequestVote{.proposed = {301}, .position = position}),
          message_with(VoteAnswer{.kind = VoteKind::kRecoveryPreVote,
                                  .result = VoteResult::kNewerConfiguration,
                                  .proposed = {301},
                                  .position = position,
                                  .configuration = {position, configuration}})};
}

TEST(MessageCodec, large_payloads_are_left_out_and_belong_where_it_says) {
  Append append = two_entries();
  Entry large{.term = {300}, .index = {7}, .payload = SharedBytes(std::string(Outgoing::kSharedMin, 'x')), .kind = EntryKind::kCommand};
  large.chain = chain_after(append.entries.view().back().chain, large);
  append.entries.push_back(large);
  const Message message = message_with(append);
  Buffer out;
  out.append("before");
  std::vector<SharedPart> parts;
  encode(message, out, parts);
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_EQ(parts[0].bytes.view().data(), large.payload.view().data());
  std::string whole(out.view());
  whole.insert(parts[0].place, parts[0].bytes.view());
  EXPECT_EQ(whole, "before" + bytes_of(message));
  std::string_view rest = std::string_view(whole).substr(6);
  const Result<Message> again = decode_message(rest);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(std::get<Append>(again.value().body).entries.view().back().chain, large.chain);
}

TEST(MessageCodec, every_kind_comes_back_as_it_was) {
  for (const Message& message : one_of_each()) {
    const std::string bytes = bytes_of(message);
    std::string_view rest = bytes;
    const Result<Message> again = decode_message(rest);
    ASSERT_TRUE(again.ok());
    EXPECT_TRUE(rest.empty());
    EXPECT_EQ(again.value().body.index(), message.body.index());
    EXPECT_EQ(bytes_of(again.value()), bytes);
  }
}

TEST(MessageCodec, the_bytes_of_version_two) {
  EXPECT_EQ(hexadecimal(bytes_of(one_of_each()[3])), "020207010b0216ac02010c");
  EXPECT_EQ(hexadecimal(bytes_of(one_of_each()[5])),
            "020407010b0216ac0201"
            "0103ad02"
            "010203"
            "0101"
            "014d");
  // An all-present restart tells a configuration: its place, then itself.
  EXPECT_EQ(hexadecimal(bytes_of(one_of_each()[4])),
            "020307010b0216ac0201"
            "04ad02"
            "010203"
            "010203"
            "0102010b0216000000010200"
            "02ab02" "02" "07" "80808080808080808001");
  EXPECT_EQ(hexadecimal(bytes_of(one_of_each()[11])),
            "020407010b0216ac0201"
            "0309ad02"
            "010203"
            "01010000"
            "010203"
            "0102010b021600000001");
  EXPECT_EQ(hexadecimal(bytes_of(one_of_each()[8])), "020707010b0216ac0201efbefecacefaedfe");
  const std::string append = hexadecimal(bytes_of(one_of_each()[0]));
  EXPECT_EQ(append.substr(0, append.size() - 16),
            "020007010b0216ac02010402887766554433221103020002026162aa020100");
}

TEST(MessageCodec, every_cut_is_refused) {
  for (const Message& message : one_of_each()) {
    const std::string bytes = bytes_of(message);
    for (size_t size = 0; size < bytes.size(); ++size) {
      std::string_view cut = std::string_view(bytes).substr(0, size);
      EXPECT_FALSE(decode_message(cut).ok());
      EXPECT_EQ(cut.size(), size);
    }
  }
}

TEST(MessageCodec, a_changed_payload_is_refused) {
  std::string bytes = bytes_of(one_of_each()[0]);
  bytes[bytes.find("ab")] = 'x';
  std::string_view rest = bytes;
  EXPECT_FALSE(decode_message(rest).ok());
}

TEST(MessageCodec, other_versions_and_kinds_are_refused) {
  std::string bytes = bytes_of(one_of_each()[6]);
  bytes[0] = 1;
  std::string_view rest = bytes;
  EXPECT_FALSE(decode_message(rest).ok());
  bytes[0] = 2;
  bytes[1] = 9;
  rest = bytes;
  EXPECT_FALSE(decode_message(rest).ok());
}

TEST(MessageCodec, configurations_marks_and_hard_states_come_back) {
  Configuration configuration;
  configuration.incoming = {.voters = {{{1}, {1}}, {{2}, {2}}, {{4}, {4}}}, .commit_quorum = 1};
  configuration.outgoing = Half{.voters = {{{1}, {1}}, {{2}, {2}}, {{3}, {3}}}};
  configuration.learners = {{{3}, {3}}};
  configuration.durability = Durability::kSynced;
  ASSERT_TRUE(validate(configuration).ok());
  EXPECT_EQ(decode_configuration(encode_configuration(configuration).view()).value(),
            configuration);
  // As it was before there were versions of the mode; and with one.
  const SharedBytes before = encode_configuration(configuration);
  configuration.mode_version = 300;
  const SharedBytes with_version = encode_configuration(configuration);
  EXPECT_EQ(with_version.view().size(), before.view().size() + 2);
  EXPECT_EQ(decode_configuration(with_version.view()).value(), configuration);
  EXPECT_FALSE(decode_configuration(with_version.view().substr(0, before.view().size())).ok());

  const Position at{{1}, {5}, {77}};
  const HardState state{.term = {6},
                        .voted_for = {2},
                        .epoch = {1},
                        .standing = Standing::kRecovering,
                        .configuration = {at, configuration}};
  Buffer out;
  encode(state, out);
  std::string_view rest = out.view();
  EXPECT_EQ(decode_hard_state(rest).value(), state);
  EXPECT_TRUE(rest.empty());

  const SnapshotMark mark{.last = at, .chain = {99}, .configuration = {at, configuration}};
  Buffer marked;
  encode(mark, marked);
  rest = marked.view();
  const SnapshotMark again = decode_snapshot_mark(rest).value();
  EXPECT_EQ(again.last, mark.last);
  EXPECT_EQ(again.chain, mark.chain);
  EXPECT_EQ(again.configuration, mark.configuration);
}

TEST(MessageCodec, only_an_all_present_restart_tells_configurations) {
  const std::vector<Message> messages = one_of_each();
  const auto again = [&](size_t index) {
    const std::string bytes = bytes_of(messages[index]);
    std::string_view rest = bytes;
    return decode_message(rest).value().body;
  };
  EXPECT_EQ(std::get<RequestVote>(again(4)).configuration,
            std::get<RequestVote>(messages[4].body).configuration);
  EXPECT_EQ(std::get<RequestVote>(again(4)).left_out, std::get<RequestVote>(messages[4].body).left_out);
  EXPECT_TRUE(std::get<RequestVote>(again(10)).configuration.configuration.unknown());
  EXPECT_TRUE(std::get<VoteAnswer>(again(5)).configuration.configuration.unknown());
  EXPECT_EQ(std::get<VoteAnswer>(again(11)).configuration,
            std::get<VoteAnswer>(messages[11].body).configuration);
}

TEST(MessageCodec, a_configuration_that_is_not_valid_is_refused) {
  Configuration configuration;
  configuration.incoming = {.voters = {{{1}, {1}}, {{1}, {1}}}};
  EXPECT_FALSE(decode_configuration(encode_configuration(configuration).view()).ok());
  configuration.incoming = {.voters = {{{1}, {1}}, {{2}, {2}}, {{3}, {3}}}, .commit_quorum = 3};
  EXPECT_FALSE(decode_configuration(encode_configuration(configuration).view()).ok());
  EXPECT_FALSE(decode_configuration(encode_configuration(Configuration()).view()).ok());
}

TEST(MessageCodec, a_marker_comes_back_and_a_kind_of_a_later_version_is_refused) {
  for (const int kind : {4, 5}) {
    Append append{.prev_index = {4}, .prev_term = {2}, .prev_chain = {1}};
    Entry marker{.term = {2}, .index = {5}, .kind = static_cast<EntryKind>(kind)};
    marker.chain = chain_after(append.prev_chain, marker);
    append.entries.push_back(marker);
    const std::string bytes = bytes_of(message_with(append));
    std::string_view rest = bytes;
    const auto again = decode_message(rest);
    ASSERT_EQ(again.ok(), kind == 4);
    if (!again.ok()) continue;
    EXPECT_EQ(std::get<Append>(again.value().body).entries.view()[0].kind, EntryKind::kMarker);
  }
}

TEST(MessageCodec, beats_and_echoes_come_back) {
  const beats::Beat beat{.incarnation = {3},
                         .number = {9},
                         .nonce = 0x0102030405060708,
                         .health = {.disk_is_healthy = false, .is_draining = true, .clock_is_right = false, .is_over_memory = true, .wall_ms = -5},
                         .led_version = 4,
                         .led = std::vector<beats::Led>{{{1}, {2}, {3}}, {{5}, {6}, {7}}}};
  Buffer out;
  beats::encode(beat, out);
  std::string_view rest = out.view();
  const auto packet = beats::decode_packet(rest);
  ASSERT_TRUE(packet.ok());
  const auto& again = std::get<beats::Beat>(packet.value());
  EXPECT_EQ(again.health, beat.health);
  EXPECT_EQ(*again.led, *beat.led);
  const beats::Echo echo{.incarnation = {3}, .beat_incarnation = {4}, .not_confirmed = {{8}, {2}}};
  Buffer unsorted;
  beats::encode(echo, unsorted);
  rest = unsorted.view();
  EXPECT_FALSE(beats::decode_packet(rest).ok());  // groups are sorted
}

}  // namespace
}  // namespace quorate::raft
