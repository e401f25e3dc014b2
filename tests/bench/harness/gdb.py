"""A real gdb, fed through a pipe, for what only a gdb can measure."""

import os
import select
import subprocess
import time

from .errors import Failed, TooLong
from .processes import end


class Gdb:
    """Commands are written to gdb's standard input; its answers are read up to a marker."""

    def __init__(self, program, limit, non_stop=False):
        self.limit = limit
        self.popen = subprocess.Popen(
            ["gdb", "-nx", "-q", "-iex", "set auto-load off", program], bufsize=0,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            process_group=0, env={**os.environ, "LC_ALL": "C", "DEBUGINFOD_URLS": ""})
        self.number = 0
        self.run("set pagination off", "set confirm off", "set width 0", "set remotetimeout 60",
                 f"set non-stop {'on' if non_stop else 'off'}")

    def close(self):
        end(self.popen)
        for stream in self.popen.stdin, self.popen.stdout:
            stream.close()

    def write(self, *commands):
        self.popen.stdin.write("".join(f"{command}\n" for command in commands).encode())

    def run(self, *commands):
        """Runs commands to their end and returns what was printed and the seconds it took."""
        self.number += 1
        marker = f"<done {self.number}>"
        begin = time.perf_counter()
        self.write(*commands, f"echo {marker}\\n")
        text, finish = b"", begin + self.limit
        while marker.encode() not in text:
            left = finish - time.perf_counter()
            if left <= 0 or not select.select([self.popen.stdout], [], [], left)[0]:
                raise TooLong(self.limit, f"gdb: {commands[-1]}")
            data = self.popen.stdout.read(1 << 16)
            if not data:
                raise Failed("gdb ended: " + text.decode("utf-8", "replace")[-200:])
            text += data
        return text.decode("utf-8", "replace"), time.perf_counter() - begin
