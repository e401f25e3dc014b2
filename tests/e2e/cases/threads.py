"""Threads that come and go while breakpoints are hit."""

import os
import re

from harness import BOTH, NEVER, NON_STOP, case, procfs
from harness.gdb import run_script


@case(modes=BOTH, timeout=90)
def creation_storm(t):
    """Threads that live a moment: one stop for each, none lost, none twice."""
    gdb = t.gdb("storm 3 40")
    gdb.breakpoint("visit")
    hits, seen = 0, set()
    stop = gdb.cont()
    while not stop.exited:
        t.equal(stop.reason, "breakpoint-hit", repr(stop))
        hits += 1
        seen.add(stop.thread)
        stop = gdb.cont(stop.thread)
    t.equal(hits, 120, "stops at visit")
    t.equal(len(seen), 120, "different threads that stopped")
    t.match(gdb.server.output(), "created=120 visits=120", "the program's count")


@case(modes=BOTH, timeout=90)
def creation_storm_false_condition(t):
    """The same with a condition that is true for one visit in fifty."""
    gdb = t.gdb("storm 4 250")
    # After the breakpoint the counter is raised; before, it says how many came first.
    number = gdb.breakpoint("visit", condition="visits < 0")
    gdb.run_out()
    t.match(gdb.server.output(), "created=1000 visits=1000", "the program's count")
    t.check(number, "a breakpoint")


@case(modes=BOTH)
def leader_ends_first(t):
    """The main thread ends before the others: its zombie is not a stop, not an exit, not a hang."""
    gdb = t.gdb("ends leader 6")
    gdb.cont_to("ready")
    gdb.breakpoint("late")
    stop = gdb.cont()
    t.equal(stop.function, "late", "where it stopped")
    rows = gdb.threads()
    t.equal(len(rows), 1, f"threads left in {rows}")
    t.equal(gdb.run_out().exit_code, 6, "exit code")


@case(gdbserver="opens /proc/PID/maps of the leader, which has no memory any more")
def core_without_leader(t):
    """gcore and `info proc` after the main thread has ended: memory, mappings and names are there."""
    gdb = t.gdb("ends leader 6")
    gdb.cont_to("late")
    program = os.path.realpath(gdb.server.program[0])
    t.match(gdb.cli("info proc mappings"), rf" {re.escape(program)}\s*$", "the program's mappings")
    t.match(gdb.cli("info proc cmdline"), r"cmdline = '\S*/ends leader 6'", "cmdline")
    t.match(gdb.cli("info proc exe"), rf"exe = '{re.escape(program)}'", "exe")
    core = os.path.join(t.directory, "core")
    gdb.cli(f"gcore {core}")
    gdb.run_out()
    text = run_script(t, [f"file {program}", f"core-file {core}", "print number", "backtrace 1"], 40)
    t.match(text, r"^\$1 = 6$", "a variable in the core")
    t.match(text, r"^#0 +late ", "the frame in the core")


@case(modes=BOTH, gdbserver="version 13 says nothing of a leader's exit")
def leader_exit_is_told(t):
    """A client that asked for a thread's exit gets it for a leader that other threads outlive, too."""
    client = t.rsp(t.server("ends leader 6"), handshake=True)
    client.query()
    client.run_to("ready")
    leader = client.threads()[0]
    client.ok(f"QThreadOptions;2:{leader}")
    if t.non_stop:
        client.non_stop()
        client.query()
        client.expect("vStopped", "OK")
        client.ok("vCont;c")
        exits, ends = client.take_stops(), client.take_stops()
    else:
        exits, ends = [client.resume()], [client.resume()]
    t.equal([stop.text for stop in exits], [f"w0;{leader}"], "the leader's exit")
    t.equal([(stop.kind, stop.status) for stop in ends], [("W", 6)], "the end")


@case(timeout=60, gdbserver="version 13 says nothing of a leader's exit")
def leader_exit_while_others_are_held(t):
    """The same when the leader alone was resumed: its exit ends the wait, in non-stop N follows."""
    for non_stop in False, True:
        client = t.rsp(t.server("ends survivor 6"), handshake=True)
        leader = client.query().thread
        client.ok("QCatchSyscalls:1;3c")  # exit(2), of a thread
        stop = client.resume()
        t.equal((stop.kind, stop.thread), ("T", leader), f"about to exit: {stop}")
        client.ok("QCatchSyscalls:0")
        client.ok(f"QThreadOptions;2:{leader}")
        if non_stop:
            client.non_stop()
            client.stopped_threads()
            client.ok(f"vCont;c:{leader}")
            stops = client.take_stops()
        else:
            stops = [client.resume(f"vCont;c:{leader}")]
        t.equal([stop.text for stop in stops], [f"w0;{leader}"] + ["N"] * non_stop, "stops")
        t.check(leader not in client.threads(), "it is on no list")


@case(gdbserver="has no breakpoint conditions")
def leader_is_a_zombie(t):
    """Then the process's memory is asked of its other threads, whether or not it was before."""
    for asked_before in (False, True):
        client = t.rsp(t.server("ends survivor 6"), handshake=True)
        sites = [client.address(f"work_{kind}") for kind in ("emulated", "boosted", "trapped")]
        auxv, exe = client.transfer("auxv"), client.transfer("exec-file", "")
        text = client.read_memory(sites[0], 4) if asked_before else bytes.fromhex("574883c7")
        stop = client.resume()
        t.equal((stop.kind, stop.signal), ("T", 30), f"the thread that lives on: {stop}")
        t.equal(client.read_memory(sites[0], 4), text, "its text")
        client.write_memory(sites[0], text)
        t.equal(client.transfer("auxv"), auxv, "the auxiliary vector")
        t.equal(client.transfer("exec-file", ""), exe, "the executable")
        t.match(client.transfer("libraries-svr4"), "<library ", "the libraries")
        t.match(client.ask(f"qMemoryRegionInfo:{sites[0]:x}"), "permissions:rx", "its mapping")
        for site in sites:
            client.insert(site, rest=NEVER)
        stop = client.resume()
        t.equal((stop.kind, stop.status), ("W", 6), f"the end: {stop}")
        t.match(client.server.output(), "^sum=10000$", "what the program computed")
        rows = client.monitor("sites")[0]
        t.check("in place" not in rows, f"no hit stopped the other threads:\n{rows}")


@case(modes=BOTH)
def exit_from_a_thread(t):
    """exit() called by a thread that isn't the leader."""
    gdb = t.gdb("ends thread 5")
    gdb.breakpoint("late")
    t.equal(gdb.cont().function, "late", "where it stopped")
    t.equal(gdb.run_out().exit_code, 5, "exit code")


@case(modes=BOTH)
def thread_apply(t):
    """All threads have backtraces that end in the program; names and ids as in /proc."""
    gdb = t.gdb("tls 4")
    stop = gdb.cont_to("all_set")
    t.equal(stop.all_stopped, not t.non_stop, "whether all threads stopped")
    gdb.stop_all()
    rows = gdb.threads()
    t.equal(len(rows), 5, "threads")
    tids = sorted(int(target.split()[1].split(".")[1]) for _, _, target in rows)
    t.equal(tids, procfs.threads(gdb.server.inferior()), "thread ids")
    text = gdb.cli("thread apply all backtrace")
    t.equal(text.count(" worker ("), 4, "backtraces through worker")
    t.equal(text.count(" main ("), 1, "backtraces through main")


@case(modes=BOTH)
def thread_local_variables(t):
    """print of a thread-local variable in each thread."""
    gdb = t.gdb("tls 3")
    gdb.cont_to("all_set")
    gdb.stop_all()
    values = []
    for number, _, _ in gdb.threads():
        gdb.select(number)
        values.append(gdb.eval("mine"))
    t.equal(sorted(values), ["100", "101", "102", "7"], "values of the variable")


@case()
def scheduler_locking(t):
    """One thread stepped alone with scheduler-locking on: the others don't move."""
    gdb = t.gdb("selfcheck 3")
    gdb.cont_to("ready")
    gdb.breakpoint("sum_step", options="-t")
    stop = gdb.cont()
    gdb.cli("set scheduler-locking on")
    before = gdb.number("sum_step_calls")
    for _ in range(16):
        stop = gdb.exec("-exec-step")
        t.equal(stop.reason, "end-stepping-range", repr(stop))
    # sum_step() has five lines, and its caller one.
    after = gdb.number("sum_step_calls")
    t.check(1 <= after - before <= 4, f"{after - before} calls during 16 steps of one thread")


@case(modes=(NON_STOP,))
def step_one_while_others_run(t):
    """Non-stop: one thread is stepped, the others compute on and are never reported."""
    gdb = t.gdb("selfcheck 3")
    gdb.cont_to("ready")
    gdb.breakpoint("sum_step", options="-t")
    stepped = gdb.wait_stop().thread  # the workers run already
    rounds = gdb.number("rounds")
    for _ in range(20):
        stop = gdb.exec("-exec-step", stepped)
        t.equal((stop.reason, stop.thread), ("end-stepping-range", stepped), repr(stop))
    t.wait_until(lambda: gdb.number("rounds") > rounds, "the others to go on")
    states = [state for number, state, _ in gdb.threads() if number not in (1, stepped)]
    t.equal(states, ["running"] * 2, "states of the other workers")
    t.equal(gdb.eval("wrong"), "0", "wrong sums")
