#include "stub/inspect/os_tables.h"

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <iterator>
#include <string_view>

#include "stub/inspect/os_data.h"
#include "tests/catch.h"

namespace {

std::string column(const std::string& name, const std::string& value) {
  return "<column name=\"" + name + "\">" + value + "</column>";
}

std::string table(const std::string& type, const std::string& rows) {
  return "<osdata type=\"" + type + "\">\n" + rows + "</osdata>\n";
}

// The table as if its files, in their order, held these texts.
std::string filled(const stub::LineTable& spec, auto... texts) {
  stub::OsTable table(spec.type);
  stub::IdNames names;
  const std::string_view files[] = {texts...};
  REQUIRE(std::size(files) == spec.files.size());
  for (std::size_t n = 0; n < std::size(files); ++n) {
    std::string_view rest = files[n];
    for (bool heading = spec.files[n].headings; !rest.empty(); heading = false) {
      const std::string_view line = rest.substr(0, rest.find('\n'));
      if (!heading) spec.files[n].add(table, line, names);
      rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    }
  }
  return std::move(table).text();
}

// Times are shown in the machine's zone.
void use_utc() {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
}

}  // namespace

TEST_CASE("System V IPC tables") {
  use_utc();
  const std::string time = "Sat Nov 21 02:51:40 2026\n";
  CHECK(
      filled(
          stub::shared_memory_table,
          "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  "
          "cgid      atime      dtime      ctime                   rss                  swap\n"
          "      4660          0   640                  5000 1073741823 1073741822      1     0    "
          " "
          "0     0     0 1795229500          0 1795229500                     0               "
          "0\n") ==
      table("shared memory",
            "<item>" + column("key", "4660") + column("shmid", "0") + column("permissions", "640") +
                column("size", "5000") +
                column("creator command", "1073741823") +  // no such process
                column("last op. command", "1073741822") + column("num attached", "1") +
                column("user", "root") + column("group", "root") + column("creator user", "root") +
                column("creator group", "root") + column("last shmat() time", time) +
                column("last shmdt() time", "") + column("last shmctl() time", time) + "</item>"));
  CHECK(filled(
            stub::semaphore_table,
            "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n"
            "-1412623820          7   600          3     0     0     0     0          0 "
            "1795229500\n") ==
        table("semaphores", "<item>" + column("key", "-1412623820") + column("semid", "7") +
                                column("permissions", "600") + column("num semaphores", "3") +
                                column("user", "root") + column("group", "root") +
                                column("creator user", "root") + column("creator group", "root") +
                                column("last semop() time", "") +
                                column("last semctl() time", time) + "</item>"));
  CHECK(filled(stub::message_queue_table,
               "       key      msqid perms ...\n"
               "         0          1   666         10          1 1073741823     0 "
               "    0     0     0     0 1795229500          0 1795229500\n") ==
        table("message queues",
              "<item>" + column("key", "0") + column("msqid", "1") + column("permissions", "666") +
                  column("num used bytes", "10") + column("num messages", "1") +
                  column("last msgsnd() command", "1073741823") +
                  column("last msgrcv() command", "0") + column("user", "root") +
                  column("group", "root") + column("creator user", "root") +
                  column("creator group", "root") + column("last msgsnd() time", time) +
                  column("last msgrcv() time", "") + column("last msgctl() time", time) +
                  "</item>"));
  CHECK(filled(stub::semaphore_table, "") == table("semaphores", ""));
  CHECK(filled(stub::semaphore_table, "heading\nshort line\n") == table("semaphores", ""));
}

TEST_CASE("kernel modules") {
  CHECK(filled(stub::module_table, "nfs 446464 0 lockd,grace Live 0xffffffffc0a00000\n") ==
        table("modules", "<item>" + column("name", "nfs") + column("size", "446464") +
                             column("num uses", "0") + column("dependencies", "lockd,grace") +
                             column("status", "Live") + column("address", "0xffffffffc0a00000") +
                             "</item>"));
}

TEST_CASE("processors") {
  CHECK(filled(stub::cpu_table,
               "processor\t: 0\nvendor_id\t: A<B\npower management:\n\n"
               "processor\t: 1\nno colon here\n\n") ==
        table("cpus", "<item>" + column("processor", " 0\n") + column("vendor_id", " A&lt;B\n") +
                          column("power management", "\n") + "</item><item>" +
                          column("processor", " 1\n") + "</item>"));
  CHECK(filled(stub::cpu_table, "") == table("cpus", ""));
}

TEST_CASE("sockets") {
  const char* tcp =
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
      "   0: 0100007F:1F90 0200A8C0:C001 01 00000000:00000000 00:00000000 00000000     0  0 1\n"
      "   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000  4294967280\n"
      "   2: 00000000:0016 00000000:0000 0C 00000000:00000000 00:00000000 00000000     0\n"
      "   garbage\n";
  const char* udp6 =
      "  sl  local_address\n"
      "   9: 00000000000000000000000001000000:EDB3 00000000000000000000000000000000:0000 07 "
      "00000000:00000000 00:00000000 00000000     0        0 50298 1\n";
  auto row = [](auto local, auto port, auto remote, auto remote_port, auto state, auto user,
                auto family, auto protocol) {
    return "<item>" + column("local address", local) + column("local port", port) +
           column("remote address", remote) + column("remote port", remote_port) +
           column("state", state) + column("user", user) + column("family", family) +
           column("protocol", protocol) + "</item>";
  };
  CHECK(filled(stub::socket_table, tcp, "", "", udp6) ==
        table("I sockets",
              row("127.0.0.1", "8080", "192.168.0.2", "49153", "ESTABLISHED", "root", "INET",
                  "STREAM") +
                  row("0.0.0.0", "22", "0.0.0.0", "0", "LISTEN", "4294967280", "INET", "STREAM") +
                  row("0.0.0.0", "22", "0.0.0.0", "0", "(unknown)", "root", "INET", "STREAM") +
                  row("::1", "60851", "::", "0", "CLOSE", "root", "INET6", "DGRAM")));
}

TEST_CASE("a table does not grow without limit") {
  stub::OsTable table("big");
  for (int i = 0; i < 100; ++i) table.row({{"c", std::string(1 << 20, 'x')}});
  const std::string text = std::move(table).text();
  CHECK(text.size() > 10u << 20);
  CHECK(text.size() < 20u << 20);
  CHECK(text.ends_with("</column></item></osdata>\n"));
}
