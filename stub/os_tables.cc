#include "stub/os_tables.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <array>
#include <charconv>
#include <cstring>
#include <ctime>
#include <span>
#include <vector>

#include "stub/os_data.h"
#include "stub/proc_fs.h"
#include "stub/xml.h"

namespace stub {
namespace {

constexpr std::size_t max_document = 16u << 20;

std::vector<std::string_view> split(std::string_view text, std::string_view separators) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t start = text.find_first_not_of(separators);
    if (start == std::string_view::npos) return parts;
    text.remove_prefix(start);
    parts.push_back(text.substr(0, text.find_first_of(separators)));
    text.remove_prefix(parts.back().size());
  }
}

std::int64_t number(std::string_view text, int base = 10) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value, base);
  return value;
}

// ---- files whose lines are rows ----------------------------------------------------------------

// How a word of the file becomes a value of the table.
enum class Show { as_is, user, group, command, time };

struct ColumnSpec {
  const char* name;
  Show show = Show::as_is;
};

constexpr ColumnSpec shm_columns[] = {
    {"key"},
    {"shmid"},
    {"permissions"},
    {"size"},
    {"creator command", Show::command},
    {"last op. command", Show::command},
    {"num attached"},
    {"user", Show::user},
    {"group", Show::group},
    {"creator user", Show::user},
    {"creator group", Show::group},
    {"last shmat() time", Show::time},
    {"last shmdt() time", Show::time},
    {"last shmctl() time", Show::time},
};
constexpr ColumnSpec sem_columns[] = {
    {"key"},
    {"semid"},
    {"permissions"},
    {"num semaphores"},
    {"user", Show::user},
    {"group", Show::group},
    {"creator user", Show::user},
    {"creator group", Show::group},
    {"last semop() time", Show::time},
    {"last semctl() time", Show::time},
};
constexpr ColumnSpec msg_columns[] = {
    {"key"},
    {"msqid"},
    {"permissions"},
    {"num used bytes"},
    {"num messages"},
    {"last msgsnd() command", Show::command},
    {"last msgrcv() command", Show::command},
    {"user", Show::user},
    {"group", Show::group},
    {"creator user", Show::user},
    {"creator group", Show::group},
    {"last msgsnd() time", Show::time},
    {"last msgrcv() time", Show::time},
    {"last msgctl() time", Show::time},
};
constexpr ColumnSpec module_columns[] = {
    {"name"}, {"size"}, {"num uses"}, {"dependencies"}, {"status"}, {"address"},
};

// ctime(3)'s form with its newline, empty for "never": what gdbserver sends.
std::string time_text(std::int64_t seconds) {
  if (seconds == 0) return "";
  const std::time_t time = seconds;
  char text[64];
  return ::ctime_r(&time, text) ? text : "";
}

std::string value_text(std::string_view word, Show show) {
  switch (show) {
    case Show::as_is:
      return std::string(word);
    case Show::user:
      return user_name(number(word));
    case Show::group:
      return group_name(number(word));
    case Show::command:
      return command_name(Tid{static_cast<pid_t>(number(word))});
    case Show::time:
      return time_text(number(word));
  }
  return {};
}

enum class FirstLine { heading, row };

std::string lines_as_rows(const char* type, std::span<const ColumnSpec> columns,
                          std::string_view file, FirstLine first) {
  OsTable table(type);
  auto lines = split(file, "\n");
  if (first == FirstLine::heading && !lines.empty()) lines.erase(lines.begin());
  for (std::string_view line : lines) {
    const auto words = split(line, " ");
    if (words.size() < columns.size()) continue;
    table.begin_row();
    for (std::size_t i = 0; i < columns.size(); ++i) {
      table.column(columns[i].name, value_text(words[i], columns[i].show));
    }
    table.end_row();
  }
  return std::move(table).text();
}

// ---- sockets -----------------------------------------------------------------------------------

// enum of include/net/tcp_states.h, from 1.
constexpr const char* tcp_states[] = {"ESTABLISHED", "SYN_SENT",  "SYN_RECV", "FIN_WAIT1",
                                      "FIN_WAIT2",   "TIME_WAIT", "CLOSE",    "CLOSE_WAIT",
                                      "LAST_ACK",    "LISTEN",    "CLOSING"};

// HEX:PORT. The address is printed by the kernel as 32-bit words of the processor's byte order.
struct Endpoint {
  std::string address;
  std::string port;
};

Endpoint endpoint(std::string_view text, int family) {
  const std::size_t colon = text.find(':');
  const std::string_view hex = text.substr(0, colon);
  std::array<std::uint32_t, 4> words{};
  for (std::size_t i = 0; i < words.size() && 8 * i + 8 <= hex.size(); ++i) {
    words[i] = static_cast<std::uint32_t>(number(hex.substr(8 * i, 8), 16));
  }
  char address[INET6_ADDRSTRLEN] = "";
  ::inet_ntop(family, words.data(), address, sizeof address);
  if (colon == std::string_view::npos) return {address, ""};
  return {address, std::to_string(number(text.substr(colon + 1), 16))};
}

void add_sockets(OsTable& table, std::string_view file, int family, const char* protocol) {
  auto lines = split(file, "\n");
  if (!lines.empty()) lines.erase(lines.begin());  // headings
  for (std::string_view line : lines) {
    // sl local remote st queues timer retransmits uid
    const auto words = split(line, " ");
    if (words.size() < 8) continue;
    const Endpoint local = endpoint(words[1], family), remote = endpoint(words[2], family);
    const auto state = static_cast<std::size_t>(number(words[3], 16) - 1);
    table.row({{"local address", local.address},
               {"local port", local.port},
               {"remote address", remote.address},
               {"remote port", remote.port},
               {"state", state < std::size(tcp_states) ? tcp_states[state] : "(unknown)"},
               {"user", user_name(number(words[7]))},
               {"family", family == AF_INET ? "INET" : "INET6"},
               {"protocol", protocol}});
  }
}

}  // namespace

// ---- the form ----------------------------------------------------------------------------------

OsTable::OsTable(std::string_view type) : text_(fmt::format("<osdata type=\"{}\">\n", type)) {}

void OsTable::begin_row() {
  full_ = text_.size() > max_document;
  if (!full_) text_ += "<item>";
}

void OsTable::column(std::string_view name, std::string_view value) {
  if (full_) return;
  text_ += fmt::format("<column name=\"{}\">{}</column>", name, xml_text(value));
}

void OsTable::end_row() {
  if (!full_) text_ += "</item>";
}

void OsTable::row(std::initializer_list<Column> columns) {
  begin_row();
  for (const auto& [name, value] : columns) column(name, value);
  end_row();
}

std::string OsTable::text() && { return std::move(text_) + "</osdata>\n"; }

std::string command_name(Tid tid) { return proc_fs::comm(tid).value_or(std::to_string(raw(tid))); }

// ---- the tables --------------------------------------------------------------------------------

std::string shared_memory_table(std::string_view file) {
  return lines_as_rows("shared memory", shm_columns, file, FirstLine::heading);
}

std::string semaphore_table(std::string_view file) {
  return lines_as_rows("semaphores", sem_columns, file, FirstLine::heading);
}

std::string message_queue_table(std::string_view file) {
  return lines_as_rows("message queues", msg_columns, file, FirstLine::heading);
}

std::string module_table(std::string_view file) {
  return lines_as_rows("modules", module_columns, file, FirstLine::row);
}

// `name<tabs>: value` lines, a block per processor. Names and values are sent as gdbserver does:
// the value with the blank in front of it and the newline behind.
std::string cpu_table(std::string_view file) {
  OsTable table("cpus");
  bool in_row = false;
  for (std::string_view line : split(file, "\n")) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    std::string_view name = line.substr(0, colon);
    name = name.substr(0, name.find('\t'));
    if (name == "processor") {
      if (in_row) table.end_row();
      table.begin_row();
      in_row = true;
    }
    if (in_row) table.column(xml_text(name), std::string(line.substr(colon + 1)) + "\n");
  }
  if (in_row) table.end_row();
  return std::move(table).text();
}

std::string socket_table(const SocketFiles& files) {
  OsTable table("I sockets");
  add_sockets(table, files.tcp, AF_INET, "STREAM");
  add_sockets(table, files.udp, AF_INET, "DGRAM");
  add_sockets(table, files.tcp6, AF_INET6, "STREAM");
  add_sockets(table, files.udp6, AF_INET6, "DGRAM");
  return std::move(table).text();
}

}  // namespace stub
