"""Everything at once, and programs that do what a debugger doesn't expect."""

import itertools
import os
import random
import re
import signal
import threading
import time

from harness import (BOTH, NEVER, Disconnected, RspClient, case, condition,
                     instruction_offsets, procfs)

# rdi & 255 == 0, as bytecode: reg 5, const8 255, bit_and, log_not, end.
MULTIPLE = condition(bytes.fromhex("26000522ff0f0e27"))


def everything_is_counted(t, client):
    client.query()
    client.run_to("ready")
    client.ok("QPassSignals:e;14")  # SIGALRM, SIGCHLD
    client.non_stop()
    client.stopped_threads()
    for n in range(16):
        client.insert(client.address(f"work{n}"), rest=MULTIPLE)
    client.ok("vCont;c")
    hits, ended = 0, None
    places = {client.address(f"work{n}") for n in range(16)}
    while not ended:
        for stop in client.take_stops():
            if stop.kind in "WX":
                ended = stop
            elif "fork" in stop:
                client.ok(f"D;{stop['fork'].lstrip('p').split('.')[0]}")
                client.ok(f"vCont;c:{stop.thread}")
            elif stop.kind == "T":
                t.equal((stop.signal, stop.pc in places), (5, True), repr(stop))
                hits += 1
                client.ok(f"vCont;c:{stop.thread}")
    t.equal((ended.kind, ended.status), ("W", 0), f"the end: {ended}")
    found = t.match(client.server.output(), r"multiples=(\d+) wrong=0 bad_children=0 signals=1 "
                    r"short_lived=1 children=1", "the program's last line")
    t.note(f"{hits} hits")
    t.equal(hits, int(found[1]), "hits reported and counted by the program")


@case(timeout=120, gdbserver="reports the same hit for ever: only the client can step off a site")
def all_at_once(t):
    """32 threads at 16 sites, short-lived threads, signals at 1 kHz, forks: each hit is accounted for."""
    everything_is_counted(t, t.rsp(t.server("everything 1500"), handshake=True))


class Onlooker(threading.Thread):
    """Asks for what takes long, again and again, until the connection ends."""

    REQUESTS = ("qXfer:osdata:read:threads:0,1000", "jThreadsInfo", "qfProcessInfo", "qsProcessInfo",
                "qXfer:threads:read::0,1000", "qXfer:osdata:read:files:0,1000",
                "qXfer:libraries-svr4:read::0,1000", "qMemoryRegionInfo:7fffffffe000", "g", "?")

    def __init__(self, t, server):
        super().__init__(daemon=True)
        self.client = RspClient(t, server, handshake=True)
        self.replies = 0
        self.start()

    def run(self):
        try:
            for request in itertools.cycle(self.REQUESTS):
                self.client.ask(request, 60)
                self.replies += 1
        except Disconnected:  # the server has ended
            pass


@case(timeout=180, gdbserver="has no such option")
def all_at_once_with_onlookers(t):
    """The same while four others ask for what takes long."""
    client = t.rsp(t.server("everything 1500", server_options=["--observe"]), handshake=True)
    onlookers = [Onlooker(t, client.server) for _ in range(4)]
    everything_is_counted(t, client)
    # Hits come first: a reply may have to wait until there are none any more.
    t.wait_until(lambda: all(onlooker.replies > 0 for onlooker in onlookers), "replies to onlookers")
    client.close()
    for onlooker in onlookers:
        onlooker.join()
    t.note(f"{sum(onlooker.replies for onlooker in onlookers)} replies to onlookers")


@case(modes=BOTH, timeout=120)
def all_at_once_false(t):
    """The same under gdb with conditions that are never true: no stop, nothing wrong."""
    gdb = t.gdb("everything 1500")
    gdb.cli("handle SIGALRM SIGCHLD nostop noprint pass")
    gdb.cont_to("ready")
    for n in range(16):
        gdb.breakpoint(f"work{n}", condition="i == -1")
        gdb.breakpoint(f"*work{n}", condition="$rdi == -1")
    gdb.run_out(100)
    t.match(gdb.server.output(), "wrong=0 bad_children=0 signals=1 short_lived=1 children=1$",
            "the program's last line")


def started(t, mode):
    client = t.rsp(t.server(f"hostile {mode}"), handshake=True)
    client.query()
    client.run_to("ready")
    return client


def slot_sites(client):
    """Every instruction of hot() that runs in a slot; all of them is simplest."""
    start = client.address("hot")
    offsets = instruction_offsets(client.context, client.server.program[0], "hot")
    return [start + offset for offset in offsets]


@case()
def text_rewritten_over_a_site(t):
    """The program replaces the instruction under a breakpoint: the new one runs, and stays."""
    client = started(t, "rewrite")
    changing = client.address("changing")
    client.insert(changing, rest=NEVER)
    stop_at = client.address("rewritten")
    client.insert(stop_at)
    t.equal(client.resume().pc, stop_at, "after the rewrite")
    client.remove(stop_at)
    client.ask(f"z0,{changing:x},1")
    t.equal(procfs.peek(client.server.inferior(), changing, 5), b"\xb8\2\0\0\0", "the new text")
    t.equal(client.resume().kind, "W", "the end")
    t.match(client.server.output(), "^changing=122 first byte=b8$", "what the program saw")


@case(timeout=90)
def area_unmapped_again_and_again(t):
    """Four threads pass sites while the program unmaps the executable memory it doesn't know."""
    for mode in ("unmap", "protect"):
        client = started(t, mode)
        for site in slot_sites(client):
            client.insert(site, rest=NEVER)
        stop = client.resume(seconds=60)
        # A thread that was in the area when it went may have died with it: nobody else.
        t.check(stop.kind in "WT", f"the end: {stop}")
        if stop.kind == "W":
            t.match(client.server.output(), r"areas found=\d wrong=0$", "what the program computed")
        t.match(client.ask("vMustReplyEmpty"), "^$", "the session goes on")


@case()
def area_scribbled_or_entered(t):
    """The program overwrites the slots, or jumps into them: its own loss; the server lives."""
    for mode in ("scribble", "jump"):
        client = started(t, mode)
        for site in slot_sites(client):
            client.insert(site, rest=NEVER)
        for _ in range(10):
            stop = client.resume()
            if stop.kind != "T":
                break
            stop = client.resume(f"vCont;C{stop.signal:02x}:{stop.thread};c")
            if stop.kind != "T":
                break
        t.check(stop.kind in "WX", f"the end: {stop}")
        t.equal(client.ask("vMustReplyEmpty"), "", "the session goes on")


@case()
def filter_that_kills(t):
    """A seccomp filter that kills on mmap: sites inserted after it, the program lives."""
    client = started(t, "filtered")
    for site in slot_sites(client):
        client.insert(site, rest=NEVER)
    stop = client.resume()
    t.equal((stop.kind, stop.status), ("W", 0), f"the end: {stop}")
    t.match(client.server.output(), "^sum=2500$", "what the program computed")


@case(timeout=120, gdbserver="reports a hit whose condition is false")
def text_remapped_under_threads(t):
    """Text is mapped anew a thousand times a second under threads that run in it, while sites in it
    are inserted, again and again, and removed: nothing is computed wrongly, nothing is read wrongly."""
    client = t.rsp(t.server("remapped storm 1500"), handshake=True)
    client.query()
    client.run_to("mapped")
    client.non_stop()
    client.query()
    while client.ask("vStopped") != "OK":
        pass
    client.ok("vCont;c")
    place, texts = 0x300000000000, ("488d4703c3", "488d4705c3")
    chance = random.Random(1)
    read = 0
    while not client.notifications:
        site = place + chance.choice((0, 4))
        packet = chance.choice((f"Z0,{site:x},1{NEVER}", f"Z0,{site:x},1{NEVER}", f"z0,{site:x},1",
                                f"m{place:x},5"))
        reply = client.ask(packet)
        if packet.startswith("m") and not reply.startswith("E"):  # the program may just have ended
            t.check(reply in texts, f"read: {reply}")
            read += 1
    t.check(read > 100, f"only {read} reads")
    stop = client.take_stops()[0]
    t.equal((stop.kind, stop.status), ("W", 0), f"the end: {stop}")
    t.match(client.server.output(), "^wrong=0$", "what the program computed")


@case()
def neighbours_and_middles(t):
    """Sites on neighbouring one-byte instructions, and one in the middle of an instruction."""
    client = started(t, "middle")
    for symbol in ("middle", "middle_second", "middle_third"):
        client.insert(client.address(symbol), rest=NEVER)
    stop = client.resume()
    t.equal(stop.status, 0, f"the end: {stop}")
    t.match(client.server.output(), "^sum=500$", "what the program computed")
    client = started(t, "middle")
    client.insert(client.address("middle_third") + 4, rest=NEVER)  # the last byte of the constant
    try:
        stop = client.resume()
        t.equal(stop.kind, "W", f"the end: {stop}")
    except Disconnected:
        t.check(False, "the server died")


@case(modes=BOTH, gdbserver="what it debugs is not stopped by a SIGSTOP that is passed on")
def stopped_and_continued_by_the_shell(t):
    """SIGSTOP and SIGCONT from outside, passed on: the program stops and goes on as without us."""
    gdb = t.gdb("selfcheck 2")
    gdb.cli("handle SIGSTOP SIGCONT nostop noprint pass")
    gdb.cont_to("ready")
    gdb.resume()
    server, pid = gdb.server, gdb.server.inferior()
    server.wait_output("beat 2 ")
    for _ in range(3):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.15)
        count = server.output().count("beat")
        time.sleep(0.15)
        t.equal(server.output().count("beat"), count, "beats while it is stopped")
        os.kill(pid, signal.SIGCONT)
        t.wait_until(lambda: server.output().count("beat") > count + 2, "the program to go on")
    t.check(re.search("wrong 0$", server.output(), re.M), "sums")
