"""A raw client of the remote protocol: what is sent and what comes back, byte by byte."""

import re
import select
import socket
import time

from . import procfs
from .errors import Failure

# What gdb 13 says about itself, without what a case has to ask for.
GDB_FEATURES = ("multiprocess+;swbreak+;hwbreak+;qRelocInsn+;fork-events+;vfork-events+;exec-events+;"
                "vContSupported+;QThreadEvents+;no-resumed+;xmlRegisters=i386")


class Disconnected(Exception):
    """The server closed the connection."""


def hexed(text):
    return (text.encode() if isinstance(text, str) else text).hex()


def unhexed(text):
    return bytes.fromhex(text).decode("utf-8", "replace")


def frame(payload):
    body = bytearray()
    for byte in payload:
        if byte in b"#$}":
            body += bytes((ord("}"), byte ^ 0x20))
        else:
            body.append(byte)
    return b"$" + bytes(body) + b"#%02x" % (sum(body) & 255)


def unframe(body):
    """Undoes run-length encoding and escapes."""
    out, at = bytearray(), 0
    while at < len(body):
        if body[at] == ord("}"):
            out.append(body[at + 1] ^ 0x20)
            at += 2
        elif body[at] == ord("*"):
            out += out[-1:] * (body[at + 1] - 29)
            at += 2
        else:
            out.append(body[at])
            at += 1
    return bytes(out)


class StopReply:
    """T05key:value;…, W, X, w, N or S taken apart."""

    def __init__(self, text):
        self.text, self.kind = text, text[:1]
        self.fields, self.signal, self.thread, self.status = {}, None, None, None
        if self.kind in "TS" and self.kind:
            self.signal = int(text[1:3], 16)
        elif self.kind in "WXw" and self.kind:
            self.status = int(re.match(r"[0-9a-f]+", text[1:])[0], 16)
            if self.kind == "w":
                self.thread = text.partition(";")[2]
        for field in text[3:].split(";") if self.kind == "T" else []:
            key, colon, value = field.partition(":")
            if colon:
                self.fields[key] = value
        self.thread = self.fields.get("thread", self.thread)

    def __getitem__(self, key):
        return self.fields[key]

    def __contains__(self, key):
        return key in self.fields

    @property
    def pc(self):
        """From the expedited register (10 hex = rip, 8 = eip)."""
        return int.from_bytes(bytes.fromhex(self.fields.get("10") or self.fields["08"]), "little")

    @property
    def pid(self):
        return int(self.thread.lstrip("p").split(".")[0], 16)

    @property
    def tid(self):
        return int(self.thread.rpartition(".")[2], 16)

    def __repr__(self):
        return self.text


class RspClient:
    """Starts in ack mode, as every connection does. handshake() does what gdb does first."""

    def __init__(self, context, server, handshake=False):
        self.context, self.server = context, server
        self.buffer = b""
        self.acks = True
        self.notifications = []   # payloads of %Stop:…, in order
        self.trace = []
        self.features = {}
        self._registers = None
        self._elf = None
        context.log("raw session", lambda: "\n".join(self.trace))
        self.socket = socket.create_connection(("127.0.0.1", server.port), 20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        context.clients.append(self)
        if handshake:
            self.handshake()

    # --- bytes ---

    def _log(self, arrow, data):
        text = data.decode("latin-1") if isinstance(data, bytes) else data
        self.trace.append(f"{time.monotonic() % 1000:7.3f} {arrow} "
                          f"{text[:400].encode('unicode_escape').decode()}"
                          f"{'…' if len(text) > 400 else ''}")

    def raw(self, data):
        """Sends bytes as they are."""
        self._log(">>", data)
        while data:
            select.select([], [self.socket], [], 20)
            try:
                data = data[self.socket.send(data):]
            except BlockingIOError:
                pass
            except (BrokenPipeError, ConnectionResetError):
                raise Disconnected("while sending") from None

    def _fill(self, seconds):
        if not select.select([self.socket], [], [], max(0.0, seconds))[0]:
            return False
        try:
            block = self.socket.recv(1 << 18)
        except ConnectionResetError:
            block = b""
        if not block:
            self._log("<<", "[closed]")
            raise Disconnected("server closed the connection")
        self.buffer += block
        return True

    def _next(self):
        """One item out of the buffer: ("+",), ("-",), ("$", payload), ("%", payload) or None."""
        if not self.buffer:
            return None
        first = self.buffer[:1]
        if first in b"+-":
            self.buffer = self.buffer[1:]
            return (first.decode(),)
        if first not in b"$%":
            self._log("<<", b"junk " + self.buffer[:80])
            self.buffer = self.buffer[1:]
            return ("junk",)
        end = self.buffer.find(b"#")
        if end < 0 or len(self.buffer) < end + 3:
            return None
        body, given = self.buffer[1:end], self.buffer[end + 1:end + 3]
        self.buffer = self.buffer[end + 3:]
        if int(given, 16) != sum(body) & 255:
            raise Disconnected(f"wrong checksum from the server in {body!r}")
        payload = unframe(body).decode("latin-1")
        self._log("<-" if first == b"$" else "<%", payload)
        return (first.decode(), payload)

    def receive(self, seconds=20.0):
        """The next packet; acks are dropped and notifications put aside on the way."""
        end = time.monotonic() + seconds
        while True:
            item = self._next()
            if item is None:
                left = end - time.monotonic()
                if left <= 0:
                    raise Failure(f"raw client: no packet in {seconds:g} s")
                self._fill(left)
            elif item[0] == "$":
                if self.acks:
                    self.raw(b"+")
                return item[1]
            elif item[0] == "%":
                self.notifications.append(item[1])

    def silence(self, seconds):
        """Fails if a packet or notification comes within this time."""
        end = time.monotonic() + seconds
        while True:
            item = self._next()
            if item is not None and item[0] in "$%":
                raise Failure(f"raw client: unexpected {item[0]}{item[1]}")
            if item is None and not self._fill_until(end):
                return

    def _fill_until(self, end):
        left = end - time.monotonic()
        return left > 0 and self._fill(left)

    def notification(self, seconds=20.0):
        """The next %notification's payload."""
        end = time.monotonic() + seconds
        while not self.notifications:
            item = self._next()
            if item is None:
                if not self._fill_until(end):
                    raise Failure(f"raw client: no notification in {seconds:g} s")
            elif item[0] == "%":
                self.notifications.append(item[1])
            elif item[0] == "$":
                raise Failure(f"raw client: a packet instead of a notification: {item[1]}")
        return self.notifications.pop(0)

    def wait_ack(self, seconds=20.0):
        """The next + or -."""
        end = time.monotonic() + seconds
        while True:
            item = self._next()
            if item is None:
                if not self._fill_until(end):
                    raise Failure("raw client: no ack")
            elif item[0] in ("+", "-"):
                return item[0]

    def closed(self, seconds=20.0):
        """True when the server closes the connection in time."""
        end = time.monotonic() + seconds
        try:
            while self._fill_until(end):
                self.buffer = b""
        except Disconnected:
            return True
        return False

    # --- packets ---

    def send(self, payload):
        if isinstance(payload, str):
            payload = payload.encode("latin-1")
        self._log("->", payload)
        data = frame(payload)
        while data:
            select.select([], [self.socket], [], 20)
            try:
                data = data[self.socket.send(data):]
            except BlockingIOError:
                pass
            except (BrokenPipeError, ConnectionResetError):
                raise Disconnected("while sending") from None

    def ask(self, payload, seconds=20.0):
        """Sends a packet and returns the reply."""
        self.send(payload)
        return self.receive(seconds)

    def expect(self, payload, reply, seconds=20.0):
        """Sends a packet; the reply must be this text, or match it if compiled."""
        actual = self.ask(payload, seconds)
        good = reply.search(actual) if hasattr(reply, "search") else actual == reply
        if not good:
            wanted = f"/{reply.pattern}/" if hasattr(reply, "search") else repr(reply)
            raise Failure(f"{payload!r}: expected {wanted}, got {actual!r}")
        return actual

    def ok(self, payload):
        self.expect(payload, "OK")

    def handshake(self, features=GDB_FEATURES):
        """qSupported, no-ack. self.features has what the server said."""
        for item in self.ask("qSupported:" + features).split(";"):
            name, equals, value = item.partition("=")
            self.features[name if equals else item[:-1]] = value if equals else item[-1:]
        self.no_ack()
        return self

    def no_ack(self):
        self.ok("QStartNoAckMode")
        if self.acks:
            self.raw(b"+")
        self.acks = False

    def stop_reply(self, seconds=20.0):
        return StopReply(self.receive(seconds))

    def resume(self, packet="vCont;c", seconds=30.0):
        """All-stop: resumes and returns the stop reply."""
        return StopReply(self.ask(packet, seconds))

    def query(self):
        return StopReply(self.ask("?"))

    def non_stop(self):
        self.ok("QNonStop:1")

    def stopped_threads(self):
        """Non-stop: the stops of all threads. gdbserver tells them by `?` and vStopped; gdb does not
        survive more than one of them there, so the others may be notified after the next request."""
        stops, reply = [], self.ask("?")
        while reply != "OK":
            stops.append(StopReply(reply))
            reply = self.ask("vStopped")
        while len(stops) < len(self.threads()):
            stops += self.take_stops()
        return stops

    def take_stops(self):
        """Non-stop: the outstanding notification and everything vStopped hands out after it."""
        stops = []
        note = self.notification()
        while note != "OK":
            stops.append(StopReply(note.removeprefix("Stop:")))
            note = self.ask("vStopped")
        return stops

    def threads(self):
        """Thread ids as text, from qfThreadInfo/qsThreadInfo."""
        ids, reply = [], self.ask("qfThreadInfo")
        while reply.startswith("m"):
            ids += reply[1:].split(",")
            reply = self.ask("qsThreadInfo")
        return ids

    # --- the program ---

    @property
    def elf(self):
        if self._elf is None:
            self._elf = procfs.Elf(self.server.program[0])
        return self._elf

    def now_runs(self, path):
        """The program that symbols are looked up in: after an exec, or attached to."""
        self._elf, self._registers = procfs.Elf(path), None

    def address(self, symbol):
        """Of a symbol of the program, where it is loaded now."""
        return self.elf.address(self.server.inferior(), symbol)

    def run_to(self, symbol):
        """All-stop: runs to the first instruction of a function and returns the stop."""
        address = self.address(symbol)
        self.insert(address)
        stop = self.resume()
        self.remove(address)
        if stop.kind != "T" or stop.pc != address:
            raise Failure(f"on the way to {symbol}: {stop}")
        return stop

    # --- objects ---

    def transfer(self, what, annex="", block=0xffb):
        """The whole of a qXfer object, as latin-1 text; a failing read raises ValueError."""
        text = ""
        while True:
            reply = self.ask(f"qXfer:{what}:read:{annex}:{len(text):x},{block:x}")
            if reply[:1] not in ("m", "l"):
                raise ValueError(reply)
            text += reply[1:]
            if reply[0] == "l":
                return text

    def register_table(self):
        """{name: (number, size in bytes, offset in a g packet)} from the target description."""
        if self._registers is None:
            text, seen = self.transfer("features", "target.xml"), []
            for include in re.findall(r'<xi:include href="([^"]+)"', text):
                seen.append(self.transfer("features", include))
            rows, number = [], 0
            for name, attributes in self._reg_elements("".join([text, *seen])):
                number = int(attributes.get("regnum", number))
                rows.append((number, name, int(attributes["bitsize"]) // 8))
                number += 1
            self._registers, offset = {}, 0
            for number, name, size in sorted(rows):
                self._registers[name] = (number, size, offset)
                offset += size
        return self._registers

    @staticmethod
    def _reg_elements(text):
        for element in re.findall(r"<reg\s+([^>]*?)/?>", text):
            attributes = dict(re.findall(r'(\w+)="([^"]*)"', element))
            yield attributes["name"], attributes

    def register(self, name, thread=None):
        """A register's bytes, read with g; thread as in Hg. None when unavailable (xx…)."""
        if thread:
            self.ok(f"Hg{thread}")
        _, size, offset = self.register_table()[name]
        digits = self.ask("g")[2 * offset:2 * (offset + size)]
        return None if "x" in digits else bytes.fromhex(digits)

    def register_value(self, name, thread=None):
        return int.from_bytes(self.register(name, thread), "little")

    def write_register(self, name, value):
        """Writes a register of the selected thread with G."""
        _, size, offset = self.register_table()[name]
        digits = self.ask("g")
        new = value.to_bytes(size, "little").hex()
        self.ok("G" + digits[:2 * offset] + new + digits[2 * (offset + size):])

    def read_memory(self, address, size):
        reply = self.ask(f"m{address:x},{size:x}")
        if re.fullmatch(r"E..", reply):
            raise ValueError(reply)
        return bytes.fromhex(reply)

    def write_memory(self, address, data):
        self.ok(f"M{address:x},{len(data):x}:{data.hex()}")

    def insert(self, address, kind=1, rest="", type_=0):
        self.ok(f"Z{type_},{address:x},{kind:x}{rest}")

    def remove(self, address, kind=1, type_=0):
        self.ok(f"z{type_},{address:x},{kind:x}")

    def monitor(self, command):
        """qRcmd: (console output, final reply)."""
        self.send("qRcmd," + hexed(command))
        output = ""
        while True:
            reply = self.receive()
            if reply[:1] == "O" and reply != "OK":
                output += unhexed(reply[1:])
            elif re.fullmatch(r"OK|E..|", reply):
                return output, reply
            else:
                return output + unhexed(reply), "OK"

    def close(self):
        self.socket.close()


# Agent expressions (GDB manual, "Bytecode Descriptions"): const8 N, end.
NEVER = ";X3,220027"
ALWAYS = ";X3,220127"


def condition(bytecode):
    """The ;X… of a Z packet for one condition."""
    return f";X{len(bytecode):x},{bytecode.hex()}"
