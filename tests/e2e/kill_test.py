#!/usr/bin/env python3
"""The kill test: a server is ended at a random moment, and the program it was attached to goes on.

    kill_test.py [--rounds 200] [--server build/sidestep] [--programs DIR] [WAY...]

The program computes checksums in four threads; the server is attached to it, with hot breakpoints
in the function that all of them call (in turn: conditions that are never true, a plain breakpoint
that a client continues from, single steps), and a breakpoint and a watchpoint on what is executed
and written at the very end. After each round the program must run on, untraced, its text as in the file, without an
area; at its end every checksum must have been right. Then the next round begins, with the same
program as long as it lives.

Exit status 0: the program survived every round of every way but `SIGKILL the tracer`, which is
reported and not demanded (README, "If it is killed").
"""

import argparse
import os
import random
import shutil
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

from harness import Disconnected, Failure, NEVER, RspClient  # noqa: E402
from harness import context as cases  # noqa: E402
from harness import procfs  # noqa: E402

THREADS = 4
WATCH_WRITES = 2


def leave(client, server):
    """What a client does that goes in good order: stops the program, detaches."""
    if client.running:
        client.raw(b"\x03")
        client.stop_reply()
    client.ask(f"D;{server.attached:x}")


def command_exit(client, server):
    """gdb's `monitor exit`."""
    if client.running:
        client.raw(b"\x03")
        client.stop_reply()
    client.monitor("exit")


# name: (what ends the server, gdbserver can do it)
WAYS = {
    "detach": (leave, True),
    "monitor exit": (command_exit, True),
    "client killed": (lambda client, server: client.close(), True),
    "SIGTERM": (lambda client, server: os.kill(server.pid, signal.SIGTERM), True),
    "SIGINT": (lambda client, server: os.kill(server.pid, signal.SIGINT), True),
    "SIGHUP": (lambda client, server: os.kill(server.pid, signal.SIGHUP), True),
    "SIGSEGV": (lambda client, server: os.kill(server.pid, signal.SIGSEGV), True),
    "SIGKILL": (lambda client, server: os.kill(server.pid, signal.SIGKILL), True),
    "SIGSEGV the tracer": (lambda client, server: os.kill(server.tracer(), signal.SIGSEGV), False),
    "SIGABRT the tracer": (lambda client, server: os.kill(server.tracer(), signal.SIGABRT), False),
    "SIGKILL the tracer": (lambda client, server: os.kill(server.tracer(), signal.SIGKILL), False),
    "the same, not hot": (lambda client, server: os.kill(server.tracer(), signal.SIGKILL), False),
}
NOT_DEMANDED = {"SIGKILL the tracer"}
NOT_HOT = {"the same, not hot"}


class Round:
    def __init__(self, t, process, number, hot):
        self.t, self.process, self.number, self.hot = t, process, number, hot

    def play(self, end):
        server = self.t.server(attach=self.process.pid)
        server.program = self.process.words
        client = RspClient(self.t, server, handshake=True)
        client.running = False
        client.query()
        self.insert(client)
        client.insert(client.address("on_term"), rest=NEVER)  # hit when all is over
        client.insert(client.address("stop"), kind=4, type_=WATCH_WRITES)
        self.run(client, time.monotonic() + random.uniform(0.005, 0.06))
        try:
            end(client, server)
        except Disconnected:
            pass
        self.released(server)
        client.close()
        self.t.clients.clear()
        server.popen.wait()

    def insert(self, client):
        if not self.hot:
            return
        kind = self.number % 3
        hot = client.address("sum_step")
        client.insert(hot, rest="" if kind == 1 else NEVER)  # push %rbp: emulated
        if kind == 0:  # endbr or mov, sub, store: slots
            for offset in (1, 4, 8):
                client.ask(f"Z0,{hot + offset:x},1{NEVER}")

    def run(self, client, until):
        """Until that moment; ends somewhere between a resume and the next stop."""
        kind = self.number % 3
        if kind == 0 or not self.hot:
            client.send("vCont;c")
            client.running = True
            return time.sleep(max(0.0, until - time.monotonic()))
        while True:
            client.send("vCont;s" if kind == 2 else "vCont;c")
            client.running = True
            if time.monotonic() > until and random.random() < 0.5:
                return None
            client.stop_reply()
            client.running = False
            if time.monotonic() > until:
                return None

    def released(self, server):
        pid = self.process.pid
        self.t.wait_until(lambda: procfs.tracer(pid) == 0 or not procfs.alive(pid),
                          "the program to be let go", 5)

    def check(self):
        """Raises Failure unless the program goes on as if nothing had been."""
        self.t.unharmed(self.process)


def start(t):
    process = t.spawn(f"selfcheck {THREADS}")
    process.wait_output("beat 1 ")
    return process


def finish(t, process):
    """The verdict on a program that lived."""
    process.signal(signal.SIGTERM)
    t.equal(process.wait_exit(), 0, "exit status of the program")
    t.match(process.output(), r"^done rounds=\d+ wrong=0 ", "the program's last line")


def play(t, way, rounds, verbose):
    """How many of the rounds the program survived."""
    end = WAYS[way][0]
    survived, process = 0, start(t)
    for number in range(rounds):
        round_ = Round(t, process, number, way not in NOT_HOT)
        try:
            round_.play(end)
            round_.check()
            survived += 1
        except (Failure, Disconnected) as error:
            if verbose:
                print(f"  {way}, round {number}: {error}", flush=True)
            cases.end_descendants()
            t.clients.clear()
            process = start(t)
        t.logs.clear()
    try:
        finish(t, process)
    except Failure as error:
        print(f"  {way}: {error}", flush=True)
        survived = 0
    return survived


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--server", default=os.path.join(ROOT, "build", "sidestep"))
    parser.add_argument("--programs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-v", dest="verbose", action="store_true")
    parser.add_argument("ways", nargs="*", metavar="WAY", help=", ".join(WAYS))
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    server = os.path.abspath(shutil.which(arguments.server) or arguments.server)
    programs = arguments.programs or os.path.join(os.path.dirname(server), "tests", "programs")
    cases.become_subreaper()
    oracle = os.path.basename(server).startswith("gdbserver")
    lost = False
    for way in arguments.ways or WAYS:
        if oracle and not WAYS[way][1]:
            continue
        t = cases.Context(cases.Entry("kill_test", None, (cases.ALL_STOP,), 0, None, ""),
                          cases.ALL_STOP, server, programs)
        began = time.monotonic()
        survived = play(t, way, arguments.rounds, arguments.verbose)
        t.close()
        print(f"{way:20} {survived:4} of {arguments.rounds}   ({time.monotonic() - began:.0f} s)",
              flush=True)
        lost = lost or (survived < arguments.rounds and way not in NOT_DEMANDED)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
