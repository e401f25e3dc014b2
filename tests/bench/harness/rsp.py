"""A client of the remote protocol that costs as little as Python allows: what is measured is the
server. Packets are bytes; replies come as they are on the wire, unescaped only where asked for."""

import re
import select
import socket
import struct
import time

from .errors import Failed, TooLong

FEATURES = (b"multiprocess+;swbreak+;hwbreak+;qRelocInsn+;fork-events+;vfork-events+;exec-events+;"
            b"vContSupported+;QThreadEvents+;no-resumed+;xmlRegisters=i386;binary-upload+")


def frame(payload):
    return b"$%b#%02x" % (payload, sum(payload) & 255)


def escape(data):
    for byte in b"}#$*":  # the escape itself first
        data = data.replace(bytes((byte,)), bytes((ord("}"), byte ^ 0x20)))
    return data


_SHORTENED = re.compile(rb"(\}?[^}])\*(.)|\}(.)", re.DOTALL)


def expand(payload):
    """Undoes run-length encoding and escapes."""
    def one(match):
        if match[3]:
            return bytes((match[3][0] ^ 0x20,))
        byte = match[1][-1] ^ (0x20 if len(match[1]) == 2 else 0)
        return bytes((byte,)) * (match[2][0] - 28)
    return _SHORTENED.sub(one, payload)


def expanded_size(digits):
    """Length of a reply without escapes once its runs are written out."""
    return len(digits) + sum(run[0] - 31 for run in re.findall(rb"\*(.)", digits, re.DOTALL))


class Client:
    """Connects, negotiates as gdb does, and switches acks off."""

    def __init__(self, port, limit):
        self.limit = limit
        self.buffer = bytearray()
        self._seen = 0  # so much of the buffer has no end of a packet
        self.notifications = []
        self.socket = socket.create_connection(("127.0.0.1", port), limit)
        self.socket.settimeout(None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A timeout kept by the kernel: Python's own would cost a poll before each call.
        for option in socket.SO_RCVTIMEO, socket.SO_SNDTIMEO:
            self.socket.setsockopt(socket.SOL_SOCKET, option,
                                   struct.pack("@ll", int(limit), int(limit % 1 * 1e6)))
        self.large_buffer = bytearray(4 << 20)
        self.large = memoryview(self.large_buffer)
        self.acks = True
        reply = self.ask(b"qSupported:" + FEATURES).decode()
        self.features = dict(item.split("=", 1) if "=" in item else (item[:-1], item[-1])
                             for item in reply.split(";"))
        self.packet_size = int(self.features["PacketSize"], 16)
        self.expect(b"QStartNoAckMode", b"OK")
        self.socket.sendall(b"+")
        self.acks = False

    def close(self):
        self.socket.close()

    # --- packets ---

    def send(self, payload):
        self.socket.sendall(frame(payload))

    def _fill(self):
        try:
            data = self.socket.recv(1 << 20)
        except BlockingIOError:
            raise TooLong(self.limit, "no reply") from None
        if not data:
            raise Failed("the server closed the connection")
        self.buffer += data

    def _take(self):
        """The next packet or notification in the buffer as (kind, payload), or None."""
        while self.buffer[:1] == b"+":
            del self.buffer[:1]
            self._seen = 0
        # The payload may be large and arrive in many parts: only its end is looked at again.
        end = self.buffer.find(b"#", max(0, self._seen - 1))
        if end < 0 or len(self.buffer) < end + 3:
            self._seen = len(self.buffer) if end < 0 else end
            return None
        kind, payload = self.buffer[:1], bytes(self.buffer[1:end])
        del self.buffer[:end + 3]
        self._seen = 0
        return kind, payload

    def _packet(self):
        """A packet that is in the buffer already, notifications put aside on the way, or None."""
        while True:
            item = self._take()
            if item is None:
                return None
            if item[0] == b"$":
                return item[1]
            if item[0] != b"%":
                raise Failed(f"not a packet: {bytes(item[0]) + item[1][:40]!r}")
            self.notifications.append(item[1])

    def receive(self):
        while True:
            payload = self._packet()
            if payload is not None:
                if self.acks:
                    self.socket.sendall(b"+")
                return payload
            self._fill()

    def ask(self, payload):
        self.send(payload)
        return self.receive()

    def ask_large(self, payload):
        """ask() for a reply of many bytes. Nothing else can be on its way, and there is no # inside
        a reply: one that is third from the end is its end."""
        self.send(payload)
        view, size = self.large, 0
        while size < 4 or view[size - 3] != ord("#"):
            try:
                count = self.socket.recv_into(view[size:])
            except BlockingIOError:
                raise TooLong(self.limit, "no reply") from None
            if count == 0:
                raise Failed("the server closed the connection, or its reply is too large")
            size += count
        if view[0] != ord("$"):
            raise Failed(f"not a packet: {bytes(view[:40])!r}")
        return self.large_buffer[1:size - 3]

    def expect(self, payload, wanted):
        reply = self.ask(payload)
        if reply != wanted:
            raise Failed(f"{payload[:60].decode('latin-1')}: {reply[:60].decode('latin-1')!r}")

    def notification(self):
        while not self.notifications:
            if self._packet() is not None:
                raise Failed("a packet where a notification was to come")
            if not self.notifications:
                self._fill()
        return self.notifications.pop(0)

    def watch(self, seconds):
        """While the program runs: takes what it prints, and fails if it stops."""
        end = time.perf_counter() + seconds
        while True:
            payload = self._packet()
            if payload is not None and payload[:1] != b"O":
                raise Failed(f"unexpected stop: {payload[:60].decode('latin-1')}")
            if self.notifications:
                raise Failed(f"unexpected stop: {self.notifications[0][:60].decode('latin-1')}")
            if payload is None:
                left = end - time.perf_counter()
                if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                    return
                self._fill()

    # --- what several benchmarks do ---

    def first_stop(self):
        """All-stop: the reply to ?, and the thread in it as the wire has it."""
        return self.thread_of(self.ask(b"?"))

    @staticmethod
    def thread_of(stop):
        if stop[:1] != b"T":
            raise Failed(f"not a stop: {stop[:60].decode('latin-1')}")
        return stop.partition(b"thread:")[2].partition(b";")[0]

    def stop_all(self):
        """^C to a program that runs in all-stop mode; output that was under way is skipped."""
        self.socket.sendall(b"\x03")
        reply = self.receive()
        while reply[:1] == b"O":
            reply = self.receive()
        return self.thread_of(reply)

    def take_stops(self, wanted):
        """Non-stop: takes notifications until so many threads have stopped."""
        stops = []
        while len(stops) < wanted:
            reply = self.notification().removeprefix(b"Stop:")
            while reply != b"OK":
                stops.append(reply)
                reply = self.ask(b"vStopped")
        return stops

    def enter_non_stop(self):
        """QNonStop on a stopped program, with the stops reported that the server has to report."""
        self.expect(b"QNonStop:1", b"OK")
        reply = self.ask(b"?")
        while reply != b"OK":
            reply = self.ask(b"vStopped")

    def transfer(self, what, annex=b""):
        """The whole of a qXfer object."""
        text = bytearray()
        size = self.packet_size - 16
        while True:
            reply = expand(self.ask(b"qXfer:%b:read:%b:%x,%x" % (what, annex, len(text), size)))
            if reply[:1] not in (b"m", b"l"):
                raise Failed(f"qXfer:{what.decode()}: {reply[:40]!r}")
            text += reply[1:]
            if reply[:1] == b"l":
                return bytes(text)
