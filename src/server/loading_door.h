// Answers who connects while the data set is being loaded: "-LOADING" to every request, as Redis does.
#pragma once

#include <cstddef>
#include <map>
#include <string_view>
#include <vector>

#include "resp/request_parser.h"
#include "util/buffer.h"

namespace quorate {

class Connection;

// Owned by the driver; used until the node is there.
class LoadingDoor {
 public:
  void add(Connection& connection) { clients_[&connection]; }
  void remove(Connection& connection) { clients_.erase(&connection); }
  // Answers what is complete in `bytes`; closes the connection if the stream is no protocol.
  void received(Connection& connection, std::string_view bytes);

  // Hands every connection and the beginning of its next request to `take(connection, bytes)`.
  template <class Take>
  void hand_over(Take&& take) {
    std::map<Connection*, Client> clients;
    clients.swap(clients_);
    for (auto& [connection, client] : clients) take(*connection, client.input.view());
  }

 private:
  struct Client {
    Buffer input;  // the incomplete request
    RequestParser parser;
  };
  std::map<Connection*, Client> clients_;
  std::vector<Request> requests_;
};

}  // namespace quorate
