"""Memory: reads and writes to the byte, across the ends of mappings, over breakpoint sites."""

import os
import re

from harness import BOTH, NEVER, Skip, case, procfs

PAGE = 4096


def started(t, features=True):
    """A raw client with the program `memory` stopped in ready(), its pointers set."""
    client = t.rsp(t.server("memory"), handshake=True)
    client.query()
    client.run_to("ready")
    return client


def pointer(client, name):
    return int.from_bytes(client.read_memory(client.address(name), 8), "little")


@case(gdbserver="a read over the end of a mapping is an error as a whole")
def read_across_the_end(t):
    """m over the end of a mapping gives the readable part; beyond it, an error."""
    client = started(t)
    edge = pointer(client, "edge")
    t.equal(client.ask(f"m{edge + PAGE - 16:x},10"), "5a" * 16, "the last 16 bytes")
    t.equal(client.ask(f"m{edge + PAGE - 8:x},20"), "5a" * 8, "a read over the end")
    t.equal(client.ask(f"m{edge + PAGE - 1:x},1000"), "5a", "a read over the end, longer")
    client.expect(f"m{edge + PAGE:x},4", "E01")
    client.expect("m0,4", "E01")
    client.expect("mffffffffffffffff,1", "E01")
    client.expect("mfffffffffffffff8,10", "E01")
    t.equal(client.ask(f"m{edge:x},0"), "", "a read of nothing")


@case()
def protected_pages(t):
    """A debugger reads PROT_NONE pages and writes read-only ones; untouched pages read as zero."""
    client = started(t)
    hidden, read_only, untouched = (pointer(client, name)
                                    for name in ("hidden", "read_only", "untouched"))
    t.equal(client.ask(f"m{hidden:x},8"), "5b" * 8, "a PROT_NONE page")
    t.equal(client.ask(f"m{untouched + 3 * PAGE - 4:x},8"), "00" * 8, "pages never touched")
    client.write_memory(read_only, b"\x77")
    client.write_memory(hidden + 1, b"\x01\x02")
    t.equal(client.ask(f"m{hidden:x},4"), "5b01025b", "a PROT_NONE page, written")
    client.write_memory(pointer(client, "edge") + PAGE - 1, b"\x66")
    stop = client.resume()
    t.equal((stop.kind, stop.status), ("W", 0), f"the end: {stop}")
    t.match(client.server.output(), "edge=66 read_only=77 ", "what the program saw")


def started_absent(t):
    client = t.rsp(t.server("absent"), handshake=True)
    client.query()
    client.run_to("ready")
    absent = pointer(client, "absent")
    if absent == 0:
        raise Skip("userfaultfd(2) is not for this user")
    return client, absent


@case(timeout=20)
def pages_that_the_program_fills(t):
    """Pages that a stopped thread is to fill (userfaultfd) cannot be read, and nobody waits for them."""
    client, absent = started_absent(t)
    t.equal(client.ask(f"m{absent + PAGE - 4:x},8"), "07" * 4, "up to the first absent page")
    client.expect(f"m{absent + PAGE:x},8", "E01")
    t.equal(client.ask(f"m{absent + PAGE - 4:x},10000"), "07" * 4, "the same, 64 KiB of it")
    client.expect(f"M{absent + PAGE:x},1:01", "E01")
    stop = client.resume()
    t.equal((stop.kind, stop.status), ("W", 0), f"the end: {stop}")
    t.match(client.server.output(), "sum 560", "its output")


@case(timeout=20, gdbserver="has no breakpoint conditions")
def pushes_into_pages_that_the_program_fills(t):
    """The thread that fills them has a breakpoint on its way, too."""
    client, _ = started_absent(t)
    for name in ("site_push", "site_call", "filling"):
        client.insert(client.address(name), rest=NEVER)
    stop = client.resume()
    t.equal((stop.kind, stop.status), ("W", 0), f"the end: {stop}")
    t.match(client.server.output(), "sum 560", "its output")


@case()
def write_across_the_end(t):
    """A write that goes over the end of a mapping is an error."""
    client = started(t)
    edge = pointer(client, "edge")
    client.expect(f"M{edge + PAGE - 2:x},4:01020304", "E01")
    client.expect("M0,1:00", "E01")


@case()
def binary_write(t):
    """X with every byte value, escaped where it must be; X of length 0 is the probe."""
    client = started(t)
    buffer = client.address("buffer")
    client.ok(f"X{buffer:x},0:")
    data = bytes(range(256)) * 3
    client.ok(f"X{buffer:x},{len(data):x}:".encode() + data)
    t.equal(client.read_memory(buffer, len(data)), data, "what was written")
    t.equal(procfs.peek(client.server.inferior(), buffer, len(data)), data, "what the program has")


@case()
def large_transfers(t):
    """4 MiB in the largest packets allowed, read and written back; the program's sum is right."""
    bare = t.spawn("memory")
    bare.wait_exit()
    client = started(t)
    big, size = pointer(client, "big"), 4 << 20
    limit = int(client.features["PacketSize"], 16)
    block = (limit - 64) // 2
    data = b""
    while len(data) < size:
        part = client.read_memory(big + len(data), min(block, size - len(data)))
        t.check(part, "a read of nothing")
        data += part
    t.equal(data, bytes((i * 7) & 255 for i in range(256)) * (size // 256), "what was read")
    block = (limit - 64) // 2
    for at in range(0, size, block):
        part = data[at:at + block]
        client.ok(f"X{big + at:x},{len(part):x}:".encode() + part)
    client.resume()
    t.equal(client.server.output().split("big=")[1], bare.output().split("big=")[1], "the sum")


@case()
def reads_mask_breakpoints(t):
    """No read shows a breakpoint byte: whole, in the middle, at either end of the block."""
    client = started(t)
    patched = client.address("patched")
    clean = client.read_memory(patched - 8, 48)
    sites = [patched, patched + 1, patched + 4]  # push; mov; the next instruction
    for site in sites:
        client.insert(site)
    for start in range(patched - 2, patched + 7):
        for size in (1, 2, 8):
            at = start - patched + 8
            t.equal(client.read_memory(start, size), clean[at:at + size],
                    f"{size} bytes at patched{start - patched:+d}")
    for site in sites:
        client.remove(site)
    t.equal(client.read_memory(patched - 8, 48), clean, "memory after removal")
    t.equal(procfs.peek(client.server.inferior(), patched - 8, 48), clean, "the program's memory")


@case()
def writes_go_under_breakpoints(t):
    """A write over a site changes the byte underneath; the breakpoint stays and is hit."""
    client = started(t)
    patched, pid = client.address("patched"), client.server.inferior()
    clean = client.read_memory(patched, 16)
    t.equal(clean[:1], b"\x55", "patched begins with push %rbp")
    client.insert(patched)
    client.write_memory(patched, clean)                  # the same bytes again
    t.equal(procfs.peek(pid, patched, 1), b"\xcc", "the breakpoint is still in memory")
    t.equal(client.read_memory(patched, 16), clean, "what is read back")
    client.write_memory(patched, b"\xf3\x0f\x1e\xfa"[:1])  # another first byte …
    t.equal(client.read_memory(patched, 1), b"\xf3", "the shadow byte")
    t.equal(procfs.peek(pid, patched, 1), b"\xcc", "the breakpoint is still in memory")
    client.write_memory(patched, clean[:1])              # … and the right one again
    t.equal(client.resume().pc, patched, "the hit")
    client.remove(patched)
    t.equal(procfs.peek(pid, patched, 16), clean, "the program's memory after removal")
    client.resume()
    t.match(client.server.output(), "patched=16$.*patched=22$", "what the program computed")


@case()
def site_without_memory(t):
    """A breakpoint where nothing is mapped is refused; the session goes on."""
    client = started(t)
    edge = pointer(client, "edge")
    client.expect("Z0,0,1", "E01")
    client.expect(f"Z0,{edge + PAGE:x},1", "E01")
    client.insert(edge + PAGE - 1)
    client.remove(edge + PAGE - 1)
    client.expect(f"z0,{edge + PAGE - 1:x},1", "E01")
    t.equal(procfs.peek(client.server.inferior(), edge + PAGE - 1, 1), b"\x5a", "the byte")


@case()
def insert_twice_remove_once(t):
    """Z is idempotent: two Z0, one z0, and the byte is back; the second z0 is an error."""
    client = started(t)
    patched = client.address("patched")
    clean = procfs.peek(client.server.inferior(), patched, 1)
    client.insert(patched)
    client.insert(patched)
    client.remove(patched)
    t.equal(procfs.peek(client.server.inferior(), patched, 1), clean, "the byte")
    client.expect(f"z0,{patched:x},1", "E01")
    t.equal(client.resume().kind, "W", "no hit")


@case()
def second_z_replaces_the_condition(t):
    """A second Z0 replaces the condition list of the first."""
    client = started(t)
    patched = client.address("patched")
    client.insert(patched)
    client.insert(patched, rest=NEVER)
    again = client.address("again")
    client.insert(again)
    t.equal(client.resume().pc, again, "the false condition didn't stop")
    client.remove(again)
    client.insert(patched)
    t.equal(client.resume().pc, patched, "unconditional again")


@case(modes=BOTH)
def variables(t):
    """gdb prints and sets variables, strings, arrays; the program sees the new values."""
    gdb = t.gdb("memory")
    gdb.cont_to("ready")
    t.check("the quick brown fox" in gdb.eval("buffer"), "the string")
    t.equal(gdb.eval("answer"), "42", "the number")
    gdb.cli("set variable answer = 43")
    gdb.cli("set variable buffer[4] = 'Q'")
    t.check("Cannot access memory at address 0x0" in error(gdb, "*(int*)0"), "the error for NULL")
    gdb.run_out()
    t.match(gdb.server.output(), r"^buffer=the Quick brown fox .*answer=43 ", "what the program saw")


def error(gdb, expression):
    from harness import GdbError
    try:
        return gdb.eval(expression)
    except GdbError as problem:
        return str(problem)


@case(modes=BOTH)
def disassembly_hides_breakpoints(t):
    """x/i and x/b over inserted sites while the program runs show the file's bytes."""
    gdb = t.gdb("memory")
    gdb.cont_to("ready")
    gdb.cli("set breakpoint always-inserted on")
    before = gdb.cli("x/12xb patched")
    gdb.breakpoint("*patched")
    gdb.breakpoint("patched")
    t.equal(gdb.cli("x/12xb patched"), before, "bytes shown")
    t.equal(gdb.cont().function, "patched", "the hit")


@case(modes=BOTH)
def find_and_dump(t):
    """find (qSearch:memory) and dump work on the target's memory."""
    gdb = t.gdb("memory")
    gdb.cont_to("ready")
    found = gdb.cli('find /b &buffer, +sizeof(buffer), \'f\', \'o\', \'x\'')
    t.match(found, r"<buffer\+16>.*1 pattern found", "find")
    path = os.path.join(t.directory, "dump")
    gdb.cli(f"dump binary memory {path} big big+65536")
    with open(path, "rb") as file:
        t.equal(file.read(), bytes((i * 7) & 255 for i in range(256)) * 256, "the dumped bytes")


def crc(data):
    """The checksum of qCRC: polynomial 0x04c11db7, most significant bit first, from all ones."""
    value = 0xffffffff
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04c11db7 if value & 0x80000000 else 0)) & 0xffffffff
    return value


@case()
def checksums(t):
    """qCRC sums the program's bytes, not the breakpoints; unreadable memory is an error."""
    client = started(t)
    patched = client.address("patched")
    data = client.read_memory(patched, 40)
    client.insert(patched)
    client.expect(f"qCRC:{patched:x},28", f"C{crc(data):x}")
    client.expect("qCRC:0,10", "E01")


@case()
def searches(t):
    """qSearch:memory: found, not found, a pattern with bytes that need an escape."""
    client = started(t)
    buffer = client.address("buffer")
    client.expect(f"qSearch:memory:{buffer:x};1000;fox", f"1,{buffer + 16:x}")
    client.expect(f"qSearch:memory:{buffer:x};1000;wolf", "0")
    client.write_memory(buffer + 100, b"#$}*")
    client.expect(f"qSearch:memory:{buffer:x};1000;#$}}*", f"1,{buffer + 100:x}")
    client.expect("qSearch:memory:0;10;fox", re.compile("^E"))


@case()
def memory_while_running(t):
    """Non-stop: reads and writes while every thread runs, nobody stopped for them."""
    client = t.rsp(t.server("spin 2 3000"), handshake=True)
    client.non_stop()
    client.ok("Hg" + client.query().thread)
    client.ok("vStopped")
    client.ok("vCont;c")
    address = client.address("hot_calls")

    def calls():
        return int.from_bytes(client.read_memory(address, 8), "little")

    t.wait_until(lambda: calls() > 1000, "the counter to move")
    first = calls()
    t.wait_until(lambda: calls() > first, "the counter to move on")
    client.write_memory(client.address("stop"), (1).to_bytes(4, "little"))
    client.server.wait_output("hot_calls")
    t.equal(client.notification()[:6], "Stop:W", "the end")
    t.match(client.server.output(), "voluntary_switches=0$", "the innocent thread")
