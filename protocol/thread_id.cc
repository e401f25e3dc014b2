#include "protocol/thread_id.h"

#include <fmt/format.h>

#include "protocol/cursor.h"

namespace rsp {
namespace {

bool take_id(Cursor& in, std::int64_t& id) {
  if (in.take("-1")) {
    id = ThreadId::all;
    return true;
  }
  std::int32_t number = 0;  // pid_t
  if (!in.hex(number)) return false;
  id = number;
  return true;
}

std::string one_to_wire(std::int64_t id) {
  return id == ThreadId::all ? "-1" : fmt::format("{:x}", id);
}

}  // namespace

Result<ThreadId> parse_thread_id(std::string_view text) {
  Cursor in(text);
  ThreadId id;
  bool good = true;
  if (in.take('p')) {
    id.tid = ThreadId::all;
    good = take_id(in, id.pid) && (!in.take('.') || take_id(in, id.tid));
    good = good && (id.pid != ThreadId::all || id.tid == ThreadId::all);
  } else {
    good = take_id(in, id.tid);
    if (id.tid == ThreadId::all) id.pid = ThreadId::all;
  }
  if (!good || !in.at_end()) return fail(Errc::malformed, "bad thread id");
  return id;
}

std::string to_wire(const ThreadId& id, bool multiprocess) {
  if (!multiprocess) return one_to_wire(id.tid);
  return fmt::format("p{}.{}", one_to_wire(id.pid), one_to_wire(id.tid));
}

}  // namespace rsp
