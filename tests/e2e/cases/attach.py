"""Attaching to what is already running, and letting it go as if nobody had been there."""

import os
import shutil
import signal
import threading
import time

from harness import BOTH, NEVER, case, procfs
from harness.rsp import GDB_FEATURES


def heartbeat(t, process):
    """Waits for two further beats of selfcheck or storm: it runs."""
    count = process.output().count("\n")
    t.wait_until(lambda: process.output().count("\n") >= count + 2, "the program to go on")


def finish(t, process):
    """Ends selfcheck by SIGTERM; its own sums must have been right all the time."""
    process.signal(signal.SIGTERM)
    t.equal(process.wait_exit(), 0, "exit status of the program")
    t.match(process.output(), r"^done rounds=\d+ wrong=0 ", "the program's last line")


def untouched(t, process):
    """Nobody traces it, its text is that of the file, its threads run."""
    t.equal(procfs.tracer(process.pid), 0, "tracer")
    t.equal(procfs.text_differences(process.pid, process.words[0]), [], "text differs from the file")
    stopped = [tid for tid in procfs.threads(process.pid)
               if procfs.state(process.pid, tid) in ("t", "T")]
    t.equal(stopped, [], "threads that are still stopped")


@case(modes=BOTH)
def attach_hit_detach(t):
    """Breakpoint in four busy threads of a running program, then detach: its sums stay right."""
    process = t.spawn("selfcheck 4")
    process.wait_output("beat 3 ")
    gdb = t.gdb("selfcheck 4", attach=process.pid)
    gdb.stop_all()
    t.equal(len(gdb.threads()), 5, "threads")
    gdb.breakpoint("sum_step")
    stop = gdb.cont()
    for _ in range(20):
        t.equal((stop.reason, stop.function), ("breakpoint-hit", "sum_step"), repr(stop))
        stop = gdb.cont(stop.thread)
    gdb.cli("delete")
    gdb.cli("detach")
    gdb.quit()
    gdb.server.wait_exit()
    heartbeat(t, process)
    untouched(t, process)
    finish(t, process)


@case(modes=BOTH)
def detach_with_breakpoints(t):
    """detach while breakpoints are set and threads are about to hit them."""
    process = t.spawn("selfcheck 4")
    process.wait_output("beat 3 ")
    gdb = t.gdb("selfcheck 4", attach=process.pid)
    gdb.stop_all()
    gdb.breakpoint("sum_step")
    gdb.breakpoint("sum_step", condition="sum == 0")
    gdb.cont()
    gdb.cli("detach")
    gdb.quit()
    heartbeat(t, process)
    untouched(t, process)
    finish(t, process)


@case(timeout=90)
def attach_detach_ten_times(t):
    """Ten rounds of attach, hit, detach on the same process."""
    process = t.spawn("selfcheck 3")
    for _ in range(10):
        gdb = t.gdb("selfcheck 3", attach=process.pid)
        gdb.breakpoint("sum_step")
        t.equal(gdb.cont().function, "sum_step", "where it stopped")
        gdb.cli("detach")
        gdb.quit()
        gdb.server.wait_exit()
        heartbeat(t, process)
        untouched(t, process)
    finish(t, process)


@case(modes=BOTH)
def attach_while_threads_are_born(t):
    """Attach in the middle of a thread creation storm; every thread is found and let go."""
    process = t.spawn("storm 4 0")
    process.wait_output("visits so far [1-9]")
    gdb = t.gdb("storm 4 0", attach=process.pid)
    gdb.breakpoint("visit")
    gdb.stop_all()
    stop = gdb.cont()
    for _ in range(25):
        t.equal((stop.reason, stop.function), ("breakpoint-hit", "visit"), repr(stop))
        stop = gdb.cont(stop.thread)
    gdb.cli("delete")
    gdb.cli("detach")
    gdb.quit()
    heartbeat(t, process)
    untouched(t, process)
    process.signal(signal.SIGTERM)
    t.equal(process.wait_exit(), 0, "exit status of the program")
    found = t.match(process.output(), r"created=(\d+) visits=(\d+)", "the program's last line")
    t.equal(found[1], found[2], "threads created and visits")


@case(timeout=90)
def attach_misses_no_thread(t):
    """Attach, breakpoint, detach in a creation storm, 15 times: a thread that was missed would die of
    the breakpoint, and the program with it."""
    process = t.spawn("storm 8 0")
    process.wait_output("visits so far [1-9]")
    for i in range(15):
        client = t.rsp(t.server_of(process), handshake=True)
        client.query()
        client.insert(client.address("visit"), rest=NEVER)
        client.send("vCont;c")
        client.silence(0.03)
        client.raw(b"\x03")
        t.equal(client.stop_reply().signal, 2, f"the stop in round {i}")
        client.ok("D")
        t.check(process.running(), f"it runs after round {i}")
    process.signal(signal.SIGTERM)
    t.equal(process.wait_exit(), 0, "exit status of the program")
    found = t.match(process.output(), r"created=(\d+) visits=(\d+)", "the program's last line")
    t.equal(found[1], found[2], "threads created and visits")


@case(modes=BOTH)
def attach_to_many_idle_threads(t):
    """100 threads in a blocking read: all are listed, none sees an interrupted call."""
    process = t.spawn("idle 100")
    process.wait_output("beat 2 ")
    gdb = t.gdb("idle 100", attach=process.pid)
    gdb.stop_all()
    t.equal(len(gdb.threads()), 101, "threads")
    gdb.breakpoint("tick", condition="beat % 5 == 0")
    for _ in range(3):
        t.equal(gdb.cont().function, "tick", "where it stopped")
    gdb.cli("delete")
    gdb.cli("detach")
    gdb.quit()
    heartbeat(t, process)
    untouched(t, process)
    t.check(" woken 0\n" in process.output(), "an idle thread's read was interrupted")


@case(timeout=90)
def attach_into_signals(t):
    """Signals for whichever thread takes them keep coming meanwhile: all threads are stopped then."""
    process = t.spawn("selfcheck 4")
    process.wait_output("beat 1 ")
    done = threading.Event()

    def flood():
        while not done.is_set():
            process.signal(signal.SIGURG)  # nobody minds it, but a traced thread stops for it
            time.sleep(0.0005)

    sender = threading.Thread(target=flood)
    sender.start()
    try:
        for i in range(50):
            client = t.rsp(t.server(None, attach=process.pid), handshake=True)
            client.query()
            states = [procfs.state(process.pid, tid) for tid in procfs.threads(process.pid)]
            t.equal(states, ["t"] * 5, f"the threads in round {i}")
            client.ok("D")
    finally:
        done.set()
        sender.join()
    untouched(t, process)
    finish(t, process)


@case()
def attach_to_a_stopped_process(t):
    """A process stopped by SIGSTOP can be attached to, looked at, and stays stopped after detach."""
    process = t.spawn("selfcheck 2")
    process.wait_output("beat 1 ")
    process.signal(signal.SIGSTOP)
    t.wait_until(lambda: procfs.state(process.pid) == "T", "the process to stop")
    gdb = t.gdb("selfcheck 2", attach=process.pid)
    t.equal(len(gdb.threads()), 3, "threads")
    t.equal(gdb.eval("wrong"), "0", "a variable")
    gdb.cli("detach")
    gdb.quit()
    process.signal(signal.SIGCONT)
    heartbeat(t, process)
    untouched(t, process)
    finish(t, process)


@case()
def attach_to_nobody(t):
    """A pid that doesn't exist: gdbserver's words, exit status 1."""
    process = t.spawn("ends exit 0")
    process.wait_exit()
    from harness import server
    failed = server.Process(t, [t.server_path, "--once", "--attach", "127.0.0.1:0", "999999999"])
    t.equal(failed.wait_exit(), 1, "exit status")
    t.match(failed.messages(), r"^Cannot attach to process 999999999: No such process \(3\)$",
            "message")
    t.match(failed.messages(), r"^Exiting$", "message")


@case()
def attach_to_a_traced_process(t):
    """A second tracer is refused with a reason that names the first one; the program is unharmed."""
    process = t.spawn("selfcheck 2")
    process.wait_output("beat 1 ")
    first = t.server(attach=process.pid)
    from harness import server
    second = server.Process(t, [t.server_path, "--once", "--attach", "127.0.0.1:0",
                                str(process.pid)])
    t.equal(second.wait_exit(), 1, "exit status")
    t.match(second.messages(), rf"^Cannot attach to process {process.pid}: .*{first.pid}",
            "message")
    first.signal(signal.SIGTERM)
    first.wait_exit()


@case(gdbserver="version 13 tells a name that ends in (deleted)")
def executable_is_deleted(t):
    """The client is given a name by which it can open the program all the same."""
    path = os.path.join(t.directory, "short-lived")
    shutil.copy(t.program("selfcheck")[0], path)
    process = t.spawn([path, "1"])
    process.wait_output("beat 1 ")
    client = t.rsp(t.server(attach=process.pid), handshake=True)
    client.query()
    t.equal(client.transfer("exec-file", f"{process.pid:x}"), path, "its name")
    os.remove(path)
    t.equal(client.transfer("exec-file", f"{process.pid:x}"), f"/proc/{process.pid}/exe",
            "its name when it is deleted")
    name = f"/proc/{process.pid}/exe".encode().hex()
    client.ask(f"vFile:setfs:{process.pid:x}")
    t.match(client.ask(f"vFile:open:{name},0,0"), "^F[1-9a-f]", "opened")
    client.ok("D")
    process.kill()


def refused_attach(t, pid):
    """An attach on the command line that fails: what the server says."""
    server = t.spawn_server(["--once", "--attach", "127.0.0.1:0", str(pid)])
    t.equal(server.wait_exit(), 1, "exit status")
    return server.messages()


@case(modes=BOTH, gdbserver="hangs: it tries again for ever")
def a_thread_has_another_tracer(t):
    """Without that thread the others are not attached to either; all ways to attach say whose it is."""
    path = os.path.join(t.directory, "contested")
    shutil.copy(t.program("selfcheck")[0], path)
    process = t.spawn([path, "4"])
    process.wait_output("beat 1 ")
    tid = procfs.threads(process.pid)[2]
    poacher = t.spawn(f"poacher {tid}")
    poacher.wait_output("has it")
    sentence = (rf"Cannot attach to process {process.pid}: Operation not permitted \(1\), "
                rf"thread {tid} is already traced by process {poacher.pid} \(poacher\)")
    if not t.non_stop:
        t.match(refused_attach(t, process.pid), f"^{sentence}$", "message")
    server = t.server(multi=True)
    client = t.rsp(server, handshake=True)
    client.ok("!")
    if t.non_stop:
        client.non_stop()
    name = path.encode().hex()
    for request in (f"vAttach;{process.pid:x}", f"vAttachName;{name}", f"vAttachOrWait;{name}"):
        t.match(client.ask(request), rf"^E\.{sentence}$", request)
    t.match(server.messages(), rf"(?s)(^{sentence}$.*){{3}}", "the server's messages")
    tracers = {each: int(procfs.status(process.pid, each)["TracerPid"])
               for each in procfs.threads(process.pid)}
    t.equal([each for each in tracers if tracers[each] != 0], [tid], "traced threads")
    heartbeat(t, process)
    poacher.kill()
    t.match(client.ask(f"vAttach;{process.pid:x}"),
            "^OK$" if t.non_stop else f"^T00.*thread:p{process.pid:x}", "an attach after that")
    client.insert(procfs.Elf(process.words[0]).address(process.pid, "sum_step"), rest=NEVER)
    client.close()
    server.wait_exit()
    t.unharmed(process)
    untouched(t, process)
    finish(t, process)


@case(modes=BOTH, timeout=120, gdbserver="hangs, or leaves threads out")
def threads_are_taken_and_let_go(t):
    """Another tracer takes one thread after the other and lets it go. Each attach gets all threads or
    none: a thread that was left out would die of the breakpoint, and the program with it."""
    process = t.spawn("selfcheck 4")
    process.wait_output("beat 1 ")
    poacher = t.spawn(f"poacher {process.pid} any")
    poacher.wait_output("begins")
    client = t.rsp(t.server(multi=True), handshake=True)
    client.ok("!")
    if t.non_stop:
        client.non_stop()
    site = None
    attached = 0
    for i in range(60):
        if i == 50:
            poacher.signal(signal.SIGTERM)
            poacher.wait_exit()
        reply = client.ask(f"vAttach;{process.pid:x}")
        if reply.startswith("E"):
            t.match(reply, r"Operation not permitted \(1\), (thread|process) \d+ (is already traced "
                           r"by process \d+|may be traced|has just been let go)", "a refusal")
            t.check(i < 50, "refused without another tracer")
            continue
        attached += 1
        site = site or procfs.Elf(process.words[0]).address(process.pid, "sum_step")
        client.insert(site, rest=NEVER)
        if not t.non_stop:
            client.send("vCont;c")
            client.silence(0.03)
            client.raw(b"\x03")
            t.equal(client.stop_reply().signal, 2, "the stop")
        else:
            time.sleep(0.03)
        client.ok(f"D;{process.pid:x}")
        t.check(process.running(), f"it runs after round {i}")
    t.match(poacher.output(), r"taken [1-9]", "the other tracer")
    t.note(f"{attached} of 60 attached")
    t.unharmed(process)
    untouched(t, process)
    finish(t, process)


@case(timeout=90, gdbserver="does not wait for a sleeping thread")
def previous_server_waits_for_a_sleeper(t):
    """A server that is ending and cannot let go of a thread yet: the next one is refused, and says why."""
    for program, of in (("asleep", "process"), ("asleep second", "thread")):
        process = t.spawn(program)
        process.wait_output("beat 3 ")
        sleeper = procfs.threads(process.pid)[0 if of == "process" else 1]
        first = t.server_of(process)
        client = t.rsp(first)
        client.handshake(GDB_FEATURES.replace("vfork-events+;", ""))
        client.query()
        client.ok("QPassSignals:1f;14")  # SIGUSR2, SIGCHLD
        client.insert(client.address("watched"), kind=4, type_=2)
        client.send("vCont;c")
        process.signal(signal.SIGUSR2)
        t.wait_until(lambda: procfs.state(process.pid, sleeper) == "D", "the thread to sleep")
        first.signal(signal.SIGTERM)
        first.wait_message("Waiting to let go")
        t.match(refused_attach(t, process.pid),
                rf"Cannot attach to process {process.pid}: .* {of} {sleeper} is already traced by "
                rf"process {first.pid} \([^)]+\), and in an uninterruptible sleep", "message")
        before = process.output().count("beat")
        t.wait_until(lambda: process.output().count("beat") > before + 2, "the program to go on")
        process.signal(signal.SIGUSR2)
        process.wait_output("woken 1 ")
        first.wait_exit()
        untouched(t, process)
        second = t.rsp(t.server_of(process), handshake=True)
        t.equal(second.query().pid, process.pid, "an attach after that")
        second.ok(f"D;{process.pid:x}")
        process.kill()


@case(timeout=180, gdbserver="the program is left with breakpoint bytes")
def attach_while_the_previous_server_ends(t):
    """The next client does not wait until the last server is gone. It is refused until all threads are
    let go, and gets a program without anything of the other one."""
    process = t.spawn("selfcheck 4")
    process.wait_output("beat 1 ")
    second = t.rsp(t.server(multi=True), handshake=True)
    second.ok("!")
    elf = procfs.Elf(process.words[0])
    refused = 0
    for i in range(24):
        first = t.server_of(process)
        client = t.rsp(first, handshake=True)
        client.query()
        client.insert(client.address("sum_step"), rest=NEVER)
        client.insert(client.address("wrong"), kind=4, type_=2)
        client.send("vCont;c")
        client.silence(0.02)
        if i % 4 == 0:
            first.signal(signal.SIGTERM)
        elif i % 4 == 1:
            first.signal(signal.SIGKILL)
        elif i % 4 == 2:
            client.close()
        else:
            client.raw(b"\x03")
            client.stop_reply()
            client.send("D")
        reply = second.ask(f"vAttach;{process.pid:x}")
        while reply.startswith("E"):
            refused += 1
            t.match(reply, r"Operation not permitted \(1\), (thread|process) \d+ "
                           r"(is already traced by process \d+|may be traced)", "a refusal")
            reply = second.ask(f"vAttach;{process.pid:x}")
        site = elf.address(process.pid, "sum_step")
        t.equal(procfs.text_differences(process.pid, process.words[0]), [], "text")
        second.insert(site)
        t.equal(second.resume().pc, site, "a hit")
        second.remove(site)
        second.ok(f"D;{process.pid:x}")
        client.close()
        first.popen.wait()
        t.check(process.running(), f"it runs after round {i}")
    t.note(f"refused {refused} times")
    t.unharmed(process)
    untouched(t, process)
    finish(t, process)


@case(gdbserver="the program is left with breakpoint bytes and without a tracer (it dies by SIGTRAP)")
def server_terminated_while_attached(t):
    """SIGTERM to the server: breakpoints are lifted and the attached program goes on."""
    process = t.spawn("selfcheck 4")
    process.wait_output("beat 1 ")
    gdb = t.gdb("selfcheck 4", attach=process.pid)
    gdb.breakpoint("sum_step", condition="sum == 0")
    gdb.resume()
    heartbeat(t, process)
    gdb.server.signal(signal.SIGTERM)
    gdb.server.wait_exit()
    heartbeat(t, process)
    untouched(t, process)
    finish(t, process)
