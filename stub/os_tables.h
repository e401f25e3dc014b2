// The tables of qXfer:osdata: the form they share, and those that are files of /proc put into
// columns. os_data.cc holds the ones that look at processes.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "stub/types.h"

namespace stub {

class OsTable {
 public:
  // `type` is the attribute of the document, which is not always the annex it was asked with.
  explicit OsTable(std::string_view type);

  using Column = std::pair<std::string_view, std::string>;
  void row(std::initializer_list<Column> columns);
  void begin_row();
  void column(std::string_view name, std::string_view value);
  void end_row();
  std::string text() &&;

 private:
  bool full_ = false;
  std::string text_;
};

// The name of a thread, or the number of its id when it has vanished.
std::string command_name(Tid tid);

// From the contents of the files named; taken as text to be tested as such.
std::string shared_memory_table(std::string_view proc_sysvipc_shm);
std::string semaphore_table(std::string_view proc_sysvipc_sem);
std::string message_queue_table(std::string_view proc_sysvipc_msg);
std::string module_table(std::string_view proc_modules);
std::string cpu_table(std::string_view proc_cpuinfo);
// /proc/net/{tcp,udp,tcp6,udp6}
struct SocketFiles {
  std::string_view tcp, udp, tcp6, udp6;
};
std::string socket_table(const SocketFiles& files);

}  // namespace stub
