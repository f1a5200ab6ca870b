// A node in the test's process whose disk does something only when it is told to.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/sim/sim_disk.h"
#include "tests/sim/sim_node.h"

namespace quorate {

constexpr std::string_view kSlowDiskConfig =
    "appendonly yes\nappendfsync always\nsave \"\"\nprotected-mode no\n";
constexpr int64_t kSecondUs = 1'000'000;

inline std::string encoded(const std::vector<std::string>& words) {
  std::string bytes = "*" + std::to_string(words.size()) + "\r\n";
  for (const std::string& word : words) {
    bytes += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
  }
  return bytes;
}

// One directory, lived in by one process after the other.
class SlowDiskNode {
 public:
  explicit SlowDiskNode(std::string settings = {}) : settings_(std::move(settings)) { start(); }

  void start() {
    node = std::make_unique<sim::SimNode>(
        disk, sim::SimNode::Options{.seed = ++lives_, .config = std::string(kSlowDiskConfig) + settings_, .now = now});
    const Status recovered = node->recover();
    ASSERT_TRUE(recovered.ok()) << recovered.error().detail();
    node->start();
    node->settle();
    client = node->connect();
    other = node->connect();
    node->settle();
  }
  // The process is killed and starts again after the wall clock was set by `wall_ms`.
  void restart(int64_t wall_ms) {
    now = node->now();
    now.unix_ms += wall_ms;
    node.reset();
    start();
  }
  void ask(int connection, const std::vector<std::string>& words) {
    node->send(connection, encoded(words));
    node->end_turn();
  }
  // What the client has received since the last call.
  std::string taken(int connection) { return std::exchange(node->received(connection), {}); }
  // So much time passes, with a disk that does what it is asked for.
  void pass(int64_t us) {
    constexpr int64_t kStepUs = 10'000;
    for (; us > 0; us -= kStepUs) {
      node->advance(std::min(us, kStepUs));
      node->tick_if_due();
      node->settle();
    }
  }
  // The disk does all that it was asked for.
  void settle() { node->settle(); }

  SimDisk disk{1};
  Instant now{.steady_us = kSecondUs, .unix_ms = 1'700'000'000'000};
  std::unique_ptr<sim::SimNode> node;
  int client = 0;
  int other = 0;

 private:
  const std::string settings_;
  uint64_t lives_ = 0;
};

}  // namespace quorate
