// Every error text a client can see.  The texts are Redis'; nowhere else in the project may one be written.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "util/result.h"

namespace quorate {

// The line of an error as the client sees it, prefix included, without "-" and CRLF.
std::string error_line(const Error& error);
// The fixed text of a code of the user's kind; empty for the others.
std::string_view fixed_error_line(ErrorCode code);

namespace errors {

// An error with its whole line; for errors.cc and for families with many parametrised texts of their own.
Error text(std::string line);

// ---- finding and starting a command ----------------------------------------------------------------
Error unknown_command(std::string_view name, std::span<const std::string_view> args);  // args: behind the name
Error wrong_arity(std::string_view name);                       // "wrong number of arguments for 'get' command"
Error unknown_subcommand(std::string_view container, std::string_view name);
Error subcommand_syntax(std::string_view container, std::string_view name);  // "... or wrong number of arguments"
Error protocol(std::string_view what);                          // RequestParser::error_text()
Error no_auth();
Error wrong_password();
Error no_password_set();
Error no_protocol();                                            // NOPROTO of HELLO
Error protocol_version_not_integer();
Error loading();
Error out_of_memory();
Error misconf_snapshot();
Error misconf_log(std::string_view reason);
Error too_many_clients();
Error not_while_subscribed(std::string_view name);
Error exec_abort();
Error exec_abort_because(std::string_view line);                // the line of the error that stopped it
Error nested_multi();
Error exec_without_multi();
Error discard_without_multi();
Error watch_inside_multi();
Error not_in_transaction();

// ---- numbers ----------------------------------------------------------------------------------------
Error value_between(int64_t low, int64_t high);
Error timeout_not_float();
Error timeout_not_integer();
Error timeout_negative();
Error timeout_out_of_range();
Error invalid_expire(std::string_view command);                 // "invalid expire time in 'set' command"
Error value_not_finite();                                       // HINCRBYFLOAT with inf
Error increment_not_finite();                                   // INCRBYFLOAT, HINCRBYFLOAT
Error decrement_overflow();
Error offset_out_of_range();
Error bit_offset();
Error bit_value();
Error hash_value_not_integer();
Error hash_value_not_float();
Error cannot_be_negative(std::string_view word);                // "COUNT can't be negative"
Error must_be_positive_count();                                 // "count should be greater than 0"
Error rank_is_zero();
Error numkeys_not_positive();
Error too_many_keys();
Error no_input_key(std::string_view command);

// ---- expiry of hash fields ------------------------------------------------------------------------------
Error field_expiry_negative();
Error fields_word_missing();
Error field_count_not_positive();       // HEXPIRE and its kin
Error number_of_fields_not_positive();  // HTTL and its kin, HPERSIST
Error field_count_mismatch();

// ---- sorted sets --------------------------------------------------------------------------------------
Error min_max_not_float();
Error min_max_not_string_range();
Error weight_not_float();
Error score_not_number();
Error zadd_nx_xx();
Error zadd_gt_lt_nx();
Error zadd_single_increment();
Error limit_needs_by();
Error withscores_with_bylex();

// ---- keys ---------------------------------------------------------------------------------------------
Error database_out_of_range();
Error invalid_database();
Error invalid_first_database();
Error invalid_second_database();
Error same_object();
Error expire_nx_and_others();
Error expire_gt_and_lt();
Error unsupported_option(std::string_view option);
Error invalid_ttl();
Error invalid_idle_time();
Error invalid_frequency();
Error bad_data_format();
Error sort_score();
Error idle_time_not_tracked();
Error frequency_not_tracked();
Error lcs_needs_strings();
Error lcs_length_and_indexes();
Error lcs_memory();

// ---- COMMAND ------------------------------------------------------------------------------------------
Error invalid_command();
Error invalid_command_arity();
Error invalid_command_arguments();
Error command_has_no_keys();

// ---- slow log and latency --------------------------------------------------------------------------------
Error slowlog_count();
Error no_latency_samples(std::string_view event);

// ---- cluster -------------------------------------------------------------------------------------------
Error cross_partition();
Error sort_cross_partition();
Error channel_name_too_large();
Error transaction_of_session(std::string_view command);
Error transaction_of_all_keys(std::string_view command);
Error not_in_company(std::string_view what);
Error not_without_log();
Error done_in_part(std::string_view line);
Error invalid_slot();
Error invalid_slot_or_count();
Error unknown_node(std::string_view name);
Error no_such_partition(uint64_t count);
Error cannot_forget_myself();
Error invalid_base_port(std::string_view text);
Error invalid_bus_port(std::string_view text);
Error invalid_node_address(std::string_view host, std::string_view port);
Error placed_by_cluster(std::string_view subcommand);           // ADDSLOTS and what else Redis' operators do by hand
Error meet_holds_keys();
Error meet_in_cluster();
Error nothing_to_take_over();
Error should_not_lead();
Error failover_by_force();
Error node_is_alone();
Error node_is_joining();
Error not_a_member(std::string_view reason);
Error not_joined_yet(std::string_view whom);
Error node_was_removed();
Error cluster_refuses_node(std::string_view reason);
// QUORUM REMOVE of a node that is needed.
Error drain_first(size_t led, size_t copies);
Error still_drains(size_t led, size_t copies);
Error no_leader_elsewhere(size_t partition);
Error too_many_proposals();
Error wish_undecided(int64_t waited_ms);
Error wish_outcome_unknown();
Error mode_undecided(std::string_view other);   // half of the mode was set alone
Error mode_without_disk(std::string_view address);
Error uncertain_mode(size_t partitions, size_t of);   // decided; so many do not go by it yet

// ---- sessions -----------------------------------------------------------------------------------------
Error invalid_client_name();
Error invalid_library_word(std::string_view option);            // CLIENT SETINFO
Error unrecognized_option(std::string_view option);
Error hello_syntax(std::string_view option);
Error hello_needs_auth();
Error protected_mode();
Error unblocked();
Error unblocked_by_move();                                       // the node stopped serving the key
Error bad_unblock_reason();
Error bad_pause_mode();
Error no_such_client();
Error no_such_user(std::string_view name);
Error unknown_client_type(std::string_view name);
Error invalid_client_id();
Error client_id_not_positive();
Error no_blocking_allowed(std::string_view command);            // MONITOR, SYNC inside MULTI
Error transaction_too_large();
Error debug_not_allowed();
Error debug_needs_resp3();
Error debug_protocol_type();
Error debug_memory_value();
Error background_save_running();
Error log_rewrite_running();
Error no_config_file();
Error config_rewrite(std::string_view reason);
Error config_set(std::string_view reason);                      // Configuration::set says the whole of it
Error no_shutdown_in_progress();
Error shutdown_failed();
Error save_failed(std::string_view reason);
Error sync_with_pending_output();
Error bad_file_filter(std::string_view name);                    // REPLCONF rdb-filter-only
Error unknown_replconf(std::string_view option);
Error replica_touches_keys();
Error replica_address_too_long(size_t size);
Error filter_needs_end_mark();

// ---- other nodes ----------------------------------------------------------------------------------------
Error uncertain_leader_lost();                              // executed here, but this node leads no more
Error value_between_as_valkey(int64_t least, int64_t most);  // WAITAOF
Error wait_without_log();
Error bad_write_level(std::string_view text);
Error bad_read_level(std::string_view text);
Error no_leader(uint32_t partition);
// `address`: host:port of who answers for the slot.
Error moved(uint32_t slot, std::string_view address);
Error too_few_copies(uint32_t wanted, uint32_t live);       // not executed
Error too_few_zones(uint32_t wanted, uint32_t live);
Error too_few_voters(uint32_t wanted, uint32_t live);       // of a read; the same
Error uncertain_committed(uint32_t copies, uint32_t of);    // executed; not as many copies as were asked for
Error uncertain_in_zones(uint32_t zones, uint32_t wanted);
Error uncertain_stored(uint32_t copies, uint32_t of);       // executed, not committed
Error uncertain_unnoted();                                  // acknowledged below the commit quorum
Error uncertain_connection_lost(uint32_t partition);        // sent to another node
Error uncertain_timed_out(uint32_t partition);              // the same
Error forwarding_timed_out(uint32_t partition);
Error uncertain_leaders_lost(uint32_t partition);           // one after the other, while they ran the same command
Error uncertain_reply_not_kept(uint32_t partition);         // it was run, when it was sent before
Error too_much_uncommitted(uint64_t limit);                // max-uncommitted-bytes
Error too_much_unwritten(uint64_t limit);                  // the same of a node alone
Error read_was_overtaken(uint32_t partition);               // the leader was lost, a write behind it was not
Error forwarded_request_too_large();
Error request_above_limit(uint64_t limit);
Error forwarded_reply_too_large();

}  // namespace errors
}  // namespace quorate
