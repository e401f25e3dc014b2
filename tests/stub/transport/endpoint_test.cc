#include "stub/transport/endpoint.h"

#include <string>

#include "tests/catch.h"

using namespace stub;
using Family = TcpEndpoint::Family;

TEST_CASE("COMM is read as gdbserver reads it") {
  struct Row {
    const char* comm;
    Endpoint expected;
  };
  const Row rows[] = {
      {"localhost:2345", TcpEndpoint{"localhost", "2345", Family::any}},
      {":2345", TcpEndpoint{"", "2345", Family::any}},
      {"2345", TcpEndpoint{"", "2345", Family::any}},
      {"0.0.0.0:0", TcpEndpoint{"0.0.0.0", "0", Family::any}},
      {"localhost:http", TcpEndpoint{"localhost", "http", Family::any}},
      {"[::1]:2345", TcpEndpoint{"::1", "2345", Family::v6}},
      {"::1:2345", TcpEndpoint{"::1", "2345", Family::v6}},
      {"[::]:2345", TcpEndpoint{"::", "2345", Family::v6}},
      {"tcp:host:1", TcpEndpoint{"host", "1", Family::any}},
      {"tcp4:host:1", TcpEndpoint{"host", "1", Family::v4}},
      {"tcp6:host:1", TcpEndpoint{"host", "1", Family::v6}},
      {"tcp6:[::1]:1", TcpEndpoint{"::1", "1", Family::v6}},
      {"tcp4:[::1]:1", TcpEndpoint{"[::1]", "1", Family::v4}},  // brackets are for IPv6
      {"[::1:1", TcpEndpoint{"[::1", "1", Family::v6}},
      {"tcp:::1:1", TcpEndpoint{"::1", "1", Family::v6}},
      {"tcp::1", TcpEndpoint{"", "1", Family::any}},
      {"tcp4:1", TcpEndpoint{"", "1", Family::v4}},
      // Not prefixes of ours: names that cannot be resolved.
      {"tcp8:123:2345", TcpEndpoint{"tcp8:123", "2345", Family::v6}},
      {"udp123::::2345", TcpEndpoint{"udp123:::", "2345", Family::v6}},
      {"garbage:1234:2345", TcpEndpoint{"garbage:1234", "2345", Family::v6}},
      {"host:", TcpEndpoint{"host", "", Family::any}},
      {"-", StdioEndpoint{}},
      {"stdio", StdioEndpoint{}},
      {"systemd", ActivatedEndpoint{}},
      {"unix:/run/x", UnixEndpoint{"/run/x"}},
      {"unix:@name", UnixEndpoint{"@name"}},
      {"/dev/ttyS0", TtyEndpoint{"/dev/ttyS0"}},
      {"/dev/serial/by-path/pci-0000:00:1d.0-port0",
       TtyEndpoint{"/dev/serial/by-path/pci-0000:00:1d.0-port0"}},
      {"com1", TtyEndpoint{"com1"}},
      {"1234x", TtyEndpoint{"1234x"}},
  };
  for (const Row& row : rows) {
    INFO(row.comm);
    CHECK(parse_endpoint(row.comm) == row.expected);
  }
}
