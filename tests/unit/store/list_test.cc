// Lists: what the fuzzer cannot judge: memory, and the names of encodings.
#include "store/list.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>

namespace quorate {
namespace {

TEST(List, AMillionElementsOfSixteenBytesTakeLessThanNineteenEach) {
  constexpr size_t kCount = 1'000'000;
  List list;
  for (size_t i = 0; i < kCount; ++i) list.push_front("sixteen bytes ok");
  EXPECT_EQ(list.size(), kCount);
  EXPECT_LT(static_cast<double>(list.memory_bytes()) / kCount, 18.6);
  // What is popped gives its memory back.
  for (size_t i = 0; i + 10 < kCount; ++i) list.pop(List::End::kBack);
  EXPECT_LT(list.memory_bytes(), 20'000u);
  list.destroy();
}

TEST(List, AQueueThatStaysShortStaysSmall) {
  List list;
  for (int i = 0; i < 100'000; ++i) {
    list.push_back("element");
    if (list.size() > 5) list.pop(List::End::kFront);
  }
  EXPECT_LT(list.memory_bytes(), 200u);
  list.destroy();
  EXPECT_TRUE(list.empty());
}

TEST(List, RemovalsInTheMiddleDoNotLeaveAlmostEmptyChunks) {
  List list;
  for (int i = 0; i < 100'000; ++i) list.push_back(i % 10 == 0 ? "keep this" : "drop this");
  EXPECT_EQ(list.remove_equal("drop this", SIZE_MAX, List::End::kFront), 90'000u);
  EXPECT_EQ(list.size(), 10'000u);
  EXPECT_LT(list.memory_bytes(), 10'000u * 20);
  list.destroy();
}

TEST(List, AWalkGoesOnWhereItPaused) {
  for (const size_t count : {size_t{1}, size_t{100}, size_t{20'000}}) {
    List list;
    std::string expected;
    for (size_t index = 0; index < count; ++index) {
      // Now and then one that has a chunk of its own.
      list.push_back(std::to_string(index) + std::string(index % 1000 == 500 ? 9000 : index % 50, 'x'));
    }
    list.for_each([&](std::string_view element) { expected += element; });
    for (const size_t step : {size_t{1}, size_t{7}, size_t{1000}, count}) {
      List::Walk walk;
      std::string seen;
      for (size_t left = count; left > 0; left -= std::min(left, step)) {
        walk.go_on(list, std::min(left, step), [&](std::string_view element) { seen += element; });
      }
      EXPECT_EQ(seen, expected) << count << " by " << step;
    }
    list.destroy();
  }
}

TEST(List, TheEncodingFollowsTheSetting) {
  StoreSettings settings;
  List list;
  for (int i = 0; i < 10; ++i) list.push_back(std::string(100, 'x'));
  EXPECT_EQ(list.encoding_name(settings), "listpack");
  settings.list_max_listpack_size = 9;
  EXPECT_EQ(list.encoding_name(settings), "quicklist");
  settings.list_max_listpack_size = 10;
  EXPECT_EQ(list.encoding_name(settings), "listpack");
  for (int i = 0; i < 100; ++i) list.push_back(std::string(100, 'x'));
  settings.list_max_listpack_size = -2;
  EXPECT_EQ(list.encoding_name(settings), "quicklist");
  settings.list_max_listpack_size = -5;
  EXPECT_EQ(list.encoding_name(settings), "listpack");
  list.destroy();
}

}  // namespace
}  // namespace quorate
