"""Measured programs and servers. Every process is started here, held by its handle and ended by it;
nothing is ever looked up by name."""

import contextlib
import os
import re
import select
import signal
import subprocess
import threading
import time

from .board import Board
from .errors import Failed, TooLong
from .rsp import Client


def wait_until(condition, limit, what, interval=0.001):
    end = time.perf_counter() + limit
    while not condition():
        if time.perf_counter() > end:
            raise TooLong(limit, what)
        time.sleep(interval)


def end(popen):
    """Kills a child of ours if it still lives, and reaps it."""
    if popen.poll() is None:
        popen.kill()
    popen.wait()


def comm(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8") as file:
        return file.read().strip()
    return ""


def mapped_kb(pid, kind):
    """Of /proc/PID/smaps_rollup, which counts; VmRSS of `status` may be off by some hundred."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith(kind))


def status_field(pid, field, tid=None):
    """A number from /proc/PID/status or /proc/PID/task/TID/status."""
    path = f"/proc/{pid}/task/{tid}/status" if tid else f"/proc/{pid}/status"
    with open(path, encoding="utf-8") as file:
        return int(re.search(rf"^{field}:\s*(\d+)", file.read(), re.M)[1])


class Program:
    """One of tests/bench/*.c, running by itself, with the board filled in."""

    def __init__(self, path, arguments, threads, limit, rounds=0):
        self.path = path
        self.threads = threads
        self.board = Board(threads)
        self.board.set_rounds(rounds)
        try:
            self.popen = subprocess.Popen(
                [path, self.board.path, *map(str, arguments)], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, process_group=0)
        except OSError as error:
            self.board.close()
            raise Failed(f"{path}: {error.strerror}") from None
        self.pid = self.popen.pid
        try:
            wait_until(lambda: self.board.ready or self.popen.poll() is not None, limit,
                       "start of the program")
            if self.popen.poll() is not None:
                raise Failed(f"{os.path.basename(path)} ended with {self.popen.returncode}")
        except Failed:
            self.close()
            raise

    def close(self):
        end(self.popen)
        self.board.close()


class Server:
    """A server listening on a free port; `arguments` is what follows the address."""

    def __init__(self, path, arguments, limit, options=()):
        self.inferior = None  # pidfd of a program that the server itself started
        self.popen = subprocess.Popen(
            [path, "--once", *options, "127.0.0.1:0", *arguments], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, process_group=0)
        self.pid = self.popen.pid
        try:
            self.port = self._wait_for_port(limit)
        except Failed:
            self.close()
            raise
        # The pipe must never be full, whatever the server says later.
        threading.Thread(target=self._drain, daemon=True).start()

    def _wait_for_port(self, limit):
        text, finish = b"", time.perf_counter() + limit
        while True:
            left = finish - time.perf_counter()
            if left <= 0 or not select.select([self.popen.stderr], [], [], left)[0]:
                raise TooLong(limit, "start of the server")
            data = os.read(self.popen.stderr.fileno(), 1 << 16)
            text += data
            created = re.search(rb"created; pid = (\d+)\n", text)
            if created and self.inferior is None:
                self.inferior = os.pidfd_open(int(created[1]))
            found = re.search(rb"Listening on port (\d+)\r?\n", text)
            if found:
                return int(found[1])
            if not data:
                raise Failed(f"the server ended: {text.decode('utf-8', 'replace').strip()[-200:]}")

    def _drain(self):
        with contextlib.suppress(OSError, ValueError):
            while os.read(self.popen.stderr.fileno(), 1 << 16):
                pass

    def processes(self):
        """The one that was started, and the one that it lets do the work (sidestep)."""
        with open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="utf-8") as file:
            children = [int(word) for word in file.read().split()]
        return [self.pid, *(child for child in children if comm(child) == "ss-tracer")]

    def processor_time(self):
        """Microseconds that the server has run so far."""
        total = 0
        for pid in self.processes():
            with open(f"/proc/{pid}/schedstat", encoding="utf-8") as file:
                total += int(file.read().split()[0])
        return total / 1e3

    def resident(self):
        """Resident memory in bytes: of the one that works, and what others have besides."""
        *others, worker = self.processes()
        return 1024 * (mapped_kb(worker, "Rss:")
                       + sum(mapped_kb(pid, "Private_") for pid in others))

    def close(self):
        if self.inferior is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.inferior, signal.SIGKILL)
            os.close(self.inferior)
        end(self.popen)


class Session(contextlib.ExitStack):
    """One measurement's processes; closing it leaves none behind.

    The program is killed before its server: then no server has to let go of a process in whatever
    state the measurement left it. It can be reaped only after the server, which traces it, is gone.
    """

    def __init__(self, setup, server_path):
        super().__init__()
        self.setup = setup
        self.server_path = server_path
        self.program = self.server = self.client = None

    def sibling(self):
        """Another session on the same server, where a measurement takes two."""
        return Session(self.setup, self.server_path)

    def pin(self):
        """Holds everything on one processor, the client as well: what is started from here on.
        Waking up another processor costs more than the work of a small packet, and whether it has
        to be done is luck; without it the rates are lower or higher, but the same each time."""
        cpus = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(cpus)})
        self.callback(os.sched_setaffinity, 0, cpus)

    def start(self, name, *arguments, threads=1, rounds=0):
        """Starts a program of ours and waits until all its threads run."""
        self.program = Program(os.path.join(self.setup.programs, name), arguments, threads,
                               self.setup.limit, rounds)
        self.board = self.program.board
        return self.program

    def attach(self):
        """A server attached to the program; what it took until it listened is in `seconds`."""
        begin = time.perf_counter()
        self.server = Server(self.server_path, [str(self.program.pid)], self.setup.limit,
                             ["--attach"])
        self.seconds = time.perf_counter() - begin
        return self.server

    def connect(self):
        self.client = Client(self.server.port, self.setup.limit)
        self.callback(self.client.close)
        return self.client

    def debug(self, name, *arguments, threads=1, rounds=0):
        """All three: the program stopped, and a client at its first stop."""
        self.start(name, *arguments, threads=threads, rounds=rounds)
        self.attach()
        self.connect()
        self.thread = self.client.first_stop()
        return self.client

    def __exit__(self, *details):
        if self.program:
            self.program.popen.kill()
        for one in self.server, self.program:
            if one:
                one.close()
        return super().__exit__(*details)
