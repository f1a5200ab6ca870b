// The one place that knows in which order a turn's outputs are carried out.
#include "node/effects.h"

#include <utility>

#include "node/input.h"
#include "node/output.h"
#include "node/uncommitted.h"
#include "node/upkeep.h"
#include "node/waits.h"

namespace quorate {

namespace {

// What is larger is written by the disk's thread: the turn is not to wait for so much.
constexpr size_t kInlineBytesMax = size_t{1} << 20;

// 1. The log.  What can be written at once is, so that the replies behind it need not wait.
void carry_out_disk_requests(NodeState& node, Driver& driver) {
  std::vector<DiskRequest> requests;
  while (!node.durability.requests.empty()) {
    requests.clear();
    requests.swap(node.durability.requests);
    const bool inline_appends = node.settings.appendfsync != FsyncPolicy::kAlways;
    for (DiskRequest& request : requests) {
      const bool is_inline = inline_appends && request.lane == DiskLane::kLog &&
                             request.op == DiskRequest::Op::kAppend && request.bytes.size() <= kInlineBytesMax;
      auto reply = driver.disk(std::move(request), is_inline ? DiskPlace::kInline : DiskPlace::kBackground);
      if (reply) on_disk_reply(node, std::move(*reply));
    }
    // What is stored may lead to more that is to be.
    node.company.store_records();
  }
}

SessionDriver& driver_of(const Session& session, Driver& driver) {
  return session.driver == nullptr ? driver : *session.driver;
}

// 2. Answers for other nodes.  They may fill gaps of sessions here.
void flush_links(NodeState& node) {
  if (node.forwarding == nullptr) return;
  std::vector<Session*> links;
  std::erase_if(node.to_flush, [&](Session* session) {
    if (session->driver == nullptr) return false;
    links.push_back(session);
    return true;
  });
  for (Session* session : links) flush(node, *session, *session->driver);
}

// 3. The other nodes: they hear what is stored, and what need not be.
void carry_out_peers(NodeState& node, Driver& driver) {
  if (!node.company.is_started()) return;   // it was refused, and the process ends
  node.company.flush();
  ClusterNode& cluster = node.company.cluster();
  PeersOutput output = std::exchange(cluster.peers_output(), {});
  for (const PeersOutput::Dial& dial : output.dial) driver.dial(dial.connection, dial.address);
  for (const ConnectionId connection : output.flush) driver.send_to_peer(connection, cluster.output_of(connection));
  for (PeersOutput::Close& close : output.close) driver.close_peer(close.connection, close.last_words);
}

}  // namespace

void perform(Node& owner, Instant now, Driver& driver) {
  NodeState& node = owner.state();
  begin_input(node, now);
  end_turn(node);
  node.company.work(driver);
  node.company.confirm_reads(driver);
  node.company.store_records();
  carry_out_disk_requests(node, driver);
  look_at_uncommitted(node);
  look_at_waits(node);
  look_at_keyspace_counts(node);
  release_held(node);
  flush_links(node);
  carry_out_peers(node, driver);
  // 4. Replies.  A flush may close its session, never add another to the list.
  for (Session* session : node.to_flush) flush(node, *session, driver);
  node.to_flush.clear();
  // 5. Who is read from.
  for (Session* session : node.reading_changed) {
    driver_of(*session, driver).set_reading(session->peer.connection, !session->has(kReadingStopped));
  }
  node.reading_changed.clear();
  // 6. Closing, last: nothing refers to these sessions afterwards.
  for (size_t index = 0; index < node.to_close.size(); ++index) {
    Session* const session = node.to_close[index];
    driver_of(*session, driver)
        .close(session->peer.connection, session->has(kAbortClose) ? CloseMode::kAbort : CloseMode::kGraceful);
    destroy_session(node, *session);
  }
  node.to_close.clear();
  node.eviction_budget = NodeState::kEvictionPerTurn;
  if (std::exchange(node.has_sliced, false)) node.slices_ended_us = driver.steady_us();
  driver.arm_timer(owner.deadline());
}

}  // namespace quorate
