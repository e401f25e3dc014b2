#include "stub/inspect/account_names.h"

#include <charconv>
#include <optional>
#include <string_view>

#include "stub/kernel/proc_fs.h"

namespace stub {
namespace {

// The id in the line `NAME:x:ID:...`.
std::optional<std::uint32_t> id_of(std::string_view line) {
  const std::size_t name_end = line.find(':');
  const std::size_t password_end = line.find(':', name_end + 1);
  if (name_end == line.npos || password_end == line.npos) return std::nullopt;
  const std::string_view rest = line.substr(password_end + 1);
  std::uint32_t id = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), id);
  if (error != std::errc()) return std::nullopt;
  return id;
}

// `path` is a file in the form of /etc/passwd.
std::string name_of_id(const char* path, std::uint32_t id) {
  proc_fs::LineReader file(path, 1u << 20);
  do {
    while (const auto line = file.next())
      if (id_of(*line) == id) return std::string(line->substr(0, line->find(':')));
  } while (file.read_on());
  return std::to_string(id);
}

}  // namespace

std::string user_name(std::uint32_t uid) { return name_of_id("/etc/passwd", uid); }
std::string group_name(std::uint32_t gid) { return name_of_id("/etc/group", gid); }

const std::string& IdNames::user(std::uint32_t uid) {
  const auto [entry, is_new] = users_.try_emplace(uid);
  if (is_new) entry->second = user_name(uid);
  return entry->second;
}

const std::string& IdNames::group(std::uint32_t gid) {
  const auto [entry, is_new] = groups_.try_emplace(gid);
  if (is_new) entry->second = group_name(gid);
  return entry->second;
}

}  // namespace stub
