#include "stub/launch/environment.h"

#include <unistd.h>

#include <algorithm>

namespace stub {
namespace {

bool has_name(std::string_view entry, std::string_view name) {
  return entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=';
}

}  // namespace

Environment Environment::of_this_process() {
  std::vector<std::string> entries;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry)
    entries.emplace_back(*entry);
  return Environment(std::move(entries));
}

Environment::Environment(std::vector<std::string> entries) : entries_(std::move(entries)) {}

void Environment::set(std::string_view name, std::string_view value) {
  unset(name);
  entries_.push_back(std::string(name) + '=' + std::string(value));
}

void Environment::unset(std::string_view name) {
  std::erase_if(entries_, [name](const std::string& entry) { return has_name(entry, name); });
}

}  // namespace stub
