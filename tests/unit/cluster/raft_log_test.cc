// The log in memory: window, truncation, chains.
#include "cluster/raft/log.h"

#include <gtest/gtest.h>

#include <string>

#include "cluster/raft/message_codec.h"

namespace quorate::raft {
namespace {

Entry entry_behind(const Log& log, uint64_t term, std::string_view text) {
  Entry entry{.term = {term},
              .index = next(log.last_index()),
              .payload = SharedBytes(text),
              .kind = EntryKind::kCommand};
  entry.chain = chain_after(log.last_chain(), entry);
  return entry;
}

TEST(RaftLog, holds_entries_behind_its_base) {
  Log log({.index = {10}, .term = {3}, .chain = {77}});
  EXPECT_EQ(log.last_index().value, 10u);
  EXPECT_EQ(log.last_term().value, 3u);
  for (int count = 0; count < 100; ++count) log.append(entry_behind(log, 3, "abc"));
  EXPECT_EQ(log.last_index().value, 110u);
  EXPECT_EQ(log.at({11}).payload.view(), "abc");
  EXPECT_FALSE(log.term_at({9}).has_value());
  EXPECT_EQ(log.term_at({10})->value, 3u);
  EXPECT_FALSE(log.term_at({111}).has_value());
  EXPECT_EQ(log.bytes(), 100 * log.at({11}).size());
}

TEST(RaftLog, the_window_lets_go_of_the_oldest_and_never_of_what_is_needed) {
  Log log({});
  for (int count = 0; count < 50; ++count) log.append(entry_behind(log, 1, "x"));
  const size_t one = log.at({1}).size();
  const Chain at_twenty = log.at({20}).chain;
  log.trim({20}, 10 * one);
  EXPECT_EQ(log.base().index.value, 20u);
  EXPECT_EQ(log.base().chain, at_twenty);
  log.trim({50}, 10 * one);
  EXPECT_EQ(log.base().index.value, 40u);
  EXPECT_EQ(log.bytes(), 10 * one);
  // The ring is used again from the front.
  for (int count = 0; count < 50; ++count) log.append(entry_behind(log, 2, "y"));
  EXPECT_EQ(log.at({90}).payload.view(), "y");
  EXPECT_EQ(log.at({41}).payload.view(), "x");
}

TEST(RaftLog, counts_what_is_not_committed) {
  Log log({.index = {10}, .term = {3}, .chain = {77}});
  for (int count = 0; count < 6; ++count) log.append(entry_behind(log, 3, "abc"));
  const size_t one = log.at({11}).size();
  EXPECT_EQ(log.uncommitted_bytes(), 6 * one);
  log.note_committed({12});
  log.note_committed({11});
  EXPECT_EQ(log.uncommitted_bytes(), 4 * one);
  std::vector<Entry> removed;
  log.truncate_from({15}, removed);
  EXPECT_EQ(log.uncommitted_bytes(), 2 * one);
  log.append(entry_behind(log, 4, "abc"));
  EXPECT_EQ(log.uncommitted_bytes(), 3 * one);
  log.note_committed({14});
  log.trim({14}, 0);
  EXPECT_EQ(log.bytes(), one);
  EXPECT_EQ(log.uncommitted_bytes(), one);
  // A replica that starts over forgets what it took for committed.
  log.note_committed({15});
  log.truncate_from({15}, removed);
  log.append(entry_behind(log, 5, "abc"));
  EXPECT_EQ(log.uncommitted_bytes(), one);
  log.reset({});
  EXPECT_EQ(log.uncommitted_bytes(), 0u);
}

TEST(RaftLog, truncation_gives_back_what_it_removes_in_order) {
  Log log({});
  for (const char* text : {"a", "b", "c", "d"}) log.append(entry_behind(log, 1, text));
  std::vector<Entry> removed;
  log.truncate_from({3}, removed);
  ASSERT_EQ(removed.size(), 2u);
  EXPECT_EQ(removed[0].payload.view(), "c");
  EXPECT_EQ(removed[1].payload.view(), "d");
  EXPECT_EQ(log.last_index().value, 2u);
  log.append(entry_behind(log, 2, "e"));
  EXPECT_EQ(log.at({3}).payload.view(), "e");
  log.truncate_from({9}, removed);
  EXPECT_EQ(removed.size(), 2u);
}

TEST(RaftLog, hints_go_back_over_whole_terms) {
  Log log({.index = {5}, .term = {1}});
  for (const uint64_t term : {1u, 2u, 2u, 4u, 4u}) log.append(entry_behind(log, term, "x"));
  EXPECT_EQ(log.last_not_above({10}, {4}).value, 10u);
  EXPECT_EQ(log.last_not_above({10}, {3}).value, 8u);
  EXPECT_EQ(log.last_not_above({7}, {3}).value, 7u);
  EXPECT_EQ(log.last_not_above({10}, {1}).value, 6u);
  EXPECT_EQ(log.last_not_above({10}, {0}).value, 5u);
  EXPECT_EQ(log.last_not_above({99}, {9}).value, 10u);
}

TEST(RaftLog, a_chain_tells_every_difference) {
  const Entry entry{.term = {2},
                    .index = {3},
                    .payload = SharedBytes(std::string_view("abc")),
                    .kind = EntryKind::kCommand};
  const Chain chain = chain_after({1}, entry);
  EXPECT_EQ(chain_after({1}, entry), chain);
  EXPECT_NE(chain_after({2}, entry), chain);
  Entry other = entry;
  other.term = {3};
  EXPECT_NE(chain_after({1}, other), chain);
  other = entry;
  other.index = {4};
  EXPECT_NE(chain_after({1}, other), chain);
  other = entry;
  other.kind = EntryKind::kNoOp;
  EXPECT_NE(chain_after({1}, other), chain);
  other = entry;
  other.payload = SharedBytes(std::string_view("abd"));
  EXPECT_NE(chain_after({1}, other), chain);
}

TEST(EntryList, keeps_the_usual_one_inline_and_more_in_order) {
  EntryList list;
  EXPECT_TRUE(list.view().empty());
  for (uint64_t index = 1; index <= 4; ++index) {
    list.push_back({.index = {index}});
    ASSERT_EQ(list.size(), index);
    for (uint64_t at = 0; at < index; ++at) EXPECT_EQ(list.view()[at].index.value, at + 1);
  }
}

}  // namespace
}  // namespace quorate::raft
