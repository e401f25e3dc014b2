"""Breakpoints hit by many threads at once; the program counts what the debugger should see."""

from harness import BOTH, case


def counts(t, server):
    found = t.match(server.output(), r"alpha=(\d+) beta=(\d+) sevenths=(\d+) checksum=([0-9a-f]+)",
                    "the program's last line")
    return int(found[1]), int(found[2]), int(found[3]), found[4]


def bare_checksum(t, command_line):
    """What the program prints when nobody debugs it."""
    process = t.spawn(command_line)
    process.wait_exit()
    return counts(t, process)


@case(modes=BOTH)
def every_hit_once(t):
    """Two breakpoints, four threads: as many stops as calls, in the right functions."""
    gdb = t.gdb("hits 4 12")
    gdb.breakpoint("alpha")
    gdb.breakpoint("beta")
    seen = {"alpha": 0, "beta": 0}
    stop = gdb.cont()
    while not stop.exited:
        t.equal(stop.reason, "breakpoint-hit", repr(stop))
        seen[stop.function] += 1
        stop = gdb.cont(stop.thread)
    t.equal(seen, {"alpha": 48, "beta": 48}, "stops")
    t.equal(counts(t, gdb.server), bare_checksum(t, "hits 4 12"), "what the program computed")


@case(modes=BOTH)
def condition_every_seventh(t):
    """A condition on an argument: exactly the calls for which it is true stop."""
    gdb = t.gdb("hits 3 70")
    gdb.breakpoint("alpha", condition="i % 7 == 3")
    hits = 0
    stop = gdb.cont()
    while not stop.exited:
        t.equal(int(stop.argument("i")) % 7, 3, "the condition's value in " + repr(stop))
        hits += 1
        stop = gdb.cont(stop.thread)
    alpha, _, sevenths, _ = counts(t, gdb.server)
    t.equal((alpha, hits), (210, sevenths), "calls and stops")
    t.equal(counts(t, gdb.server), bare_checksum(t, "hits 3 70"), "what the program computed")


@case(modes=BOTH, gdbserver="steps over with all threads stopped: every hit stops the innocent one")
def false_condition_leaves_others_alone(t):
    """Eight threads hit a false condition all the time; a ninth that never does is never stopped."""
    gdb = t.gdb("spin 8 1000")
    gdb.breakpoint("hot", condition="i == -1")
    gdb.run_out()
    found = t.match(gdb.server.output(), r"hot_calls=(\d+) innocent_rounds=(\d+) "
                    r"voluntary_switches=(\d+)", "the program's last line")
    t.note(f"{found[1]} hits per second, the innocent thread was stopped {found[3]} times")
    t.check(int(found[1]) >= 500, f"only {found[1]} hits: this proves nothing")
    t.equal(int(found[3]), 0, "voluntary switches of the thread that never hits")
