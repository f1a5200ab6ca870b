// Telling about changes.
#include "node/changes.h"

#include <utility>

#include "node/blocking.h"
#include "node/publish.h"
#include "node/transactions.h"

namespace quorate {

namespace {

// "del", "expire", "rename_from" ... change a key even where no value is written; a miss or "new" does not.
bool touches(const Change& change) {
  return change.modifies || change.event_class == EventClass::kGeneric;
}

void notify(NodeState& node, const Change& change) {
  const NodeSettings& settings = node.settings;
  if ((settings.notify_keyspace_events & static_cast<uint16_t>(change.event_class)) == 0) return;
  const std::string database = std::to_string(change.database);
  if (settings.notify_keyspace) {
    publish(node, "__keyspace@" + database + "__:" + change.key, change.event, Tells::kWrite);
  }
  if (settings.notify_keyevent) {
    publish(node, "__keyevent@" + database + "__:" + std::string(change.event), change.key, Tells::kWrite);
  }
}

}  // namespace

void announce_changes(NodeState& node) {
  auto& changes = node.store.changes();
  for (size_t index = 0; index < changes.size(); ++index) {
    const Change change = std::move(changes[index]);
    if (change.partition) {
      touch_watched_partition(node, change.database, *change.partition);
      continue;
    }
    if (touches(change)) {
      if (!node.watches.empty()) touch_watched(node, change.database, change.key);
      if (!node.waiters.empty()) note_ready(node, change.database, change.key);
    }
    if (node.settings.notify_keyspace || node.settings.notify_keyevent) notify(node, change);
  }
  changes.clear();
}

void NodeState::update_collecting() {
  store.effects().set_collecting(durability.takes_writes() || (flags & (kNodeFollowed | kNodeInCompany)) != 0);
}

void NodeState::update_observed() {
  const bool notifies = (settings.notify_keyspace || settings.notify_keyevent) &&
                        settings.notify_keyspace_events != 0;
  const bool observed = notifies || !watches.empty() || !waiters.empty();
  store.set_observed(observed);
  if (!observed) store.changes().clear();
}

}  // namespace quorate
