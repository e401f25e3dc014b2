"""Pausing: Ctrl-C and the pause button, whatever the program does with SIGINT."""

import os
import signal

from harness import ALL_STOP, BOTH, NON_STOP, case, procfs


def paused(t, gdb, stop):
    """What a pause looks like: SIGINT in all-stop, signal 0 in non-stop."""
    t.equal(stop.reason, "signal-received", repr(stop))
    t.check(stop.signal in ("SIGINT",) if not t.non_stop else stop.signal in ("SIGINT", "0"),
            f"paused with {stop.signal}")


def pause_and_go_on(t, command_line, settled="ready"):
    gdb = t.gdb(command_line)
    gdb.cont_to(settled)
    before = gdb.number("work_done")
    for _ in range(3):
        gdb.resume()
        gdb.no_stop(0.1)
        gdb.interrupt()
        paused(t, gdb, gdb.wait_stop())
        after = gdb.number("work_done")
        t.check(after > before, "the program ran between the pauses")
        before = after
    return gdb


@case(modes=BOTH)
def pause_a_spinning_program(t):
    """A program that doesn't care about SIGINT: paused three times, and it ran in between."""
    pause_and_go_on(t, "signals spin")


@case(modes=BOTH, gdbserver={ALL_STOP: "sends a real SIGINT, which stays blocked"})
def pause_with_sigint_blocked(t):
    """SIGINT blocked in every thread."""
    pause_and_go_on(t, "signals blocked")


@case(modes=BOTH)
def pause_with_sigint_ignored(t):
    """SIGINT ignored."""
    pause_and_go_on(t, "signals ignored")


@case(modes=BOTH)
def pause_right_after_continue(t):
    """Pauses that follow `continue` at once, fifteen times: none is lost."""
    gdb = t.gdb("hits 3 100000000")
    gdb.cont_to("alpha")
    for _ in range(15):
        gdb.resume()
        gdb.interrupt()
        paused(t, gdb, gdb.wait_stop())
        gdb.stop_all()


@case(gdbserver="signals the process group; an attached process that leads none is not reached")
def pause_an_attached_child(t):
    """Attached to a process that is not the leader of its process group."""
    process = t.spawn("signals family")
    child = int(process.wait_output(r"child (\d+)")[1])
    gdb = t.gdb("signals family", attach=child)
    gdb.resume()
    gdb.no_stop(0.1)
    gdb.interrupt()
    paused(t, gdb, gdb.wait_stop(10))
    gdb.cli("detach")
    gdb.quit()
    t.check(procfs.alive(child) and procfs.alive(process.pid), "both processes live")


@case(modes=BOTH, gdbserver={
    ALL_STOP: "SIGINT goes to the whole process group: the program's child dies of it"})
def pause_spares_the_children(t):
    """Only the program is paused; a child in its process group doesn't get a signal."""
    gdb = t.gdb("signals family")
    gdb.cont_to("ready")
    child = int(gdb.server.wait_output(r"child (\d+)")[1])
    gdb.resume()
    gdb.no_stop(0.1)
    gdb.interrupt()
    paused(t, gdb, gdb.wait_stop())
    gdb.resume()
    gdb.no_stop(0.2)
    t.check(procfs.alive(child), "the child is alive")


@case(modes=BOTH)
def sleeping_calls_go_on(t):
    """A program asleep in system calls is paused 5 times; no call is seen interrupted."""
    gdb = t.gdb("signals sleeping")
    gdb.cont_to("ready")
    for _ in range(5):
        gdb.resume()
        gdb.no_stop(0.07)
        gdb.interrupt()
        paused(t, gdb, gdb.wait_stop())
    gdb.run_out()
    t.match(gdb.server.output(), "^interrupted=0 byte=x$", "the program's own verdict")


@case(modes=(NON_STOP,))
def pause_one_thread(t):
    """-exec-interrupt --thread: that thread stops with signal 0, the others run on."""
    gdb = t.gdb("selfcheck 3")
    gdb.cont_to("ready")
    gdb.resume()
    numbers = [number for number, _, _ in gdb.threads()]
    gdb.mi(f"-exec-interrupt --thread {numbers[2]}")
    stop = gdb.wait_stop()
    t.equal((stop.thread, stop.signal), (numbers[2], "0"), "the stop")
    states = {number: state for number, state, _ in gdb.threads()}
    t.equal([n for n in numbers if states[n] == "stopped"], [numbers[2]], "stopped threads")
    gdb.resume(numbers[2])
    gdb.no_stop(0.1)


@case()
def interrupt_packet_raw(t):
    """0x03 while running: T02, and the thread is where it was (no signal is pending after it)."""
    client = t.rsp(t.server("signals spin"), handshake=True)
    client.query()
    client.ok("QPassSignals:")
    for _ in range(3):
        client.send("vCont;c")
        client.silence(0.1)
        client.raw(b"\x03")
        stop = client.stop_reply()
        t.equal(stop.signal, 2, "signal of the stop")
    pid = client.server.inferior()
    t.equal(int(procfs.status(pid)["SigPnd"], 16) | int(procfs.status(pid)["ShdPnd"], 16), 0,
            "signals pending in the program")


@case()
def interrupt_when_stopped_raw(t):
    """0x03 to a stopped program, and two of them in a row, don't upset the session."""
    client = t.rsp(t.server("signals spin"), handshake=True)
    client.query()
    client.raw(b"\x03\x03")
    t.check(len(client.ask("g")) > 100, "registers after stray interrupts")
    client.send("vCont;c")
    client.raw(b"\x03")
    t.equal(client.stop_reply().signal, 2, "signal of the stop")
    t.check(len(client.ask("g")) > 100, "registers after the stop")


@case()
def vctrlc_raw(t):
    """Non-stop: vCtrlC answers OK, then one thread is reported stopped by T02."""
    client = t.rsp(t.server("signals spin"), handshake=True)
    client.non_stop()
    client.query()
    client.ask("vStopped")
    client.ok("vCont;c")
    client.silence(0.1)
    client.ok("vCtrlC")
    stops = client.take_stops()
    t.equal([stop.signal for stop in stops], [2], "stops")


@case()
def sigint_from_elsewhere(t):
    """A real SIGINT sent by somebody else is reported, and passed on only if the client says so."""
    client = t.rsp(t.server("signals spin"), handshake=True)
    client.query()
    client.send("vCont;c")
    client.silence(0.1)
    pid = client.server.inferior()
    os.kill(pid, signal.SIGINT)
    t.equal(client.stop_reply().signal, 2, "signal of the stop")
    client.send("vCont;C02")
    stop = client.stop_reply()
    t.equal((stop.kind, stop.status), ("X", 2), "end by the signal")


@case()
def siginfo_of_a_pause_raw(t):
    """siginfo agrees with the stop that was told: SIGINT, SIGSTOP for vCont;t; and can be written."""
    for non_stop, signal in ((False, 2), (True, 19)):
        client = t.rsp(t.server("signals spin"), handshake=True)
        if non_stop:
            client.non_stop()
        client.query()
        if non_stop:
            client.ask("vStopped")
            client.ok("vCont;c")
            client.ok("vCont;t")
            stop = client.take_stops()[0]
        else:
            client.send("vCont;c")
            client.raw(b"\x03")
            stop = client.stop_reply()
        client.ok(f"Hg{stop.thread}")
        info = client.transfer("siginfo")
        t.equal(ord(info[0]), signal, "si_signo")
        t.equal(client.ask("qXfer:siginfo:write::0:" + info), "80", "bytes written")
        t.equal(client.transfer("siginfo"), info, "what was written")
        if not non_stop:
            client.send("vCont;c")  # nothing is delivered: SIGINT would end the program
            client.silence(0.1)
            client.raw(b"\x03")
            t.equal(client.stop_reply().signal, 2, "the next pause")
