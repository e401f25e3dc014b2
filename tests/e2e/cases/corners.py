"""What few programs do, and clients less often still, with breakpoints at the very place."""

from harness import NEVER, case


def started(t, command_line, function="ready"):
    client = t.rsp(t.server(command_line), handshake=True)
    client.query()
    client.run_to(function)
    return client


def runs_as_bare(t, client, command_line):
    process = t.spawn(command_line)
    status, output = process.wait_exit(), process.output()
    stop = client.resume()
    t.equal((stop.kind, stop.status), ("W", status), f"the end: {stop}")
    t.equal(client.server.output(), output, "its output")


@case()
def retargeted_branches(t):
    """A program changes where a call and two jumps go: the displacement behind a breakpoint."""
    client = started(t, "patched")
    for name in ("site_call", "site_jump", "site_condition"):
        client.insert(client.address(name), rest=NEVER)
    runs_as_bare(t, client, "patched")
