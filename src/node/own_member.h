// Where this node is and whom it is to join, as its settings say: the ports beside `port`, the
// record that the other members get to know. Not for what the cluster knows about it
// (cluster/members.h).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cluster/members.h"
#include "cluster/peers.h"
#include "node/process_settings.h"
#include "node/settings.h"
#include "util/result.h"

namespace quorate {

// cluster-port and cluster-client-port, where they are not set, are so far above `port`.
constexpr int64_t kClusterPortStep = 10'000;
constexpr int64_t kClusterClientPortStep = 1'000;

// The addresses that `join` names, each "host:port", as its clients reach it; its peers reach it
// 10000 above that, or where "host:port@cluster-port" says (so CLUSTER NODES writes it).  An IPv6
// address stands in brackets.  An error's detail is the reason for refusing the setting.
Result<std::vector<PeerAddress>> parse_join(std::span<const std::string> entries);

// Puts numbers in the place of `auto`.  From here on they stay, even if CONFIG SET moves `port`. An
// error's detail says which port is above 65535 or named twice, or that `join` needs a
// cluster-port.
Status choose_ports(const NodeSettings& node, ProcessSettings& process);

// No setting says where others reach this node: the server then has to ask the system
// (ProcessSettings::machine_address).
bool needs_machine_address(const ProcessSettings& settings);

// `bind` names more than this machine's own loopback.
bool is_bound_beyond_loopback(const ProcessSettings& settings);

// What is announced.  The host is cluster-announce-ip, or cluster-announce-hostname, or the first
// address of `bind` that is more than this machine's own loopback (if there is none, the loopback),
// or the machine's address.
MemberRecord own_member(const NodeSettings& node, const ProcessSettings& process, NodeId id);

}  // namespace quorate
