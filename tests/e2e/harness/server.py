"""Processes of a case: the server under test, and programs that run by themselves.

Output goes to files, not pipes: nobody has to drain them, and an inferior that outlives its server
keeps somewhere to write to.
"""

import os
import re
import signal
import subprocess

from . import procfs
from .errors import Failure


class Process:
    """A process whose output can be waited for."""

    def __init__(self, context, words, env=None, cwd=None, stdin=subprocess.DEVNULL, preexec=None):
        self.context, self.words = context, list(words)
        number = len(context.logs)
        self.stdout_path = os.path.join(context.directory, f"{number}.stdout")
        self.stderr_path = os.path.join(context.directory, f"{number}.stderr")
        with open(self.stdout_path, "wb") as out, open(self.stderr_path, "wb") as err:
            self.popen = subprocess.Popen(
                words, stdin=stdin, stdout=out, stderr=err, cwd=cwd, preexec_fn=preexec,
                start_new_session=preexec is None, env={**os.environ, **(env or {})})
        self.pid = self.popen.pid
        self.name = os.path.basename(words[0])
        context.log(f"{self.name} {' '.join(words[1:])}: stdout", self.output)
        context.log(f"{self.name}: stderr", self.messages)

    def output(self):
        return procfs.read(self.stdout_path)

    def messages(self):
        return procfs.read(self.stderr_path)

    def wait_output(self, pattern, seconds=20.0):
        """Waits for text on stdout and returns the match."""
        return self.context.wait_until(lambda: re.search(pattern, self.output(), re.M),
                                       f"{self.name} to print /{pattern}/", seconds)

    def wait_message(self, pattern, seconds=20.0):
        """The same for stderr."""
        def look():
            found = re.search(pattern, self.messages(), re.M)
            if not found and self.popen.poll() is not None:
                found = re.search(pattern, self.messages(), re.M)
                if not found:
                    raise Failure(f"{self.name} ended with {self.popen.returncode} before it "
                                  f"printed /{pattern}/")
            return found
        return self.context.wait_until(look, f"{self.name} to print /{pattern}/ on stderr", seconds)

    def wait_exit(self, seconds=20.0):
        """Waits for the end and returns the status as subprocess has it (-N for a signal)."""
        self.context.wait_until(lambda: self.popen.poll() is not None, f"{self.name} to end", seconds)
        return self.popen.returncode

    def running(self):
        return self.popen.poll() is None

    def signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        """SIGKILL, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        self.popen.wait()


class Server(Process):
    """A gdbserver-compatible server listening on a free port.

    words           program and arguments; None with `attach` or `multi`
    attach          pid to attach to
    multi           --multi
    once            --once (the default)
    wrapper         words of a --wrapper
    server_options  further options
    """

    def __init__(self, context, words, attach=None, multi=False, once=True, wrapper=None,
                 server_options=(), **options):
        self.program, self.multi, self.attached = words, multi, attach
        line = [context.server_path]
        line += ["--once"] if once else []
        line += ["--multi"] if multi else []
        line += ["--wrapper", *wrapper, "--"] if wrapper else []
        line += list(server_options)
        line += ["--attach", "127.0.0.1:0", str(attach)] if attach else ["127.0.0.1:0"]
        line += words or []
        super().__init__(context, line, **options)
        self.port = self.wait_port()

    def wait_port(self, nth=1):
        """The port of the nth `Listening on port` line: a server that reopens prints another."""
        pattern = r"(?:.*?^Listening on port (\d+)\r?\n){%d}" % nth
        return int(self.wait_message(r"(?s)" + pattern)[1])

    def inferior(self):
        """pid of the program that the server launched or attached to."""
        if self.attached:
            return self.attached
        return int(self.wait_message(r"^Process .* created; pid = (\d+)")[1])

    def tracer(self):
        """pid of the process that traces: the server itself, or the one child that it guards."""
        return next((child for child in procfs.children(self.pid)
                     if procfs.status(child).get("Name") == "ss-tracer"), self.pid)
