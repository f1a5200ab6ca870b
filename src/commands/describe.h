// What COMMAND tells about a row: INFO and DOCS entries, names of flags and groups, ACL categories.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "commands/spec.h"
#include "commands/table.h"
#include "resp/reply.h"

namespace quorate {

// The ACL categories of Redis, one bit each.
enum AclCategory : uint32_t {
  kAclKeyspace = 1u << 0,
  kAclRead = 1u << 1,
  kAclWrite = 1u << 2,
  kAclSet = 1u << 3,
  kAclSortedSet = 1u << 4,
  kAclList = 1u << 5,
  kAclHash = 1u << 6,
  kAclString = 1u << 7,
  kAclBitmap = 1u << 8,
  kAclHyperLogLog = 1u << 9,
  kAclGeo = 1u << 10,
  kAclStream = 1u << 11,
  kAclPubsub = 1u << 12,
  kAclAdmin = 1u << 13,
  kAclFast = 1u << 14,
  kAclSlow = 1u << 15,
  kAclBlocking = 1u << 16,
  kAclDangerous = 1u << 17,
  kAclConnection = 1u << 18,
  kAclTransaction = 1u << 19,
  kAclScripting = 1u << 20,
};

// Follows from group and flags; the row's `acl` adds ("dangerous") or takes away ("-keyspace").
uint32_t acl_categories(const CommandSpec& spec);
std::optional<AclCategory> acl_category(std::string_view name);  // without '@', any case

std::string_view group_name(Group group);

// The entry of COMMAND INFO: an array of ten, with the subcommands' entries inside.
void reply_command_info(const CommandRow& row, Reply& reply);
// The name and the map of COMMAND DOCS: two values.
void reply_command_docs(const CommandRow& row, Reply& reply);
// The set of names of KeyFlag bits.
void reply_key_flags(uint16_t flags, Reply& reply);

}  // namespace quorate
