"""A thread asleep in vfork, for as long as its child likes: stepped, interrupted, left."""

import os
import re
import signal

from harness import BOTH, NEVER, Skip, case, procfs
from harness.rsp import GDB_FEATURES

UNSEEN = GDB_FEATURES.replace("vfork-events+;", "")


def monitor_exit(server, client):
    client.send("qRcmd," + b"exit".hex())


ENDS = {
    "detach": lambda server, client: client.send("D;" + f"{server.inferior():x}"),
    "monitor exit": monitor_exit,
    "loss of the client": lambda server, client: client.close(),
    "SIGTERM": lambda server, client: os.kill(server.pid, signal.SIGTERM),
    "SIGINT": lambda server, client: os.kill(server.pid, signal.SIGINT),
    "SIGHUP": lambda server, client: os.kill(server.pid, signal.SIGHUP),
    "SIGKILL": lambda server, client: os.kill(server.pid, signal.SIGKILL),
    "a crash": lambda server, client: os.kill(server.tracer(), signal.SIGSEGV),
    "SIGKILL to the tracer": lambda server, client: os.kill(server.tracer(), signal.SIGKILL),
}


def good(t, server, children):
    t.match(server.output(), rf"^children={children} good={children} ", "the program's last line")


def asleep(process):
    return procfs.state(process.pid) == "D"


def start(t, features, **options):
    """asleep, attached to, in front of its vfork; a client that is told of it or is not."""
    process = t.spawn("asleep")
    process.wait_output("beat 3 ")
    client = t.rsp(t.server_of(process, **options))
    client.handshake(features)
    client.query()
    client.ok("QPassSignals:1f;14")  # SIGUSR2, SIGCHLD
    return process, client


def step_into_vfork(t, process, client, kind):
    """The main thread sleeps in vfork by a step of the client; the child (None: not known)."""
    client.send("vCont;c")
    if kind == "not followed":
        client.raw(b"\x03")
        client.stop_reply()
        client.insert(client.address("vfork_call"))
        client.send("vCont;c")
    process.signal(signal.SIGUSR2)
    stop = client.stop_reply()
    child = None
    if kind == "not followed":
        t.check("swbreak" in stop, f"a hit: {stop}")
    else:
        child = stop["vfork"].lstrip("p").split(".")[0]
        if kind == "let go":
            client.ok(f"D;{child}")
    client.send(f"vCont;s:{stop.thread}")
    t.wait_until(lambda: asleep(process), "the main thread to sleep")
    return child


def lives(t, process):
    """The child ends, the main thread wakes up and does the same again, nobody dies of anything."""
    for woken in 1, 2:
        process.signal(signal.SIGUSR2)
        t.wait_until(lambda: f"woken {woken} " in process.output() or
                     not procfs.alive(process.pid), "the main thread to wake up")
        t.check(procfs.alive(process.pid), f"the program died: {process.popen.poll()}")
        process.wait_output(f"woken {woken} ")
        if woken == 1:
            process.signal(signal.SIGUSR2)
            t.wait_until(lambda: asleep(process), "the main thread to sleep again")
    t.check("wrong 0\n" in process.output().splitlines(True)[-2], "it computes rightly")
    t.equal(procfs.text_differences(process.pid, process.words[0]), [], "text differs")
    t.equal(procfs.areas(process.pid), [], "areas left")


@case(timeout=180, gdbserver="leaves its trap flag in the program, or waits for ever")
def the_server_ends_during_a_step(t):
    """A client steps the parent of a vfork, and the debugging ends while it sleeps: no trap flag is
    left in it, whatever has become of the child."""
    for kind in "let go", "held", "not followed":
        for name, end in ENDS.items():
            process, client = start(t, UNSEEN if kind == "not followed" else GDB_FEATURES)
            server = client.server
            step_into_vfork(t, process, client, kind)
            end(server, client)
            if name == "detach" and kind == "held":
                client.close()
            # The child is not traced any more, or ends: only then the parent wakes up.
            t.wait_until(lambda: all(not procfs.tracer(child)
                                     for child in procfs.children(process.pid)),
                         f"{kind}, {name}: the child to be let go", 20)
            lives(t, process)
            t.wait_until(lambda: procfs.tracer(process.pid) == 0, f"{kind}, {name}: to be let go")
            client.close()
            process.kill()


@case(gdbserver="SIGINT goes to the process group, or there is no answer")
def interrupted_while_it_sleeps(t):
    """Ctrl-C is answered at once when all that runs is the parent of a vfork."""
    for features in GDB_FEATURES, UNSEEN:
        process, client = start(t, features)
        client.send("vCont;c")
        process.signal(signal.SIGUSR2)
        main = f"p{process.pid:x}.{process.pid:x}"
        if features is GDB_FEATURES:
            stop = client.stop_reply()
            t.equal(("vfork" in stop, stop.thread), (True, main), f"a vfork: {stop}")
        else:
            t.wait_until(lambda: asleep(process), "the main thread to sleep")
            client.raw(b"\x03")
            t.check(client.stop_reply().thread != main, "the other thread answers")
        client.send(f"vCont;c:{main}")
        t.wait_until(lambda: asleep(process), "the main thread to sleep")
        client.raw(b"\x03")
        stop = client.stop_reply()
        t.equal((stop.signal, stop.thread), (2, main), f"the stop: {stop}")
        t.match(client.ask("g"), "^[0-9a-f*! ]+", "its registers")
        client.send("vCont;c")
        process.signal(signal.SIGUSR2)
        if features is GDB_FEATURES:
            stops = [client.stop_reply()]
            # The parent stands still, and can be asked.
            client.ok(f"Hg{main}")
            t.equal(procfs.state(process.pid), "t", "the parent's state")
            stops.append(client.resume())
            # The child leaves the memory before it has ended: the kernel may tell either first.
            end, awake = sorted(stops, key=lambda stop: stop.kind != "W")
            t.equal(end.kind, "W", f"the child's end: {end}")
            t.equal(("vforkdone" in awake, awake.thread), (True, main), f"the parent: {awake}")
            client.send("vCont;c")
        process.wait_output("woken 1 ")
        client.raw(b"\x03")
        t.equal(client.stop_reply().signal, 2, "another Ctrl-C")
        client.close()
        process.kill()


@case(gdbserver="goes to non-stop, and the client waits for ever")
def commands_that_go_on(t):
    """dprintf with commands that outlive the client: children that are let go change nothing."""
    for mode in "fork", "vfork":
        gdb = t.gdb(f"forks {mode} 5")
        gdb.cont_to("ready")
        gdb.cli("set dprintf-style agent")
        gdb.cli('dprintf parent_here,"parent %d\\n", 1')
        gdb.run_out()
        gdb.quit()
        text = "".join(gdb.console) + gdb.server.output()
        t.equal(text.count("parent 1\n"), 5, "lines")
        t.match(gdb.server.output(), "^children=5 good=5 ", "the program's last line")


def held(stop):
    """The child of a fork or vfork stop, as in packets."""
    return next(stop[key] for key in ("fork", "vfork") if key in stop).lstrip("p").split(".")[0]


@case()
def the_childs_end_is_told(t):
    """Both sides run, the child ends: at that stop the parent can be asked for its registers, too."""
    client = t.rsp(t.server("forks vfork 200"), handshake=True)
    client.query()
    client.ok("QPassSignals:14")
    pid = client.server.inferior()
    ends = 0
    stop = client.resume()
    while not stop.text.endswith(f"process:{pid:x}"):
        if stop.kind == "W":
            client.ok(f"Hgp{pid:x}.{pid:x}")
            registers = client.ask("g")
            t.check(len(registers) > 100, f"registers of the parent, {ends}: {registers}")
            ends += 1
        stop = client.resume()
    t.equal(ends, 200, "children")


@case(timeout=180, gdbserver="leaves its breakpoint bytes in children")
def every_kind_of_vfork(t):
    """Nested, killed, with a copy of the memory; with sites that both sides run into; children not
    followed, let go, stepped, and killed by the client."""
    for mode in "vfork", "vfork-nested", "vfork-killed", "vfork-copy", "vfork-exec":
        for client_does in "nothing", "lets go", "steps", "runs both", "kills":
            client = t.rsp(t.server(f"forks {mode} 4"))
            client.handshake(UNSEEN if client_does == "nothing" else GDB_FEATURES)
            client.query()
            client.run_to("ready")
            client.ok("QPassSignals:14")
            for name in "shared", "child_here", "parent_here":
                client.insert(client.address(name), rest=NEVER)
            pid = client.server.inferior()
            stop = client.resume()
            killed = 0
            while not re.match(f"[WX].*;process:{pid:x}$", stop.text):
                packet = "vCont;c"
                if "fork" in stop or "vfork" in stop:
                    child = held(stop)
                    if client_does == "lets go":
                        client.ok(f"D;{child}")
                    elif client_does == "kills":
                        client.ok(f"vKill;{child}")
                        killed += 1
                    elif client_does == "steps":
                        packet = f"vCont;s:{stop.thread};c"
                stop = client.resume(packet)
            t.equal((stop.kind, stop.status), ("W", 5), f"{mode}, {client_does}: {stop}")
            output = client.server.output()
            if not killed:
                good(t, client.server, 4)
            t.check("died of signal 5" not in output, f"{mode}, {client_does}: a child died: {output}")
            client.close()


STARTERS = {
    "sh": ("/bin/sh", "i=0; while [ $i -lt 400 ]; do /bin/true; i=$((i+1)); done", "wait3"),
    "python3": ("/usr/bin/python3", "import subprocess\nfor i in range(400): "
                "subprocess.run(['/bin/true'], close_fds=False)", "waitpid"),
}


@case(modes=BOTH, timeout=180, gdbserver="goes to non-stop, and the client waits for ever")
def commands_in_programs_that_start_programs(t):
    """A shell and Python, with a dprintf that the server prints: Ctrl-C is answered, and they end."""
    for name, (program, script, function) in STARTERS.items():
        if not os.path.exists(program):
            raise Skip(f"{program} is not installed")
        gdb = t.gdb([program, "-c", script])
        gdb.cli("set breakpoint pending on")
        gdb.mi("-break-insert -f -t __libc_start_main")
        gdb.cont()
        gdb.cli("set dprintf-style agent")
        gdb.cli(f'dprintf {function},"waits %d\\n", 7')

        def lines():
            return ("".join(gdb.console) + gdb.server.output()).count("waits 7\n")
        gdb.resume()
        # gdb 13 in non-stop mode never resumes a parent that was stopped at a vfork.
        for _ in range(0 if t.non_stop else 3):
            before = lines()

            def printed():
                gdb.no_stop(0.02)
                return lines() > before + 10
            t.wait_until(printed, f"{name}: lines")
            gdb.interrupt()
            stop = gdb.wait_stop()
            t.equal(stop.signal, "SIGINT", repr(stop))
            gdb.resume()
        gdb.wait_exit(120)
        t.check(lines() >= 400, f"{name}: {lines()} lines")
        gdb.quit()
