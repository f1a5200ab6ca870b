// Sessions by a name: subscribers of a channel, those who watch a key, those who wait for one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace quorate {

class Session;

class SessionMap {
 public:
  // The order of the sessions of one name is the order of adding.  Requires: not added already.
  void add(std::string_view name, Session* session);
  void remove(std::string_view name, const Session* session);
  // Null: nobody.  Valid until the next add or remove.
  const std::vector<Session*>* find(std::string_view name) const {
    if (map_.empty()) return nullptr;
    const auto found = map_.find(name);
    return found == map_.end() ? nullptr : &found->second;
  }
  bool empty() const { return map_.empty(); }
  size_t size() const { return map_.size(); }
  // Sorted.
  std::vector<std::string_view> names() const;

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  std::unordered_map<std::string, std::vector<Session*>, Hash, std::equal_to<>> map_;
};

// Sessions by database and key.
class KeySessionMap {
 public:
  void add(int database, std::string_view key, Session* session) {
    map_.add(compose(database, key), session);
  }
  void remove(int database, std::string_view key, const Session* session) {
    map_.remove(compose(database, key), session);
  }
  const std::vector<Session*>* find(int database, std::string_view key) const {
    return map_.empty() ? nullptr : map_.find(compose(database, key));
  }
  bool empty() const { return map_.empty(); }
  size_t size() const { return map_.size(); }
  // The keys of one database, sorted.
  std::vector<std::string> keys_of(int database) const;

 private:
  static constexpr size_t kPrefix = sizeof(int);
  std::string_view compose(int database, std::string_view key) const;

  SessionMap map_;
  mutable std::string scratch_;
};

}  // namespace quorate
