"""A debugger that runs as a child of a case and is spoken to through pipes."""

import os
import select
import signal
import time

from .errors import Failure


class Tool:
    """Has `popen`, whose standard streams are unbuffered pipes."""

    def read_block(self, end, name, what):
        """What it writes next; a Failure when it writes nothing until `end`, or ends."""
        left = end - time.monotonic()
        if left <= 0 or not select.select([self.popen.stdout], [], [], left)[0]:
            raise Failure(f"{name}: waited for {what}")
        block = os.read(self.popen.stdout.fileno(), 1 << 16)
        if not block:
            raise Failure(f"{name} ended; waited for {what}")
        return block

    def close(self):
        if self.popen.poll() is None:
            os.kill(self.popen.pid, signal.SIGKILL)
            self.popen.wait()
        self.popen.stdin.close()
        self.popen.stdout.close()
