"""Beginnings of a session, and what a person at a gdb waits for."""

import os
import re
import time

from harness.benchmark import LOWER, Metric, benchmark
from harness.board import Board
from harness.errors import Failed
from harness.gdb import Gdb
from harness.processes import Server
from harness.relay import Relay


@benchmark("start",
           "start of the server with a program until the client has its first stop; pinned",
           Metric("time", "ms", LOWER), Metric("memory", "MiB", LOWER))
def start(session, setup):
    session.pin()
    board = Board(1)
    session.callback(board.close)
    program = os.path.join(setup.programs, "loop")
    begin = time.perf_counter()
    session.server = Server(session.server_path, [program, board.path], setup.limit)
    client = session.connect()
    client.first_stop()
    return {"time": 1e3 * (time.perf_counter() - begin),
            "memory": session.server.resident() / 2**20}


def gdb_session(session, setup, threads, *commands, relay=False):
    """A gdb on a program with so many threads; what it printed, and the seconds it took."""
    session.start("threads", 0, 0, threads, threads=threads)
    session.attach()
    port, session.relay = session.server.port, None
    if relay:
        session.relay = Relay(port)
        session.callback(session.relay.close)
        port = session.relay.port
    gdb = Gdb(session.program.path, setup.limit)
    session.callback(gdb.close)
    return gdb, *gdb.run(*commands, f"target remote 127.0.0.1:{port}")


@benchmark("gdb/connect", "a real gdb's `target remote`, libraries by vFile; pinned",
           Metric("time", "ms", LOWER), Metric("packets", "packets", LOWER),
           Metric("received", "KiB", LOWER, aim=None))
def connect(session, setup):
    session.pin()
    command = "set sysroot target:"
    with session.sibling() as counted:
        gdb_session(counted, setup, 1, command, relay=True)
        figures = {"packets": counted.relay.packets, "received": counted.relay.received / 1024}
    _, text, seconds = gdb_session(session, setup, 1, command)
    if "Reading" not in text:
        raise Failed(f"gdb: {text.strip()[-200:]}")
    return {"time": 1e3 * seconds, **figures}


THREADS = 100


def show_all(session, setup, relay):
    """(time in ms, packets) of the list of threads, then of all their backtraces."""
    gdb, _, _ = gdb_session(session, setup, THREADS, "set sysroot /", relay=relay)
    for command, pattern in (("info threads", r"\bThread \d"),
                             ("thread apply all -q bt", r" work \(")):
        before = session.relay.packets if relay else 0
        text, seconds = gdb.run(command)
        if len(re.findall(pattern, text)) < THREADS:
            raise Failed(f"gdb: {text.strip()[-200:]}")
        yield 1e3 * seconds, session.relay.packets - before if relay else None


@benchmark("gdb/backtraces", f"a real gdb shows {THREADS} threads and all their backtraces; pinned",
           Metric("info threads", "ms", LOWER), Metric("info threads: packets", "packets", LOWER),
           Metric("backtraces", "ms", LOWER), Metric("backtraces: packets", "packets", LOWER))
def backtraces(session, setup):
    session.pin()
    with session.sibling() as counted:
        (_, listed), (_, walked) = show_all(counted, setup, relay=True)
    (listing, _), (walking, _) = show_all(session, setup, relay=False)
    return {"info threads": listing, "info threads: packets": listed,
            "backtraces": walking, "backtraces: packets": walked}
