#include "stub/inspect/os_data.h"

#include <unistd.h>

#include <thread>

#include "stub/inspect/account_names.h"
#include "stub/kernel/proc_fs.h"
#include "tests/catch.h"

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string column(const std::string& name, const std::string& value) {
  return "<column name=\"" + name + "\">" + value + "</column>";
}

const std::string own_pid = std::to_string(::getpid());

}  // namespace

TEST_CASE("the list of types, each of which is a table") {
  const std::string types = finish(stub::os_data(""));
  CHECK(
      types.starts_with("<osdata type=\"types\">\n<item><column name=\"Type\">cpus</column>"
                        "<column name=\"Description\">Listing of all cpus/cores on the system"
                        "</column><column name=\"Title\">CPUs</column></item>"));
  CHECK(types.ends_with("</osdata>\n"));
  const std::pair<const char*, const char*> rows[] = {
      {"cpus", "cpus"},
      {"files", "files"},
      {"modules", "modules"},
      {"msg", "message queues"},
      {"processes", "processes"},
      {"procgroups", "process groups"},
      {"semaphores", "semaphores"},
      {"shm", "shared memory"},
      {"sockets", "I sockets"},
      {"threads", "threads"},
  };
  for (auto [annex, type] : rows) {
    CAPTURE(annex);
    CHECK(contains(types, column("Type", annex)));
    const std::string document = finish(stub::os_data(annex));
    CHECK(document.starts_with("<osdata type=\"" + std::string(type) + "\">\n"));
    CHECK(document.ends_with("</osdata>\n"));
  }
  CHECK(finish(stub::os_data("bogus")).empty());
}

TEST_CASE("this process in the tables of processes") {
  const std::string command = stub::proc_fs::comm(stub::Tid{::getpid()}).value();
  CHECK(contains(finish(stub::os_data("processes")),
                 column("pid", own_pid) + column("user", stub::user_name(::geteuid())) +
                     "<column name=\"command\">"));
  CHECK(contains(finish(stub::os_data("procgroups")),
                 column("pgid", std::to_string(::getpgrp())) + "<column name=\"leader command\">"));
  CHECK(contains(
      finish(stub::os_data("files")),
      column("pid", own_pid) + column("command", command) + column("file descriptor", "0")));
  std::string tid, table;
  std::thread([&] {
    tid = std::to_string(::gettid());
    table = finish(stub::os_data("threads"));
  }).join();
  CHECK(contains(table, column("pid", own_pid) + column("command", command) + column("tid", tid) +
                            "<column name=\"core\">"));
}

TEST_CASE("user and group names") {
  CHECK(stub::user_name(0) == "root");
  CHECK(stub::group_name(0) == "root");
  CHECK(stub::user_name(0xfffffff0) == "4294967280");
  CHECK(stub::group_name(0xfffffff0) == "4294967280");
}

TEST_CASE("threads document") {
  const std::vector<std::byte> handle = {std::byte{0x40}, std::byte{0x07}, std::byte{0xff}};
  const std::vector<stub::ThreadEntry> threads = {
      {"p499d.499d", 0, "sleep"},
      {"p1.2", 17, "a<\"b\n", handle},
      {"p1.3", std::nullopt, std::nullopt},
  };
  CHECK(stub::threads_document(threads) ==
        "<threads>\n"
        "<thread id=\"p499d.499d\" core=\"0\" name=\"sleep\"/>\n"
        "<thread id=\"p1.2\" core=\"17\" name=\"a&lt;&quot;b\n\" handle=\"4007ff\"/>\n"
        "<thread id=\"p1.3\"/>\n"
        "</threads>\n");
  CHECK(stub::threads_document({}) == "<threads>\n</threads>\n");
}
