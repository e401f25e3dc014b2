"""Breakpoint hits: those that the server decides on, and those that its client does."""

import time

from harness.benchmark import HIGHER, LOWER, Metric, benchmark
from harness.errors import Failed
from harness.gdb import Gdb
from harness.processes import status_field, wait_until

from . import expressions

# Addresses of threads.c.
PUSH, LOAD, CALL, BYSTANDERS, BYSTANDER_COUNT, BYSTANDER_SIZE = range(6)
ENOUGH = 50  # hits that make a rate, if need be over a longer time


def insert(session, site, rest):
    session.client.expect(b"Z0,%x,1%b" % (session.board.address(site), rest), b"OK")


def run(session):
    session.client.send(b"vCont;c")


def rate(session, setup, hitters=1):
    """Lets the program run for a while; (hits per second, server's processor time per hit)."""
    board, client, server = session.board, session.client, session.server
    start = board.total(hitters)
    wait_until(lambda: board.total(hitters) > start, setup.limit, "first hit")
    client.watch(setup.window / 5)
    used, begin, before = server.processor_time(), time.perf_counter(), board.total(hitters)
    for _ in range(5):
        client.watch(setup.window)
        hits, seconds = board.total(hitters) - before, time.perf_counter() - begin
        if hits >= ENOUGH:
            break
    return hits / seconds, (server.processor_time() - used) / hits if hits else None


def debug(session, hitters=1, idles=0):
    session.debug("threads", hitters, 0, idles, threads=hitters + idles)


def hits(session, setup, rest, hitters=1):
    """Inserts the breakpoint and measures: a rate, and SERVER."""
    insert(session, LOAD, rest)
    run(session)
    return dict(zip(("rate", "server"), rate(session, setup, hitters)))


FALSE = expressions.condition(expressions.FALSE)


def rate_metric(**options):
    return Metric("rate", "hits/s", HIGHER, **options)


SERVER = Metric("server", "us of cpu/hit", LOWER, aim=None)


@benchmark("false-condition/1", "one thread hits a breakpoint whose condition is false",
           rate_metric(aim=4), SERVER)
def one(session, setup):
    debug(session)
    return hits(session, setup, FALSE)


@benchmark("false-condition/1-pinned", "the same, pinned", rate_metric(),
           SERVER)
def one_pinned(session, setup):
    session.pin()
    debug(session)
    return hits(session, setup, FALSE)


def follow(session, on):
    """sidestep can be told to follow the thread that hits to its processor, or not to."""
    if "sidestep" in session.server_path:
        session.client.send(b"qRcmd," + f"set follow {on:d}".encode().hex().encode())
        while session.client.receive() != b"OK":
            pass


@benchmark("false-condition/1-followed", "one thread; sidestep is told to follow it to its processor "
           "where that pays, as it does by default, or not to",
           rate_metric(aim=6), Metric("not followed", "hits/s", HIGHER, aim=4))
def one_followed(session, setup):
    debug(session)
    insert(session, LOAD, FALSE)
    figures = {}
    for name, on in ("not followed", False), ("rate", True):
        follow(session, on)
        run(session)
        session.client.watch(setup.window)  # time to find out
        figures[name] = rate(session, setup)[0]
        session.client.stop_all()
    return figures


@benchmark("false-condition/8", "8 threads hit it", rate_metric(), SERVER)
def eight(session, setup):
    debug(session, 8)
    return hits(session, setup, FALSE, 8)


@benchmark("false-condition/32", "32 threads hit it", rate_metric(aim=100), SERVER,
           Metric("slowest thread", "% of the mean", HIGHER, aim=None), rounds=3)
def thirty_two(session, setup):
    debug(session, 32)
    before = [session.board.count(thread) for thread in range(32)]
    figures = hits(session, setup, FALSE, 32)
    counts = [session.board.count(thread) - before[thread] for thread in range(32)]
    figures["slowest thread"] = 100 * 32 * min(counts) / sum(counts)
    return figures


@benchmark("false-condition/lanes", "one thread, by kind of instruction at the site; pinned",
           Metric("push", "hits/s", HIGHER), Metric("rip-relative mov", "hits/s", HIGHER),
           Metric("call through memory", "hits/s", HIGHER), quick=False)
def lanes(session, setup):
    session.pin()
    debug(session)
    figures = {}
    for name, site in (("push", PUSH), ("rip-relative mov", LOAD), ("call through memory", CALL)):
        insert(session, site, FALSE)
        run(session)
        figures[name] = rate(session, setup)[0]
        session.client.stop_all()
        session.client.expect(b"z0,%x,1" % session.board.address(site), b"OK")
    return figures


def innocents(session, setup, others):
    """One thread hits, the others only compute. Voluntary context switches of a thread that
    makes no system call are its stops."""
    client = session.debug("threads", 1, others, 0, threads=1 + others)
    pid, board = session.program.pid, session.board

    def computed():
        return board.total(1 + others) - board.count(0)

    def stops():
        return sum(status_field(pid, "voluntary_ctxt_switches", board.tid(thread))
                   for thread in range(1, 1 + others))

    client.send(b"vCont;c")
    client.watch(setup.window / 5)
    begin, before = time.perf_counter(), computed()
    client.watch(setup.window)
    alone = (computed() - before) / (time.perf_counter() - begin)
    client.stop_all()
    insert(session, LOAD, FALSE)
    run(session)
    wait_until(lambda start=board.count(0): board.count(0) > start, setup.limit, "first hit")
    stopped, begin, before, count = stops(), time.perf_counter(), computed(), board.count(0)
    for _ in range(5):
        client.watch(setup.window)
        if board.count(0) - count >= ENOUGH:
            break
    seconds, count = time.perf_counter() - begin, board.count(0) - count
    rounds, stopped = computed() - before, stops() - stopped
    if not count:
        raise Failed("no hit")
    return {"rate": count / seconds, "innocents' speed": 100 * rounds / seconds / alone,
            "innocents' stops": stopped / count / others}


def register_innocents(count, aim):
    @benchmark(f"false-condition/innocent-{count}",
               f"one thread hits, others only compute: {count}", rate_metric(aim=aim),
               Metric("innocents' speed", "% of before", HIGHER, aim=None),
               Metric("innocents' stops", "/hit", LOWER, limit=0), rounds=3)
    def measure(session, setup):
        return innocents(session, setup, count)


register_innocents(1, 4)
register_innocents(7, 20)
register_innocents(31, 100)


@benchmark("false-condition/memory", "one thread, the condition reads a register and memory twice",
           rate_metric(aim=4), SERVER)
def reads_memory(session, setup):
    debug(session)
    # Code that is a positive number: add $1, %rax is 48 83 c0 01.
    code = expressions.sum_below_zero(session.board.address(BYSTANDERS))
    return hits(session, setup, expressions.condition(code))


@benchmark("false-condition/filter", "one thread, `monitor condition every=1000000000`; gdbserver "
           "has none and is given a false condition", rate_metric(aim=4), SERVER)
def filtered(session, setup):
    debug(session)
    if "sidestep" not in session.server_path:
        return hits(session, setup, FALSE)
    where = session.board.address(LOAD)
    session.client.send(b"qRcmd," + f"condition {where:#x} every=1000000000".encode().hex().encode())
    while session.client.receive() != b"OK":
        pass
    return hits(session, setup, b"")


@benchmark("dprintf", "one thread, the breakpoint's command is a printf run by the server",
           rate_metric(), SERVER)
def dprintf(session, setup):
    debug(session)
    return hits(session, setup, expressions.commands(expressions.printf_rdi()))


@benchmark("false-condition/sites", "one thread hits one of so many sites; pinned",
           Metric("1 site", "hits/s", HIGHER, aim=4), Metric("100 sites", "hits/s", HIGHER, aim=4),
           Metric("10000 sites", "hits/s", HIGHER, aim=4),
           Metric("10000 as fast as 1", "%", HIGHER, limit=90),
           Metric("insertion", "sites/s", HIGHER), rounds=3)
def sites(session, setup):
    session.pin()
    debug(session)
    board, client = session.board, session.client
    first, size = board.address(BYSTANDERS), board.address(BYSTANDER_SIZE)
    many = setup.scaled(10000, 200)
    figures, inserted, taken = {}, 1, 0.0
    insert(session, LOAD, FALSE)
    for count in 1, 100, many:
        begin = time.perf_counter()
        for number in range(inserted, count):
            client.expect(b"Z0,%x,1%b" % (first + number * size, FALSE), b"OK")
        taken += time.perf_counter() - begin
        inserted = count
        run(session)
        figures[f"{count if count < many else 10000} site{'s' * (count > 1)}"] = rate(
            session, setup)[0]
        client.stop_all()
    figures["10000 as fast as 1"] = 100 * figures["10000 sites"] / figures["1 site"]
    figures["insertion"] = (many - 1) / taken
    return figures


@benchmark("false-condition/idle", "one thread hits while so many others sleep; pinned",
           Metric("0 idle", "hits/s", HIGHER, aim=4), Metric("100 idle", "hits/s", HIGHER, aim=4),
           Metric("1000 idle", "hits/s", HIGHER, aim=4),
           Metric("100 as fast as 0", "%", HIGHER, limit=90),
           Metric("1000 as fast as 0", "%", HIGHER, limit=90))
def idle(session, setup):
    session.pin()
    figures = {}
    for count in 0, 100, setup.scaled(1000, 200):
        with session.sibling() as one:
            debug(one, idles=count)
            figures[f"{count if count <= 100 else 1000} idle"] = hits(one, setup, FALSE)["rate"]
    for count in 100, 1000:
        figures[f"{count} as fast as 0"] = 100 * figures[f"{count} idle"] / figures["0 idle"]
    return figures


def client_hits(session, setup):
    """The client decides: removes, steps, inserts, continues, as the simplest client does."""
    debug(session)
    client, address = session.client, session.board.address(LOAD)
    insert_packet, remove_packet = b"Z0,%x,1" % address, b"z0,%x,1" % address
    step = b"vCont;s:" + session.thread
    client.expect(insert_packet, b"OK")
    client.thread_of(client.ask(b"vCont;c"))
    begin, count, before = time.perf_counter(), 0, session.board.count(0)
    while time.perf_counter() - begin < setup.window:
        client.expect(remove_packet, b"OK")
        client.thread_of(client.ask(step))
        client.expect(insert_packet, b"OK")
        client.thread_of(client.ask(b"vCont;c"))
        count += 1
    seconds = time.perf_counter() - begin
    counted = session.board.count(0) - before
    if counted != count:
        raise Failed(f"{count} hits reported, {counted} counted by the program")
    return {"rate": count / seconds}


@benchmark("client-hits/raw", "the client decides: z0, vCont;s, Z0, vCont;c for each hit",
           rate_metric())
def raw_client(session, setup):
    return client_hits(session, setup)


@benchmark("client-hits/raw-pinned", "the same, pinned", rate_metric())
def raw_client_pinned(session, setup):
    session.pin()
    return client_hits(session, setup)


def gdb_hits(session, setup, non_stop):
    session.pin()
    session.start("threads", 1, 0, 0)
    session.attach()
    gdb = Gdb(session.program.path, setup.limit, non_stop)
    session.callback(gdb.close)
    gdb.run("set sysroot /", f"target remote 127.0.0.1:{session.server.port}")
    text, _ = gdb.run(f"break *{session.board.address(LOAD):#x}", "ignore 1 1000000000")
    if "Will ignore next" not in text:
        raise Failed(f"gdb: {text.strip()[-200:]}")
    gdb.write("continue")
    board, start = session.board, session.board.count(0)
    wait_until(lambda: board.count(0) > start + 5, setup.limit, "first hits")
    begin, before = time.perf_counter(), board.count(0)
    wait_until(lambda: time.perf_counter() - begin > setup.window and board.count(0) > before + 10,
               setup.limit, "hits")
    return {"rate": (board.count(0) - before) / (time.perf_counter() - begin)}


@benchmark("client-hits/gdb-all-stop", "a real gdb decides (ignore count), all-stop; pinned",
           rate_metric())
def gdb_all_stop(session, setup):
    return gdb_hits(session, setup, non_stop=False)


@benchmark("client-hits/gdb-non-stop", "a real gdb decides (ignore count), non-stop; pinned",
           rate_metric())
def gdb_non_stop(session, setup):
    return gdb_hits(session, setup, non_stop=True)
