"""What many threads cost: attaching, listing, stopping."""

import time

from harness.benchmark import LOWER, Metric, benchmark
from harness.errors import Failed
from harness.processes import wait_until


def resumed(session):
    """True when no thread of the program is held by its tracer."""
    pid = session.program.pid
    for thread in range(session.program.threads):
        with open(f"/proc/{pid}/task/{session.board.tid(thread)}/stat", "rb") as file:
            if file.read().rpartition(b")")[2].split()[0] == b"t":
                return False
    return True


def stop_latency(session, setup, threads, non_stop):
    """Milliseconds from the request until every thread is known to be stopped; the median of a
    few stops of one program. One thread computes, the others sleep."""
    client = session.debug("threads", 0, 1, threads - 1, threads=threads)
    if non_stop:
        client.enter_non_stop()
    taken = []
    for _ in range(setup.scaled(5, 1)):
        if non_stop:
            client.expect(b"vCont;c", b"OK")
        else:
            client.send(b"vCont;c")
        wait_until(lambda: resumed(session), setup.limit, "threads to run")
        client.watch(0.02)
        begin = time.perf_counter()
        if non_stop:
            client.expect(b"vCont;t", b"OK")
            client.take_stops(threads)
        else:
            client.stop_all()
        taken.append(1e3 * (time.perf_counter() - begin))
    return {"time": sorted(taken)[len(taken) // 2]}


TIME = Metric("time", "ms", LOWER)


def register_stops(threads, **options):
    @benchmark(f"stop/{threads}", f"all-stop: ^C until the stop reply, threads: {threads}", TIME,
               **options)
    def all_stop(session, setup):
        return stop_latency(session, setup, threads, non_stop=False)

    @benchmark(f"stop-non-stop/{threads}",
               f"non-stop: vCont;t until the last of all stops is taken, threads: {threads}", TIME,
               **options)
    def each(session, setup):
        return stop_latency(session, setup, threads, non_stop=True)


register_stops(1)
register_stops(100)
register_stops(1000, rounds=3, quick=False)


def attach(session, setup, threads):
    program = session.start("threads", 0, 0, threads, threads=threads)
    session.attach()
    attached = session.seconds
    begin = time.perf_counter()
    client = session.connect()
    client.first_stop()
    listed = client.transfer(b"threads").count(b"<thread ")
    seconds = time.perf_counter() - begin
    if listed != program.threads:
        raise Failed(f"{listed} of {threads} threads listed")
    return {"until it listens": 1e3 * attached, "until the list": 1e3 * (attached + seconds),
            "memory": session.server.resident() / 2**20}


def register_attach(threads, aim=1.0, **options):
    @benchmark(f"attach/{threads}", f"--attach until the client has the list, threads: {threads}",
               Metric("until it listens", "ms", LOWER, aim=None),
               Metric("until the list", "ms", LOWER, aim=aim),
               Metric("memory", "MiB", LOWER), **options)
    def measure(session, setup):
        return attach(session, setup, threads)


register_attach(1)
register_attach(100)
register_attach(1000, aim=3.0, rounds=3, quick=False)
register_attach(10000, aim=3.0, rounds=1, quick=False, limit=60)
