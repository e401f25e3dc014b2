"""next and until over loops: exact, whatever else goes on, and nothing is left in the text.

In non-stop gdb itself asks for single steps (so it does of gdbserver), so there it is packets."""

import struct

from harness import case, instruction_offsets

SOURCE = "ranges.c"


def read(gdb, address, size):
    """The program's memory, behind the server's back."""
    with open(f"/proc/{gdb.server.inferior()}/mem", "rb") as memory:
        memory.seek(address)
        return memory.read(size)


def text_is_clean(t, gdb, function):
    """The function's first bytes in memory are those of the file."""
    inside = read(gdb, gdb.number(f"&{function}"), 64)
    with open(gdb.server.program[0], "rb") as file:
        t.check(inside in file.read(), f"{function} in memory, not in the file: {inside.hex()}")


def client_at(t, command_line, symbol):
    """A non-stop client, its first thread at `symbol`, and the places of mix()'s instructions."""
    client = t.rsp(t.server(command_line), handshake=True)
    client.query()
    client.run_to(symbol)
    client.non_stop()
    stop = client.query()
    t.equal(client.ask("vStopped"), "OK", "one thread")
    start = client.address("mix")
    return client, stop, [start + n for n in
                          instruction_offsets(t, client.server.program[0], "mix")]


def at_the_loop(t, gdb):
    """Everybody runs until some thread is at mix()'s loop; no breakpoint is left."""
    gdb.breakpoint(f"{SOURCE}:{t.line(SOURCE, 'mix: loop')}", options="-t")
    return gdb.cont()


def over_the_loop(t, gdb, thread, rounds):
    stop = gdb.exec("-exec-next", thread)
    t.equal((stop.reason, stop.thread, stop.line),
            ("end-stepping-range", thread, t.line(SOURCE, "mix: after")), repr(stop))
    t.equal(gdb.eval("i"), str(rounds), "rounds done")


@case()
def a_million_rounds(t):
    """next over a loop that single steps would need minutes for."""
    gdb = t.gdb("ranges plain 0 1000000")
    over_the_loop(t, gdb, at_the_loop(t, gdb).thread, 1000000)
    text_is_clean(t, gdb, "mix")


@case()
def until_the_loop_ends(t):
    """until at the head of a loop."""
    gdb = t.gdb("ranges plain 0 1000000")
    at_the_loop(t, gdb)
    gdb.cli("until")
    stop = gdb.wait_stop()
    t.equal((stop.reason, stop.line), ("end-stepping-range", t.line(SOURCE, "mix: after")),
            repr(stop))


@case(timeout=90)
def beside_other_threads(t):
    """Threads that run through the same loop while one is stepped over it: none of them stops at
    the step's places or computes anything wrong."""
    gdb = t.gdb("ranges plain 3 20000")
    gdb.cont_to("ready")
    for _ in range(10):
        over_the_loop(t, gdb, at_the_loop(t, gdb).thread, 20000)
        text_is_clean(t, gdb, "mix")
    t.equal(gdb.run_out().exit_code, 3, "exit code")
    t.match(gdb.server.output(), "wrong=0", "what the threads computed")


@case(timeout=90)
def with_signals(t):
    """Signals that are passed without a stop: the step goes on behind each handler, none is lost."""
    gdb = t.gdb("ranges alarms 0 1000000", settings=["handle SIGALRM nostop noprint pass"])
    gdb.cont_to("ready")
    over_the_loop(t, gdb, at_the_loop(t, gdb).thread, 1000000)
    gdb.cli("set var stop = 1")
    gdb.run_out()
    t.match(gdb.server.output(), "wrong=0 alarms=2[0-9]", "what the program counted")


@case()
def interrupted(t):
    """Ctrl-C in a loop without an end, next again, and then the loop is left."""
    gdb = t.gdb("ranges forever 0 10")
    thread = gdb.cont_to("forever").thread
    counter = gdb.number("&laps")
    for _ in range(3):
        before = gdb.number("laps")
        gdb.mi("-exec-next")
        t.wait_until(lambda: struct.unpack("q", read(gdb, counter, 8))[0] > before + 100000,
                     "the loop to run")
        gdb.interrupt()
        stop = gdb.wait_stop()
        t.equal(stop.function, "forever", repr(stop))
        text_is_clean(t, gdb, "forever")
    gdb.cli("set var stop = 1")
    stop = gdb.exec("-exec-next", thread)
    t.equal(stop.line, t.line(SOURCE, "forever: after"), repr(stop))
    t.equal(gdb.run_out().exit_code, 3, "exit code")


@case(timeout=90)
def non_stop_beside_others(t):
    """Non-stop: one thread's range step while others run through the same range, again and again."""
    client, stop, places = client_at(t, "ranges plain 3 100000", "ready")
    start, end = places[0], places[-2]
    for _ in range(10):
        client.insert(start)
        client.ok("vCont;c")
        hits = client.take_stops()
        client.remove(start)
        thread = hits[0].thread
        client.ok("vCont;c:" + ";c:".join(hit.thread for hit in hits[1:]) if hits[1:] else
                  f"vCont;r{start:x},{end:x}:{thread}")
        if hits[1:]:
            client.ok(f"vCont;r{start:x},{end:x}:{thread}")
        left = client.take_stops()
        while thread not in [stop.thread for stop in left]:
            left += client.take_stops()
        done = next(stop for stop in left if stop.thread == thread)
        t.equal((done.signal, done.pc), (5, end), repr(done))
    client.ok("vCont;c")
    t.equal(client.server.wait_output("wrong=([0-9]+)").group(1), "0", "wrong sums")


@case()
def detached_in_a_range(t):
    """D while a thread runs natively in its range: the program goes on as if nothing had been."""
    client, stop, places = client_at(t, "ranges forever 2 10", "ready")
    start = client.address("forever")
    size = client.elf.sizes["forever"]
    client.insert(start)
    client.ok("vCont;c")
    client.take_stops()
    client.remove(start)
    client.ok(f"vCont;r{start:x},{start + size - 3:x}:{stop.thread}")
    counter = client.address("laps")
    t.wait_until(lambda: struct.unpack("q", client.read_memory(counter, 8))[0] > 100000,
                 "the loop to run")
    pid, stop_flag = client.server.inferior(), client.address("stop")
    client.ok("D")
    with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
        memory.seek(stop_flag)
        memory.write(b"\1")
    t.equal(client.server.wait_output("wrong=([0-9]+)").group(1), "0", "wrong sums")
