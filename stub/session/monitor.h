// `monitor` commands: gdbserver's, with its texts, and ours.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "stub/engine/engine.h"
#include "stub/inspect/tls.h"

namespace stub {

// A site as the tables show it, in or out.
struct SiteRecord {
  Pid pid{};
  Address address;
  unsigned number = 0;
  x86::Lane lane{};
  std::string_view reason;
  bool in = false;  // is inserted now
  SiteStatistics statistics;
};

// Sites that clients have taken out, so that what they saw is not lost with them.
class PastSites {
 public:
  void add(Pid pid, const Site& site);
  // Past and present sites of all processes, by process and address.
  std::vector<SiteRecord> with_present(Engine& engine) const;

 private:
  using Key = std::pair<Pid, Address>;
  std::map<Key, SiteRecord> records_;
};

struct MonitorContext {
  Engine& engine;
  TlsOptions& tls;
  const PastSites& past_sites;
  std::optional<Pid> process;     // the selected one
  bool no_run = false;            // the client brings no code to run, a library neither
  bool client_is_gdb_16 = false;  // or later: it expects the words of its own gdbserver
};

struct MonitorResult {
  std::string output;   // for the client's console
  bool failed = false;  // the reply is an error
  bool exit = false;    // end the daemon
};

// monitor_condition.cc: `condition`, `condition WHERE TERMS`, `condition WHERE off`.
MonitorResult monitor_condition(std::string_view arguments, MonitorContext context);
extern const std::string_view monitor_condition_help;

// Whether it changes nothing: an observer may send it.
bool monitor_command_only_looks(std::string_view command);
MonitorResult run_monitor_command(std::string_view command, MonitorContext context);

}  // namespace stub
