// The error texts.  Clients compare them, so each is Redis 7's, letter by letter.
#include "commands/errors.h"

#include "util/number.h"

namespace quorate {
namespace {

// How much of a name or of arguments an error repeats.
constexpr size_t kEchoMax = 128;

std::string upper(std::string_view name) {
  std::string result(name);
  for (char& letter : result) {
    if (letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 32);
  }
  return result;
}

std::string joined(std::initializer_list<std::string_view> parts) {
  std::string line;
  for (const std::string_view part : parts) line += part;
  return line;
}

}  // namespace

std::string_view fixed_error_line(ErrorCode code) {
  switch (code) {
    case ErrorCode::kWrongType:
      return "WRONGTYPE Operation against a key holding the wrong kind of value";
    case ErrorCode::kSyntax:
      return "ERR syntax error";
    case ErrorCode::kNotInteger:
      return "ERR value is not an integer or out of range";
    case ErrorCode::kOutOfRange:
      return "ERR value is out of range";
    case ErrorCode::kNotFloat:
      return "ERR value is not a valid float";
    case ErrorCode::kNoSuchKey:
      return "ERR no such key";
    case ErrorCode::kIndexOutOfRange:
      return "ERR index out of range";
    case ErrorCode::kOverflow:
      return "ERR increment or decrement would overflow";
    case ErrorCode::kNotPositive:
      return "ERR value is out of range, must be positive";
    case ErrorCode::kInvalidCursor:
      return "ERR invalid cursor";
    case ErrorCode::kStringTooLong:
      return "ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    case ErrorCode::kBusyKey:
      return "BUSYKEY Target key name already exists.";
    case ErrorCode::kBadRestorePayload:
      return "ERR DUMP payload version or checksum are wrong";
    case ErrorCode::kOutOfMemory:
      return "OOM command not allowed when used memory > 'maxmemory'.";
    case ErrorCode::kText:
    case ErrorCode::kIo:
    case ErrorCode::kNoSpace:
    case ErrorCode::kCorrupt:
    case ErrorCode::kUnsupported:
    case ErrorCode::kInvalidArgument:
      return {};
  }
  return {};
}

std::string error_line(const Error& error) {
  if (error.code() == ErrorCode::kText) return std::string(error.detail());
  const std::string_view fixed = fixed_error_line(error.code());
  if (!fixed.empty()) return std::string(fixed);
  return joined({"ERR ", error.detail().empty() ? std::string_view("internal failure") : error.detail()});
}

namespace errors {

Error text(std::string line) { return Error(ErrorCode::kText, std::move(line)); }

namespace {
Error fixed(std::string_view line) { return Error(ErrorCode::kText, std::string(line)); }
Error made(std::initializer_list<std::string_view> parts) { return text(joined(parts)); }
// What an error tells of a word that a client sent: a NUL ends it.
std::string_view echoed(std::string_view word, size_t size_max = SIZE_MAX) {
  return word.substr(0, std::min(size_max, word.find('\0')));
}
}  // namespace

// ---- finding and starting a command ----------------------------------------------------------------

Error unknown_command(std::string_view name, std::span<const std::string_view> args) {
  std::string shown;
  for (const std::string_view arg : args) {
    if (shown.size() >= kEchoMax) break;
    const std::string_view part = echoed(arg, kEchoMax - shown.size());
    shown += joined({"'", part, "' "});
  }
  return made({"ERR unknown command '", echoed(name, kEchoMax), "', with args beginning with: ", shown});
}
Error wrong_arity(std::string_view name) {
  return made({"ERR wrong number of arguments for '", name, "' command"});
}
Error unknown_subcommand(std::string_view container, std::string_view name) {
  return made({"ERR unknown subcommand '", echoed(name, kEchoMax), "'. Try ", upper(container), " HELP."});
}
Error subcommand_syntax(std::string_view container, std::string_view name) {
  return made({"ERR unknown subcommand or wrong number of arguments for '", echoed(name, kEchoMax),
               "'. Try ", upper(container), " HELP."});
}
Error protocol(std::string_view what) { return made({"ERR ", what}); }
Error no_auth() { return fixed("NOAUTH Authentication required."); }
Error wrong_password() {
  return fixed("WRONGPASS invalid username-password pair or user is disabled.");
}
Error no_password_set() {
  return fixed(
      "ERR AUTH <password> called without any password configured for the default user. "
      "Are you sure your configuration is correct?");
}
Error no_protocol() { return fixed("NOPROTO unsupported protocol version"); }
Error protocol_version_not_integer() {
  return fixed("ERR Protocol version is not an integer or out of range");
}
Error loading() { return fixed("LOADING Redis is loading the dataset in memory"); }
Error out_of_memory() { return Error(ErrorCode::kOutOfMemory); }
Error misconf_snapshot() {
  return fixed(
      "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. "
      "Commands that may modify the data set are disabled, because this instance is configured to report "
      "errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check "
      "the Redis logs for details about the RDB error.");
}
Error misconf_log(std::string_view reason) {
  return made({"MISCONF Errors writing to the AOF file: ", reason});
}
Error too_many_clients() { return fixed("ERR max number of clients reached"); }
Error not_while_subscribed(std::string_view name) {
  return made({"ERR Can't execute '", name,
               "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"});
}
Error exec_abort() { return fixed("EXECABORT Transaction discarded because of previous errors."); }
Error exec_abort_because(std::string_view line) {
  if (line.starts_with("ERR ")) line.remove_prefix(4);
  return made({"EXECABORT Transaction discarded because of: ", line});
}
Error nested_multi() { return fixed("ERR MULTI calls can not be nested"); }
Error exec_without_multi() { return fixed("ERR EXEC without MULTI"); }
Error discard_without_multi() { return fixed("ERR DISCARD without MULTI"); }
Error watch_inside_multi() { return fixed("ERR WATCH inside MULTI is not allowed"); }
Error not_in_transaction() { return fixed("ERR Command not allowed inside a transaction"); }

// ---- numbers ----------------------------------------------------------------------------------------

Error value_between(int64_t low, int64_t high) {
  return made({"ERR value is out of range, value must between ", std::to_string(low), " and ",
               std::to_string(high)});
}
Error timeout_not_float() { return fixed("ERR timeout is not a float or out of range"); }
Error timeout_not_integer() { return fixed("ERR timeout is not an integer or out of range"); }
Error timeout_negative() { return fixed("ERR timeout is negative"); }
Error timeout_out_of_range() { return fixed("ERR timeout is out of range"); }
Error invalid_expire(std::string_view command) {
  return made({"ERR invalid expire time in '", command, "' command"});
}
Error value_not_finite() { return fixed("ERR value is NaN or Infinity"); }
Error increment_not_finite() { return fixed("ERR increment would produce NaN or Infinity"); }
Error decrement_overflow() { return fixed("ERR decrement would overflow"); }
Error offset_out_of_range() { return fixed("ERR offset is out of range"); }
Error bit_offset() { return fixed("ERR bit offset is not an integer or out of range"); }
Error bit_value() { return fixed("ERR bit is not an integer or out of range"); }
Error hash_value_not_integer() { return fixed("ERR hash value is not an integer"); }
Error hash_value_not_float() { return fixed("ERR hash value is not a float"); }
Error cannot_be_negative(std::string_view word) { return made({"ERR ", word, " can't be negative"}); }
Error must_be_positive_count() { return fixed("ERR count should be greater than 0"); }
Error rank_is_zero() {
  return fixed(
      "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... "
      "or use negative to start from the end of the list");
}
Error numkeys_not_positive() { return fixed("ERR numkeys should be greater than 0"); }
Error too_many_keys() { return fixed("ERR Number of keys can't be greater than number of args"); }
Error no_input_key(std::string_view command) {
  return made({"ERR at least 1 input key is needed for '", command, "' command"});
}

// ---- expiry of hash fields ------------------------------------------------------------------------------

Error field_expiry_negative() { return fixed("ERR invalid expire time, must be >= 0"); }
Error fields_word_missing() {
  return fixed("ERR Mandatory argument FIELDS is missing or not at the right position");
}
Error field_count_not_positive() { return fixed("ERR Parameter `numFields` should be greater than 0"); }
Error number_of_fields_not_positive() { return fixed("ERR Number of fields must be a positive integer"); }
Error field_count_mismatch() {
  return fixed("ERR The `numfields` parameter must match the number of arguments");
}

// ---- sorted sets --------------------------------------------------------------------------------------

Error min_max_not_float() { return fixed("ERR min or max is not a float"); }
Error min_max_not_string_range() { return fixed("ERR min or max not valid string range item"); }
Error weight_not_float() { return fixed("ERR weight value is not a float"); }
Error score_not_number() { return fixed("ERR resulting score is not a number (NaN)"); }
Error zadd_nx_xx() { return fixed("ERR XX and NX options at the same time are not compatible"); }
Error zadd_gt_lt_nx() {
  return fixed("ERR GT, LT, and/or NX options at the same time are not compatible");
}
Error zadd_single_increment() { return fixed("ERR INCR option supports a single increment-element pair"); }
Error limit_needs_by() {
  return fixed("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
}
Error withscores_with_bylex() {
  return fixed("ERR syntax error, WITHSCORES not supported in combination with BYLEX");
}

// ---- keys ---------------------------------------------------------------------------------------------

Error database_out_of_range() { return fixed("ERR DB index is out of range"); }
Error invalid_database() { return fixed("ERR invalid DB index"); }
Error invalid_first_database() { return fixed("ERR invalid first DB index"); }
Error invalid_second_database() { return fixed("ERR invalid second DB index"); }
Error same_object() { return fixed("ERR source and destination objects are the same"); }
Error expire_nx_and_others() {
  return fixed("ERR NX and XX, GT or LT options at the same time are not compatible");
}
Error expire_gt_and_lt() { return fixed("ERR GT and LT options at the same time are not compatible"); }
Error unsupported_option(std::string_view option) { return made({"ERR Unsupported option ", echoed(option)}); }
Error invalid_ttl() { return fixed("ERR Invalid TTL value, must be >= 0"); }
Error invalid_idle_time() { return fixed("ERR Invalid IDLETIME value, must be >= 0"); }
Error invalid_frequency() { return fixed("ERR Invalid FREQ value, must be >= 0 and <= 255"); }
Error bad_data_format() { return fixed("ERR Bad data format"); }
Error sort_score() { return fixed("ERR One or more scores can't be converted into double"); }
Error idle_time_not_tracked() {
  return fixed(
      "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching "
      "between policies at runtime LRU and LFU data will take some time to adjust.");
}
Error frequency_not_tracked() {
  return fixed(
      "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when "
      "switching between policies at runtime LRU and LFU data will take some time to adjust.");
}
Error lcs_needs_strings() { return fixed("ERR The specified keys must contain string values"); }
Error lcs_memory() {
  return text("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
}
Error lcs_length_and_indexes() {
  return fixed("ERR If you want both the length and indexes, please just use IDX.");
}

// ---- COMMAND ------------------------------------------------------------------------------------------

Error invalid_command() { return fixed("ERR Invalid command specified"); }
Error invalid_command_arity() { return fixed("ERR Invalid number of arguments specified for command"); }
Error invalid_command_arguments() { return fixed("ERR Invalid arguments specified for command"); }
Error command_has_no_keys() { return fixed("ERR The command has no key arguments"); }

// ---- slow log and latency --------------------------------------------------------------------------------

Error slowlog_count() { return fixed("ERR count should be greater than or equal to -1"); }
Error no_latency_samples(std::string_view event) {
  return made({"ERR No samples available for event '", event, "'"});
}

// ---- cluster -------------------------------------------------------------------------------------------

Error cross_partition() {
  return fixed(
      "CROSSSLOT Keys in request don't hash to the same slot; give them a common {tag}, or send one request a key");
}
Error sort_cross_partition() {
  return fixed(
      "CROSSSLOT BY and GET patterns of SORT must name keys of the key's own partition; write its {tag} in front of the *");
}
Error channel_name_too_large() { return fixed("ERR the name of the channel or pattern is too large for a cluster of several nodes"); }
Error done_in_part(std::string_view line) { return made({"UNCERTAIN done in part: ", line}); }
Error transaction_of_session(std::string_view command) {
  return made({"ERR ", upper(command), " is not about data: in a cluster of several nodes a transaction on keys runs where they are led, so send ",
               upper(command), " outside of MULTI"});
}
Error transaction_of_all_keys(std::string_view command) {
  return made({"CROSSSLOT ", upper(command), " is about all keys, which several nodes lead, and cannot run inside MULTI: send it outside"});
}
Error not_in_company(std::string_view what) { return made({"ERR ", what, " is not possible in a cluster of several nodes"}); }
Error not_without_log() { return fixed("ERR a node of a cluster needs its log and an identity on disk: appendonly yes"); }
Error invalid_slot() { return fixed("ERR Invalid slot"); }
Error invalid_slot_or_count() { return fixed("ERR Invalid slot or number of keys"); }
Error unknown_node(std::string_view name) { return made({"ERR Unknown node ", name.substr(0, kEchoMax)}); }
Error no_such_partition(uint64_t count) {
  return made({"ERR no such partition: they are 0 to ", std::to_string(count - 1), ", QUORUM EXPLAIN tells that of a key"});
}
Error cannot_forget_myself() { return fixed("ERR I tried hard but I can't forget myself..."); }
Error invalid_base_port(std::string_view text) {
  return made({"ERR Invalid TCP base port specified: ", text.substr(0, kEchoMax)});
}
Error invalid_bus_port(std::string_view text) {
  return made({"ERR Invalid TCP bus port specified: ", text.substr(0, kEchoMax)});
}
Error invalid_node_address(std::string_view host, std::string_view port) {
  return made({"ERR Invalid node address specified: ", host.substr(0, kEchoMax), ":", port.substr(0, kEchoMax)});
}
Error placed_by_cluster(std::string_view subcommand) {
  return made({"ERR CLUSTER ", upper(subcommand),
               " is not for operators here: the cluster places slots, copies and leaders itself. Nodes join by CLUSTER MEET or the "
               "setting join; see QUORUM STATUS, QUORUM MOVE, QUORUM DRAIN, QUORUM REMOVE and QUORUM REBALANCE"});
}
Error meet_holds_keys() {
  return fixed("ERR this node holds keys, and joining throws them away: save what is needed, then FLUSHALL");
}
Error meet_in_cluster() {
  return fixed("ERR this node belongs to a cluster: the other one must join it, by CLUSTER MEET there or the setting join");
}
Error nothing_to_take_over() { return fixed("ERR You should send CLUSTER FAILOVER to a replica"); }
Error should_not_lead() {
  return fixed("ERR this node should lead nothing now: it drains, its disk does not take the log, or its clock is not that of the others");
}
Error failover_by_force() {
  return fixed("ERR a failover cannot be forced: when a leader is gone, a majority of the copies elects another by itself");
}
Error node_is_alone() { return fixed("ERR this node is alone: there are no other members"); }
Error node_is_joining() { return fixed("ERR this node is still looking for its cluster"); }
Error not_a_member(std::string_view reason) { return made({"ERR this node is not a member: ", reason}); }
Error not_joined_yet(std::string_view whom) {
  return made({"CLUSTERDOWN this node belongs to no cluster yet: nobody has let it in at ", whom,
               " (ports for other nodes), where it goes on asking, see its log; nothing was done"});
}
Error node_was_removed() {
  return fixed("CLUSTERDOWN this node was removed from the cluster for good; nothing was done. Ask another node (to join again it needs an empty directory)");
}
Error cluster_refuses_node(std::string_view reason) { return made({"CLUSTERDOWN the cluster refuses this node: ", reason, "; nothing was done"}); }
Error drain_first(size_t led, size_t copies) {
  return made({"ERR the node leads ", std::to_string(led), " partitions and holds ", std::to_string(copies),
               " copies: QUORUM DRAIN it first, and repeat this when QUORUM STATUS shows 0 copies of it"});
}
Error still_drains(size_t led, size_t copies) {
  return made({"ERR the node drains, and still leads ", std::to_string(led), " partitions and holds ", std::to_string(copies),
               " copies: repeat this when QUORUM STATUS shows 0 copies of it"});
}
Error no_leader_elsewhere(size_t partition) {
  return made({"ERR partition ", std::to_string(partition),
               " has no leader on another node: its data may be on this one only, see QUORUM STATUS, and repeat when no partition is leaderless"});
}
Error too_many_proposals() { return fixed("TRYAGAIN too many changes of the cluster wait to be decided"); }
Error wish_undecided(int64_t waited_ms) {
  return made({"UNCERTAIN the members have not decided within ", std::to_string(waited_ms), " ms; they still may"});
}

Error wish_outcome_unknown() {
  return fixed("UNCERTAIN the members have decided, but this node cannot tell how; QUORUM STATUS shows it");
}

Error mode_undecided(std::string_view other) {
  return made({"ERR the members have not decided ", other, " yet, and each node may have another: set appendonly and appendfsync together"});
}
Error mode_without_disk(std::string_view address) {
  return made({"ERR the disk of ", address, " does not take the log, so it could not keep that; nothing was done"});
}
Error uncertain_mode(size_t partitions, size_t of) {
  return made({"UNCERTAIN the members have decided it, but ", std::to_string(partitions), " of ", std::to_string(of),
               " partitions are not known to go by it yet; QUORUM STATUS shows what each node keeps, and what a node's snapshot waits for"});
}

// ---- sessions -----------------------------------------------------------------------------------------

Error invalid_client_name() {
  return fixed("ERR Client names cannot contain spaces, newlines or special characters.");
}

Error invalid_library_word(std::string_view option) {
  return made({"ERR ", option, " cannot contain spaces, newlines or special characters."});
}
Error unrecognized_option(std::string_view option) {
  return made({"ERR Unrecognized option '", option.substr(0, kEchoMax), "'"});
}
Error hello_syntax(std::string_view option) {
  return made({"ERR Syntax error in HELLO option '", option.substr(0, kEchoMax), "'"});
}
Error hello_needs_auth() {
  return fixed(
      "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH "
      "<user> <pass> option can be used to authenticate the client and select the RESP protocol version at the "
      "same time");
}
Error protected_mode() {
  return fixed(
      "DENIED This server is in protected mode: it has no password, so it talks only to clients on the same "
      "machine. To let others in, set a password (requirepass) on the server, or, if the network is trusted, "
      "CONFIG SET protected-mode no from a client on the server's machine.");
}
Error unblocked() { return fixed("UNBLOCKED client unblocked via CLIENT UNBLOCK"); }
Error unblocked_by_move() {
  return fixed("UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)");
}
Error bad_unblock_reason() { return fixed("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"); }
Error bad_pause_mode() { return fixed("ERR CLIENT PAUSE mode must be WRITE or ALL"); }
Error no_such_client() { return fixed("ERR No such client"); }
Error no_such_user(std::string_view name) {
  return made({"ERR No such user '", name.substr(0, kEchoMax), "'"});
}
Error unknown_client_type(std::string_view name) {
  return made({"ERR Unknown client type '", name.substr(0, kEchoMax), "'"});
}
Error invalid_client_id() { return fixed("ERR Invalid client ID"); }
Error client_id_not_positive() { return fixed("ERR client-id should be greater than 0"); }
Error no_blocking_allowed(std::string_view command) {
  return made({"ERR ", command, " isn't allowed for DENY BLOCKING client"});
}
Error transaction_too_large() {
  return fixed("ERR the transaction is larger than client-query-buffer-limit allows");
}
Error debug_not_allowed() {
  return fixed(
      "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it "
      "from a local connection, otherwise you need to set this option in the configuration file, and then "
      "restart the server.");
}
Error debug_needs_resp3() { return fixed("ERR RESP2 is not supported by this command"); }
Error debug_protocol_type() {
  return fixed(
      "ERR Wrong protocol type name. Please use one of the following: "
      "string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false");
}
Error debug_memory_value() {
  return fixed("ERR argument must be a memory value bigger than 1 and smaller than 4gb");
}
Error background_save_running() { return fixed("ERR Background save already in progress"); }
Error log_rewrite_running() {
  return fixed("ERR Background append only file rewriting already in progress");
}
Error no_config_file() { return fixed("ERR The server is running without a config file"); }
Error config_rewrite(std::string_view reason) { return made({"ERR Rewriting config file: ", reason}); }
Error config_set(std::string_view reason) { return made({"ERR ", reason}); }
Error no_shutdown_in_progress() { return fixed("ERR No shutdown in progress."); }
Error shutdown_failed() { return fixed("ERR Errors trying to SHUTDOWN. Check logs."); }
Error save_failed(std::string_view reason) { return made({"ERR saving failed: ", reason}); }
Error sync_with_pending_output() { return fixed("ERR SYNC and PSYNC are invalid with pending output"); }
Error bad_file_filter(std::string_view name) {
  return made({"ERR Unsupported rdb-filter-only option: ", name.substr(0, kEchoMax)});
}
Error unknown_replconf(std::string_view option) {
  return made({"ERR Unrecognized REPLCONF option: ", option.substr(0, kEchoMax)});
}
Error replica_address_too_long(size_t size) {
  return made({"ERR REPLCONF ip-address provided by replica instance is too long: ", std::to_string(size), " bytes"});
}
Error filter_needs_end_mark() { return fixed("ERR Filtered replica requires EOF capability"); }
Error replica_touches_keys() { return fixed("ERR Replica can't interact with the keyspace"); }

// ---- other nodes

Error uncertain_leader_lost() {
  return fixed("UNCERTAIN the partition has another leader now; whether this was kept is not known");
}
Error no_leader(uint32_t partition) {
  return made({"CLUSTERDOWN partition ", std::to_string(partition), " has no leader now; nothing was done"});
}
Error moved(uint32_t slot, std::string_view address) { return made({"MOVED ", std::to_string(slot), " ", address}); }
Error value_between_as_valkey(int64_t least, int64_t most) {
  return made({"ERR value is out of range, value must between ", std::to_string(least), " and ", std::to_string(most)});
}
Error wait_without_log() { return fixed("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."); }
Error bad_write_level(std::string_view text) {
  return made({"ERR '", text.substr(0, kEchoMax), "' is no write level: a number of copies, quorum, all or default"});
}
Error bad_read_level(std::string_view text) {
  return made({"ERR '", text.substr(0, kEchoMax),
               "' is no read level: lease, quorum, local, bounded:milliseconds, a number of voters or default"});
}
Error too_few_copies(uint32_t wanted, uint32_t live) {
  return made({"NOREPLICAS ", std::to_string(wanted), " copies are asked for, ", std::to_string(live), " live; nothing was done"});
}
Error too_few_zones(uint32_t wanted, uint32_t live) {
  return made({"NOREPLICAS copies in ", std::to_string(wanted), " zones are asked for (min-zones), ", std::to_string(live), " live; nothing was done"});
}
Error too_few_voters(uint32_t wanted, uint32_t live) {
  return made({"NOREPLICAS ", std::to_string(wanted), " voters are asked for, ", std::to_string(live), " live; nothing was read"});
}
Error uncertain_committed(uint32_t copies, uint32_t of) {
  return made({"UNCERTAIN committed on ", std::to_string(copies), " of ", std::to_string(of), " copies in time"});
}
Error uncertain_in_zones(uint32_t zones, uint32_t wanted) {
  return made({"UNCERTAIN committed, but held in ", std::to_string(zones), " of ", std::to_string(wanted), " zones in time"});
}
Error uncertain_stored(uint32_t copies, uint32_t of) {
  return made({"UNCERTAIN not committed in time, stored on ", std::to_string(copies), " of ", std::to_string(of),
               " copies; it may be yet, or be lost"});
}
Error uncertain_unnoted() {
  return fixed("UNCERTAIN it was run, but the disk has not noted in time that it may be lost (node.losses)");
}
Error uncertain_connection_lost(uint32_t partition) {
  return made({"UNCERTAIN the connection with the leader of partition ", std::to_string(partition),
               " was lost before it answered"});
}
Error uncertain_timed_out(uint32_t partition) {
  return made({"UNCERTAIN the leader of partition ", std::to_string(partition), " has not answered in time"});
}
Error forwarding_timed_out(uint32_t partition) {
  return made({"TRYAGAIN partition ", std::to_string(partition), " was not reached in time; nothing was done"});
}
Error uncertain_leaders_lost(uint32_t partition) {
  return made({"UNCERTAIN several leaders of partition ", std::to_string(partition), " were lost while they ran it"});
}
Error uncertain_reply_not_kept(uint32_t partition) {
  return made({"UNCERTAIN it was run on partition ", std::to_string(partition), ", but its reply was not kept when the leader was lost"});
}
Error too_much_uncommitted(uint64_t limit) {
  return made({"TRYAGAIN more than max-uncommitted-bytes (", std::to_string(limit), ") of earlier writes are not committed yet; nothing was done"});
}
Error too_much_unwritten(uint64_t limit) {
  return made({"TRYAGAIN more than max-uncommitted-bytes (", std::to_string(limit), ") of earlier writes are not on disk yet; nothing was done"});
}
Error read_was_overtaken(uint32_t partition) {
  return made({"TRYAGAIN the leader of partition ", std::to_string(partition),
               " was lost, and a command sent behind this read may have been run; the read was not"});
}
Error forwarded_request_too_large() { return fixed("ERR the request is too large to be sent to another node"); }
Error request_above_limit(uint64_t limit) {
  return made({"ERR the request is larger than cluster-request-limit (", std::to_string(limit), " bytes)"});
}
Error forwarded_reply_too_large() {
  return fixed("ERR the command was run, but its reply is too large to be sent from another node");
}

}  // namespace errors
}  // namespace quorate
