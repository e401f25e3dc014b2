"""Programs whose threads get signals all the time, as Go's and Java's do: more than one thread has a
stop to tell at any moment, that of connecting included."""

import signal

from harness import BOTH, case, procfs

PASSED = ("handle SIGURG nostop noprint pass",)


def started(t, threads=20, hertz=5000):
    """20 threads, each with its own timer at 5 kHz."""
    process = t.spawn(f"urgent {threads} {hertz}")
    process.wait_output("beat 3 ")
    return process


def goes_on(t, process):
    """Nobody traces it; its threads work and get their signals; it ends when told to."""
    t.wait_until(lambda: procfs.tracer(process.pid) == 0, "the tracer to leave")
    t.equal(procfs.text_differences(process.pid, process.words[0]), [], "text differs from the file")
    process.signal(signal.SIGTERM)
    t.equal(process.wait_exit(), 0, "exit status of the program")
    before = [int(n) for n in t.match(process.output(), r"beat 3 urged (\d+) rounds (\d+)",
                                      "the program's first lines").groups()]
    after = [int(n) for n in t.match(process.output(), r"^done urged=(\d+) rounds=(\d+)",
                                     "the program's last line").groups()]
    t.check(before < after, f"it went on: {before}, {after}")


@case(modes=BOTH, timeout=120, gdbserver={"non-stop": "gdb dies of the second stop it is told of"})
def attach_break_detach(t):
    """Attach, list, break, interrupt and detach while SIGURG comes to each of 20 threads."""
    process = started(t)
    gdb = t.gdb("urgent", attach=process.pid, settings=PASSED)
    t.equal(len(gdb.threads()), 21, "threads")
    gdb.stop_all()
    gdb.breakpoint("work", condition="n == 7")
    gdb.breakpoint("work")
    stop = gdb.cont()
    for _ in range(10):
        t.equal((stop.reason, stop.function), ("breakpoint-hit", "work"), repr(stop))
        stop = gdb.cont(stop.thread)
    gdb.cli("delete")
    gdb.stop_all()
    gdb.resume()
    gdb.interrupt()
    gdb.wait_stop()
    gdb.stop_all()
    gdb.stops.clear()
    gdb.cli("detach")
    gdb.quit()
    goes_on(t, process)


@case(modes=("non-stop",), timeout=90, gdbserver="gdb dies of the second stop it is told of")
def detach_at_once(t):
    """Connected and gone again, ten times: stops are on their way at both moments."""
    process = started(t, 8)
    for _ in range(10):
        gdb = t.gdb("urgent", attach=process.pid, settings=PASSED)
        t.equal(len(gdb.threads()), 9, "threads")
        gdb.cli("detach")
        gdb.quit()
        gdb.server.wait_exit()
    goes_on(t, process)


@case(timeout=90, gdbserver="gdb dies of the second stop it is told of")
def all_stop_on_non_stop(t):
    """gdb's all-stop mode made of non-stop packets (maint set target-non-stop on)."""
    process = started(t, 8)
    gdb = t.gdb("urgent", attach=process.pid,
                settings=(*PASSED, "maint set target-non-stop on"))
    t.equal([state for _, state, _ in gdb.threads()], ["stopped"] * 9, "threads")
    gdb.breakpoint("work")
    for _ in range(5):
        t.equal(gdb.cont().function, "work", "where it stopped")
    gdb.cli("delete")
    gdb.resume()
    gdb.interrupt()
    t.equal(gdb.wait_stop().signal, "SIGINT", "the pause")
    gdb.cli("detach")
    gdb.quit()
    goes_on(t, process)


@case(modes=("non-stop",), timeout=90, gdbserver="gdb dies of the second stop it is told of")
def come_back(t):
    """A gdb that dies leaves several threads stopped; the next one finds each of them stopped."""
    server = t.server("selfcheck 4", once=False)
    gdb = t.gdb("selfcheck 4", server=server)
    gdb.cont_to("ready")
    gdb.breakpoint("sum_step")
    gdb.resume()
    for _ in range(4):
        t.equal(gdb.wait_stop().function, "sum_step", "where a thread stopped")
    gdb.stop_all()
    gdb.vanish()
    server.port = server.wait_port(2)
    gdb = t.gdb("selfcheck 4", server=server)
    t.wait_until(lambda: [state for _, state, _ in gdb.threads()] == ["stopped"] * 5,
                 "all threads to be stopped")
    gdb.breakpoint("sum_step")
    t.equal(gdb.cont().function, "sum_step", "where it stopped")
