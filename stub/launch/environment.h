// The environment that launched programs get: the daemon's own, edited by the client
// (QEnvironmentHexEncoded, QEnvironmentUnset, QEnvironmentReset).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace stub {

class Environment {
 public:
  // A copy of this process's environment.
  static Environment of_this_process();
  Environment() = default;
  explicit Environment(std::vector<std::string> entries);

  void set(std::string_view name, std::string_view value);
  void unset(std::string_view name);
  // "NAME=value" each, in no particular order.
  const std::vector<std::string>& entries() const { return entries_; }

 private:
  std::vector<std::string> entries_;
};

}  // namespace stub
