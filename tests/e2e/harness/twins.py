"""The same script for two servers: what they say, on the wire and on stderr, made comparable.

Only what cannot be the same twice is replaced: process ids, ports, processor numbers.
"""

import os
import re
import select
import shutil
import signal
import socket
import subprocess
import time

from . import procfs
from .errors import Failure, Skip
from .rsp import frame, unframe

CLOSED, SILENT = "(closed)", "(nothing)"


def oracle(t):
    """(path, major version) of the real gdbserver; $GDBSERVER names another than the one in PATH."""
    if t.on_gdbserver:
        raise Skip("gdbserver would be compared with itself")
    path = os.environ.get("GDBSERVER") or shutil.which("gdbserver")
    if not path:
        raise Skip("gdbserver is not installed")
    text = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"^GNU gdbserver .*?(\d+)\.\d+\S*$", text, re.M)
    if not found:
        raise Skip(f"{path} does not tell its version")
    return path, int(found[1])


class Wire:
    """A client over two descriptors, which may be those of a pipe."""

    def __init__(self, reader, writer, keep=None):
        self.reader, self.writer, self.keep = reader, writer, keep
        self.buffer, self.acks = b"", True

    def send(self, data):
        try:
            os.write(self.writer, data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # reading will tell

    def receive(self, seconds):
        end = time.monotonic() + seconds
        while True:
            self.buffer = self.buffer.lstrip(b"+")
            found = re.match(rb"\$([^#]*)#..", self.buffer, re.S)
            if found:
                self.buffer = self.buffer[found.end():]
                if self.acks:
                    self.send(b"+")
                return unframe(found[1]).decode("latin-1")
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.reader], [], [], left)[0]:
                return SILENT
            try:
                block = os.read(self.reader, 1 << 18)
            except ConnectionResetError:
                block = b""
            if not block:
                return CLOSED
            self.buffer += block

    def ask(self, payload, seconds):
        """The reply; console output is put together, questions about symbols are denied."""
        self.send(frame(payload.encode("latin-1")))
        console = ""
        while True:
            reply = self.receive(seconds)
            if reply.startswith("qSymbol:"):
                self.send(frame(b"qSymbol::" + reply[8:].encode()))
            elif re.fullmatch("O([0-9a-f]{2})+", reply):
                console += bytes.fromhex(reply[1:]).decode("latin-1")
            else:
                break
        if payload == "QStartNoAckMode":
            self.acks = False
        return [console, reply] if console else reply


class Twin:
    """One of the servers, with its standard error in a file and a client."""

    def __init__(self, t, path, options=(), program=("/bin/true",), stdio=False):
        self.t, self.stdio = t, stdio
        self.messages_path = os.path.join(t.directory, f"twin{len(t.logs)}")
        t.log(f"{path} {options} {program}", self.messages)
        with open(self.messages_path, "wb") as messages:
            self.popen = subprocess.Popen(
                [path, *options, "stdio" if stdio else "127.0.0.1:0", *program],
                stdin=subprocess.PIPE if stdio else subprocess.DEVNULL, bufsize=0,
                stdout=subprocess.PIPE, stderr=messages, start_new_session=True)
        ready = "Remote debugging using stdio" if stdio else r"Listening on port (\d+)\n"
        self.port = t.wait_until(lambda: re.search(ready, self.messages()), f"{path} to start")
        created = re.search(r"pid = (\d+)", self.messages())
        self.pid = int(created[1]) if created else None
        self.wire = None
        self.connect()

    def messages(self):
        return procfs.read(self.messages_path)

    def connect(self):
        if self.stdio:
            self.wire = Wire(self.popen.stdout.fileno(), self.popen.stdin.fileno())
            return
        link = socket.create_connection(("127.0.0.1", int(self.port[1])), 20)
        self.wire = Wire(link.fileno(), link.fileno(), link)

    def close(self):
        self.heard = self.listening()
        if self.stdio:
            self.popen.stdin.close()
        else:
            self.wire.keep.close()

    def send(self, payload):
        self.wire.send(frame(payload.encode("latin-1")))

    def ask(self, payload, seconds=5.0):
        reply = self.wire.ask(payload, seconds)
        if payload.startswith(("vRun", "vAttach")) and isinstance(reply, str):
            started = re.search(r"thread:p([0-9a-f]+)\.", reply)
            self.pid = int(started[1], 16) if started else self.pid
        if isinstance(reply, list):
            return [self.plain(part) for part in reply]
        return self.plain(reply)

    def plain(self, text):
        for pid in (f"{self.pid:d}", f"{self.pid:x}") if self.pid else ():
            text = re.sub(rf"(?<![0-9a-f]){pid}(?![0-9a-f])", "PID", text)
        text = re.sub(r"core:[0-9a-f]+", "core:N", text)
        text = re.sub(r'core="\d+"', 'core="N"', text)
        return re.sub(r"port \d+", "port N", text)

    def listening(self):
        return self.messages().count("Listening on port")

    def finish(self, closed):
        """(exit status or "runs", messages); whatever is left is ended. Says what there is to say
        where the connection is open still; after it was closed the server ends or listens again."""
        before = self.heard if closed else None
        if not closed and self.ask("vMustReplyEmpty") == "":
            status = "runs"
        else:
            self.t.wait_until(lambda: self.popen.poll() is not None or
                              (closed and self.listening() > before), "the server to end or listen")
            status = "runs" if self.popen.poll() is None else self.popen.returncode
        messages = self.plain(self.messages())
        self.end()
        return status, messages

    def end(self):
        if self.popen.poll() is None:
            os.kill(self.popen.pid, signal.SIGKILL)
            self.popen.wait()
        self.popen.stdout.close()


def differences(name, ours, theirs):
    """A line for each thing that is not the same in two dictionaries."""
    return [f"{name}: {key}:\n    ours   {ours.get(key)!r}\n    theirs {theirs.get(key)!r}"
            for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]


def same(t, lines):
    if lines:
        raise Failure("not the same:\n  " + "\n  ".join(lines))
