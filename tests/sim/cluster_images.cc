// What would be left in the world `cluster` of what machines hold, if all that the promised mode is to bear happened now.
#include <algorithm>
#include <memory>

#include "node/company.h"
#include "node/state.h"
#include "tests/sim/cluster_world.h"

namespace quorate::sim {

namespace {

// Of simulated time, between two looks of which nothing else is a reason.
constexpr int64_t kLookUs = 1'000'000;
// ... and if something has ended.
constexpr int64_t kLookAgainUs = 200'000;

}  // namespace

void ClusterWorld::look_soon_at_kept() { next_kept_us_ = std::min(next_kept_us_, std::max(now_us_, last_kept_us_ + kLookAgainUs)); }

// A start from what the disk would hold then, in a process that is thrown away.
std::unique_ptr<SimNode> ClusterWorld::start_from_image(uint32_t number, SimDisk& image, SimDisk::Loss loss) {
  Machine& machine = *machines_[number];
  const bool boots_anew = loss == SimDisk::Loss::kOfPower || !machine.has_power;
  auto node = std::make_unique<SimNode>(image, SimNode::Options{.config = config(number),
                                                                .now = clock(machine),
                                                                .mistakes = options_.mistakes,
                                                                .start_facts = facts_of(number, boots_anew ? 1 : 0)});
  const Status recovered = node->recover();
  if (!recovered.ok()) {
    oracle_.fail("n" + std::to_string(number + 1) + " would not start again: " + std::string(recovered.error().detail()));
    return nullptr;
  }
  node->start();
  if (node->has_ended()) {
    const auto& lines = node->log_lines();
    oracle_.fail("n" + std::to_string(number + 1) + " would end as soon as it has started again: " + (lines.empty() ? "says nothing" : lines.back()));
    return nullptr;
  }
  return node;
}

void ClusterWorld::count_kept(uint32_t number) {
  Machine& machine = *machines_[number];
  if (modes_.weakest() == raft::Durability::kMemory) {
    if (machine.node == nullptr || !company_of(*machine.node).is_started()) return;
    // What its log stands on is in its memory as soon as it does, also while that is on its way to the disk.
    company_of(*machine.node).cluster().groups().for_each([&](raft::GroupId, const raft::Core& core) {
      kept_.count(core, std::max(core.stored_index(), core.log().base().index));
    });
    return;
  }
  const auto loss = modes_.weakest() == raft::Durability::kSynced ? SimDisk::Loss::kOfPower : SimDisk::Loss::kOfProcess;
  SimDisk image = machine.disk.left_by(loss);
  const std::unique_ptr<SimNode> node = start_from_image(number, image, loss);
  if (node == nullptr || !company_of(*node).is_started()) return;
  company_of(*node).cluster().groups().for_each([&](raft::GroupId, const raft::Core& core) { kept_.count(core, core.last_index()); });
}

void ClusterWorld::check_kept() {
  last_kept_us_ = now_us_;
  next_kept_us_ = now_us_ + kLookUs;
  if (!looks_at_kept_) return;
  ++kept_looks_;
  kept_.begin(modes_.weakest());
  for (uint32_t number = 0; number < size(); ++number) {
    const Machine& machine = *machines_[number];
    if (machine.node_id != 0 && machine.damage == Machine::Damage::kNone) count_kept(number);
  }
  const std::string wrong = kept_.judge();
  if (!wrong.empty()) oracle_.fail("mode: " + wrong);
}

}  // namespace quorate::sim
