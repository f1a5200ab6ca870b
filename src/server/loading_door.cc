// Answering while the data set is being loaded.
#include "server/loading_door.h"

#include <string>

#include "commands/errors.h"
#include "resp/reply.h"
#include "server/connection.h"

namespace quorate {

void LoadingDoor::received(Connection& connection, std::string_view bytes) {
  constexpr size_t kInputMax = 1 << 20;
  Client& client = clients_[&connection];
  client.input.append(bytes);
  Buffer out;
  Reply reply(out, Protocol::kResp2);
  RequestLimits limits;
  limits.authenticated = false;  // whoever it is, nothing large is taken in now
  size_t consumed = 0;
  const auto outcome = client.parser.parse(client.input.view(), limits, kInputMax, requests_, consumed);
  const std::string line = error_line(errors::loading());
  for (size_t i = 0; i < requests_.size(); ++i) reply.error(line);
  requests_.clear();
  client.input.drop_front(consumed);
  const bool is_lost = outcome == RequestParser::Outcome::kProtocolError || client.input.size() > kInputMax;
  if (is_lost && outcome == RequestParser::Outcome::kProtocolError)
    reply.error(error_line(errors::protocol(client.parser.error_text())));
  // Who does not read a few short lines is not waited for.
  if (!connection.send_now(out.view()) || is_lost) connection.close(CloseMode::kAbort);
}

}  // namespace quorate
