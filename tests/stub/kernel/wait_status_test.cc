#include "stub/kernel/wait_status.h"

#include <string>

#include "tests/catch.h"

namespace stub {
namespace {

struct Name {
  std::string operator()(const Exited& s) const { return "exited " + std::to_string(s.code); }
  std::string operator()(const Killed& s) const { return "killed " + std::to_string(s.signal); }
  std::string operator()(const SignalStop& s) const { return "signal " + std::to_string(s.signal); }
  std::string operator()(const SyscallStop&) const { return "syscall"; }
  std::string operator()(const EventStop& s) const {
    return "event " + std::to_string(static_cast<int>(s.event));
  }
  std::string operator()(const InterruptStop&) const { return "interrupt"; }
  std::string operator()(const GroupStop& s) const { return "group " + std::to_string(s.signal); }
};

TEST_CASE("wait_status: every form of a status word") {
  const struct {
    int status;
    const char* meaning;
  } rows[] = {
      {0x0000, "exited 0"},    {0x2a00, "exited 42"},
      {0xff00, "exited 255"},  {0x0009, "killed 9"},
      {0x008b, "killed 11"},  // with a core dump
      {0x057f, "signal 5"},    {0x0b7f, "signal 11"},
      {0x137f, "signal 19"},  // SIGSTOP about to be delivered is no group-stop
      {0x407f, "signal 64"},   {0x857f, "syscall"},  // PTRACE_O_TRACESYSGOOD
      {0x1057f, "event 1"},    {0x2057f, "event 2"},
      {0x3057f, "event 3"},    {0x4057f, "event 4"},
      {0x5057f, "event 5"},    {0x6057f, "event 6"},  // PTRACE_EVENT_EXIT, which nobody asked for
      {0x80057f, "interrupt"}, {0x80137f, "group 19"},
      {0x80147f, "group 20"},  {0x80157f, "group 21"},
      {0x80167f, "group 22"},
  };
  for (const auto& row : rows) {
    INFO(std::hex << row.status);
    CHECK(std::visit(Name{}, decode_wait_status(row.status)) == row.meaning);
  }
}

}  // namespace
}  // namespace stub
