// What a client is told of a request that was taken apart, once all its parts are answered.
#include "node/gathering.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

#include "util/buffer.h"

namespace quorate {
namespace {

std::string combined(bool writes, std::initializer_list<const char*> answers) {
  Gathering gathering{.rule = Gathering::Rule::kSum, .writes = writes, .parts = {}};
  for (const char* const answer : answers)
    gathering.parts.push_back({.request = {}, .positions = {}, .answer = answer});
  Buffer out;
  Reply reply(out, Protocol::kResp2);
  gathering.combine(0, reply);
  return std::string(out.view());
}

constexpr const char* kFull = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";
constexpr const char* kDown = "-CLUSTERDOWN partition 1 has no leader now; nothing was done\r\n";
constexpr const char* kUnknown =
    "-UNCERTAIN the leader of partition 2 has not answered in time\r\n";

TEST(Gathering, a_write_that_all_partitions_refuse_was_not_done) {
  EXPECT_EQ(combined(true, {kDown, kFull, kDown}), kDown);
  EXPECT_EQ(combined(true, {kFull}), kFull);
}

TEST(Gathering, a_write_that_one_partition_may_have_done_is_uncertain) {
  const std::string in_part = "-UNCERTAIN done in part: " + std::string(kDown).substr(1);
  EXPECT_EQ(combined(true, {":1\r\n", kDown, kFull}), in_part);
  EXPECT_EQ(combined(true, {kDown, kFull, ":0\r\n"}), in_part);
  EXPECT_EQ(combined(true, {kDown, kUnknown}), in_part);
  EXPECT_EQ(combined(true, {kUnknown, kDown}), kUnknown);
  EXPECT_EQ(combined(true, {kUnknown}), kUnknown);
}

TEST(Gathering, a_read_is_answered_with_the_first_error) {
  EXPECT_EQ(combined(false, {":1\r\n", kDown, kFull}), kDown);
  EXPECT_EQ(combined(false, {":1\r\n", ":2\r\n"}), ":3\r\n");
}

}  // namespace
}  // namespace quorate
