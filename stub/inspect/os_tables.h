// The tables of qXfer:osdata: the form they share, and those that are files of /proc put into
// columns. os_data.cc holds the ones that look at processes.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "stub/base/types.h"
#include "stub/inspect/account_names.h"

namespace stub {

class OsTable {
 public:
  // `type` is the attribute of the document, which is not always the annex it was asked with.
  explicit OsTable(std::string_view type);

  using Column = std::pair<std::string_view, std::string>;
  void row(std::initializer_list<Column> columns);
  void begin_row();  // ends the one before
  void column(std::string_view name, std::string_view value);
  bool in_row() const { return in_row_; }
  // The table has its greatest size, and rows are left out from now on.
  bool full() const;
  std::string text() &&;

 private:
  void end_row();

  bool in_row_ = false;
  bool left_out_ = false;  // the present row
  std::string text_;
};

// The name of a thread, or the number of its id when it has vanished.
std::string command_name(Tid tid);

// A table whose rows are lines of files of /proc.
struct LineTable {
  struct File {
    const char* path;
    bool headings;  // the first line is no row
    void (*add)(OsTable& table, std::string_view line, IdNames& names);
  };
  const char* type;
  std::span<const File> files;
};
extern const LineTable shared_memory_table, semaphore_table, message_queue_table, module_table,
    cpu_table, socket_table;

}  // namespace stub
