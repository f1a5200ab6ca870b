// Sessions by name.
#include "node/session_map.h"

#include <algorithm>
#include <cstring>

namespace quorate {

void SessionMap::add(std::string_view name, Session* session) {
  auto found = map_.find(name);
  if (found == map_.end()) found = map_.emplace(std::string(name), std::vector<Session*>()).first;
  found->second.push_back(session);
}

void SessionMap::remove(std::string_view name, const Session* session) {
  const auto found = map_.find(name);
  if (found == map_.end()) return;
  auto& sessions = found->second;
  const auto at = std::find(sessions.begin(), sessions.end(), session);
  if (at != sessions.end()) sessions.erase(at);
  if (sessions.empty()) map_.erase(found);
}

std::vector<std::string_view> SessionMap::names() const {
  std::vector<std::string_view> names;
  names.reserve(map_.size());
  for (const auto& [name, sessions] : map_) names.push_back(name);
  std::sort(names.begin(), names.end());
  return names;
}

std::string_view KeySessionMap::compose(int database, std::string_view key) const {
  scratch_.resize(kPrefix + key.size());
  std::memcpy(scratch_.data(), &database, kPrefix);
  if (!key.empty()) std::memcpy(scratch_.data() + kPrefix, key.data(), key.size());
  return scratch_;
}

std::vector<std::string> KeySessionMap::keys_of(int database) const {
  std::vector<std::string> keys;
  for (const std::string_view composed : map_.names()) {
    int of = 0;
    std::memcpy(&of, composed.data(), kPrefix);
    if (of == database) keys.emplace_back(composed.substr(kPrefix));
  }
  return keys;
}

}  // namespace quorate
