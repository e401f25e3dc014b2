"""The server is killed or crashes in the middle of something; `kill_test.py` does it at random."""

import os
import re
import signal
import subprocess
import sys
import time

from harness import NEVER, Disconnected, Skip, case, procfs

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
    t.check("sidestep" not in procfs.read(f"/proc/{pid}/maps"), "an area is left")


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
    t.match(server.messages(), "^sidestep: the tracer was killed; cleaning up after it$", "message")
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
