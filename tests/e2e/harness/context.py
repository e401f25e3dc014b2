"""The registry of cases and the context that each of them gets.

A case is a function with one argument, the context `t`. Everything it starts is a descendant of the
runner, which makes itself a subreaper: whatever a case, a server or an inferior leaves behind is
found by walking the tree of children, and ended by pid.
"""

import ctypes
import os
import re
import shlex
import shutil
import signal
import tempfile
import time

from . import gdb as gdb_module
from . import procfs
from . import rsp as rsp_module
from . import server as server_module
from .errors import Failure, Skip

ALL_STOP = "all-stop"
NON_STOP = "non-stop"
BOTH = (ALL_STOP, NON_STOP)

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "programs")

# The runner fills this while it loads the case files; a name is "file.function" or the triple's.
registry = {}


class Entry:
    def __init__(self, name, function, modes, timeout, gdbserver, doc):
        self.name, self.function, self.modes = name, function, modes
        self.timeout, self.gdbserver, self.doc = timeout, gdbserver, doc

    def known(self, mode):
        """Why the real gdbserver fails in this mode, or None."""
        return self.gdbserver.get(mode) if isinstance(self.gdbserver, dict) else self.gdbserver

    def ids(self):
        """Ids as ctest sees them: one per mode where there are several."""
        if len(self.modes) == 1:
            return [self.name]
        return [f"{self.name}/{mode}" for mode in self.modes]


def add(name, function, modes, timeout, gdbserver, doc):
    if name in registry:
        raise ValueError(f"two cases are named {name}")
    registry[name] = Entry(name, function, modes, timeout, gdbserver, doc)


def case(modes=(ALL_STOP,), timeout=60, gdbserver=None):
    """Makes a function a case, named after its file and itself.

    modes      gdb modes to run it in; a raw-protocol case needs only the default.
    timeout    seconds until a hang is declared.
    gdbserver  why the real gdbserver is known to fail here, if it does: text, or {mode: text}. Only
               consulted by `run.py --server gdbserver`; a server under test has no excuse.
    """
    def register(function):
        file = os.path.basename(function.__code__.co_filename)[:-len(".py")]
        doc = (function.__doc__ or "").strip()
        add(f"{file}.{function.__name__}", function, tuple(modes), timeout, gdbserver, doc)
        return function
    return register


class Context:
    """One run of one case: what it may start, and what it may ask."""

    def __init__(self, entry, mode, server_path, programs):
        self.entry, self.mode = entry, mode
        self.server_path, self.programs = server_path, programs
        self.directory = tempfile.mkdtemp(prefix="sidestep-e2e-")
        self.deadline = time.monotonic() + entry.timeout
        self.logs = []       # (title, function returning text), printed when the case fails
        self.clients = []    # things with a close()
        self.notes = []

    # --- what a case starts ---

    @property
    def non_stop(self):
        return self.mode == NON_STOP

    @property
    def on_gdbserver(self):
        """Whether the oracle itself is being tested. Only for what it is known to get wrong."""
        return os.path.basename(self.server_path).startswith("gdbserver")

    def program(self, command_line):
        """["/path/of/hits", "4", "100"] for "hits 4 100"."""
        words = shlex.split(command_line) if isinstance(command_line, str) else list(command_line)
        if "/" not in words[0]:
            path = os.path.join(self.programs, words[0])
            if not os.path.exists(path):
                if words[0].endswith("32"):
                    raise Skip(f"{words[0]} was not built: the compiler has no 32-bit libraries")
                raise FileNotFoundError(f"test program {path} was not built")
            words[0] = path
        return words

    def line(self, source, comment):
        """Number of the line in a test program's source that ends with `// comment`."""
        with open(os.path.join(SOURCES, source), encoding="utf-8") as file:
            for number, text in enumerate(file, 1):
                if f"// {comment}" in text:
                    return number
        raise KeyError(comment)

    def installed(self, name):
        """The path of a program of the system, or the case is skipped."""
        path = shutil.which(name)
        if not path:
            raise Skip(f"{name} is not installed")
        return path

    def spawn(self, command_line, **options):
        """A process outside any debugger; output() and wait_output() as for a server."""
        return server_module.Process(self, self.program(command_line), **options)

    def server(self, program=None, **options):
        """A server on a free port. See Server for the options."""
        words = self.program(program) if program else None
        return server_module.Server(self, words, **options)

    def server_of(self, process, **options):
        """A server that is attached to a program of the case's own (spawn())."""
        server = self.server(attach=process.pid, **options)
        server.program = process.words
        return server

    def unharmed(self, process, seconds=5):
        """Fails unless `selfcheck` goes on after its server has gone, with nothing left in it."""
        def beats():
            return process.output().count("beat")

        before = beats()
        self.wait_until(lambda: beats() > before + 1 or not procfs.alive(process.pid),
                        "the program to go on", seconds)
        self.check(procfs.alive(process.pid), f"the program is dead: {process.popen.poll()}")
        self.equal(procfs.text_differences(process.pid, process.words[0]), [], "text differs")
        self.equal(procfs.areas(process.pid), [], "areas left")

    def spawn_server(self, words, **options):
        """The server under test with a command line of the case's own; nothing is waited for."""
        return server_module.Process(self, [self.server_path, *words], **options)

    def gdb(self, program=None, server=None, **options):
        """A gdb in this case's mode, connected to `server` (by default a new one for `program`)."""
        connect = options.pop("connect", True)
        server_options = {key: options.pop(key) for key in list(options)
                          if key in ("attach", "multi", "once", "wrapper", "server_options", "env")}
        session = gdb_module.Gdb(self, **options)
        if program:
            session.load(self.program(program)[0])
        if connect:
            if server is None:
                launched = program if not (server_options.get("attach") or
                                           server_options.get("multi")) else None
                server = self.server(launched, **server_options)
            session.connect(server, extended=bool(server_options.get("multi") or server.multi))
        return session

    def rsp(self, server=None, program=None, **options):
        """A raw client, connected to `server` (by default a new one for `program`)."""
        if server is None:
            keys = ("attach", "multi", "once", "wrapper", "server_options", "env")
            chosen = {key: options.pop(key) for key in list(options) if key in keys}
            server = self.server(program, **chosen)
        return rsp_module.RspClient(self, server, **options)

    # --- what a case asserts ---

    def check(self, condition, message):
        if not condition:
            raise Failure(message() if callable(message) else message)

    def equal(self, actual, expected, what):
        if actual != expected:
            raise Failure(f"{what}: expected {expected!r}, got {actual!r}")

    def match(self, text, pattern, what):
        found = re.search(pattern, text, re.S | re.M)
        if not found:
            raise Failure(f"{what}: no match of /{pattern}/ in\n{text}")
        return found

    def wait_until(self, condition, what, seconds=20.0, interval=0.01):
        """Polls until `condition()` is true and returns its value."""
        end = time.monotonic() + seconds
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > end:
                raise Failure(f"waited {seconds:g} s for: {what}")
            time.sleep(interval)

    def note(self, text):
        """A figure worth seeing even when the case passes."""
        self.notes.append(text)

    # --- the end ---

    def log(self, title, text):
        self.logs.append((title, text))

    def dump(self):
        for title, text in self.logs:
            body = text() if callable(text) else text
            if len(body) > 60000:
                body = body[:20000] + "\n[...]\n" + body[-40000:]
            print(f"---- {title} ----\n{body.rstrip()}")
        print("---- processes left ----")
        for pid in procfs.descendants(os.getpid()):
            if not procfs.read(f"/proc/{pid}/comm").startswith("gdb\n"):
                print(procfs.describe(pid))

    def close(self):
        for client in reversed(self.clients):
            try:
                client.close()
            except OSError:
                pass
        end_descendants()
        shutil.rmtree(self.directory, ignore_errors=True)


def become_subreaper():
    ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def end_descendants():
    """Ends every process below the runner: servers first get the chance of SIGTERM."""
    for attempt in range(200):
        pids = procfs.descendants(os.getpid())
        if not pids:
            return
        for pid in pids:
            try:
                os.kill(pid, signal.SIGTERM if attempt == 0 else signal.SIGKILL)
                if attempt:
                    os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass
        end = time.monotonic() + (0.3 if attempt == 0 else 0.02)
        while time.monotonic() < end:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    time.sleep(0.005)
            except ChildProcessError:
                return
