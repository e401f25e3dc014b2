"""The server is killed or crashes in the middle of something; `kill_test.py` does it at random."""

import fcntl
import os
import pty
import re
import resource
import signal
import socket
import subprocess
import sys
import termios
import time

from harness import NEVER, Disconnected, Skip, case, procfs
from harness.rsp import GDB_FEATURES, frame

LEAVES_BYTES = "leaves its breakpoint bytes in the program"

# What is sent to whom. The one that traces executes itself anew when it crashes.
ENDS = {
    "SIGKILL": lambda server: os.kill(server.pid, signal.SIGKILL),
    "SIGKILL to all of its name": lambda server: [
        os.kill(pid, signal.SIGKILL) for pid in [server.pid, *procfs.children(server.pid)]
        if procfs.read(f"/proc/{pid}/comm") == "sidestep\n"],
    "a crash": lambda server: os.kill(server.tracer(), signal.SIGSEGV),
    "a failed assertion": lambda server: os.kill(server.tracer(), signal.SIGABRT),
    "SIGTERM": lambda server: os.kill(server.pid, signal.SIGTERM),
}


def kill_tracer(server):
    os.kill(server.tracer(), signal.SIGKILL)


def attached(t):
    process = t.spawn("kin")
    process.wait_output("beat 3 ")
    server = t.server_of(process)
    client = t.rsp(server, handshake=True)
    client.query()
    return process, server, client


def ended(t, server, *pids):
    server.popen.wait()
    t.wait_until(lambda: not any(procfs.tracer(pid) for pid in pids), "all to be let go")


def goes_on(t, process, who="parent"):
    def beats():
        return len(re.findall(f"^{who} beat", process.output(), re.M))
    count = beats()
    t.wait_until(lambda: beats() > count + 3, f"the {who} to go on")
    t.check("wrong 0\n" in process.output().splitlines(True)[-2], "it computes rightly")


def clean(t, process, pid):
    t.equal(procfs.text_differences(pid, process.words[0]), [], "text differs from the file")
    t.equal(procfs.areas(pid), [], "areas left")


@case(gdbserver=LEAVES_BYTES)
def nothing_is_left(t):
    """Slots, an area, a watchpoint, running and stopped at a breakpoint: all gone, however it ends."""
    for name, end in ENDS.items():
        for stopped in False, True:
            process, server, client = attached(t)
            site = client.address("kin_step")
            for offset in (0, 1, 4, 8):
                client.ask(f"Z0,{site + offset:x},1" + ("" if stopped and not offset else NEVER))
            client.insert(client.address("got"), kind=4, type_=2)
            client.send("vCont;c")
            if stopped:
                client.stop_reply()
            else:
                time.sleep(0.02)
            end(server)
            t.check(client.closed(), f"{name}: the connection")
            ended(t, server, process.pid)
            goes_on(t, process)
            clean(t, process, process.pid)
            process.signal(signal.SIGUSR1)  # writes what was watched
            process.wait_output("got 1 ")
            client.close()
            process.kill()


@case(gdbserver=LEAVES_BYTES)
def the_tracer_is_killed(t):
    """SIGKILL to the process that traces, while no breakpoint is being hit: the other one cleans up."""
    process, server, client = attached(t)
    client.insert(client.address("main"))
    client.insert(client.address("on_signal"))
    client.insert(client.address("got"), kind=4, type_=2)
    client.send("vCont;c")
    kill_tracer(server)
    t.check(client.closed(), "the connection")
    ended(t, server, process.pid)
    t.match(server.messages(), "^sidestep: the tracer was killed; cleaned up after it$", "message")
    goes_on(t, process)
    clean(t, process, process.pid)
    process.signal(signal.SIGUSR1)
    process.wait_output("got 1 ")


@case(gdbserver="leaves it stopped, or its bytes in it")
def a_signal_that_was_told(t):
    """A signal was told to the client and not yet passed on: the program gets it, once, as after `D`."""
    for name, end in {"detach": lambda server: None, **ENDS}.items():
        process, server, client = attached(t)
        client.send("vCont;c")
        process.signal(signal.SIGUSR1)
        t.equal(client.stop_reply().signal, 0x1e, "the stop")
        if name == "detach":
            client.ok(f"D;{process.pid:x}")
        end(server)
        ended(t, server, process.pid)
        process.wait_output(r"got 1 ")
        goes_on(t, process)
        t.check("got 2" not in process.output(), f"{name}: twice")
        client.close()
        process.kill()


@case(gdbserver=LEAVES_BYTES)
def parent_and_child(t):
    """Both sides of a fork are debugged, with sites that they share: both go on."""
    for name, end in ENDS.items():
        process, server, client = attached(t)
        client.insert(client.address("kin_step"), rest=NEVER)
        client.ok("QPassSignals:1f;14")
        client.send("vCont;c")
        process.signal(signal.SIGUSR2)
        stop = client.stop_reply()
        t.check("fork" in stop, repr(stop))
        child = int(stop["fork"].lstrip("p").split(".")[0], 16)
        client.send("vCont;c")
        process.wait_output("^child beat")
        end(server)
        ended(t, server, process.pid, child)
        for pid, who in ((process.pid, "parent"), (child, "child")):
            goes_on(t, process, who)
            clean(t, process, pid)
        client.close()
        process.kill()


@case()
def what_it_started_ends_with_it(t):
    """A program that the server has started is killed with it, and the connection is closed."""
    for name, end in {**ENDS, "SIGKILL to the tracer": kill_tracer}.items():
        server = t.server("kin")
        client = t.rsp(server, handshake=True)
        client.query()
        client.send("vCont;c")
        server.wait_output("beat 2 ")
        end(server)
        t.check(client.closed(), f"{name}: the connection")
        t.wait_until(lambda: not procfs.alive(server.inferior()), "the program to end")
        server.popen.wait()
        client.close()


@case()
def the_parent_of_what_it_started(t):
    """`kill -9` of the program's parent ends the session too, as gdb's own tests do."""
    server = t.server("kin")
    client = t.rsp(server, handshake=True)
    client.query()
    client.run_to("kin_step")
    parent = int(procfs.status(server.inferior())["PPid"])
    os.kill(parent, signal.SIGKILL)
    t.check(client.closed(), "the connection")
    server.popen.wait()


@case(gdbserver="one process, whose death nobody can overtake")
def the_server_is_no_program(t):
    """A client cannot attach to either of the server's processes."""
    client = t.rsp(t.server(multi=True), handshake=True)
    client.ok("!")
    for pid in (client.server.pid, client.server.tracer()):
        t.match(client.ask(f"vAttach;{pid:x}"), "this server itself", "the reply")


@case(gdbserver="one process, whose death nobody can overtake")
def killed_is_dead_at_once(t):
    """The first process has been killed and gets no processor to die: the other answers nobody."""
    processors = sorted(os.sched_getaffinity(0))
    if len(processors) < 2:
        raise Skip("this machine has one processor")
    process, server, client = attached(t)
    hog = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        os.sched_setaffinity(hog.pid, processors[:1])
        os.sched_setaffinity(server.pid, processors[:1])
        os.sched_setaffinity(server.tracer(), processors[1:])
        os.sched_setscheduler(server.pid, os.SCHED_IDLE, os.sched_param(0))
        time.sleep(0.05)
        os.kill(server.pid, signal.SIGKILL)
        client.send("?")
        try:
            t.equal(client.receive(), None, "the answer")
        except Disconnected:
            pass
    finally:
        hog.kill()
        hog.wait()
    ended(t, server, process.pid)
    clean(t, process, process.pid)


# ---- found by what the user has typed ----------------------------------------------------------

def server_with_port_file(t, process, preexec=None):
    """One whose standard streams may be anything; the name of the file is in its command line."""
    port_file = os.path.join(t.directory, f"port{len(t.logs)}")
    server = t.spawn_server(["--once", f"--port-file={port_file}", "--attach", "127.0.0.1:0",
                             str(process.pid)], preexec=preexec)
    server.port = int(t.wait_until(lambda: procfs.read(port_file).strip(), "the port", 10))
    server.program, server.attached = process.words, process.pid
    server.inferior = lambda: process.pid
    server.tracer = lambda: procfs.children(server.pid)[0]
    return server, port_file


@case(gdbserver=LEAVES_BYTES)
def killed_by_its_command_line(t):
    """`pkill -9 -f` with a word of the command line, sites being hit: nothing but the guardian is hit."""
    t.installed("pkill")
    process = t.spawn("kin")
    process.wait_output("beat 3 ")
    server, port_file = server_with_port_file(t, process)
    client = t.rsp(server, handshake=True)
    client.query()
    t.check(port_file in procfs.read(f"/proc/{server.pid}/cmdline"), "the guardian's command line")
    t.equal(procfs.read(f"/proc/{server.tracer()}/cmdline").rstrip("\0"), "ss-tracer",
            "the tracer's command line")
    client.insert(client.address("kin_step"), rest=NEVER)
    client.send("vCont;c")
    time.sleep(0.02)
    subprocess.run(["pkill", "-9", "-f", port_file], check=True)
    ended(t, server, process.pid)
    goes_on(t, process)
    clean(t, process, process.pid)


# ---- started in any state ----------------------------------------------------------------------

def full_pipe():
    """The writing end of a pipe that takes no more."""
    reader, writer = os.pipe()
    os.dup2(reader, 0)  # stays open
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
    return writer


def broken_pipe():
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def as_output(make):
    def redirect():
        writer = make()
        os.dup2(writer, 1)
        os.dup2(writer, 2)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    return redirect


STATES = {
    "SIGCHLD ignored": lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN),
    "all signals blocked": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65)),
    "standard streams closed": lambda: [os.close(n) for n in range(3)],
    "stderr closed": lambda: os.close(2),
    "output full": as_output(full_pipe),
    "output broken": as_output(broken_pipe),
    "no large files": lambda: resource.setrlimit(
        resource.RLIMIT_FSIZE, (4096, resource.getrlimit(resource.RLIMIT_FSIZE)[1])),
}


@case(timeout=120, gdbserver=LEAVES_BYTES)
def started_in_any_state(t):
    """What the server inherits of signals and streams does not keep it from cleaning up."""
    for state, preexec in STATES.items():
        for name, end in {**ENDS, "SIGKILL to the tracer": kill_tracer}.items():
            process = t.spawn("kin")
            process.wait_output("beat 3 ")
            server, _ = server_with_port_file(t, process, preexec)
            client = t.rsp(server, handshake=True)
            client.query()
            client.insert(client.address("main"))
            if end is not kill_tracer:
                client.insert(client.address("kin_step"), rest=NEVER)
            client.send("vCont;c")
            time.sleep(0.02)
            end(server)
            t.check(client.closed(), f"{state}, {name}: the connection")
            t.wait_until(lambda: server.popen.poll() is not None, f"{state}, {name}: its end", 10)
            ended(t, server, process.pid)
            goes_on(t, process)
            clean(t, process, process.pid)
            client.close()
            process.kill()


# ---- in the middle of something ----------------------------------------------------------------

@case(timeout=90, gdbserver=LEAVES_BYTES)
def while_a_program_is_started(t):
    """A program that never comes to run (its wrapper waits for something) keeps nobody from ending."""
    for name in "SIGKILL", "SIGTERM":
        process = t.spawn("kin")
        process.wait_output("beat 3 ")
        server = t.server(multi=True, wrapper=["tail", "-n", "0", "-f", "/dev/null"])
        server.program, server.attached = process.words, process.pid
        client = t.rsp(server, handshake=True)
        client.ok("!")
        client.ask(f"vAttach;{process.pid:x}")
        client.insert(client.address("kin_step"), rest=NEVER)
        client.send("vRun;" + process.words[0].encode().hex())
        t.wait_until(lambda: any("tail" in procfs.status(pid).get("Name", "")
                                 for pid in procfs.children(server.tracer())), "the wrapper")
        ENDS[name](server)
        ended(t, server, process.pid)
        goes_on(t, process)
        clean(t, process, process.pid)
        t.wait_until(lambda: not procfs.descendants(server.pid), "the wrapper to end")
        client.close()
        process.kill()


@case(gdbserver=LEAVES_BYTES)
def the_tracer_is_stopped(t):
    """SIGTERM to the first process while the other has been stopped by somebody."""
    process, server, client = attached(t)
    client.insert(client.address("kin_step"), rest=NEVER)
    client.send("vCont;c")
    os.kill(server.tracer(), signal.SIGSTOP)
    t.wait_until(lambda: procfs.state(server.tracer()) == "T", "the tracer to stop")
    server.signal(signal.SIGTERM)
    ended(t, server, process.pid)
    goes_on(t, process)
    clean(t, process, process.pid)


@case(timeout=120, gdbserver=LEAVES_BYTES)
def while_the_area_is_mapped(t):
    """A crash at about the moment when the program is made to map it: it does not stay."""
    process = t.spawn("selfcheck 4")
    process.wait_output("beat 1 ")
    for number in range(40):
        server = t.server_of(process)
        client = t.rsp(server, handshake=True)
        client.query()
        for offset in (1, 4, 8):  # slots, whatever the compiler makes of it
            client.ask(f"Z0,{client.address('sum_step') + offset:x},1{NEVER}")
        client.send("vCont;c")
        time.sleep(number % 10 * 0.0003)
        os.kill(server.tracer(), signal.SIGSEGV)
        ended(t, server, process.pid)
        t.unharmed(process)
        client.close()
        t.logs.clear()


# ---- a thread that cannot be stopped -----------------------------------------------------------

def beats(process):
    return process.output().count("beat")


def wait_asleep(t, process):
    """Until its child is out of the slot, too: a SIGKILL to the tracer before would end both."""
    process.signal(signal.SIGUSR2)
    t.wait_until(lambda: procfs.state(process.pid) == "D" and
                 any(procfs.state(child) == "S" for child in procfs.children(process.pid)),
                 "its main thread to sleep, and the child of it to wait")


def wakes_up(t, process, woken):
    """The sleeping thread writes what was watched and goes on; so does the other."""
    process.signal(signal.SIGUSR2)
    process.wait_output(f"woken {woken} ")
    before = beats(process)
    t.wait_until(lambda: beats(process) > before + 2, "the program to go on")
    t.check("wrong 0\n" in process.output().splitlines(True)[-2], "it computes rightly")
    clean(t, process, process.pid)


@case(timeout=180, gdbserver=LEAVES_BYTES)
def a_thread_asleep_in_vfork(t):
    """It has a watchpoint in its debug registers, and went to sleep by a site at the system call. The
    server stays until it wakes up, however it was to end."""
    for name, end in {"detach": None, **ENDS, "SIGKILL to the tracer": kill_tracer}.items():
        process = t.spawn("asleep")
        process.wait_output("beat 3 ")
        server = t.server_of(process)
        client = t.rsp(server)
        client.handshake(GDB_FEATURES.replace("vfork-events+;", ""))
        client.query()
        client.ok("QPassSignals:1f;14")  # SIGUSR2, SIGCHLD
        client.insert(client.address("watched"), kind=4, type_=2)
        client.insert(client.address("vfork_call"), rest=NEVER)
        client.send("vCont;c")
        wait_asleep(t, process)
        if end is None:
            client.raw(b"\x03")
            client.stop_reply()
            client.ok("D")
        else:
            end(server)
        t.check(client.closed(30), f"{name}: the connection")
        t.wait_until(lambda: "Waiting to let go of process" in server.messages() or
                     procfs.tracer(process.pid) == 0, f"{name}: its end", 30)
        before = beats(process)
        t.wait_until(lambda: beats(process) > before + 2, f"{name}: the other thread to go on")
        wakes_up(t, process, 1)
        ended(t, server, process.pid)
        wait_asleep(t, process)
        wakes_up(t, process, 2)
        client.close()
        process.kill()


@case(timeout=120, gdbserver="loses a signal")
def terminated_while_it_attaches(t):
    """SIGTERM in the middle of an attach, with signals on their way: none is lost."""
    sent = 0
    process = t.spawn("asleep")
    process.wait_output("beat 3 ")
    wait_asleep(t, process)
    for _ in range(2):
        server = t.spawn_server(["--once", "--attach", "127.0.0.1:0", str(process.pid)])
        until = time.monotonic() + 1
        while time.monotonic() < until:
            process.signal(signal.SIGRTMIN)
            sent += 1
            time.sleep(0.0005)
        server.signal(signal.SIGTERM)
        until = time.monotonic() + 0.2
        while time.monotonic() < until:
            process.signal(signal.SIGRTMIN)
            sent += 1
            time.sleep(0.0005)
        server.wait_exit(30)
        t.check("was killed" not in server.messages(), "it ended in good order")
    process.wait_output(f" got {sent} ")
    wakes_up(t, process, 1)


# ---- what the program does about SIGTRAP -------------------------------------------------------

def ignores_trap(pid):
    return int(procfs.status(pid)["SigIgn"], 16) >> (signal.SIGTRAP - 1) & 1


def without_trap():
    signal.signal(signal.SIGTRAP, signal.SIG_IGN)


@case(gdbserver="leaves it to the default action, of which it dies")
def an_ignored_sigtrap(t):
    """A program that ignores SIGTRAP does so again when it has been let go, whatever was hit."""
    ends = {"detach": lambda server: None, **ENDS}
    for name, end in ends.items():
        process = t.spawn("kin", preexec=without_trap)
        process.wait_output("beat 3 ")
        server = t.server_of(process)
        client = t.rsp(server, handshake=True)
        client.query()
        client.insert(client.address("kin_step"))
        client.resume()
        t.check(not ignores_trap(process.pid), "a trap has set the action")
        if name == "detach":
            client.ok(f"D;{process.pid:x}")
        end(server)
        ended(t, server, process.pid)
        t.check(ignores_trap(process.pid), f"{name}: the action")
        process.signal(signal.SIGTRAP)
        goes_on(t, process)
        clean(t, process, process.pid)
        client.close()
        process.kill()


# ---- the terminal ------------------------------------------------------------------------------

@case(gdbserver="does not survive")
def the_terminal_is_given_back(t):
    """A program that has the server's terminal is killed with a tracer that crashes: the terminal is
    the first process's group's again."""
    for name in "a crash", "SIGKILL to the tracer":
        master, slave = pty.openpty()

        def own_terminal():
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        # A shell without job control is what does not take the terminal back by itself.
        port = os.path.join(t.directory, "port" + name[0])
        script = (f"{t.server_path} --once --port-file={port} 127.0.0.1:0 {t.program('kin')[0]} >/dev/null;"
                  "ps -o tpgid= -p $$; sleep 1000")
        shell = subprocess.Popen(["sh", "-c", script], stdin=slave, stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL, preexec_fn=own_terminal, text=True)
        server = t.wait_until(lambda: procfs.children(shell.pid), "the server")[0]
        tracer = t.wait_until(lambda: procfs.children(server), "the tracer")[0]
        client = socket.create_connection(
            ("127.0.0.1", int(t.wait_until(lambda: procfs.read(port), "the port"))))
        client.sendall(frame(b"vCont;c"))
        t.wait_until(lambda: os.tcgetpgrp(master) != shell.pid, "the program to have the terminal")
        time.sleep(0.1)
        os.kill(tracer, signal.SIGSEGV if name == "a crash" else signal.SIGKILL)
        t.equal(int(shell.stdout.readline()), shell.pid, f"{name}: the group that has the terminal")
        os.kill(shell.pid, signal.SIGKILL)
        shell.wait()
        client.close()
        os.close(master)
        os.close(slave)
