// Names of users and groups.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace stub {

// The names in /etc/passwd and /etc/group; an id without a name gives its number. getpwuid(3) is
// not used: it may ask the network, and it cannot be linked statically.
std::string user_name(std::uint32_t uid);
std::string group_name(std::uint32_t gid);

// Looks each id up once: a table has the same few ids in thousands of rows.
class IdNames {
 public:
  const std::string& user(std::uint32_t uid);
  const std::string& group(std::uint32_t gid);

 private:
  std::map<std::uint32_t, std::string> users_, groups_;
};

}  // namespace stub
