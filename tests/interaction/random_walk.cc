// Random walks over the commands of interaction scripts: `random_walk [SEED] [--seeds N] [--steps
// N]`. After each command the replicas are compared; at the end everything is healed and the group
// must make progress.  A failure prints its commands, which are an interaction script to start
// from. (The simulator in tests/sim has real disks, clients and clocks; this walk is for a change
// of the core.)
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/interaction/world.h"
#include "util/number.h"
#include "util/prng.h"

namespace quorate::interaction {
namespace {

using raft::Core;
using raft::RoleName;

constexpr uint64_t kReplicasMax = 5;

class Walk {
 public:
  Walk(uint64_t seed, uint64_t steps, std::string mistake)
      : prng_(seed), seed_(seed), steps_(steps), mistake_(std::move(mistake)) {}

  // False: something is wrong; said on standard error.
  bool run() {
    begin();
    for (uint64_t step = 0; step < steps_ && !is_wrong_; ++step) one_step();
    if (!is_wrong_) heal();
    if (is_wrong_) print();
    return !is_wrong_;
  }

 private:
  // What was committed in one recovery epoch: chain of each index.
  using Committed = std::map<uint64_t, raft::Chain>;

  void begin() {
    if (!mistake_.empty()) tell("mistake " + mistake_);
    voters_ = 1 + prng_.below(kReplicasMax);
    if (prng_.chance(0.3)) tell("option window " + std::to_string(1 + prng_.below(400)));
    if (prng_.chance(0.3)) tell("option append " + std::to_string(1 + prng_.below(200)));
    if (prng_.chance(0.3)) tell("option in-flight " + std::to_string(1 + prng_.below(200)));
    if (prng_.chance(0.4)) tell("option can-undo no");
    std::string line = "group";
    for (uint64_t id = 1; id <= voters_; ++id) line += " " + std::to_string(id);
    tell(line);
    for (uint64_t id = voters_ + 1; id <= kReplicasMax; ++id) tell("replica " + std::to_string(id));
  }

  uint64_t any() { return 1 + prng_.below(kReplicasMax); }
  std::string name(uint64_t id) { return std::to_string(id); }
  bool is_up(uint64_t id) { return world_.core(id) != nullptr; }

  void one_step() {
    const uint64_t id = any();
    const uint64_t other = any();
    const std::string both = name(id) + " " + name(other);
    const uint64_t kind = prng_.below(100);
    if (kind < 25) {
      tell("deliver all round");
    } else if (kind < 40) {
      tell("deliver " + name(id) + "->" + name(other) + " once");
    } else if (kind < 52) {
      tell("advance " + std::to_string(1 + prng_.below(60)) + "ms");
    } else if (kind < 64) {
      if (is_up(id)) tell("propose " + name(id) + " x" + std::to_string(++proposals_));
    } else if (kind < 70) {
      tell("beat " + name(id));
    } else if (kind < 75) {
      for (uint64_t one = 1; one <= kReplicasMax; ++one) {
        if (one != id) tell("silent " + name(one) + " " + name(id) + " closed");
      }
    } else if (kind < 77) {
      tell("cut " + both);
    } else if (kind < 79) {
      tell("heal");
    } else if (kind < 81) {
      tell("drop " + name(id) + "->" + name(other));
    } else if (kind < 83) {
      tell("duplicate " + name(id) + "->" + name(other));
    } else if (kind < 86) {
      if (id != other && is_up(id)) tell("connected " + both);
    } else {
      rare_step(id, other, kind);
    }
  }

  void rare_step(uint64_t id, uint64_t other, uint64_t kind) {
    if (kind < 87) {
      tell("disk " + name(id) + (prng_.chance(0.5) ? " hold" : " release"));
    } else if (kind < 88) {
      if (is_up(id)) tell("keeps " + name(id) + mode());
    } else if (kind < 90) {
      if (is_up(id)) tell("disk " + name(id) + " finish");
    } else if (kind < 92) {
      if (is_up(id)) tell("crash " + name(id));
    } else if (kind < 95) {
      if (!is_up(id)) restart(id);
    } else if (kind < 96) {
      if (is_up(id)) tell("transfer " + name(id) + " " + name(other));
    } else if (kind < 97) {
      if (is_up(id)) change(id);
    } else if (is_up(id) && world_.core(id)->role() == RoleName::kLeader) {
      const Core& core = *world_.core(id);
      const uint64_t token = ++reads_;
      reads_begun_[token] = {core.last_index().value, newest_commit(core.epoch())};
      tell("read " + name(id) + " " + std::to_string(token));
      if (prng_.chance(0.3)) tell("nudge " + name(id) + (prng_.chance(0.5) ? " " + name(other) : ""));
    }
  }

  void restart(uint64_t id) {
    tell("drop " + name(id));
    const bool forgot = prng_.chance(0.3);
    tell("restart " + name(id) + (forgot ? " forgot " + std::to_string(prng_.below(4)) : ""));
    for (uint64_t one = 1; one <= kReplicasMax; ++one) {
      if (one != id && is_up(one)) tell("silent " + name(one) + " " + name(id) + " restarted");
    }
  }

  std::string mode() {
    constexpr const char* kModes[] = {" memory", " os", " synced"};
    return kModes[prng_.below(std::size(kModes))];
  }

  void change(uint64_t id) {
    std::string voters, learners;
    for (uint64_t one = 1; one <= kReplicasMax; ++one) {
      const uint64_t kind = prng_.below(3);
      if (kind == 0) voters += " " + name(one);
      if (kind == 1) learners += " " + name(one);
    }
    if (voters.empty()) return;
    const std::string quorum = prng_.chance(0.2) ? " commit-quorum 1" : "";
    const std::string wanted = prng_.chance(0.3) ? " mode" + mode() + " " + std::to_string(++modes_) : "";
    tell("change " + name(id) + " voters" + voters + quorum + wanted +
         (learners.empty() ? "" : " learners" + learners));
  }

  // Everything works again: there must be one leader, which commits, and everybody in its
  // configuration must come to hold it.
  void heal() {
    tell("heal");
    tell("drop");
    for (uint64_t id = 1; id <= kReplicasMax; ++id) {
      if (!is_up(id)) restart(id);
      tell("disk " + name(id) + " release");
      tell("keeps " + name(id) + " synced");
    }
    // What was lost on old streams is known to be lost.
    for (uint64_t id = 1; id <= kReplicasMax; ++id) {
      for (uint64_t other = 1; other <= kReplicasMax; ++other) {
        if (id != other) tell("connected " + name(id) + " " + name(other));
      }
    }
    for (int round = 0; round < 400 && !is_wrong_; ++round) {
      for (uint64_t id = 1; id <= kReplicasMax; ++id) {
        if (world_.core(id)->role() == RoleName::kLeader) tell("beat " + name(id));
      }
      tell("deliver");
      for (uint64_t id = 1; id <= kReplicasMax; ++id) {
        hear(id);
        send_snapshots(id);
      }
      tell("advance 25ms");
      if (round > 40 && is_settled()) return;
    }
    if (!is_wrong_) wrong("no progress after everything was healed");
  }

  // Whose leader leads no longer is told so.
  void hear(uint64_t id) {
    const auto leader = world_.core(id)->role_state().leader;
    if (!leader || leader->replica.value == id) return;
    const Core& core = *world_.core(leader->replica.value);
    const bool leads = core.role() == RoleName::kLeader && core.term() == world_.core(id)->term();
    if (!leads) tell("silent " + name(id) + " " + name(leader->replica.value));
  }

  bool is_settled() {
    const Core* leader = nullptr;
    for (uint64_t id = 1; id <= kReplicasMax; ++id) {
      const Core& core = *world_.core(id);
      if (core.role_state().serving == raft::Serving::kYes &&
          (leader == nullptr || core.term() > leader->term())) {
        leader = &core;
      }
    }
    if (leader == nullptr || leader->configuration().joint()) return false;
    const std::string id = name(leader->options().self.replica.value);
    if (!is_proposed_) tell("propose " + id + " last");
    is_proposed_ = true;
    for (const raft::Member& member : leader->configuration().members()) {
      const Core& core = *world_.core(member.replica.value);
      if (core.commit_index() != leader->last_index() || core.standing() != raft::Standing::kFull)
        return false;
    }
    return true;
  }

  // Carries out a command, does what it asks for, and checks.
  void tell(const std::string& line) {
    if (is_wrong_) return;
    script_.push_back(line);
    const std::string shown = world_.run(line);
    check(shown);
    size_t at = 0;
    while (!is_wrong_ && at < shown.size()) {
      const size_t end = shown.find('\n', at);
      follow_up(shown.substr(at, end - at));
      at = end + 1;
    }
  }

  void follow_up(const std::string& line) {
    const size_t wants = line.find(" wants a snapshot for ");
    if (wants != std::string::npos && wants < 3) {
      send_snapshot(*parse_unsigned(line.substr(0, wants)), *parse_unsigned(line.substr(line.rfind(' ') + 1)));
      return;
    }
    const size_t read = line.find(" read ");
    if (read == std::string::npos || !line.ends_with(" confirmed")) return;
    const auto token = parse_unsigned(line.substr(read + 6, line.rfind(' ') - read - 6));
    if (!token) return;
    const auto& [last, committed] = reads_begun_[*token];
    if (last < committed) wrong("a confirmed read missed what was committed before it");
  }

  // Of all the leader holds, if that may be sent: what is committed may not reach to where the logs part.
  void send_snapshot(uint64_t from, uint64_t to) {
    const Core& core = *world_.core(from);
    const bool has_all = core.snapshot_may_be_sent(core.term(), core.last_index(), {to});
    tell("snapshot " + name(from) + " " + name(to) + (has_all ? " at " + name(core.last_index().value) : ""));
  }

  // What was waited for may be committed now, or was lost on its way.
  void send_snapshots(uint64_t from) {
    std::vector<uint64_t> waiting;
    for (const raft::Progress& member : world_.core(from)->progress()) {
      if (member.state() == raft::Progress::State::kSnapshot) waiting.push_back(member.member().replica.value);
    }
    for (const uint64_t to : waiting) send_snapshot(from, to);
  }

  void check(const std::string& shown) {
    if (shown.find("FAILED") != std::string::npos) return wrong("a replica stopped itself");
    for (uint64_t id = 1; id <= kReplicasMax; ++id) {
      if (world_.core(id) != nullptr) check_replica(id, *world_.core(id));
    }
    for (uint64_t id = 1; id <= kReplicasMax; ++id) check_lease(id);
  }

  void check_replica(uint64_t id, const Core& core) {
    if (core.role() == RoleName::kLeader) {
      const auto [leader, is_new] = leaders_.try_emplace(core.term().value, id);
      if (!is_new && leader->second != id) wrong("two leaders in one term");
    }
    Committed& committed = committed_[core.epoch().value];
    const raft::Log& log = core.log();
    for (raft::Index at = log.first_index(); at <= core.commit_index(); at = next(at)) {
      const auto [known, is_new] = committed.try_emplace(at.value, log.at(at).chain);
      if (!is_new && known->second != log.at(at).chain) wrong("two entries committed at one index");
    }
    if (core.role() != RoleName::kLeader || has_newer_leader(core)) return;
    // The newest leader holds everything that was committed (I5).
    for (const auto& [index, chain] : committed) {
      if (raft::Index{index} <= log.base().index) continue;
      if (log.chain_at({index}) != chain) return wrong("the leader lacks what is committed");
    }
  }

  bool has_newer_leader(const Core& core) const {
    return leaders_.rbegin()->first > core.term().value;
  }

  void check_lease(uint64_t id) {
    const Core* const core = world_.core(id);
    if (core == nullptr || core->lease_until_us() <= world_.now_us()) return;
    if (has_newer_leader(*core)) wrong("a lease while a newer leader was elected");
  }

  uint64_t newest_commit(raft::RecoveryEpoch epoch) {
    const Committed& committed = committed_[epoch.value];
    return committed.empty() ? 0 : committed.rbegin()->first;
  }

  void wrong(const std::string& what) {
    if (!is_wrong_)
      std::fprintf(stderr, "seed %llu: %s\n", static_cast<unsigned long long>(seed_), what.c_str());
    is_wrong_ = true;
  }

  void print() const {
    for (const std::string& line : script_) std::fprintf(stderr, "%s\n", line.c_str());
    std::fprintf(stderr, "----\nseed %llu failed (%llu steps)\n",
                 static_cast<unsigned long long>(seed_), static_cast<unsigned long long>(steps_));
  }

  Prng prng_;
  uint64_t seed_;
  uint64_t steps_;
  std::string mistake_;
  uint64_t voters_ = 0;
  uint64_t proposals_ = 0;
  uint64_t modes_ = 0;
  uint64_t reads_ = 0;
  bool is_wrong_ = false;
  bool is_proposed_ = false;
  World world_;
  std::vector<std::string> script_;
  std::map<uint64_t, uint64_t> leaders_;     // term -> replica
  std::map<uint64_t, Committed> committed_;  // by recovery epoch
  std::map<uint64_t, std::pair<uint64_t, uint64_t>>
      reads_begun_;  // token -> leader's last index, newest commit
};

}  // namespace
}  // namespace quorate::interaction

int main(int count, char** words) {
  uint64_t seed = 1, seeds = 1, steps = 400;
  std::string mistake;
  for (int index = 1; index < count; ++index) {
    const std::string_view word = words[index];
    if (word == "--mistake" && index + 1 < count) {
      mistake = words[++index];
      continue;
    }
    uint64_t* const target = word == "--seeds" ? &seeds : word == "--steps" ? &steps : nullptr;
    if (target != nullptr) ++index;
    const auto value = index < count ? quorate::parse_unsigned(words[index]) : std::nullopt;
    if (!value) {
      std::fprintf(stderr, "usage: random_walk [SEED] [--seeds N] [--steps N]\n");
      return 2;
    }
    (target != nullptr ? *target : seed) = *value;
  }
  for (uint64_t one = seed; one < seed + seeds; ++one) {
    if (!quorate::interaction::Walk(one, steps, mistake).run()) return 1;
  }
  std::printf("%llu walks of %llu steps from seed %llu: good\n",
              static_cast<unsigned long long>(seeds), static_cast<unsigned long long>(steps),
              static_cast<unsigned long long>(seed));
  return 0;
}
