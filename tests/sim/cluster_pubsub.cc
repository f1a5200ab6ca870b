// A message is "publisher.life number": the life counts the publisher's connections.
#include "tests/sim/cluster_pubsub.h"

#include <algorithm>

#include "util/number.h"

namespace quorate::sim {

namespace {

constexpr int64_t kAnswerUs = 2'000'000;
constexpr int64_t kAgainUs = 50'000;
// Until those who have gone are counted no more.
constexpr int64_t kForgottenUs = 300'000;

std::string command(std::initializer_list<std::string> words) {
  std::string bytes = "*" + std::to_string(words.size()) + "\r\n";
  for (const std::string& word : words) bytes += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
  return bytes;
}

}  // namespace

ClusterPubsub::ClusterPubsub(ClusterClientHost& host, const ClusterSwarm& swarm, uint32_t first, uint64_t seed)
    : host_(host), swarm_(swarm), first_(first), prng_(seed), clients_(swarm.listeners + swarm.publishers) {
  for (uint32_t index = swarm.listeners; index < clients_.size(); ++index) clients_[index].task = Task::kPublishes;
}

void ClusterPubsub::start() {
  for (uint32_t index = 0; index < clients_.size(); ++index) sleep(first_ + index, static_cast<int64_t>(prng_.below(50'000)));
}

void ClusterPubsub::sleep(uint32_t number, int64_t delay_us) {
  Client& client = at(number);
  client.wakes_us = host_.now_us() + 1 + delay_us;
  host_.wake_client(number, client.wakes_us);
}

void ClusterPubsub::connect(uint32_t number) {
  Client& client = at(number);
  ++client.life;
  client.is_connected = true;
  client.is_confirmed = false;
  client.sequence = client.waits_for = client.verifying_heard = 0;
  client.parser = ReplyParser();
  client.last_heard.clear();
  client.gives_up_us = host_.now_us() + kAnswerUs;
  const auto machine = static_cast<uint32_t>(prng_.below(swarm_.nodes));
  // By the pattern of all channels, or by their names.
  const bool by_pattern = prng_.chance(0.5);
  const std::string bytes = client.task == Task::kPublishes ? command({"PING"})
                            : by_pattern                    ? command({"PSUBSCRIBE", "news*"})
                                                            : command({"SUBSCRIBE", "news0", "news1", "news2"});
  client.machine = machine;
  client.confirmations_left = client.task == Task::kPublishes || by_pattern ? 1 : kChannels;
  host_.send_request(number, machine, ClientDoor::kMain, bytes);
}

void ClusterPubsub::give_up(uint32_t number) {
  Client& client = at(number);
  if (client.is_connected) host_.hang_up(number);
  client.is_connected = client.is_confirmed = false;
  sleep(number, static_cast<int64_t>(prng_.below(kAgainUs)));
}

void ClusterPubsub::on_timer(uint32_t number, int64_t at_us) {
  Client& client = at(number);
  if (client.wakes_us != at_us) return;
  if (!client.is_connected) {
    connect(number);
    return sleep(number, kAnswerUs);
  }
  const bool is_late = (!client.is_confirmed || client.waits_for != 0) && host_.now_us() >= client.gives_up_us;
  if (is_late) return give_up(number);
  if (client.task == Task::kPublishes) return publish(number);
  // Now and then a listener goes somewhere else.
  if (!verifies_ && prng_.chance(0.2)) return give_up(number);
  sleep(number, kAnswerUs);
}

void ClusterPubsub::publish(uint32_t number) {
  Client& client = at(number);
  const bool is_time = !verifies_ || (all_listen() && host_.now_us() >= verifies_since_us_ + kForgottenUs);
  const bool may_publish = client.is_confirmed && client.waits_for == 0 && is_time;
  if (!may_publish || (verifies_ && client.sequence == kVerifyingMessages)) return sleep(number, kAgainUs);
  // Two at once: they must not change places on the way.
  const uint64_t batch = 1 + prng_.below(3);
  std::string bytes;
  for (uint64_t index = 0; index < batch && (!verifies_ || client.sequence < kVerifyingMessages); ++index) {
    const std::string channel = "news" + std::to_string(prng_.below(kChannels));
    const std::string text = std::to_string(number) + "." + std::to_string(client.life) + " " + std::to_string(++client.sequence);
    bytes += command({"PUBLISH", channel, text});
    ++client.waits_for;
  }
  client.gives_up_us = host_.now_us() + kAnswerUs;
  host_.send_request(number, client.machine, ClientDoor::kMain, bytes);
  sleep(number, kAnswerUs);
}

void ClusterPubsub::on_closed(uint32_t number) {
  Client& client = at(number);
  if (!client.is_connected) return;
  client.is_connected = client.is_confirmed = false;
  sleep(number, static_cast<int64_t>(prng_.below(kAgainUs)));
}

void ClusterPubsub::on_bytes(uint32_t number, std::string_view bytes) {
  Client& client = at(number);
  if (!client.is_connected) return;
  client.parser.feed(bytes);
  while (client.is_connected) {
    ReplyValue value;
    const auto outcome = client.parser.next(value);
    if (outcome == ReplyParser::Outcome::kNeedMore) return;
    if (outcome == ReplyParser::Outcome::kProtocolError) return fail("pub/sub: an answer is no RESP");
    on_value(number, value);
  }
}

void ClusterPubsub::on_value(uint32_t number, const ReplyValue& value) {
  Client& client = at(number);
  if (value.kind == ReplyValue::Kind::kError) {
    host_.log_client(number, "pub/sub: " + value.text);
    return give_up(number);
  }
  if (!client.is_confirmed) {
    if (client.task == Task::kListens && value.items.size() == 3 && value.items[0].text == "message") {
      return on_message(number, value.items[2].text);
    }
    if (--client.confirmations_left != 0) return;
    client.is_confirmed = true;
    host_.log_client(number, client.task == Task::kListens ? "listens at n" + std::to_string(client.machine + 1) : "may publish");
    return sleep(number, client.task == Task::kListens ? kAnswerUs : static_cast<int64_t>(prng_.below(kAgainUs)));
  }
  if (client.task == Task::kPublishes) {
    if (value.kind != ReplyValue::Kind::kInteger) return fail("PUBLISH is answered " + print_reply(value));
    if (client.waits_for == 0) return fail("PUBLISH is answered twice");
    if (verifies_ && static_cast<size_t>(value.integer) != swarm_.listeners) {
      return fail("PUBLISH counts " + std::to_string(value.integer) + " listeners of " + std::to_string(swarm_.listeners));
    }
    if (--client.waits_for != 0) return;
    return sleep(number, static_cast<int64_t>(prng_.below(kAgainUs)));
  }
  const bool is_message = value.items.size() >= 3;
  if (!is_message) return fail("a listener is told " + print_reply(value));
  on_message(number, value.items.back().text);
}

// Requires: a message of ours.
void ClusterPubsub::on_message(uint32_t number, const std::string& text) {
  Client& client = at(number);
  ++heard_;
  const size_t blank = text.find(' ');
  const std::string publisher = text.substr(0, blank);
  const uint64_t sequence = parse_unsigned(std::string_view(text).substr(blank + 1)).value_or(0);
  uint64_t& last = client.last_heard[publisher];
  host_.log_client(number, "hears " + text);
  if (sequence <= last) fail("listener " + std::to_string(number) + " hears " + text + " behind " + std::to_string(last));
  const bool is_of_the_end = verifies_ && is_verifying(publisher);
  if (is_of_the_end && sequence != last + 1) {
    fail("listener " + std::to_string(number) + " does not hear what is before " + text);
  }
  last = sequence;
  if (is_of_the_end) ++client.verifying_heard;
}

// What was published before may still be on its way.
bool ClusterPubsub::is_verifying(std::string_view publisher) const {
  const size_t point = publisher.find('.');
  const auto number = static_cast<uint32_t>(parse_unsigned(publisher.substr(0, point)).value_or(first_));
  return parse_unsigned(publisher.substr(point + 1)).value_or(0) >= clients_[number - first_].verifies_from_life;
}

// ---- the end

void ClusterPubsub::begin_verification() {
  verifies_ = true;
  verifies_since_us_ = host_.now_us();
  for (Client& client : clients_) client.verifies_from_life = client.life + 1;
  for (uint32_t index = 0; index < clients_.size(); ++index) give_up(first_ + index);
}

bool ClusterPubsub::all_listen() const {
  return std::all_of(clients_.begin(), clients_.end(), [](const Client& client) { return client.is_confirmed; });
}

bool ClusterPubsub::is_verified() const {
  if (swarm_.publishers == 0) return true;
  return std::all_of(clients_.begin(), clients_.end(), [&](const Client& client) {
    if (client.task == Task::kPublishes) return client.sequence == kVerifyingMessages && client.waits_for == 0;
    return client.verifying_heard == kVerifyingMessages * swarm_.publishers;
  });
}

std::string ClusterPubsub::describe_unverified() const {
  std::string text;
  for (uint32_t index = 0; index < clients_.size(); ++index) {
    const Client& client = clients_[index];
    text += "\n  client " + std::to_string(first_ + index) +
            (client.task == Task::kPublishes ? " has published " + std::to_string(client.sequence)
                                             : " has heard " + std::to_string(client.verifying_heard)) +
            (client.is_confirmed ? "" : ", is not connected");
  }
  return text;
}

}  // namespace quorate::sim
