"""Handlers of signals that arrive at a breakpoint: which return, jump away, or do other things."""

from harness import case

WAYS = ("jump", "jump-unmasked", "work-and-jump", "jump-alternate", "repair", "repair-alternate",
        "skip", "nest", "nest-alternate", "nest-and-jump", "switch")
SEGV = 11


def hits_told(t, program, way, passed):
    """How often a client that continues from each stop is told of the site, and the program's count."""
    server = t.server(f"{program} {way}")
    client = t.rsp(server, handshake=True)
    client.query()
    client.ok("QPassSignals:b" if passed else "QPassSignals:")
    client.run_to("main")
    site = client.address("probe_site")
    client.insert(site)
    hits = 0
    stop = client.resume()
    while stop.kind == "T":
        if stop.signal == SEGV:
            stop = client.resume("vCont;C0b:%s;c" % stop.thread)
            continue
        t.equal(stop.pc, site, f"{way}: where it stopped")
        hits += 1
        stop = client.resume()
    t.equal((stop.kind, stop.status), ("W", 0), f"{way}: the end: {stop}")
    t.match(server.output(), r"arrivals \d+", f"{way}: the program's count")
    counted = int(server.output().split()[1])
    return hits, counted


def every_way(t, program):
    for way in WAYS:
        for passed in (True, False):
            hits, counted = hits_told(t, program, way, passed)
            t.equal(hits, counted, f"{way}, signal {'passed' if passed else 'told'}: hits")


@case(timeout=120, gdbserver="tells a site again when a handler returns to it")
def every_arrival_once(t):
    """A handler that jumps away, returns, nests, or switches stacks and contexts: one hit each time."""
    every_way(t, "handlers")


@case(timeout=120, gdbserver="tells a site again when a handler returns to it")
def every_arrival_once_i386(t):
    """The same in a 32-bit program, with its two kinds of frames."""
    every_way(t, "handlers32")


@case(timeout=60)
def condition_behind_a_jump(t):
    """The condition is true the fifth time the site is reached in the same registers."""
    gdb = t.gdb("handlers jump")
    gdb.cli("handle SIGSEGV nostop noprint pass")
    gdb.breakpoint("*&probe_site", condition="arrivals == 5")
    gdb.cont()
    t.equal(gdb.number("arrivals"), 5, "arrivals at the stop")
    gdb.run_out()


@case(timeout=120, gdbserver="tells a site again when a handler returns to it")
def alarms_that_jump(t):
    """A timer whose handler jumps out of the function with the site: no hit is lost or told twice."""
    client = t.rsp(t.server("handlers alarms"), handshake=True)
    client.query()
    client.ok("QPassSignals:e")
    client.run_to("main")
    client.insert(client.address("probe_site"))
    hits = 0
    stop = client.resume()
    while stop.kind == "T":
        hits += 1
        stop = client.resume()
    t.equal((stop.kind, stop.status), ("W", 0), f"the end: {stop}")
    _, arrivals, _, completed = client.server.output().split()
    t.note(f"{arrivals} arrivals, {hits} hits, {completed} came through")
    # An alarm may come between the program's count and the site, or between a hit and its end.
    t.check(int(completed) <= hits <= int(arrivals), "hits")
