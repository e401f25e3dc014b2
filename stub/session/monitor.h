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
  Pid pid{};               // of several processes that have ended: of the last one
  unsigned processes = 1;  // that this row adds up
  Address address;
  unsigned number = 0;
  x86::Lane lane{};
  std::string_view reason;
  bool in = false;  // is inserted now
  SiteStatistics statistics;
};

// Sites that clients have taken out, so that what they saw is not lost with them. Those of
// processes that have ended are added up, one row for each address: a server of fork children has
// as many processes as it likes.
class PastSites {
 public:
  // The client takes the site out.
  void add(Pid pid, const Site& site);
  // The process has ended, was let go or runs another program now.
  void end(const Inferior& process);
  // Past and present sites: by address those of processes that have ended, then the others by
  // process and address.
  std::vector<SiteRecord> with_present(Engine& engine) const;

 private:
  using Key = std::pair<Pid, Address>;
  std::size_t size() const { return living_.size() + ended_.size(); }

  std::map<Key, SiteRecord> living_;
  std::map<Address, SiteRecord> ended_;
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
