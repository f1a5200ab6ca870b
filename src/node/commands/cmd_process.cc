// Commands about the process: INFO and SHUTDOWN.
#include "commands/errors.h"
#include "commands/syntax.h"
#include "node/commands/node_families.h"
#include "node/context.h"
#include "node/host.h"
#include "node/info.h"
#include "node/keyspace_counts.h"
#include "node/persistence.h"

namespace quorate {

namespace {

Status info(NodeContext& cx) {
  const Args sections = cx.args.subspan(1);
  // A transaction does not wait: it is told what is known.  Nor does anybody for what CLIENT REPLY keeps from being said.
  const bool may_wait = !cx.node.in_transaction && !cx.session.has(kReplyOff | kReplySkipNow);
  if (has_keyspace(sections) && may_wait && needs_other_counts(cx.node, cx.session)) {
    begin_keyspace_wait(cx.node, cx.session, {sections.begin(), sections.end()});
    return done();
  }
  const std::string text = info_text(cx.node, cx.node.host.facts(), sections, &cx.session);
  cx.reply.verbatim(VerbatimFormat::kText, text);
  return done();
}

Status shutdown(NodeContext& cx) {
  uint8_t options = 0;
  bool is_abort = false;
  for (size_t i = 1; i < cx.size(); ++i) {
    if (same_word(cx[i], "save")) {
      options |= kShutdownSave;
    } else if (same_word(cx[i], "nosave")) {
      options |= kShutdownNoSave;
    } else if (same_word(cx[i], "now")) {
      options |= kShutdownNow;
    } else if (same_word(cx[i], "force")) {
      options |= kShutdownForce;
    } else if (same_word(cx[i], "abort")) {
      is_abort = true;
    } else {
      return ErrorCode::kSyntax;
    }
  }
  const bool contradicts = (options & kShutdownSave) != 0 && (options & kShutdownNoSave) != 0;
  if (contradicts || (is_abort && options != 0)) return ErrorCode::kSyntax;
  if (is_abort) {
    if (!abort_shutdown(cx.node)) return errors::no_shutdown_in_progress();
    cx.reply.ok();
    return done();
  }
  // Not answered: who sent it sees the connection close.
  begin_shutdown(cx.node, &cx.session, options);
  return done();
}

constexpr CommandSpec kTable[] = {
    {.name = "info",
     .arity = -1,
     .flags = kLoading | kStale,
     .syntax = "[section ...]",
     .summary = "Tells facts and counters of the server.",
     .complexity = "O(1)",
     .since = "1.0.0",
     .history = "7.0.0: Added support for taking multiple section arguments.",
     .group = Group::kServer,
     .tips = "nondeterministic_output,request_policy:all_shards,response_policy:special",
     .acl = "dangerous",
     .run_on_node = info},
    {.name = "shutdown",
     .arity = -1,
     .flags = kAdmin | kNoScript | kLoading | kStale | kNoMulti | kAllowBusy,
     .syntax = "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]",
     .summary = "Puts everything on disk and ends the server.",
     .complexity = "O(N) when a snapshot is written, with N the number of keys, else O(1)",
     .since = "1.0.0",
     .history = "7.0.0: Added the `NOW`, `FORCE` and `ABORT` modifiers.",
     .group = Group::kServer,
     .run_on_node = shutdown},
};
static_assert(well_formed(kTable), "a row is incomplete or contradicts itself");

}  // namespace

std::span<const CommandSpec> process_commands() { return kTable; }

}  // namespace quorate
