// Reading what is here.
#include "node/copy_reads.h"

#include <vector>

#include "node/company.h"
#include "node/execute.h"
#include "node/forward.h"
#include "util/check.h"

namespace quorate {

bool is_answered_by_copy(NodeState& node, const Session& session, const CommandSpec& spec, Args keys, uint32_t partition) {
  if (session.has(kInMulti) || session.driver != nullptr) return false;
  if (!node.company.may_read_copy(session, spec.flags, keys, partition)) return false;
  return node.forwarding->waiting_count() == 0 || !node.forwarding->is_waiting(partition, session);
}

void read_copy(NodeState& node, Session& session, Command& row, Args args, const Key& first_key, uint32_t partition) {
  if (is_of_all_keys(*row.spec)) node.store.set_scope(partition);
  node.store.set_touching(!session.has(kNoTouch) || row.spec->name == "touch");
  // What has expired is removed by who leads it.
  node.store.set_removing_expired(false);
  node.company.begin_copy_read();
  ++node.statistics.commands_processed;
  const int64_t begun_us = node.clock();
  const CallResult result = call(node, session, row, args, first_key, Origin::kClient);
  CHECK(result == CallResult::kReplied);   // what may block is no read of a copy
  count_call(node, row, args, session, node.clock() - begun_us);
  node.company.end_copy_read();
  node.store.set_removing_expired(true);
  node.store.set_touching(true);
  node.store.set_scope(std::nullopt);
}

size_t answer_parts(NodeState& node, Session& session, const CommandSpec& spec, Gathering& gathering) {
  if (gathering.writes || !node.company.asks_copies(session)) [[likely]]
    return 0;
  RequestParser parser;
  std::vector<Request> requests;
  size_t answered = 0;
  for (Gathering::Part& part : gathering.parts) {
    size_t consumed = 0;
    const auto outcome = parser.parse(part.request, RequestLimits(), 1, requests, consumed);
    // A word may be larger than a stranger's may be: a leader can be asked all the same.
    if (outcome != RequestParser::Outcome::kDone || requests.size() != 1) {
      parser = RequestParser();
      continue;
    }
    const Args args = requests.front().args;
    const Args keys = is_of_all_keys(spec) ? Args() : args.subspan(1);
    Command* const row = node.commands.find(args[0]);
    CHECK(row != nullptr);
    if (!is_answered_by_copy(node, session, *row->spec, keys, part.partition)) continue;
    const size_t start = session.out.size();
    read_copy(node, session, *row, args, Key{}, part.partition);
    part.answer = session.out.view_from(start);
    part.is_answered = true;
    session.out.truncate(start);
    ++answered;
  }
  return answered;
}

}  // namespace quorate
