// Where a node is for others, and whom it joins.
#include "node/own_member.h"

#include <gtest/gtest.h>

namespace quorate {
namespace {

std::string join(const std::string& entry) {
  const auto parsed = parse_join({&entry, 1});
  if (!parsed.ok()) return std::string(parsed.error().detail());
  return parsed.value().front().host + " " + std::to_string(parsed.value().front().port);
}

ProcessSettings bound_to(std::vector<std::string> bind) {
  ProcessSettings process;
  process.bind = std::move(bind);
  return process;
}

std::string host_of(std::vector<std::string> bind) {
  ProcessSettings process = bound_to(std::move(bind));
  process.machine_address = "10.9.9.9";
  return own_member({}, process, 1).host;
}

ProcessSettings with_ports(int64_t port, int64_t cluster_port) {
  ProcessSettings process;
  process.port = port;
  process.cluster_port = cluster_port;
  return process;
}

// "": they were chosen.
std::string choose(ProcessSettings& process, const NodeSettings& node = {}) {
  const Status chosen = choose_ports(node, process);
  return chosen.ok() ? "" : std::string(chosen.error().detail());
}

TEST(Join, the_port_of_clients_is_named_and_that_of_peers_follows) {
  EXPECT_EQ(join("127.0.0.1:7001"), "127.0.0.1 17001");
  EXPECT_EQ(join("db-1.example.com:55535"), "db-1.example.com 65535");
  EXPECT_EQ(join("[::1]:7001"), "::1 17001");
  EXPECT_EQ(join("[fe80::1%eth0]:7001"), "fe80::1%eth0 17001");
}

TEST(Join, a_cluster_port_can_be_named_as_cluster_nodes_writes_it) {
  EXPECT_EQ(join("127.0.0.1:7001@9000"), "127.0.0.1 9000");
  EXPECT_EQ(join("[::1]:60000@9000"), "::1 9000");
}

TEST(Join, what_names_no_place_is_refused_with_the_reason) {
  for (const std::string entry :
       {"", "host", "host:", ":7001", "host:0", "host:65536", "host:7001@", "host:7001@0",
        "host:7001@65536", "host:+1", "::1:7001", "[::1]", "[::1]7001", "[::1:7001", "[]:7001",
        "ho st:7001", "a/b:1", "host:7001:7002", "host@17001"}) {
    EXPECT_EQ(
        join(entry),
        "'" + entry + "' is not host:port or host:port@cluster-port (an IPv6 address: [::1]:7001)");
  }
  EXPECT_EQ(join("host:60000"),
            "'host:60000': 70000 is above 65535 and so not its cluster port; name it: "
            "host:60000@cluster-port");
  const std::vector<std::string> many(65, "host:7001");
  EXPECT_FALSE(parse_join(many).ok());
}

TEST(Ports, defaults_follow_the_port_and_then_stay) {
  ProcessSettings process;
  EXPECT_EQ(choose(process), "");
  EXPECT_EQ(process.cluster_port, 17001);
  EXPECT_EQ(process.cluster_client_port, 8001);
  process.port = 7002;
  EXPECT_EQ(choose(process), "");
  EXPECT_EQ(process.cluster_port, 17001);
}

TEST(Ports, without_a_port_or_without_company_nothing_is_opened) {
  ProcessSettings silent = with_ports(0, kPortAuto);
  EXPECT_EQ(choose(silent), "");
  EXPECT_EQ(silent.cluster_port, 0);
  EXPECT_EQ(silent.cluster_client_port, 0);
  ProcessSettings alone = with_ports(65000, 0);
  EXPECT_EQ(choose(alone), "");
  EXPECT_EQ(alone.cluster_client_port, 0);
}

TEST(Ports, what_cannot_be_is_refused_with_the_reason) {
  ProcessSettings high = with_ports(60000, kPortAuto);
  EXPECT_EQ(choose(high),
            "port 60000 leaves no room for the default of cluster-port: port + 10000 is above "
            "65535 -> set cluster-port");
  ProcessSettings higher = with_ports(65000, 1234);
  EXPECT_EQ(choose(higher),
            "port 65000 leaves no room for the default of cluster-client-port: port + 1000 is "
            "above 65535 -> set cluster-client-port");
  ProcessSettings same = with_ports(7001, 7001);
  EXPECT_EQ(choose(same), "port and cluster-port are both 7001");
  ProcessSettings crossed = with_ports(7001, 8001);
  EXPECT_EQ(choose(crossed), "cluster-port and cluster-client-port are both 8001");
  ProcessSettings deaf = with_ports(7001, 0);
  NodeSettings joins;
  joins.join = {"host:7001"};
  EXPECT_NE(choose(deaf, joins).find("it can have no company"), std::string::npos);
}

TEST(OwnMember, tells_what_is_set) {
  ProcessSettings process = bound_to({"127.0.0.1"});
  NodeSettings node;
  node.zone = "east";
  node.node_weight = 250;
  EXPECT_EQ(
      own_member(node, process, 7),
      (MemberRecord{
          .id = 7,
          .host = "127.0.0.1",
          .port = 7001,
          .cluster_port = 17001,
          .client_port = 8001,
          .zone = "east",
          .weight = 250}));
  process.cluster_announce_port = 1;
  process.cluster_announce_bus_port = 2;
  process.cluster_announce_hostname = "name";
  EXPECT_EQ(own_member({}, process, 7),
            (MemberRecord{.id = 7, .host = "name", .port = 1, .cluster_port = 2}));
  process.cluster_announce_ip = "10.0.0.1";
  EXPECT_EQ(own_member({}, process, 7).host, "10.0.0.1");
  process.cluster_announce_client_port = 3;
  EXPECT_EQ(own_member({}, process, 7).client_port, 3);
}

TEST(OwnMember, without_a_door_for_cluster_clients_none_is_told) {
  ProcessSettings process = bound_to({"127.0.0.1"});
  process.cluster_client_port = 0;
  EXPECT_EQ(own_member({}, process, 7).client_port, 0);
}

TEST(OwnMember, others_can_reach_more_than_the_loopback) {
  EXPECT_FALSE(is_bound_beyond_loopback(bound_to({})));
  EXPECT_FALSE(is_bound_beyond_loopback(bound_to({"127.0.0.1", "-::1", "localhost", "127.1.2.3"})));
  for (const char* address : {"*", "-::*", "0.0.0.0", "-10.0.0.1", "db.example.com"}) {
    EXPECT_TRUE(is_bound_beyond_loopback(bound_to({"127.0.0.1", address}))) << address;
  }
}

TEST(OwnMember, is_found_at_the_first_address_that_is_bound_for_others) {
  EXPECT_EQ(host_of({"127.0.0.1", "-::1"}), "127.0.0.1");
  EXPECT_EQ(host_of({"-::1"}), "::1");
  EXPECT_EQ(host_of({"127.0.0.1", "-10.0.0.1", "10.0.0.2"}), "10.0.0.1");
  EXPECT_EQ(host_of({"*", "10.0.0.1"}), "10.0.0.1");
}

TEST(OwnMember, bound_to_every_address_is_found_at_one_of_the_machine) {
  for (const std::string every : {"*", "-::*", "0.0.0.0", "::"}) {
    EXPECT_EQ(host_of({every}), "10.9.9.9");
    EXPECT_EQ(host_of({"127.0.0.1", every}), "10.9.9.9");
    EXPECT_TRUE(needs_machine_address(bound_to({every})));
    EXPECT_FALSE(needs_machine_address(bound_to({every, "10.0.0.1"})));
    ProcessSettings announced = bound_to({every});
    announced.cluster_announce_ip = "10.0.0.1";
    EXPECT_FALSE(needs_machine_address(announced));
  }
  EXPECT_FALSE(needs_machine_address(bound_to({"127.0.0.1"})));
  EXPECT_EQ(own_member({}, bound_to({"*"}), 1).host, "127.0.0.1");
}

}  // namespace
}  // namespace quorate
