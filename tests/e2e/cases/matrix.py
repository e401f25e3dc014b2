"""Every way of stepping over an instruction against everything that can happen meanwhile, one case
each: matrix.LANE_EVENT, and matrix.i386_LANE_EVENT for 32-bit programs (programs/matrix.c)."""

import os
import re
import signal
import time

from harness import ALWAYS, NEVER, procfs
from harness.context import ALL_STOP, add

LANES = ("emulate", "boost", "trap", "in_place")
USR1 = "1e"  # SIGUSR1 in gdb's numbers


def insert_sites(client, lane, rest=NEVER):
    for symbol in (f"site_{lane}", f"site_fault_{lane}", "site_syscall", "site_clone", "site_fill"):
        client.insert(client.address(symbol), rest=rest if symbol == f"site_{lane}" else NEVER)


def words(t, lane, event, number):
    program = "matrix32" if "i386" in t.entry.name else "matrix"
    return t.program(f"{program} {lane} {event} {number}")


def started(t, lane, event, number, rest=NEVER):
    client = t.rsp(t.server(words(t, lane, event, number)), handshake=True)
    client.query()
    client.run_to("ready")
    client.ok(f"QPassSignals:{USR1};0b;14")  # SIGUSR1, SIGSEGV, SIGCHLD
    insert_sites(client, lane, rest)
    return client


def lane_is(t, client, lane):
    """The site really is of that lane."""
    site = client.address(f"site_{lane}")
    rows = re.search(rf"{site:#018x} +\w+ +(emulate|boost|trap|in place)", client.monitor("sites")[0])
    t.equal(rows and rows[1].replace(" ", "_"), lane, "lane in `monitor sites`")


def in_order(t, client, stop, pattern=""):
    t.equal((stop.kind, stop.status), ("W", 0), f"the end: {stop}: {client.server.output()}")
    t.match(client.server.output(), f"{pattern}.*stray=0 wrong=0$", "what the program saw")


def no_pc_of_ours(t, client):
    """No thread's pc lies in memory that the program did not map."""
    pid = client.server.inferior()
    for thread in client.threads():
        pc = client.register_value("rip" if client.elf.wide else "eip", thread)
        path = next((path for start, end, _, _, path in procfs.maps(pid) if start <= pc < end), "none")
        t.check(path.startswith("/") or path == "[vdso]", f"pc {pc:#x} of {thread} in {path}")


def signal_at(t, lane, stepped):
    """A signal that arrives while the thread stands at the site, or (stepped) right behind it."""
    times = 12
    client = started(t, lane, "plain", times, ALWAYS)
    site, after = client.address(f"site_{lane}"), client.address(f"after_{lane}")
    lane_is(t, client, lane)
    client.ok("QPassSignals:")
    stop, at_site = client.resume(), 0
    for n in range(times):
        t.equal((stop.kind, stop.pc), ("T", site), f"hit {n}: {stop}")
        if stepped:
            stop = client.resume(f"vCont;s:{stop.thread}")
            t.equal((stop.signal, stop.pc), (5, after), f"after the step: {stop}")
        if n % 2:
            os.kill(client.server.inferior(), signal.SIGUSR1)
            stop = client.resume()
            # An emulated instruction may be done before the kernel looks for signals.
            places = (after,) if stepped else (site, after) if lane == "emulate" else (site,)
            t.check(stop.signal == 30 and stop.pc in places, f"the signal: {stop}")
            at_site += stop.pc == site
        else:
            at_site += not stepped
        stop = client.resume(f"vCont;C{USR1}:{stop.thread};c")
    in_order(t, client, stop, f"handled={times} at_site={at_site} at_after={times - at_site}")


def signal_before(t, lane):
    """A signal that arrives while the thread stands at the site."""
    signal_at(t, lane, False)


def signal_after(t, lane):
    """A signal that arrives right behind the site."""
    signal_at(t, lane, True)


def signal_during(t, lane):
    """A storm of signals: into slots, into a long rep stos and into a sleeping system call."""
    client = started(t, lane, "during", 60)
    lane_is(t, client, lane)
    in_order(t, client, client.resume())


def fault(t, lane):
    """The instruction faults; the handler puts the register right and returns to it."""
    client = started(t, lane, "fault", 100)
    in_order(t, client, client.resume(), "handled=100")


def fork(t, lane):
    """fork by a system call with a site on it, while other threads pass the lane's site."""
    in_order_hidden(t, lane, "fork", 12)


def vfork(t, lane):
    """A vfork child runs over the parent's sites."""
    in_order_hidden(t, lane, "vfork", 12)


def in_order_hidden(t, lane, event, number):
    """A client that did not ask for fork events is told of none."""
    client = t.rsp(t.server(words(t, lane, event, number)))
    client.handshake("multiprocess+;swbreak+;vContSupported+;xmlRegisters=i386")
    client.query()
    client.run_to("ready")
    client.ok(f"QPassSignals:{USR1};0b;14")
    insert_sites(client, lane)
    in_order(t, client, client.resume())


def clone(t, lane):
    """Threads begin in the slot of the clone system call, and pass the lane's site."""
    client = started(t, lane, "clone", 50)
    in_order(t, client, client.resume())


def through_execs(t, client, lane, programs):
    """To the end, with sites in each program of a row of execs."""
    stop = client.resume()
    for path in programs:
        t.check("exec" in stop, f"no exec of {path}: {stop}")
        client.now_runs(path)
        client.run_to("ready")
        insert_sites(client, lane)
        stop = client.resume()
    in_order(t, client, stop)


def exec_(t, lane):
    """exec, by the leader and by others, with a site on the system call, while others loop."""
    client = started(t, lane, "exec", 5)
    through_execs(t, client, lane, client.server.program[:1] * 5)


def exec_of_other_size(t, lane):
    """The same from 64 to 32 bits and back, twice: registers, description, sites, slots."""
    other = t.program("matrix32" if words(t, lane, "", 0)[0].endswith("matrix") else "matrix")[0]
    client = started(t, lane, "exec", f"4 {other}")
    through_execs(t, client, lane, [other, client.server.program[0]] * 2)


def exit_(t, lane):
    """exit_group with a site on it, while three threads loop."""
    stop = started(t, lane, "exit", 0).resume()
    t.equal((stop.kind, stop.status), ("W", 7), f"the end: {stop}")


def kill(t, lane):
    """SIGKILL from outside while three threads loop."""
    client = started(t, lane, "loop", 20000)
    client.send("vCont;c")
    time.sleep(0.15)
    os.kill(client.server.inferior(), signal.SIGKILL)
    stop = client.stop_reply()
    t.equal((stop.kind, stop.status), ("X", 9), f"the end: {stop}")


def detach(t, lane):
    """The client goes while three threads loop: no breakpoint is left, the sums are right."""
    client = started(t, lane, "loop", 20000)
    pid, path = client.server.inferior(), client.server.program[0]
    client.send("vCont;c")
    time.sleep(0.15)
    client.raw(b"\x03")
    t.equal(client.stop_reply().signal, 2, "stopped")
    client.ok(f"D;{pid:x}")
    t.equal((procfs.text_differences(pid, path), procfs.tracer(pid)), ([], 0), "what is left of us")
    time.sleep(0.05)
    os.kill(pid, signal.SIGUSR2)
    client.server.wait_output(r"^handled=0 .* stray=0 wrong=0$")


def interrupt(t, lane):
    """Ctrl-C again and again while three threads loop: no pc of ours, and nothing goes wrong."""
    client = started(t, lane, "loop", 20000)
    for _ in range(8):
        client.send("vCont;c")
        time.sleep(0.02)
        client.raw(b"\x03")
        stop = client.stop_reply()
        t.equal(stop.signal, 2, repr(stop))
        no_pc_of_ours(t, client)
    client.write_memory(client.address("stop"), b"\1\0\0\0")
    in_order(t, client, client.resume())


EVENTS = {"signal_before": signal_before, "signal_during": signal_during,
          "signal_after": signal_after, "fault": fault, "fork": fork, "vfork": vfork, "clone": clone,
          "exec": exec_, "exec_of_other_size": exec_of_other_size, "exit": exit_, "kill": kill,
          "detach": detach, "interrupt": interrupt}

for size in ("", "i386_"):
    for chosen in LANES:
        for name, function in EVENTS.items():
            add(f"matrix.{size}{chosen}_{name}", lambda t, run=function, lane=chosen: run(t, lane),
                (ALL_STOP,), 60, None, f"{size}{chosen}: {' '.join((function.__doc__ or '').split())}")
