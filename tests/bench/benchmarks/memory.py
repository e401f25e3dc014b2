"""Memory and file transfers, with packets as large as the server takes."""

import contextlib
import os
import tempfile
import time

from harness.benchmark import HIGHER, LOWER, Metric, benchmark
from harness.errors import Failed, Unsupported
from harness.gdb import Gdb
from harness.rsp import escape, expand, expanded_size, frame

MIB = 1 << 20


def debug(session, setup):
    session.size = setup.scaled(32, 2) * MIB
    client = session.debug("memory", setup.scaled(32, 2))
    session.base = session.board.address(0)
    client.expect(b"?", client.ask(b"?"))
    return client


def actual(session, address, size):
    with open(f"/proc/{session.program.pid}/mem", "rb") as file:
        file.seek(address)
        return file.read(size)


def throughput(session, setup, first, transfer):
    """Transfers block after block, again from the start at the end, for the time of a window.

    `transfer(offset)` moves some bytes and returns how many; `first` is what it moves at most.
    """
    begin, done, offset = time.perf_counter(), 0, 0
    while True:
        count = transfer(offset)
        done += count
        offset += count
        if offset + first > session.size:
            offset = 0
        seconds = time.perf_counter() - begin
        if seconds >= setup.window:
            return done / seconds / MIB


def read_hex(session, setup):
    client, base = session.client, session.base
    block = (client.packet_size - 8) // 2
    if bytes.fromhex(expand(client.ask(b"m%x,%x" % (base, block))).decode()) != actual(
            session, base, block):
        raise Failed("m: wrong bytes")

    def one(offset):
        reply = client.ask_large(b"m%x,%x" % (base + offset, block))
        size = expanded_size(reply) if b"*" in reply else len(reply)
        if size != 2 * block:
            raise Failed(f"m: {size} digits of {2 * block}")
        return block
    return throughput(session, setup, block, one)


def read_binary(session, setup):
    client, base = session.client, session.base
    if client.features.get("binary-upload") != "+":
        return None
    block = client.packet_size - 8
    reply = expand(client.ask(b"x%x,%x" % (base, block)))
    if reply[:1] != b"b" or reply[1:] != actual(session, base, len(reply) - 1):
        raise Failed("x: wrong bytes")

    def one(offset):
        # Nothing but escapes makes a reply longer than what it carries.
        reply = client.ask_large(b"x%x,%x" % (base + offset, block))
        return len(reply) - 1 - reply.count(b"}")
    return throughput(session, setup, block, one)


RATE = {"unit": "MiB/s", "better": HIGHER}


@benchmark("memory/read", "large reads by a raw client",
           Metric("m", **RATE), Metric("x", **RATE), Metric("the better of the two", aim=4, **RATE))
def read(session, setup):
    debug(session, setup)
    figures = {"m": read_hex(session, setup), "x": read_binary(session, setup)}
    figures["the better of the two"] = max(figures["m"], figures["x"] or 0)
    return figures


def write(session, setup, make, block):
    """Packets are made before the clock runs; random bytes, a few different packets in turn."""
    client, base = session.client, session.base
    packets, offset = [], 0
    for _ in range(16):
        data = os.urandom(block)
        if offset + block > session.size:
            offset = 0
        packets.append((base + offset, data, frame(make(base + offset, data))))
        offset += block
    turn = [0]

    def one(_):
        client.socket.sendall(packets[turn[0] % len(packets)][2])
        turn[0] += 1
        if client.receive() != b"OK":
            raise Failed("a write was refused")
        return block
    rate = throughput(session, setup, block, one)
    address, data, _ = packets[0]
    if actual(session, address, block) != data:
        raise Failed("wrong bytes were written")
    return rate


@benchmark("memory/write", "large writes by a raw client", Metric("M", **RATE), Metric("X", **RATE))
def writes(session, setup):
    client = debug(session, setup)
    room = client.packet_size - 64
    return {"M": write(session, setup, lambda address, data: b"M%x,%x:%b" % (
                address, len(data), data.hex().encode()), room // 2),
            # Escapes make random bytes about 2 % longer.
            "X": write(session, setup, lambda address, data: b"X%x,%x:%b" % (
                address, len(data), escape(data)), room * 15 // 16)}


@benchmark("memory/small", "round trips for little; pinned", Metric("m of 64 bytes", "/s", HIGHER),
           Metric("g", "/s", HIGHER), Metric("p of one register", "/s", HIGHER),
           Metric("unknown packet", "/s", HIGHER))
def small(session, setup):
    session.pin()
    client = debug(session, setup)

    def per_second(packet):
        if packet[:1] == b"p" and client.ask(packet) == b"":
            return None
        begin, count = time.perf_counter(), 0
        while time.perf_counter() - begin < setup.window / 2:
            client.ask(packet)
            count += 1
        return count / (time.perf_counter() - begin)
    return {"m of 64 bytes": per_second(b"m%x,40" % session.base), "g": per_second(b"g"),
            "p of one register": per_second(b"p10"),
            "unknown packet": per_second(b"vMustReplyEmpty")}


@benchmark("file/pread", "vFile:pread of a file of random bytes", Metric("rate", **RATE))
def pread(session, setup):
    client = debug(session, setup)
    with tempfile.NamedTemporaryFile(prefix="bench-") as file:
        content = os.urandom(session.size)
        file.write(content)
        file.flush()
        client.expect(b"vFile:setfs:0", b"F0")
        reply = client.ask(b"vFile:open:%b,0,0" % file.name.encode().hex().encode())
        if reply[:2] == b"F-" or reply[:1] != b"F":
            raise Unsupported
        descriptor, block = int(reply[1:], 16), client.packet_size - 32

        def ask(offset):
            return client.ask_large(b"vFile:pread:%x,%x,%x" % (descriptor, block, offset))
        size, _, data = bytes(ask(0)).partition(b";")
        if expand(data) != content[:int(size[1:], 16)]:
            raise Failed("wrong bytes")
        return {"rate": throughput(session, setup, block, lambda offset: int(
            bytes(ask(offset)[1:17]).partition(b";")[0], 16))}


@benchmark("memory/gdb-dump", "`dump binary memory` of a real gdb", Metric("rate", **RATE))
def dump(session, setup):
    size = setup.scaled(8, 1) * MIB
    session.start("memory", setup.scaled(8, 1))
    session.attach()
    gdb = Gdb(session.program.path, setup.limit)
    session.callback(gdb.close)
    base = session.board.address(0)
    gdb.run("set sysroot /", f"target remote 127.0.0.1:{session.server.port}")
    with tempfile.NamedTemporaryFile(prefix="bench-") as file:
        text, seconds = gdb.run(f"dump binary memory {file.name} {base:#x} {base + size:#x}")
        with open(file.name, "rb") as written:  # gdb may have made a new file
            if written.read() != actual(session, base, size):
                raise Failed(f"gdb: {text.strip()[-100:]}")
    return {"rate": size / seconds / MIB}


STACK = 8 * MIB


def core(session, setup, target):
    """Seconds that gdb's gcore takes for a program whose threads have stacks of 8 MiB."""
    stacks = setup.scaled(8, 1)
    session.start("stacks", stacks, threads=stacks)
    # A server in gdb's pipe is gdb's child: it goes with gdb, and has to before its program can.
    with contextlib.closing(Gdb(session.program.path, setup.limit)) as gdb:
        gdb.run("set sysroot /", f"target remote {target()}")
        with tempfile.TemporaryDirectory(prefix="bench-") as directory:
            path = os.path.join(directory, "core")
            text, seconds = gdb.run(f"gcore {path}")
            if not os.path.exists(path) or os.path.getsize(path) < stacks * STACK:
                raise Failed(f"gdb: {text.strip()[-100:]}")
    return {"time": seconds}


@benchmark("memory/gcore", "a real gdb's gcore of 8 stacks of 8 MiB, mostly zero, by TCP",
           Metric("time", "s", LOWER))
def gcore(session, setup):
    return core(session, setup, lambda: f"127.0.0.1:{session.attach().port}")


@benchmark("memory/gcore-pipe", "the same by `target remote | SERVER`", Metric("time", "s", LOWER))
def gcore_by_pipe(session, setup):
    return core(session, setup,
                lambda: f"| {session.server_path} --once --attach - {session.program.pid}")
