"""A gdb driven through MI, as IDEs drive it, and a gdb running a script in batch mode."""

import os
import re
import select
import subprocess
import time

from . import mi, procfs
from .errors import Failure
from .tool import Tool

# Nothing of the user's, no questions, no paging, no network; files are read locally unless a case
# asks for the target's.
SETTINGS = ["set pagination off", "set confirm off", "set width 0", "set height 0",
            "set debuginfod enabled off", "set sysroot /", "set remotetimeout 20",
            "set style enabled off", "set print thread-events off"]


class GdbError(Exception):
    """gdb answered ^error."""


class Stop:
    """A *stopped record."""

    def __init__(self, record):
        self.data = record.data
        self.reason = record.get("reason", "")
        self.thread = int(record.get("thread-id", "0") or 0)
        self.signal = record.get("signal-name")
        self.breakpoint = int(record.get("bkptno", "0") or 0)
        self.frame = record.get("frame", {})
        self.function = self.frame.get("func", "")
        self.line = int(self.frame.get("line", "0") or 0)
        self.pc = int(self.frame["addr"], 16) if "addr" in self.frame else None
        self.all_stopped = record.get("stopped-threads") == "all"
        # MI prints the exit code in octal.
        self.exit_code = int(record.get("exit-code", "0"), 8) if "exited" in self.reason else None

    @property
    def exited(self):
        return self.reason.startswith("exited")

    def argument(self, name):
        """An argument of the function it stopped in, as MI shows it in the stop itself."""
        return next(row["value"] for row in self.frame["args"] if row["name"] == name)

    def __repr__(self):
        return (f"<stop {self.reason or '-'} thread {self.thread} {self.function}:{self.line} "
                f"bp {self.breakpoint} {self.signal or ''}>")


def find_gdb(context):
    return os.environ.get("GDB") or context.installed("gdb")


class Gdb(Tool):
    """An MI session. Methods wait for the answer; stops are taken with wait_stop()."""

    def __init__(self, context, settings=()):
        self.context = context
        self.transcript = []
        self.stops = []
        self.async_records = []   # = and * records other than stops
        self.console = []
        self._buffer = b""
        self._token = 0
        self._answers = {}
        self.server = None
        context.log("gdb session", lambda: "\n".join(line[:300] for line in self.transcript))
        lines = [*SETTINGS, "set mi-async on",
                 f"set non-stop {'on' if context.non_stop else 'off'}", *settings]
        self.popen = subprocess.Popen(
            [find_gdb(context), "-nx", "-q", "--interpreter=mi3",
             *(word for line in lines for word in ("-iex", line))], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0, start_new_session=True)
        context.clients.append(self)

    # --- records ---

    def _read(self, seconds):
        """Takes in whatever gdb has written; False when nothing came in time."""
        if not select.select([self.popen.stdout], [], [], seconds)[0]:
            return False
        block = os.read(self.popen.stdout.fileno(), 1 << 16)
        if not block:
            raise GdbError("gdb ended")
        self._buffer += block
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            self._take(line.decode("utf-8", "replace").rstrip("\r"))
        return True

    def _take(self, line):
        self.transcript.append(f"{time.monotonic() % 1000:7.3f} {line}")
        record = mi.parse(line)
        if record.kind == "*" and record.name == "stopped":
            self.stops.append(Stop(record))
        elif record.kind == "^":
            self._answers[record.token] = record
        elif record.kind in "~@" and record.kind:
            self.console.append(record.data)
        elif record.kind:
            self.async_records.append(record)
        elif line and line != "(gdb) ":
            self.console.append(line + "\n")  # inferior or library output on gdb's own stdout

    def _wait(self, ready, what, seconds):
        end = time.monotonic() + seconds
        while not ready():
            left = end - time.monotonic()
            if left <= 0:
                raise Failure(f"gdb: waited {seconds:g} s for {what}")
            self._read(left)

    def post(self, command):
        """Sends without waiting; the token that take() wants."""
        self._token += 1
        token = str(self._token)
        self.transcript.append(f"{time.monotonic() % 1000:7.3f} >>> {command}")
        self.popen.stdin.write(f"{token}{command}\n".encode())
        return token

    def take(self, token, command="", seconds=40.0):
        self._wait(lambda: token in self._answers, f"the answer to {command}", seconds)
        answer = self._answers.pop(token)
        if answer.name == "error":
            raise GdbError(answer.get("msg", "?"))
        return answer.data

    # --- commands ---

    def mi(self, command, seconds=40.0):
        """Runs an MI command and returns its results."""
        return self.take(self.post(command), command, seconds)

    def cli(self, command, seconds=40.0):
        """Runs a console command and returns what it printed."""
        first = len(self.console)
        quoted = command.replace("\\", "\\\\").replace('"', '\\"')
        self.mi(f'-interpreter-exec console "{quoted}"', seconds)
        return "".join(self.console[first:])

    def load(self, path):
        self.mi(f"-file-exec-and-symbols {path}")

    def connect(self, server, extended=False):
        """`target remote`; in the end the program is stopped (launched) or being stopped."""
        self.server = server
        kind = "extended-remote" if extended else "remote"
        self.mi(f"-target-select {kind} 127.0.0.1:{server.port}", 60.0)
        self.stops.clear()

    def eval(self, expression):
        return self.mi(f'-data-evaluate-expression "{expression}"')["value"]

    def number(self, expression):
        return int(self.eval(f"(long)({expression})"), 0)

    def pc(self):
        return self.number("$pc")

    def breakpoint(self, location, condition=None, options=""):
        """Inserts a breakpoint and returns its number."""
        where = f'-c "{condition}" ' if condition else ""
        return int(self.mi(f"-break-insert {options} {where}{location}")["bkpt"]["number"])

    def threads(self):
        """[(gdb's number, "running" or "stopped", target id)]"""
        return [(int(row["id"]), row["state"], row["target-id"])
                for row in self.mi("-thread-info").get("threads", [])]

    def select(self, thread):
        self.mi(f"-thread-select {thread}")

    # --- running ---

    def resume(self, thread=None):
        """Continues everything, or in non-stop mode one thread."""
        if not self.context.non_stop:
            self.mi("-exec-continue")
        elif thread is None:
            self.mi("-exec-continue --all")
        else:
            self.mi(f"-exec-continue --thread {thread}")

    def wait_stop(self, seconds=30.0):
        """The next stop that has not been taken yet. Its thread becomes the selected one."""
        self._wait(lambda: self.stops, "a stop", seconds)
        stop = self.stops.pop(0)
        if self.context.non_stop and stop.thread:
            try:
                self.select(stop.thread)  # as all-stop does by itself
            except GdbError:
                pass  # it has gone meanwhile
        return stop

    def no_stop(self, seconds):
        """Fails if anything stops within this time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.stops:
            self._read(max(0.0, end - time.monotonic()))
        if self.stops:
            raise Failure(f"unexpected {self.stops[0]!r}")

    def cont(self, thread=None, seconds=30.0):
        """Continues and returns the next stop."""
        self.resume(thread)
        return self.wait_stop(seconds)

    def cont_to(self, location, seconds=30.0):
        """Runs to a location by a temporary breakpoint."""
        self.breakpoint(location, options="-t")
        stop = self.cont(seconds=seconds)
        if stop.reason != "breakpoint-hit":
            raise Failure(f"on the way to {location}: {stop!r}")
        return stop

    def exec(self, command, thread=None, seconds=30.0):
        """-exec-step, -exec-next, -exec-finish … and the stop it ends with."""
        self.mi(f"{command} --thread {thread}" if thread and self.context.non_stop else command)
        return self.wait_stop(seconds)

    def interrupt(self):
        """Pauses everything, as the pause button of an IDE."""
        self.mi("-exec-interrupt --all" if self.context.non_stop else "-exec-interrupt")

    def stop_all(self, seconds=30.0):
        """Non-stop: stops every thread and forgets the stops. All-stop: they already are."""
        if not self.context.non_stop:
            return
        self.interrupt()
        end = time.monotonic() + seconds
        while any(state == "running" for _, state, _ in self.threads()):
            if time.monotonic() > end:
                raise Failure(f"not all threads stopped: {self.threads()}")
            self._read(0.02)
        self.stops.clear()

    def wait_exit(self, seconds=60.0):
        """Takes stops until the program has exited; any other stop is a failure."""
        stop = self.wait_stop(seconds)
        if not stop.exited:
            raise Failure(f"expected the program's exit, got {stop!r}")
        return stop

    def run_out(self, seconds=60.0):
        """Continues, and expects no stop before the exit."""
        self.resume()
        return self.wait_exit(seconds)

    def quit(self):
        """An orderly `quit`; a launched program is killed by gdb, an attached one detached."""
        try:
            self.post("-gdb-exit")
            self.popen.wait(20)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            self.close()

    def vanish(self):
        """SIGKILL: the connection drops without a word."""
        self.popen.kill()
        self.popen.wait()


def run_script(context, lines, seconds):
    """Runs console commands in `gdb -batch` and returns everything printed."""
    script = os.path.join(context.directory, "script.gdb")
    with open(script, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    output = os.path.join(context.directory, "gdb.output")
    context.log("gdb script", "\n".join(lines))
    context.log("gdb output", lambda: procfs.read(output))
    with open(output, "wb") as out:
        gdb = subprocess.Popen([find_gdb(context), "-nx", "-q", "-batch", "-x", script],
                               stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                               start_new_session=True)
    context.wait_until(lambda: gdb.poll() is not None, "the gdb script to end", seconds)
    return procfs.read(output)


def instruction_offsets(context, path, function):
    """Where the instructions of a function begin, as offsets from its start (gdb disassembles)."""
    result = subprocess.run([find_gdb(context), "-nx", "-q", "-batch", "-ex",
                             f"disassemble {function}", path], capture_output=True, check=True)
    return [int(n) for n in re.findall(r"<\+(\d+)>:", result.stdout.decode())]
