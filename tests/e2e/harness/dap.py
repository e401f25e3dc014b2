"""A debug adapter spoken to as VS Code does: the Debug Adapter Protocol over standard streams."""

import json
import os
import subprocess
import time

from .errors import Failure
from .tool import Tool


class Adapter(Tool):
    """Requests wait for their response; events are taken with wait()."""

    def __init__(self, t, words):
        self.t, self.number, self.buffer = t, 0, b""
        self.events, self.responses, self.trace = [], {}, []
        t.log("debug adapter", lambda: "\n".join(line[:500] for line in self.trace))
        errors = os.path.join(t.directory, "adapter.errors")
        with open(errors, "wb") as err:
            self.popen = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                          stderr=err, bufsize=0, start_new_session=True)
        t.log("debug adapter: stderr", lambda: open(errors, encoding="utf-8").read())
        t.clients.append(self)

    def post(self, command, **arguments):
        self.number += 1
        text = json.dumps({"seq": self.number, "type": "request", "command": command,
                           "arguments": arguments})
        self.trace.append(f"{time.monotonic() % 1000:7.3f} -> {text}")
        body = text.encode()
        self.popen.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        return self.number

    def _message(self):
        head, blank, rest = self.buffer.partition(b"\r\n\r\n")
        if not blank:
            return None
        size = int(head.rpartition(b":")[2])
        if len(rest) < size:
            return None
        self.buffer = rest[size:]
        return json.loads(rest[:size])

    def _read(self, end, what):
        self.buffer += self.read_block(end, "debug adapter", what)
        while message := self._message():
            self.trace.append(f"{time.monotonic() % 1000:7.3f} <- {json.dumps(message)}")
            if message["type"] == "event":
                self.events.append(message)
            elif message["type"] == "response":
                self.responses[message["request_seq"]] = message

    def take(self, number, what, seconds=40.0):
        end = time.monotonic() + seconds
        while number not in self.responses:
            self._read(end, f"the response to {what}")
        response = self.responses.pop(number)
        if not response["success"]:
            raise Failure(f"debug adapter: {what}: {response.get('message')}")
        return response.get("body", {})

    def ask(self, command, seconds=40.0, **arguments):
        return self.take(self.post(command, **arguments), command, seconds)

    def wait(self, name, seconds=40.0):
        """The next event of that name that has not been taken."""
        end = time.monotonic() + seconds
        while True:
            for event in self.events:
                if event["event"] == name:
                    self.events.remove(event)
                    return event.get("body", {})
            for response in self.responses.values():
                if not response["success"]:
                    raise Failure(f"debug adapter: waited for {name}, got: {response.get('message')}")
            self._read(end, f"the event {name}")
