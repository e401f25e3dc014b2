// What the client may ask about the machine and the threads as XML documents: qXfer:osdata and
// qXfer:threads (GDB manual, "Operating System Information" and "Thread List Format").
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "stub/base/types.h"
#include "stub/base/work.h"

namespace stub {

// The document for an annex: "" lists the types there are, each of which is an annex. An unknown
// type gives an empty document, as with gdbserver. At most 16 MiB, then rows are left out.
Work<std::string> os_data(std::string_view type);

// One row of the thread list.
struct ThreadEntry {
  std::string id;                      // as in packets, e.g. "p1f.2a"
  std::optional<int> core;             // processor it last ran on
  std::optional<std::string> name;     // not escaped
  std::vector<std::byte> handle = {};  // pthread_t as the program has it in memory; may be empty
};
std::string threads_document(std::span<const ThreadEntry> threads);

}  // namespace stub
