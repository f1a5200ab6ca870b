// The settings whose text is more than one plain value: how each is read, written back in one canonical form, and
// assigned.  Used by the table of settings only.
#pragma once

#include <string>
#include <string_view>

#include "node/config.h"
#include "util/result.h"

namespace quorate {

// Each returns the canonical text, or kInvalidArgument with the reason (Redis' words).
Result<std::string> normalize_save(std::string_view text, std::string_view current);
Result<std::string> normalize_bind(std::string_view text, std::string_view current);
Result<std::string> normalize_join(std::string_view text, std::string_view current);
Result<std::string> normalize_port_or_auto(std::string_view text, std::string_view current);
Result<std::string> normalize_output_limits(std::string_view text, std::string_view current);
Result<std::string> normalize_notify(std::string_view text, std::string_view current);
Result<std::string> normalize_percentiles(std::string_view text, std::string_view current);
Result<std::string> normalize_oom_values(std::string_view text, std::string_view current);
Result<std::string> normalize_shutdown_options(std::string_view text, std::string_view current);
Result<std::string> normalize_title_template(std::string_view text, std::string_view current);
Result<std::string> normalize_write_level(std::string_view text, std::string_view current);
Result<std::string> normalize_read_level(std::string_view text, std::string_view current);

// Require: the text is canonical.
void assign_save(SettingTargets& targets, const SettingValue& value);
void assign_bind(SettingTargets& targets, const SettingValue& value);
void assign_join(SettingTargets& targets, const SettingValue& value);
void assign_cluster_port(SettingTargets& targets, const SettingValue& value);
void assign_cluster_client_port(SettingTargets& targets, const SettingValue& value);
void assign_output_limits(SettingTargets& targets, const SettingValue& value);
void assign_notify(SettingTargets& targets, const SettingValue& value);
void assign_percentiles(SettingTargets& targets, const SettingValue& value);
void assign_oom_values(SettingTargets& targets, const SettingValue& value);
void assign_shutdown_on_sigterm(SettingTargets& targets, const SettingValue& value);
Result<std::string> normalize_policies(std::string_view text, std::string_view current);
void assign_policies(SettingTargets& targets, const SettingValue& value);
void assign_write_level(SettingTargets& targets, const SettingValue& value);
void assign_read_level(SettingTargets& targets, const SettingValue& value);
void assign_shutdown_on_sigint(SettingTargets& targets, const SettingValue& value);

}  // namespace quorate
