"""Events of threads and processes that gdb 13 does not ask for: by raw packets."""

import os
import signal

from harness import case, condition
from harness.rsp import StopReply

# rdi & 255 == 0, as bytecode: reg 5, const8 255, bit_and, log_not, end.
MULTIPLE = condition(bytes.fromhex("26000522ff0f0e27"))


def at_main(t, command_line):
    client = t.rsp(t.server(command_line), handshake=True)
    client.query()
    client.run_to("main")
    return client


def let_go(client, stop):
    """The child that a fork event tells of."""
    client.ok(f"D;{stop['fork'].lstrip('p').split('.')[0]}")


@case(gdbserver="QThreadOptions came with gdbserver 14")
def thread_option_clone(t):
    """QThreadOptions with clone: the parent reports each thread it makes, before that one runs. A new
    thread has no options."""
    client = at_main(t, "storm 2 3")
    t.equal(client.features.get("QThreadOptions"), "3", "what is supported")
    client.ok("QThreadOptions;1")
    parents, children = [], []
    stop = client.resume()
    while stop.kind == "T":
        t.check("clone" in stop, repr(stop))
        parents.append(stop.thread)
        children.append(stop["clone"])
        t.check(stop["clone"] in client.threads(), "the child is on the list of threads")
        client.ok("Hg" + stop["clone"])
        t.check(client.register_value("rip") != 0, "the child's registers")
        if len(children) == 1:
            client.ok("QThreadOptions;1:" + stop["clone"])
        stop = client.resume()
    t.equal((stop.kind, stop.status), ("W", 0), f"the end: {stop}")
    t.equal(len(set(children)), 5, f"two threads of main's, three of the first of these: {children}")
    t.equal(len(set(parents)), 2, f"who has the option: {parents}")
    t.match(client.server.output(), "created=6 visits=6", "the program's count")


@case(gdbserver="QThreadOptions came with gdbserver 14")
def thread_option_clone_of_one(t):
    """The last entry wins; a thread that none means keeps its own; one whose option was taken back
    reports nothing more."""
    client = at_main(t, "storm 2 3")
    leader = client.threads()[0]
    client.ok(f"QThreadOptions;1;0:{leader}")
    stop = client.resume()
    t.equal((stop.kind, stop.status), ("W", 0), f"nobody has the option: {stop}")
    client = at_main(t, "storm 2 3")
    leader = client.threads()[0]
    client.ok(f"QThreadOptions;0;1:{leader}")
    client.ok(f"QThreadOptions;0:p{leader.lstrip('p').split('.')[0]}.1")
    stop = client.resume()
    t.equal(("clone" in stop, stop.thread), (True, leader), repr(stop))
    client.ok("QThreadOptions;0")
    stop = client.resume()
    t.equal((stop.kind, stop.status), ("W", 0), f"the end: {stop}")


@case(gdbserver="QThreadOptions came with gdbserver 14")
def thread_option_exit(t):
    """QThreadOptions with exit: a thread that has it says that it has ended; non-stop too. Each gets
    it at the clone event that tells of it."""
    for non_stop in (False, True):
        client = at_main(t, "storm 2 3")
        if non_stop:
            client.non_stop()
            client.query()
            t.equal(client.ask("vStopped"), "OK", "one thread")
        ended, end = [], None
        while end is None:
            client.ok("QThreadOptions;3")
            if non_stop:
                client.ok("vCont;c")
            for stop in client.take_stops() if non_stop else [client.resume()]:
                if stop.kind == "w":
                    ended.append(stop.thread)
                elif "clone" not in stop:
                    end = stop
        t.equal((end.kind, end.status), ("W", 0), f"the end: {end}")
        t.equal(len(ended), len(set(ended)), f"no thread twice in {ended}")
        t.equal(len(ended), 8, f"threads that ended: {ended}")


@case(gdbserver="QThreadOptions came with gdbserver 14")
def thread_option_exit_of_a_stepped_thread(t):
    """A thread with the option that ends by a step is reported by w, and the session goes on."""
    client = at_main(t, "storm 1 1")
    visit = client.address("visit")
    client.insert(visit)
    stop = client.resume()
    t.equal(stop.pc, visit, repr(stop))
    client.remove(visit)
    client.ok("QThreadOptions;2")
    thread = stop.thread
    ended = []
    while thread not in ended and stop.kind in "Tw":
        stop = client.resume(f"vCont;s:{thread};c")
        ended += [stop.thread] if stop.kind == "w" else []
    t.check(thread in ended, f"{thread} in {ended}")
    while stop.kind == "w":
        stop = client.resume()
    t.equal((stop.kind, stop.status), ("W", 0), f"the end: {stop}")


@case()
def unknown_thread_option(t):
    """An option that was not offered is an error; nothing changes."""
    client = at_main(t, "storm 1 1")
    t.check(client.ask("QThreadOptions;8").startswith("E"), "an error")
    t.equal(client.resume().kind, "W", "the end")


@case()
def untold_children_are_unknown(t):
    """While a notification is outstanding, children forked meanwhile are on no list and do not run,
    whatever is resumed; nor does the thread that the notification tells of."""
    client = t.rsp(t.server("everything 600"), handshake=True)
    client.query()
    client.run_to("ready")
    client.ok("QPassSignals:e;14")  # SIGALRM, SIGCHLD
    pid = client.server.inferior()
    client.non_stop()
    client.query()
    t.equal(client.ask("vStopped"), "OK", "one thread")
    client.insert(client.address("work1"), rest=MULTIPLE)
    client.ok("vCont;c")
    told = StopReply(client.notification().removeprefix("Stop:"))
    forks = 0
    while "fork" in told:
        forks += 1
        let_go(client, told)
        note = client.ask("vStopped")
        client.ok(f"vCont;c:{told.thread}")
        told = StopReply((note if note != "OK" else client.notification()).removeprefix("Stop:"))
    client.silence(0.1)
    client.ok("vCont;c")
    t.equal({int(name.lstrip("p").split(".")[0], 16) for name in client.threads()}, {pid},
            "processes on the list")
    client.ok("Hg" + told.thread)
    t.equal(client.register_value("rip"), told.pc, "where the thread told of is")
    client.remove(client.address("work1"))
    note, ended = client.ask("vStopped"), None
    while ended is None:
        while note != "OK":
            stop = StopReply(note.removeprefix("Stop:"))
            if stop.kind == "W":
                ended = stop
            elif "fork" in stop:
                forks += 1
                t.check(stop["fork"] in client.threads(), "the child is known now")
                let_go(client, stop)
            note = client.ask("vStopped")
        if ended is None:
            client.ok("vCont;c")
            note = client.notification()
    t.equal((ended.kind, ended.status), ("W", 0), f"the end: {ended}")
    t.check(forks > 0, "children")
    t.match(client.server.output(), "wrong=0 bad_children=0", "the program's last line")


@case()
def stop_what_steps_or_dies(t):
    """vCont;t while a thread is stepped over a long range, and while threads end: T00, each thread
    once, or nothing; N where the last to be stopped has ended."""
    def stops_of_threads():
        return [stop for stop in client.take_stops() if stop.kind != "N"]
    client = at_main(t, "storm 2 400")
    client.non_stop()
    client.query()
    t.equal(client.ask("vStopped"), "OK", "one thread")
    leader = client.threads()[0]
    client.ok(f"vCont;r0,{1 << 47:x}:{leader}")  # single steps until it is stopped or has ended
    client.silence(0.02)
    client.ok("vCont;t")
    stops = client.take_stops()
    t.equal({stop.signal for stop in stops}, {0}, repr(stops))
    threads = [stop.thread for stop in stops]  # others that it has made meanwhile
    t.check(leader in threads and len(set(threads)) == len(threads), f"who stopped: {threads}")
    for _ in range(20):
        client.ok("vCont;c")
        client.ok("vCont;t")
        stops = stops_of_threads()
        if any(stop.kind == "W" for stop in stops):
            return
        t.equal({stop.signal for stop in stops} | {0}, {0}, repr(stops))
        # New threads stop too, one by one.
        while set(client.threads()) - {stop.thread for stop in stops}:
            client.ok("vCont;t")
            more = stops_of_threads()
            t.check(not {s.thread for s in more} & {s.thread for s in stops}, "none twice")
            stops += more
    client.ok("vCont;c")
    end = client.take_stops()[-1]
    t.equal((end.kind, end.status), ("W", 0), f"the end: {end}")


@case()
def several_programs_at_once(t):
    """Two programs by vRun in one connection: hits in both, one killed, one detached from."""
    server = t.server(None, multi=True)
    client = t.rsp(server, handshake=True)
    client.ok("!")
    path = t.program("signals spin")[0]
    words = [path.encode().hex(), b"spin".hex()]
    stops = [StopReply(client.ask("vRun;" + ";".join(words))) for _ in range(2)]
    pids = [stop.pid for stop in stops]
    t.equal(len(set(pids)), 2, "two processes")
    t.equal({int(name.lstrip("p").split(".")[0], 16) for name in client.threads()}, set(pids), "listed")
    client.send("vCont;c")
    client.raw(b"\x03")
    stop = client.stop_reply()
    t.equal(stop.signal, 2, repr(stop))
    client.send(f"vCont;c:p{pids[1]:x}.-1")
    client.raw(b"\x03")
    t.equal(client.stop_reply().pid, pids[1], "only that one was resumed")
    client.ok(f"vKill;{pids[0]:x}")
    client.ok(f"D;{pids[1]:x}")
    t.equal(client.threads(), [], "threads left")
    with open(f"/proc/{pids[1]}/status", encoding="utf-8") as file:
        t.match(file.read(), r"(?m)^TracerPid:\t0$", "nobody traces it")
    os.kill(pids[1], signal.SIGKILL)


@case()
def detached_child_of_the_server(t):
    """A program started here and detached from goes on; the server waits for it and then ends."""
    client = t.rsp(t.server("hits 1 30000"), handshake=True)
    client.query()
    client.run_to("alpha")
    client.insert(client.address("alpha"), rest=";X3,220027")
    client.ok("D")
    t.equal(client.server.wait_exit(), 0, "status of the server")
    t.match(client.server.output(), "^alpha=30000", "what the program says")
