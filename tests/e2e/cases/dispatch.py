"""A program that has its system calls sent to itself by the address they are made from, as Wine does
(programs/dispatch.c)."""

import os

from harness import NEVER, Skip, case

RESULT = "^sum=55 right=10 caught=10 places=10$"


def run(t, mode, *sites, env=None):
    """To the end with these sites, of which none stops the program."""
    client = t.rsp(t.server(f"dispatch {mode}", env=env), handshake=True)
    client.query()
    client.ok("QPassSignals:c")  # SIGSYS
    for site in sites:
        client.insert(client.address(site), rest=NEVER)
    stop = client.resume()
    if "no dispatch" in client.server.output():
        raise Skip("this kernel has no such dispatch")
    t.equal((stop.kind, stop.status), ("W", 0), f"the end: {stop}")
    t.match(client.server.output(), RESULT, "what the program computed")
    return client


@case(gdbserver="has no breakpoint conditions")
def from_outside_a_range(t):
    """An area is mapped all the same, system calls are seen at their own addresses, all is as it was."""
    client = run(t, 1, "work_site", "direct_site", "caught_site")
    rows = client.monitor("sites")[0]
    t.equal(rows.count("in place 10 times: the program's system calls go by their addresses"), 2, rows)
    run(t, 1, "work_site")


@case(gdbserver="has no breakpoint conditions")
def from_inside_a_range(t):
    """The same the other way round, which the kernel tells in another form than it takes."""
    run(t, 2, "work_site")
    run(t, 2, "work_site", "direct_site", "caught_site")


@case(gdbserver="has no breakpoint conditions")
def a_kernel_that_does_not_tell(t):
    """Before Linux 6.4 no area can be mapped; the program's own handler stays what it is."""
    shim = {"LD_PRELOAD": os.path.join(t.programs, "libfault_shim.so"), "FAULT_UNKNOWN": "0x4211",
            "ASAN_OPTIONS": "verify_asan_link_order=0"}
    client = run(t, 1, "work_site", "direct_site", "caught_site", env=shim)
    rows = client.monitor("sites")[0]
    t.equal(rows.count("in place 10 times: no slot can be had"), 3, rows)


@case(gdbserver="has no breakpoint conditions")
def filtered_by_address(t):
    """A seccomp filter allows a system call from its own place only, which a slot is not."""
    client = t.rsp(t.server("origins"), handshake=True)
    client.query()
    client.insert(client.address("site_ask"), rest=NEVER)
    stop = client.resume()
    t.equal((stop.kind, stop.status), ("W", 0), f"the end: {stop}")
    if os.geteuid() != 0:
        raise Skip("only root is told of filters")
    t.match(client.server.output(), "^right=10 elsewhere=-1$", "what the program was answered")
    rows = client.monitor("sites")[0]
    t.match(rows, "in place 9 times: a seccomp filter looks at where system calls come from", rows)
