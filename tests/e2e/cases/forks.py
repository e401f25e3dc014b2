"""fork, vfork and exec: followed, not followed, and never with a breakpoint byte in the child."""

import os
import signal
import time

from harness import BOTH, NEVER, case, procfs
from harness.rsp import GDB_FEATURES


def good(t, server, children):
    t.match(server.output(), rf"^children={children} good={children} ", "the program's last line")
    t.check("died of" not in server.output(), "a child died")


@case(modes=BOTH)
def child_left_alone(t):
    """Not followed: 15 children run through a function that has a breakpoint in the parent."""
    gdb = t.gdb("forks fork 15")
    gdb.cont_to("ready")
    gdb.breakpoint("*shared", condition="calls < 0")
    gdb.breakpoint("child_here")
    gdb.run_out()
    good(t, gdb.server, 15)


@case(gdbserver="a child dies of the byte that was taken out behind its back")
def breakpoint_comes_and_goes(t):
    """Put in and taken out without a pause while the program forks: no child has a byte of it."""
    client = t.rsp(t.server("forks fork 300"))
    client.handshake(GDB_FEATURES.replace("fork-events+;vfork-events+;", ""))
    client.query()
    client.run_to("ready")
    client.ok("QPassSignals:14")  # SIGCHLD
    client.non_stop()
    client.query()
    client.ok("vStopped")
    site = f"{client.address('shared'):x},1"
    client.ok("vCont;c")
    while client.ask(f"Z0,{site}{NEVER}") == "OK":
        client.ask(f"z0,{site}")
    t.equal(client.take_stops()[-1].kind, "W", "the end")
    good(t, client.server, 300)


@case(modes=BOTH)
def vfork_child_left_alone(t):
    """vfork shares the memory: the parent's sites must not kill the child, and work afterwards."""
    gdb = t.gdb("forks vfork 10")
    gdb.cont_to("ready")
    gdb.breakpoint("child_here")
    gdb.breakpoint("parent_here")
    stop = gdb.cont()
    for _ in range(10):
        t.equal(stop.function, "parent_here", repr(stop))
        stop = gdb.cont()
    t.check(stop.exited, repr(stop))
    good(t, gdb.server, 10)


@case(modes=BOTH)
def vfork_then_exec(t):
    """The usual way to start a program; the parent's breakpoints survive, the child runs free."""
    for mode in ("vfork-exec", "fork-exec"):
        gdb = t.gdb(f"forks {mode} 3")
        gdb.cont_to("ready")
        gdb.breakpoint("shared", condition="calls < 0")
        gdb.breakpoint("parent_here", condition="calls < 0")
        gdb.run_out()
        good(t, gdb.server, 3)


@case(modes=BOTH)
def follow_child(t):
    """set follow-fork-mode child: the child stops at its breakpoint, the parent runs free."""
    gdb = t.gdb("forks fork 1")
    gdb.cont_to("ready")
    gdb.cli("set follow-fork-mode child")
    gdb.breakpoint("child_here")
    stop = gdb.cont()
    t.equal(stop.function, "child_here", repr(stop))
    child = gdb.number("(int)getpid()")
    t.check(child != gdb.server.inferior(), "it is the child")
    t.equal(gdb.run_out().exit_code, 23, "exit code of the child")
    gdb.server.wait_output("^children=1 good=1 ")


@case(modes=BOTH)
def both_sides(t):
    """set detach-on-fork off: two inferiors, each with its own breakpoint hits."""
    gdb = t.gdb("forks fork 1")
    gdb.cont_to("ready")
    gdb.cli("set detach-on-fork off")
    gdb.cli("set schedule-multiple on")
    gdb.breakpoint("child_here")
    gdb.breakpoint("parent_here")
    stop = gdb.cont()
    t.equal(stop.function, "child_here", repr(stop))
    groups = [row["id"] for row in gdb.mi("-list-thread-groups")["groups"]]
    t.equal(groups, ["i1", "i2"], "inferiors")
    stop = gdb.cont(stop.thread)
    t.equal(stop.exit_code, 23, f"exit of the child: {stop!r}")
    if not t.non_stop:  # the exit of one process stopped the other
        gdb.select(1)
        gdb.resume()
    stop = gdb.wait_stop()
    t.equal(stop.function, "parent_here", repr(stop))
    t.equal(gdb.cont(stop.thread).exit_code, 5, "exit code of the parent")
    good(t, gdb.server, 1)


@case(modes=BOTH)
def catch_fork(t):
    """catch fork and catch vfork stop with the child's pid."""
    # gdb 13 in non-stop mode never resumes a parent that it caught at a vfork.
    for mode in ("fork",) if t.non_stop else ("fork", "vfork"):
        gdb = t.gdb(f"forks {mode} 1")
        gdb.cont_to("ready")
        gdb.cli(f"catch {mode}")
        stop = gdb.cont()
        t.equal(stop.reason, mode, repr(stop))
        t.check(int(stop.data["newpid"]) > 1, "the child's pid")
        gdb.run_out()
        good(t, gdb.server, 1)


@case(modes=BOTH)
def exec_keeps_the_session(t):
    """exec: old breakpoints are gone from memory, those of the new image are hit."""
    gdb = t.gdb("forks exec")
    gdb.cont_to("ready")
    gdb.breakpoint("parent_here")
    gdb.breakpoint("after_exec")
    stop = gdb.cont()
    t.equal(stop.function, "after_exec", repr(stop))
    t.equal(gdb.run_out().exit_code, 23, "exit code of the new image")
    t.match(gdb.server.output(), "^executed 42$", "its output")


@case(modes=BOTH)
def exec_from_a_thread(t):
    """exec by a thread that isn't the leader: it becomes the leader, the session goes on."""
    gdb = t.gdb("forks thread-exec")
    gdb.cont_to("ready")
    gdb.breakpoint("after_exec")
    stop = gdb.cont()
    t.equal(stop.function, "after_exec", repr(stop))
    t.equal(len(gdb.threads()), 1, "threads after exec")
    t.equal(gdb.run_out().exit_code, 23, "exit code of the new image")


@case(modes=BOTH)
def catch_exec(t):
    """catch exec stops before the new image's first instruction."""
    gdb = t.gdb("forks exec")
    gdb.cont_to("ready")
    gdb.cli("catch exec")
    stop = gdb.cont()
    t.equal(stop.reason, "exec", repr(stop))
    t.equal(gdb.run_out().exit_code, 23, "exit code of the new image")


@case()
def clone_with_a_copy_of_the_memory(t):
    """clone() without CLONE_VM and SIGCHLD: a thread to the client, whose signals it gets, and which
    sees no breakpoint byte."""
    client = t.rsp(t.server("forks clone 3"), handshake=True)
    client.query()
    client.run_to("ready")
    pid = client.server.inferior()
    client.ok("QPassSignals:14")  # SIGCHLD
    for name in ("shared", "child_here"):
        client.insert(client.address(name), rest=NEVER)
    for _ in range(3):
        stop = client.resume()
        t.equal((stop.kind, stop.signal, stop.pid), ("T", 0x1e, pid), f"SIGUSR1: {stop}")
        t.check(stop.tid != pid and stop.thread in client.threads(), f"another thread: {stop}")
        thread = stop.thread
        stop = client.resume(f"vCont;s:{thread}")
        t.equal((stop.signal, stop.thread), (5, thread), f"a step of it: {stop}")
    stop = client.resume()
    t.equal((stop.kind, stop.status), ("W", 5), f"the end: {stop}")
    good(t, client.server, 3)


@case(modes=BOTH, gdbserver="takes the exec for one of the program's own")
def clone_that_execs_was_the_last_to_run(t):
    """A thread with a process of its own leaves by exec, and all others are held: N."""
    client = t.rsp(t.server("forks clone-exec 1"), handshake=True)
    client.query()
    thread = client.resume().thread
    client.ok("QPassSignals:14")  # SIGCHLD: exec makes it the child's signal
    if t.non_stop:
        client.non_stop()
        client.stopped_threads()
        client.ok(f"vCont;c:{thread}")
        t.equal([stop.kind for stop in client.take_stops()], ["N"], "the notification")
        client.ok("vCont;c")
        t.equal([stop.kind for stop in client.take_stops()], ["W"], "the end")
    else:
        t.equal(client.resume(f"vCont;c:{thread}").kind, "N", "the reply")
        t.equal(client.resume().kind, "W", "the end")
    good(t, client.server, 1)


@case(gdbserver="a child that is let go by D;pid keeps the breakpoint bytes, and dies of them")
def forks_raw(t):
    """fork events on the wire: both processes named, the child let go by D;pid, hits in the parent."""
    client = t.rsp(t.server("forks fork 5"), handshake=True)
    client.query()
    pid = client.server.inferior()
    client.run_to("ready")
    client.ok("QPassSignals:14")  # SIGCHLD
    parent_here, shared = client.address("parent_here"), client.address("shared")
    for _ in range(5):
        client.insert(parent_here)
        client.insert(shared, rest=NEVER)
        stop = client.resume()
        t.check("fork" in stop, f"a fork event: {stop}")
        child = stop["fork"].lstrip("p").split(".")[0]
        client.ok(f"D;{child}")
        stop = client.resume()
        t.equal((stop.pid, stop.pc), (pid, parent_here), f"hit in the parent: {stop}")
        client.remove(shared)
        client.remove(parent_here)
        t.equal(client.resume("vCont;s:" + stop.thread).signal, 5, "a step off the site")
    stop = client.resume()
    t.equal((stop.kind, stop.status), ("W", 5), f"the end: {stop}")
    good(t, client.server, 5)


@case(gdbserver="leaves its breakpoint bytes in the program")
def parent_let_go_inside_vfork(t):
    """The child of a vfork is followed, the parent detached from: no area is left when it wakes up."""
    process = t.spawn("asleep")
    process.wait_output("beat 3 ")
    client = t.rsp(t.server_of(process), handshake=True)
    client.query()
    client.ok("QPassSignals:1f;14")  # SIGUSR2, SIGCHLD
    client.insert(client.address("vfork_call"), rest=NEVER)
    client.send("vCont;c")
    process.signal(signal.SIGUSR2)
    stop = client.stop_reply()
    t.check("vfork" in stop, f"a vfork event: {stop}")
    t.equal(len(procfs.areas(process.pid)), 1, "areas")
    child = stop["vfork"].lstrip("p").split(".")[0]
    client.ok(f"D;{process.pid:x}")
    client.send(f"vCont;c:p{child}.-1")
    process.signal(signal.SIGUSR2)
    t.match(client.receive(), f"^W0?0;process:{child}$", "the child's end")
    process.wait_output("woken 1 ")
    t.wait_until(lambda: procfs.tracer(process.pid) == 0, "the parent to be let go")
    t.equal(procfs.text_differences(process.pid, process.words[0]), [], "text differs")
    t.equal(procfs.areas(process.pid), [], "areas left")


@case(gdbserver="leaves the child stopped")
def orphan_of_a_killed_process(t):
    """Killed right after a fork that nobody has been told of: the child is let go, without our bytes."""
    client = t.rsp(t.server("forks fork 3000"))
    client.handshake(GDB_FEATURES.replace("fork-events+;vfork-events+;", ""))
    client.query()
    pid, tracer = client.server.inferior(), client.server.tracer()
    client.run_to("ready")
    client.ok("QPassSignals:14")  # SIGCHLD
    client.insert(client.address("shared"), rest=NEVER)
    client.send("vCont;c")

    def stopped_at_fork():
        os.kill(tracer, signal.SIGCONT)
        time.sleep(0.005)
        os.kill(tracer, signal.SIGSTOP)
        time.sleep(0.01)
        return [child for child in procfs.children(pid)
                if (procfs.state(pid), procfs.state(child)) == ("t", "t")]

    orphan = t.wait_until(stopped_at_fork, "the server to be stopped behind a fork")[0]
    os.kill(pid, signal.SIGKILL)
    t.wait_until(lambda: procfs.state(pid) == "Z", "its end, which comes first then")
    os.kill(tracer, signal.SIGCONT)
    t.match(client.receive(), "^X0?9;", "the end")
    t.wait_until(lambda: procfs.tracer(orphan) == 0, "the child to be let go", 5)
    t.equal(os.waitstatus_to_exitcode(os.waitpid(orphan, 0)[1]), 23, "the child's end")


@case()
def children_add_up(t):
    """200 children that the client holds and lets go, each with a hit: `monitor sites` has one row for
    all of them, and one for the parent."""
    client = t.rsp(t.server("forks fork 200"), handshake=True)
    client.query()
    client.run_to("ready")
    client.ok("QPassSignals:14")  # SIGCHLD
    at = client.address("child_here")
    client.insert(at)
    stop = client.resume()
    while stop.kind == "T" and "fork" in stop:
        child = stop["fork"].partition(".")[0][1:]
        client.ask(f"Hgp{child}.{child}")
        client.insert(at)
        hit = client.resume(f"vCont;c:p{child}.-1")
        t.equal((hit.kind, hit.pc), ("T", at), "the child's hit")
        client.ok(f"D;{child}")
        client.ask(f"Hgp{stop.pid:x}.{stop.tid:x}")
        stop = client.resume(f"vCont;c:p{stop.pid:x}.-1")
    t.equal((stop.kind, stop.status), ("W", 5), repr(stop))
    good(t, client.server, 200)
    rows = [row for row in client.monitor("stats")[0].splitlines() if f"{at:#018x}" in row]
    t.equal(len(rows), 1, f"rows: {rows}")
    t.match(rows[0], r"201 ended$|200 ended$", "its processes")
