"""Signals: shown, passed, swallowed, counted by the program itself."""

import re

from harness import BOTH, case


def totals(t, server):
    found = t.match(server.output(), r"usr1=(\d+) usr2=(\d+) rt=(\d+) segv=(\d+) other=(\d+) "
                    r"alarm=(\d+) disorder=(\d+)", "the program's last line")
    return dict(zip(("usr1", "usr2", "rt", "segv", "other", "alarm", "disorder"),
                    map(int, found.groups())))


@case(modes=BOTH)
def every_signal_stops(t):
    """Each of three signals, a real-time one among them, stops and is passed on when continued."""
    gdb = t.gdb("signals handled 4")
    names = []
    stop = gdb.cont()
    while not stop.exited:
        t.equal(stop.reason, "signal-received", repr(stop))
        names.append(stop.signal)
        stop = gdb.cont(stop.thread)
    t.equal(names, ["SIGUSR1", "SIGUSR2", "SIG37"] * 4, "signals that stopped it")
    counted = totals(t, gdb.server)
    t.equal((counted["usr1"], counted["usr2"], counted["rt"]), (4, 4, 4), "signals handled")


@case(modes=BOTH)
def pass_without_stop(t):
    """handle nostop noprint pass: the program gets all of them, the debugger nothing."""
    gdb = t.gdb("signals handled 500")
    gdb.cli("handle SIGUSR1 SIGUSR2 SIG37 nostop noprint pass")
    gdb.run_out()
    counted = totals(t, gdb.server)
    t.equal((counted["usr1"], counted["usr2"], counted["rt"], counted["disorder"]),
            (500, 500, 500, 0), "signals handled")


@case(modes=BOTH)
def swallow(t):
    """handle nopass: the program never sees it."""
    gdb = t.gdb("signals handled 6")
    gdb.cli("handle SIGUSR1 nostop noprint nopass")
    gdb.cli("handle SIGUSR2 SIG37 nostop print pass")
    gdb.run_out()
    counted = totals(t, gdb.server)
    t.equal((counted["usr1"], counted["usr2"], counted["rt"]), (0, 6, 6), "signals handled")
    announced = re.findall(r"received signal (\w+)", "".join(gdb.console))
    t.equal(announced, ["SIGUSR2", "SIG37"] * 6, "announcements")


@case(modes=BOTH)
def segv_stops_and_is_handled(t):
    """SIGSEGV stops at the faulting instruction; continued, the program's handler longjmps out."""
    gdb = t.gdb("signals faults 3")
    for _ in range(3):
        stop = gdb.cont()
        t.equal((stop.signal, stop.function), ("SIGSEGV", "touch"), repr(stop))
        t.equal(gdb.eval("$_siginfo._sifields._sigfault.si_addr"), "0x10", "si_addr")
    gdb.run_out()
    t.equal(totals(t, gdb.server)["segv"], 3, "faults handled")


@case(modes=BOTH)
def crash(t):
    """A fault without a handler: stop, backtrace, then the end by the signal."""
    gdb = t.gdb("signals crash")
    stop = gdb.cont()
    t.equal((stop.signal, stop.function), ("SIGSEGV", "touch"), repr(stop))
    t.match(gdb.cli("backtrace"), r"#0 .*touch.*#1 .*main", "backtrace")
    stop = gdb.cont()
    t.equal((stop.reason, stop.data.get("signal-name")), ("exited-signalled", "SIGSEGV"), "the end")


@case(modes=BOTH)
def signal_command(t):
    """`signal N` delivers a signal, `signal 0` swallows the one it stopped with."""
    gdb = t.gdb("signals handled 1")
    gdb.breakpoint("on_signal")
    gdb.cli("handle SIGUSR2 SIG37 nostop noprint")
    stop = gdb.cont()
    t.equal(stop.signal, "SIGUSR1", repr(stop))
    gdb.cli("signal SIGUSR2")
    stop = gdb.wait_stop()
    t.equal((stop.function, stop.argument("number")), ("on_signal", "12"), repr(stop))
    gdb.cli("delete")
    gdb.run_out()
    counted = totals(t, gdb.server)
    t.equal((counted["usr1"], counted["usr2"]), (0, 2), "signals handled")


@case(modes=BOTH)
def breakpoint_in_handler(t):
    """A breakpoint in the handler: hit for each signal, its backtrace shows the frame below."""
    gdb = t.gdb("signals handled 3")
    gdb.cli("handle SIGUSR1 SIGUSR2 SIG37 nostop noprint pass")
    gdb.breakpoint("on_signal")
    numbers = []
    stop = gdb.cont()
    while not stop.exited:
        numbers.append(int(stop.argument("number")))
        t.match(gdb.cli("backtrace"), r"<signal handler called>.*handled \(", "backtrace")
        stop = gdb.cont(stop.thread)
    t.equal(numbers, [10, 12, 37] * 3, "signals seen in the handler")
    t.equal(totals(t, gdb.server)["disorder"], 0, "signals out of order")


@case(modes=BOTH)
def conditions_and_longjmp(t):
    """False conditions on the fault, on the handler and after the longjmp out of it."""
    gdb = t.gdb("signals faults 100")
    gdb.cli("handle SIGSEGV nostop noprint pass")
    for place in ("touch", "*touch", "on_segv", "faults"):
        gdb.breakpoint(place, condition="got_segv < 0")
    gdb.breakpoint("on_segv", condition="got_segv == 50")
    stop = gdb.cont()
    t.equal((stop.function, gdb.number("got_segv")), ("on_segv", 50), repr(stop))
    gdb.run_out()
    t.equal(totals(t, gdb.server)["segv"], 100, "faults handled")


@case(modes=BOTH, timeout=90)
def storm_with_stepping(t):
    """Queued signals every millisecond while the thread is stepped: none lost, none reordered."""
    gdb = t.gdb("signals storm 1000")
    gdb.cli("handle SIG37 nostop noprint pass")
    gdb.cont_to("stepped")
    steps = 0
    while gdb.number("got_rt") < 600 and steps < 400:
        stop = gdb.exec("-exec-step" if steps % 3 else "-exec-next")
        t.equal(stop.reason, "end-stepping-range", repr(stop))
        steps += 1
    gdb.run_out()
    counted = totals(t, gdb.server)
    t.note(f"{steps} steps")
    t.equal((counted["rt"], counted["disorder"]), (1000, 0), "signals handled, out of order")


@case(modes=BOTH)
def alarms_and_false_condition(t):
    """A timer's signals hit between any two instructions of a function full of sites."""
    gdb = t.gdb("signals alarms 300")
    gdb.cli("handle SIGALRM nostop noprint pass")
    for place in ("stepped", "*stepped", "on_signal"):
        gdb.breakpoint(place, condition="got_alarm < 0")
    gdb.run_out()
    t.equal(totals(t, gdb.server)["alarm"], 1, "all alarms came")


@case(modes=BOTH)
def siginfo_is_readable_and_writable(t):
    """$_siginfo shows the sender and the value; a value changed there reaches the handler."""
    gdb = t.gdb("signals handled 2")
    gdb.cli("handle SIGUSR1 SIGUSR2 nostop noprint pass")
    stop = gdb.cont()
    t.equal(stop.signal, "SIG37", repr(stop))
    t.equal(gdb.eval("$_siginfo.si_signo"), "37", "si_signo")
    t.equal(gdb.eval("$_siginfo._sifields._rt.si_sigval.sival_int"), "0", "the value")
    gdb.cli("set variable $_siginfo._sifields._rt.si_sigval.sival_int = 5")
    stop = gdb.cont()
    t.equal(stop.signal, "SIG37", repr(stop))
    t.equal(gdb.eval("last_value"), "5", "the value that the handler saw")
    gdb.run_out()
    t.equal(totals(t, gdb.server)["disorder"], 2, "the handler's own view")


@case(modes=BOTH)
def call_with_faults_passed(t):
    """gdb's return breakpoint on a stack that cannot be executed raises SIGSEGV: told all the same."""
    gdb = t.gdb("signals faults 3")
    gdb.cli("handle SIGSEGV nostop noprint pass")
    gdb.cli("handle SIGILL nostop noprint pass")
    gdb.cont_to("faults")
    for _ in range(3):
        t.equal(gdb.eval("(int)getpid()"), str(gdb.server.inferior()), "getpid()")
    gdb.run_out()
    t.equal(totals(t, gdb.server)["segv"], 3, "faults handled")
