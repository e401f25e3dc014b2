#include "stub/session/dialect.h"

#include <algorithm>
#include <csignal>
#include <string>
#include <type_traits>
#include <variant>

#include "protocol/signals.h"
#include "protocol/variants.h"

namespace stub {

bool only_lldb_sends(const rsp::Request& request) {
  return std::visit(
      rsp::Overloaded{
          [](const rsp::QuerySupported& query) {
            return std::ranges::any_of(query.features, [](const rsp::ClientFeature& feature) {
              return feature.name == "xmlRegisters" &&
                     feature.value.value_or("").find(',') != std::string::npos;
            });
          },
          [](const auto& other) {
            return rsp::is_one_of<std::remove_cvref_t<decltype(other)>, rsp::EnableThreadSuffix,
                                  rsp::ListThreadsInStopReply, rsp::QueryHostInfo>;
          },
      },
      request);
}

int wire_signal(Dialect dialect, int host) {
  return dialect == Dialect::lldb ? host : rsp::gdb_from_host(host);
}

int host_signal(Dialect dialect, int wire) {
  if (dialect == Dialect::gdb) return rsp::host_from_gdb(wire);
  return wire <= rsp::last_linux_signal ? wire : 0;
}

int told_signal(Dialect dialect, const Stop& stop) {
  const bool started_or_attached = stop.taken_over && (stop.signal == 0 || stop.signal == SIGTRAP);
  const bool made_by_us = stop.interrupt || started_or_attached;
  return dialect == Dialect::lldb && made_by_us ? SIGSTOP : stop.signal;
}

}  // namespace stub
