// From settings to the addresses of a cluster.
#include "node/own_member.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "util/number.h"

namespace quorate {

namespace {

constexpr int64_t kPortMax = 65535;
constexpr size_t kJoinMax = 64;
constexpr size_t kHostSizeMax = 255;
constexpr std::string_view kLoopback = "127.0.0.1";

Error refused(std::string reason) { return Error(ErrorCode::kInvalidArgument, std::move(reason)); }

std::optional<int64_t> parse_port(std::string_view text) {
  const auto port = parse_int(text);
  if (port && *port >= 1 && *port <= kPortMax) return port;
  return std::nullopt;
}

bool is_host(std::string_view text, std::string_view marks) {
  if (text.empty() || text.size() > kHostSizeMax) return false;
  return std::all_of(text.begin(), text.end(), [marks](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           marks.find(c) != std::string_view::npos;
  });
}

// Takes the host off the front of `entry`: what is left begins with the colon of the port.
std::optional<std::string> take_host(std::string_view& entry) {
  std::string_view host;
  std::string_view marks = "-._";
  if (entry.starts_with('[')) {
    const size_t end = entry.find(']');
    if (end == std::string_view::npos) return std::nullopt;
    host = entry.substr(1, end - 1);
    marks = ":.%";
    entry.remove_prefix(end + 1);
  } else {
    const size_t end = std::min(entry.find(':'), entry.size());
    host = entry.substr(0, end);
    entry.remove_prefix(end);
  }
  if (!is_host(host, marks) || !entry.starts_with(':')) return std::nullopt;
  entry.remove_prefix(1);
  return std::string(host);
}

Result<PeerAddress> parse_join_entry(std::string_view entry) {
  std::string_view rest = entry;
  auto host = take_host(rest);
  const size_t at = std::min(rest.find('@'), rest.size());
  const auto port = parse_port(rest.substr(0, at));
  std::optional<int64_t> cluster_port;
  if (at < rest.size()) {
    cluster_port = parse_port(rest.substr(at + 1));
  } else if (port) {
    cluster_port = *port + kClusterPortStep;
  }
  if (!host || !port || !cluster_port)
    return refused("'" + std::string(entry) +
                   "' is not host:port or host:port@cluster-port (an IPv6 address: [::1]:7001)");
  if (*cluster_port > kPortMax)
    return refused("'" + std::string(entry) + "': " + std::to_string(*cluster_port) +
                   " is above 65535 and so not its cluster port; name it: " + std::string(entry) +
                   "@cluster-port");
  return PeerAddress{.host = std::move(*host), .port = static_cast<uint16_t>(*cluster_port)};
}

int64_t port_or_default(int64_t port, int64_t client_port, int64_t step) {
  if (port != kPortAuto) return port;
  return client_port == 0 ? 0 : client_port + step;
}

uint16_t as_port(int64_t port) {
  return port <= kPortMax ? static_cast<uint16_t>(port) : uint16_t{0};
}

Status choose_port(std::string_view name, int64_t& port, int64_t client_port, int64_t step) {
  const int64_t chosen = port_or_default(port, client_port, step);
  if (chosen > kPortMax)
    return refused("port " + std::to_string(client_port) + " leaves no room for the default of " +
                   std::string(name) + ": port + " + std::to_string(step) +
                   " is above 65535 -> set " + std::string(name));
  if (chosen != 0 && chosen == client_port)
    return refused("port and " + std::string(name) + " are both " + std::to_string(chosen));
  port = chosen;
  return done();
}

// Where `port` is told otherwise than it is, so is what stands above it: the main port, which is told right, does for all.
int64_t announced_client_port(const ProcessSettings& process) {
  if (process.cluster_announce_client_port != 0) return process.cluster_announce_client_port;
  if (process.cluster_announce_port != 0) return 0;
  return port_or_default(process.cluster_client_port, process.port, kClusterClientPortStep);
}

bool is_every_address(std::string_view address) {
  return address == "*" || address == "::*" || address == "0.0.0.0" || address == "::";
}
bool is_loopback(std::string_view address) {
  return address.starts_with("127.") || address == "::1" || address == "localhost";
}

// What `bind` says about where others reach this node.
struct BoundHost {
  std::string_view host;  // the first that is no loopback, or the first; empty: none is named
  bool is_loopback = false;
  bool has_every = false;
  // Others reach it, but not at an address that is named.
  bool is_anywhere() const { return has_every && (host.empty() || is_loopback); }
};
BoundHost bound_host(const std::vector<std::string>& bind) {
  BoundHost found;
  for (const std::string& entry : bind) {
    const std::string_view address = std::string_view(entry).substr(entry.starts_with('-') ? 1 : 0);
    if (is_every_address(address)) {
      found.has_every = true;
    } else if (found.host.empty() || (found.is_loopback && !is_loopback(address))) {
      found.host = address;
      found.is_loopback = is_loopback(address);
    }
  }
  return found;
}

std::string own_host(const ProcessSettings& settings) {
  if (!settings.cluster_announce_ip.empty()) return settings.cluster_announce_ip;
  if (!settings.cluster_announce_hostname.empty()) return settings.cluster_announce_hostname;
  const BoundHost bound = bound_host(settings.bind);
  if (bound.is_anywhere() && !settings.machine_address.empty()) return settings.machine_address;
  return std::string(bound.host.empty() ? kLoopback : bound.host);
}

}  // namespace

Result<std::vector<PeerAddress>> parse_join(std::span<const std::string> entries) {
  if (entries.size() > kJoinMax)
    return refused("more than " + std::to_string(kJoinMax) + " addresses to join");
  std::vector<PeerAddress> addresses;
  for (const std::string& entry : entries) {
    TRY(PeerAddress address, parse_join_entry(entry));
    addresses.push_back(std::move(address));
  }
  return addresses;
}

Status choose_ports(const NodeSettings& node, ProcessSettings& process) {
  TRY(choose_port("cluster-port", process.cluster_port, process.port, kClusterPortStep));
  if (process.cluster_port == 0 && !node.join.empty())
    return refused(
        "join: without a cluster-port no other node can reach this one -> it can have no company");
  // Nor does it need a door for the clients of a cluster.
  if (process.cluster_port == 0 && process.cluster_client_port == kPortAuto)
    process.cluster_client_port = 0;
  TRY(choose_port("cluster-client-port", process.cluster_client_port, process.port,
                  kClusterClientPortStep));
  if (process.cluster_port != 0 && process.cluster_port == process.cluster_client_port)
    return refused("cluster-port and cluster-client-port are both " +
                   std::to_string(process.cluster_port));
  return done();
}

bool needs_machine_address(const ProcessSettings& settings) {
  return settings.cluster_announce_ip.empty() && settings.cluster_announce_hostname.empty() &&
         bound_host(settings.bind).is_anywhere();
}

bool is_bound_beyond_loopback(const ProcessSettings& settings) {
  const BoundHost bound = bound_host(settings.bind);
  return bound.has_every || (!bound.host.empty() && !bound.is_loopback);
}

MemberRecord own_member(const NodeSettings& node, const ProcessSettings& process, NodeId id) {
  const int64_t port =
      process.cluster_announce_port != 0 ? process.cluster_announce_port : process.port;
  const int64_t cluster_port =
      process.cluster_announce_bus_port != 0
          ? process.cluster_announce_bus_port
          : port_or_default(process.cluster_port, process.port, kClusterPortStep);
  return {.id = id,
          .host = own_host(process),
          .port = as_port(port),
          .cluster_port = as_port(cluster_port),
          .client_port = as_port(announced_client_port(process)),
          .zone = node.zone,
          .weight = static_cast<uint32_t>(node.node_weight)};
}

}  // namespace quorate
