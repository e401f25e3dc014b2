"""monitor condition and monitor stats: what the server decides beyond gdb's conditions."""

import re
import shutil
import subprocess

from harness import BOTH, case, procfs


def counts(t, server):
    found = t.match(server.output(), r"alpha=(\d+) beta=(\d+) sevenths=(\d+)", "the last line")
    return tuple(int(number) for number in found.groups())


def stops_until_exit(gdb):
    """Arguments `i` of all stops, by thread id."""
    seen = []
    stop = gdb.cont()
    while not stop.exited:
        seen.append((stop.thread, int(stop.argument("i"))))
        stop = gdb.cont(stop.thread)
    return seen


def placed(gdb, location):
    """A breakpoint and the address that gdb inserts it at."""
    gdb.breakpoint(location)
    return int(re.search(r"(0x[0-9a-f]+) in " + location, gdb.cli("info breakpoints"))[1], 16)


@case(modes=BOTH, gdbserver="has no such command")
def every(t):
    """every=5 survives that gdb takes the breakpoint out and puts it back at each stop."""
    gdb = t.gdb("hits 1 60")
    gdb.cli(f"monitor condition {placed(gdb, 'alpha'):#x} every=5")
    t.equal([i for _, i in stops_until_exit(gdb)], list(range(4, 60, 5)), "stops")
    t.equal(counts(t, gdb.server)[0], 60, "calls")


@case(modes=BOTH, gdbserver="has no such command")
def after_and_the_clients_condition(t):
    """Both have to hold: i % 7 == 3 is gdb's, after=2 the server's."""
    gdb = t.gdb("hits 1 70")
    gdb.cli(f"monitor condition {placed(gdb, 'alpha'):#x} after=2")
    gdb.cli("condition 1 i % 7 == 3")
    t.equal([i for _, i in stops_until_exit(gdb)], list(range(17, 70, 7)), "stops")


@case(modes=BOTH, gdbserver="has no such command")
def one_thread(t):
    """thread= with four threads hitting: the others never stop for it."""
    gdb = t.gdb("hits 4 30")
    where = placed(gdb, "alpha")
    stop = gdb.cont()
    lwp = t.match(gdb.cli(f"info threads {stop.thread}"), r"(?:LWP |Thread \d+\.)(\d+)", "its LWP")[1]
    first = int(stop.argument("i"))
    gdb.cli(f"monitor condition {where:#x} thread={lwp}")
    told = [(stop.thread, first)]
    left = set()
    while not stop.exited:
        # In all-stop hits of other threads may have been on their way; gdb tells them.
        stop = gdb.cont(stop.thread if not left else None)
        if not stop.exited:
            told.append((stop.thread, int(stop.argument("i"))))
    mine = [i for thread, i in told if thread == told[0][0]]
    t.equal(mine, list(range(first, 30)), "stops of the thread")
    others = len(told) - len(mine)
    t.check(others <= 3, f"{others} stops of three other threads")
    t.equal(counts(t, gdb.server)[0], 120, "calls")


@case(modes=BOTH, gdbserver="has no such command")
def strings(t):
    """A string of the program is compared in the server; $_streq would stop at each call."""
    gdb = t.gdb("conditions")
    gdb.breakpoint("round_end")
    where = placed(gdb, "probe")
    # At the breakpoint behind the prologue the arguments are in memory, `string` among them.
    gdb.cont()
    offset = gdb.number("(long)&string - (long)$rbp")
    sign = "+" if offset >= 0 else "-"
    gdb.cli(f'monitor condition {where:#x} *$rbp{sign}{abs(offset)}=="odd" every=2')
    seen = []
    stop = gdb.cont()
    while stop.function == "probe":
        seen.append(int(stop.argument("i")))
        stop = gdb.cont()
    t.equal(seen, [3, 7, 11, 15], "calls with i & 2, every other one")


@case(gdbserver="has no such command")
def numbers_and_mistakes(t):
    """Sites by number; what is not understood is said and changes nothing."""
    client = t.rsp(program="hits 1 20", handshake=True)
    client.query()
    client.run_to("main")
    at = client.address("alpha")
    client.insert(at)
    sites, _ = client.monitor("sites")
    number = t.match(sites, rf"^ *(\d+) +\d+ +{at:#018x} +in ", "the site's row")[1]
    text, reply = client.monitor(f"condition {number} every=4")
    t.equal(reply, "OK", text)
    for wrong in ("condition 999 every=2", "condition x off", f"condition {number} evry=2",
                  f"condition {number} $rdi==abc"):
        text, reply = client.monitor(wrong)
        t.match(reply, "^E", wrong)
        t.check(text.strip(), f"no words for {wrong}")
    client.remove(at)
    client.insert(at)
    hits = 0
    stop = client.resume()
    while stop.kind == "T":
        hits += 1
        client.remove(at)
        client.resume(f"vCont;s:{stop.thread}")
        client.insert(at)
        if hits == 2:
            client.monitor(f"condition {number} off")
        stop = client.resume()
    t.equal(hits, 2 + 12, "stops: the 4th, the 8th, then each of the 12 left")
    stats, _ = client.monitor("stats")
    t.match(stats, rf"^{at:#018x} +\w+ +20 +6 ", "statistics after the exit")


@case(gdbserver="has no such command")
def storm_of_filtered_hits(t):
    """Four threads hit as fast as they can: rate and every let through what they say."""
    gdb = t.gdb("hits 4 5000")
    gdb.cli(f"monitor condition {placed(gdb, 'alpha'):#x} every=5000")
    stops = 0
    stop = gdb.cont()
    while not stop.exited:
        stops += 1
        stop = gdb.cont()
    t.equal((stops, counts(t, gdb.server)[0]), (4, 20000), "stops and calls")


@case(modes=BOTH, gdbserver="has no such statistics")
def statistics(t):
    """Hits and false hits are exact; nobody else was ever held, except by the in-place lane."""
    gdb = t.gdb("hits 3 70")
    where = placed(gdb, "alpha")
    gdb.cli("condition 1 i % 7 == 3")
    last = gdb.breakpoint("finished")
    stop = gdb.cont()
    while stop.function != "finished":
        stop = gdb.cont(stop.thread)
    row = t.match(gdb.cli("monitor stats"),
                  rf"{where:#018x} +(\w+) +(\d+) +(\d+) +([\d.]+) +([\d.]+) +(\d+) +([\d.]+)",
                  "the site's row")
    lane, hits, false, mean, longest, held, held_us = row.groups()
    t.equal((int(hits), int(false), int(held), float(held_us)), (210, 180, 0, 0.0), row[0])
    t.check(lane in ("boost", "emulate", "trap"), lane)
    t.check(0 < float(mean) <= float(longest), row[0])
    gdb.cli(f"delete {last}")
    t.equal(gdb.run_out().exit_code or 0, 0, "exit code")


@case(gdbserver="has no such command", timeout=90)
def lldb_user(t):
    """A real LLDB: the condition is set by its `process plugin packet monitor`."""
    lldb = next(filter(None, map(shutil.which, ("lldb", "lldb-19", "lldb-16", "lldb-14"))), None)
    if lldb is None:
        lldb = t.installed("lldb")  # says that it is not
    server = t.server("hits 1 30")
    alpha = procfs.Elf(server.program[0]).address(server.inferior(), "alpha")
    words = [lldb, "--no-lldbinit", "--batch"]
    for command in (f"target create {server.program[0]}", f"gdb-remote 127.0.0.1:{server.port}",
                    f"breakpoint set --address {alpha:#x}",
                    f"process plugin packet monitor condition {alpha:#x} every=10",
                    *["process continue", "register read rdi"] * 3, "process continue"):
        words += ["-o", command]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=80, check=False)
    t.log("lldb", done.stdout + done.stderr)
    values = [int(value, 16) for value in re.findall(r"rdi = (0x[0-9a-f]+)", done.stdout)]
    t.equal(values, [9, 19, 29], "stops")
    t.match(done.stdout, r"exited with status = 0", "the end")
    t.equal(counts(t, server)[0], 30, "calls")

