// The disk of a real machine, and the lanes that carry its requests out.
#include "server/file_disk.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <filesystem>
#include <string>

#include "server/disk_lane.h"

namespace quorate {
namespace {

class FileDiskTest : public testing::Test {
 protected:
  FileDiskTest() {
    std::string path = (std::filesystem::temp_directory_path() / "quorate-disk-XXXXXX").string();
    EXPECT_NE(::mkdtemp(path.data()), nullptr);
    path_ = path;
    auto directory = DataDirectory::open(path);
    EXPECT_TRUE(directory.ok());
    directory_ = std::make_unique<DataDirectory>(std::move(directory).value());
  }
  ~FileDiskTest() override { std::filesystem::remove_all(path_); }

  std::string content(Disk& disk, std::string_view file) {
    Buffer bytes;
    EXPECT_TRUE(disk.read(file, 0, 1 << 20, bytes).ok());
    return std::string(bytes.view());
  }

  std::filesystem::path path_;
  std::unique_ptr<DataDirectory> directory_;
};

TEST_F(FileDiskTest, what_is_appended_is_read_back) {
  FileDisk disk(*directory_);
  ASSERT_TRUE(disk.create("a").ok());
  ASSERT_TRUE(disk.append("a", "hello ").ok());
  ASSERT_TRUE(disk.append("a", "world").ok());
  ASSERT_TRUE(disk.sync("a").ok());
  EXPECT_EQ(content(disk, "a"), "hello world");
  EXPECT_EQ(disk.size("a").value(), 11u);
  ASSERT_TRUE(disk.truncate("a", 5).ok());
  ASSERT_TRUE(disk.append("a", "!").ok());
  EXPECT_EQ(content(disk, "a"), "hello!");
  ASSERT_TRUE(disk.rename("a", "b").ok());
  ASSERT_TRUE(disk.sync_directory().ok());
  EXPECT_EQ(disk.list().value(), std::vector<std::string>{"b"});
  ASSERT_TRUE(disk.remove("b").ok());
  EXPECT_TRUE(disk.list().value().empty());
}

TEST_F(FileDiskTest, what_is_written_once_more_stays_where_it_is) {
  FileDisk disk(*directory_);
  ASSERT_TRUE(disk.create("x.log").ok());
  ASSERT_TRUE(disk.append("x.log", "hello world").ok());
  ASSERT_TRUE(disk.rewrite("x.log", 6, "world").ok());
  ASSERT_TRUE(disk.append("x.log", "!").ok());
  EXPECT_EQ(disk.size("x.log").value(), 12u);
  EXPECT_EQ(content(disk, "x.log").substr(0, 12), "hello world!");
}

TEST_F(FileDiskTest, a_log_has_room_ahead_and_only_its_bytes_when_it_is_closed) {
  {
    FileDisk disk(*directory_);
    ASSERT_TRUE(disk.create("x.log").ok());
    ASSERT_TRUE(disk.append("x.log", "0123456789").ok());
    EXPECT_EQ(disk.size("x.log").value(), 10u);
    Buffer bytes;
    ASSERT_TRUE(disk.read("x.log", 0, 20, bytes).ok());
    EXPECT_EQ(bytes.view().substr(0, 10), "0123456789");
    EXPECT_EQ(bytes.view().find_first_not_of('\0', 10), std::string_view::npos);
  }
  EXPECT_EQ(std::filesystem::file_size(path_ / "x.log"), 10u);
}

TEST_F(FileDiskTest, more_files_than_are_kept_open_are_no_problem) {
  FileDisk disk(*directory_);
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(disk.create("f" + std::to_string(i)).ok());
  for (int round = 0; round < 2; ++round)
    for (int i = 0; i < 30; ++i) ASSERT_TRUE(disk.append("f" + std::to_string(i), "ab").ok());
  EXPECT_EQ(content(disk, "f7"), "abab");
}

TEST_F(FileDiskTest, errors_say_what_and_where) {
  FileDisk disk(*directory_);
  const auto missing = disk.size("nothing");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code(), ErrorCode::kIo);
  EXPECT_EQ(missing.error().detail(), "size nothing: No such file or directory");
}

TEST_F(FileDiskTest, a_directory_serves_one_server) {
  const auto second = DataDirectory::open(path_.string());
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.error().detail().find("is in use by another server"), std::string_view::npos);
  directory_.reset();
  EXPECT_TRUE(DataDirectory::open(path_.string()).ok());
}

TEST_F(FileDiskTest, a_lane_answers_every_request_in_order) {
  FileDisk disk(*directory_);
  std::atomic<int> wakes = 0;
  DiskLaneThread lane(
      disk, [](void* counter) { static_cast<std::atomic<int>*>(counter)->fetch_add(1); }, &wakes);
  EXPECT_TRUE(lane.idle());
  DiskRequest create{.id = 1, .op = DiskRequest::Op::kCreate, .file = "a", .to = {}, .bytes = {}};
  EXPECT_TRUE(lane.execute_inline(std::move(create)).status.ok());
  constexpr uint64_t kCount = 500;
  for (uint64_t id = 2; id < 2 + kCount; ++id) {
    DiskRequest append{.id = id, .op = DiskRequest::Op::kAppend, .file = "a", .to = {}, .bytes = {}};
    append.bytes.append("x");
    lane.queue(std::move(append));
  }
  std::vector<DiskReply> replies;
  while (!lane.idle()) lane.take_replies(replies);
  ASSERT_EQ(replies.size(), kCount);
  for (uint64_t i = 0; i < kCount; ++i) {
    EXPECT_EQ(replies[i].id, i + 2);
    EXPECT_TRUE(replies[i].status.ok());
  }
  EXPECT_GE(wakes.load(), 1);
  EXPECT_EQ(disk.size("a").value(), kCount);
}

}  // namespace
}  // namespace quorate
