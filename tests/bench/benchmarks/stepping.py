"""Single steps and range steps."""

import time

from harness.benchmark import HIGHER, LOWER, Metric, benchmark
from harness.errors import Failed
from harness.rsp import expand

START, END, INSTRUCTIONS = range(3)  # addresses of loop.c
ROUNDS = 1_000_000


def steps(session, setup, packet):
    client = session.client
    client.thread_of(client.ask(packet))
    begin, count = time.perf_counter(), 0
    while time.perf_counter() - begin < setup.window:
        if client.ask(packet)[:1] != b"T":
            raise Failed("a step did not end in a stop")
        count += 1
    return count / (time.perf_counter() - begin)


@benchmark("single-step/1", "vCont;s of the only thread", Metric("rate", "steps/s", HIGHER))
def single(session, setup):
    session.debug("loop", rounds=ROUNDS)
    return {"rate": steps(session, setup, b"vCont;s:" + session.thread)}


@benchmark("single-step/1-pinned", "the same, pinned",
           Metric("rate", "steps/s", HIGHER))
def pinned(session, setup):
    session.pin()
    return single(session, setup)


@benchmark("single-step/alone-of-100", "vCont;s of one thread, 99 sleeping ones stay stopped",
           Metric("rate", "steps/s", HIGHER))
def alone(session, setup):
    session.debug("threads", 1, 0, 99, threads=100)
    thread = spinner(session)
    return {"rate": steps(session, setup, b"vCont;s:" + thread)}


@benchmark("single-step/with-100", "vCont;s of one thread, 99 sleeping ones run along (gdb's step)",
           Metric("rate", "steps/s", HIGHER), rounds=3)
def along(session, setup):
    session.debug("threads", 1, 0, 99, threads=100)
    thread = spinner(session)
    return {"rate": steps(session, setup, b"vCont;s:" + thread + b";c")}


def spinner(session):
    """The thread that does not sleep, as the wire names it."""
    return b"p%x.%x" % (session.program.pid, session.board.tid(0))


def loop_seconds(session, setup, rounds):
    """Seconds for one range step over the whole loop from its first instruction on."""
    board, client = session.board, session.client
    board.set_rounds(rounds)
    start, end = board.address(START), board.address(END)
    # Out of the loop that runs now, then into a new one with this many rounds.
    for address in end, start:
        client.expect(b"Z0,%x,1" % address, b"OK")
        client.thread_of(client.ask(b"vCont;c"))
        client.expect(b"z0,%x,1" % address, b"OK")
    begin = time.perf_counter()
    stop = client.ask(b"vCont;r%x,%x:%b" % (start, end, session.thread))
    seconds = time.perf_counter() - begin
    client.thread_of(stop)
    pc = expand(stop).partition(b";10:")[2][:16].decode()  # rip, expedited
    if int.from_bytes(bytes.fromhex(pc), "little") != end:
        raise Failed(f"the range step ended elsewhere: {stop.decode()}")
    return seconds


@benchmark("range-step", "vCont;r over a loop of 1,000,000 rounds of 3 instructions; a server that "
           "needs long is given fewer rounds, and its time scaled",
           Metric("time", "ms", LOWER, aim=100), rounds=3)
def range_step(session, setup):
    session.debug("loop", rounds=100)
    few = setup.scaled(1000, 100)
    # The shortest of a few: a wait for the processor, scaled up, would look like a slow server.
    seconds = min(loop_seconds(session, setup, few) for _ in range(3))
    if seconds * ROUNDS / few > setup.scaled(2.0, 0.5):
        return {"time": 1e3 * seconds * ROUNDS / few}
    return {"time": 1e3 * loop_seconds(session, setup, ROUNDS)}
