"""monitor commands, qXfer objects, vFile, and what else gdb asks a server for."""

import os
import re

from harness import BOTH, GdbError, case, hexed, procfs


def started(t, command_line="steps", symbol=None, **options):
    client = t.rsp(t.server(command_line, **options), handshake=True)
    client.query()
    if symbol:
        client.run_to(symbol)
    return client


@case()
def monitor_help(t):
    """monitor help lists the commands as gdbserver does; an unknown one is an error with a text."""
    client = started(t)
    text, reply = client.monitor("help")
    t.match(text, "^The following monitor commands are supported", "help")
    t.match(text, "Quit GDBserver", "help")
    t.equal(reply, "OK", "reply to help")
    text, reply = client.monitor("no such thing")
    t.match(text, "^Unknown monitor command", "the text")
    t.match(reply, "^E", "the reply")


@case()
def monitor_debug(t):
    """monitor set debug and its kin answer with gdbserver's sentences."""
    client = started(t)
    for command, sentence in (("set debug 1", "Debug output enabled."),
                              ("set debug 0", "Debug output disabled."),
                              ("set remote-debug 1", "Protocol debug output enabled."),
                              ("set remote-debug 0", "Protocol debug output disabled.")):
        text, reply = client.monitor(command)
        t.equal((text, reply), (sentence + "\n", "OK"), command)
    client.ask("qSupported:multiprocess+;error-message+")  # gdb 16
    for command, sentence in (("set debug 1", "General debug output enabled."),
                              ("set debug 0", "All debug output disabled.")):
        text, reply = client.monitor(command)
        t.equal((text, reply), (sentence + "\n", "OK"), command)
    text, reply = client.monitor("set debug yeah")
    t.match(text, "^Missing value for 'set debug yeah' command.\nThe following", "no component")
    t.equal(reply, "E01", "no component")
    text, reply = client.monitor("set libthread-db-search-path /none")
    t.equal((text, reply), ("libthread-db-search-path set to `/none'\n", "OK"), "search path")


@case()
def threads_object(t):
    """qXfer:threads: id, core, name; qfThreadInfo has the same ids; T says who lives."""
    client = started(t, "tls 3", "all_set")
    text = client.transfer("threads")
    ids = re.findall(r'<thread id="([^"]+)" core="\d+" name="tls"', text)
    t.equal(len(ids), 4, f"threads in\n{text}")
    t.equal(sorted(client.threads()), sorted(ids), "qfThreadInfo")
    for thread in ids:
        client.ok("T" + thread)
    t.match(client.ask(f"Tp{client.server.inferior():x}.1"), "^E", "T of a dead thread")
    t.match(client.ask("qC"), r"^QCp[0-9a-f]+\.[0-9a-f]+$", "qC")


@case()
def auxv_and_exec_file(t):
    """qXfer:auxv is /proc/PID/auxv; exec-file the path of the program, for a pid and for none."""
    client = started(t)
    pid = client.server.inferior()
    with open(f"/proc/{pid}/auxv", "rb") as file:
        auxv = file.read()
    t.equal(client.transfer("auxv").encode("latin-1"), auxv, "auxv")
    path = client.server.program[0]
    t.equal(client.transfer("exec-file"), path, "exec-file")
    t.equal(client.transfer("exec-file", f"{pid:x}"), path, "exec-file of the pid")


@case()
def small_blocks(t):
    """qXfer in blocks of 7 bytes gives the same as in one."""
    client = started(t)
    client.ask("Hg0")
    whole = client.transfer("features", "target.xml")
    t.equal(client.transfer("features", "target.xml", block=0x77), whole, "target.xml")
    t.equal(client.transfer("auxv", block=7), client.transfer("auxv"), "auxv")


@case()
def libraries_object(t):
    """libraries-svr4: main-lm, the library names, and the part of the list after start=."""
    client = started(t, "steps", "main")
    client.ask("Hg0")
    text = client.transfer("libraries-svr4")
    t.match(text, '^<library-list-svr4 version="1.0" main-lm="0x[0-9a-f]+">', "head")
    rows = re.findall(r'<library name="([^"]*)" lm="(0x[0-9a-f]+)" l_addr="(0x[0-9a-f]+)" '
                      r'l_ld="(0x[0-9a-f]+)"', text)
    names = [os.path.basename(row[0]) for row in rows]
    t.check(any(name.startswith("libc.so") for name in names), f"libc in {names}")
    base = min(start for start, _, _, _, path in procfs.maps(client.server.inferior())
               if "libc.so" in path)
    address = next(int(row[2], 16) for row in rows if "libc.so" in row[0])
    t.equal(address, base, "l_addr of libc")
    second, first = rows[1][1], rows[0][1]
    part = client.transfer("libraries-svr4", f"start={int(second, 16):x};prev={int(first, 16):x}")
    t.equal(re.findall(r'lm="(0x[0-9a-f]+)"', part.split(">", 1)[1]), [row[1] for row in rows[1:]],
            "the rest of the list")
    client.expect("qXfer:libraries-svr4:read:start=1,prev=2:0,100", re.compile("^E"))


@case()
def siginfo_object(t):
    """qXfer:siginfo: 128 bytes, si_signo first; none without a signal that stopped it."""
    client = started(t, "signals crash")
    stop = client.resume()
    t.equal(stop.signal, 11, repr(stop))
    client.ok("Hg" + stop.thread)
    data = client.transfer("siginfo").encode("latin-1")
    t.equal(len(data), 128, "length")
    t.equal(int.from_bytes(data[:4], "little"), 11, "si_signo")


@case()
def osdata_object(t):
    """qXfer:osdata: the list of types, and processes with this one in it."""
    client = started(t)
    types = client.transfer("osdata")
    for name in ("processes", "threads", "files"):
        t.check(name in types, f"{name} in the list of types")
    text = client.transfer("osdata", "processes")
    t.match(text, rf'<column name="pid">{client.server.inferior()}</column>', "the process")


@case()
def file_reading(t):
    """vFile: open, fstat, pread in blocks, close; readlink; the errors in gdb's numbers."""
    client = started(t)
    path = client.server.program[0]
    with open(path, "rb") as file:
        wanted = file.read()
    client.expect("vFile:setfs:0", "F0")
    number = client.ask(f"vFile:open:{hexed(path)},0,0")
    t.match(number, "^F[0-9a-f]+$", "open")
    fd = number[1:]
    stat = client.ask(f"vFile:fstat:{fd}")
    t.match(stat, "^F40;", "fstat")
    body = stat[4:].encode("latin-1")
    t.equal(int.from_bytes(body[28:36], "big"), len(wanted), "st_size")
    data = b""
    while True:
        reply = client.ask(f"vFile:pread:{fd},2000,{len(data):x}")
        size, _, part = reply[1:].partition(";")
        t.equal(int(size, 16), len(part), "bytes announced")
        if not part:
            break
        data += part.encode("latin-1")
    t.equal(data, wanted, "the file")
    client.expect(f"vFile:close:{fd}", "F0")
    client.expect(f"vFile:pread:{fd},10,0", "F-1,16")
    client.expect(f"vFile:open:{hexed('/no/such/file')},0,0", "F-1,2")
    link = f"/proc/{client.server.inferior()}/exe"
    client.expect(f"vFile:readlink:{hexed(link)}", f"F{len(path):x};{path}")


@case()
def status_of_a_link(t):
    """vFile:stat is lstat(2) for gdb 16, as with its gdbserver; later clients have vFile:lstat."""
    client = started(t)
    target, link = os.path.join(t.directory, "target"), os.path.join(t.directory, "link")
    os.symlink(target, link)
    features = "qSupported:multiprocess+;no-resumed+;xmlRegisters=i386"
    for extra, dangling in (("", "F-1,2"), (";error-message+", "^F40;"),
                            (";error-message+;multi-wp-addr+", "F-1,2")):
        client.ask(features + extra)
        t.match(client.ask(f"vFile:stat:{hexed(link)}"), dangling, f"stat for a client with {extra}")
        t.match(client.ask(f"vFile:lstat:{hexed(link)}"), "^F40;", "lstat")
        t.equal(client.ask(f"vFile:stat:{hexed(target)}"), "F-1,2", "nothing there")


@case()
def file_writing(t):
    """vFile: create, pwrite with bytes that need escapes, unlink."""
    client = started(t)
    path = os.path.join(t.directory, "written")
    # 0x200 creates, 0x400 truncates, 1 is write-only: gdb's File-I/O numbers.
    fd = client.ask(f"vFile:open:{hexed(path)},601,1a4")[1:]
    data = bytes(range(256))
    reply = client.ask(f"vFile:pwrite:{fd},0,".encode() + data)
    t.equal(reply, "F100", "pwrite")
    client.expect(f"vFile:close:{fd}", "F0")
    with open(path, "rb") as file:
        t.equal(file.read(), data, "the file")
    client.expect(f"vFile:unlink:{hexed(path)}", "F0")
    t.check(not os.path.exists(path), "unlink")


@case(modes=BOTH)
def files_from_the_target(t):
    """gdb without local files: program and libraries come over the connection."""
    gdb = t.gdb(connect=False, settings=["set sysroot target:"])
    server = t.server("steps")
    gdb.connect(server)
    gdb.cont_to("inner")
    t.match(gdb.cli("backtrace"), "#0 .*inner.*#1 .*outer.*#2 .*main", "backtrace")
    t.equal(gdb.run_out().exit_code, 7, "exit code")


@case()
def acks_and_checksums(t):
    """Ack mode: + for a good packet, - for a bad checksum, a resend after our -."""
    client = t.rsp(t.server("steps"))
    client.raw(b"$qC#00")
    t.equal(client.wait_ack(), "-", "for a bad checksum")
    client.raw(b"$qC#b4")
    t.equal(client.wait_ack(), "+", "for a good one")
    first = client.receive()
    client.acks = False
    client.raw(b"$qC#b4")
    t.equal(client.wait_ack(), "+", "for a good one")
    client.receive()
    client.raw(b"-")
    t.equal(client.receive(), first, "sent again after -")
    client.raw(b"+")
    client.ok("QStartNoAckMode")


@case()
def one_byte_at_a_time(t):
    """A packet that comes in pieces, and several in one piece."""
    client = started(t)
    for byte in b"$qC#b4":
        client.raw(bytes((byte,)))
    t.match(client.receive(), "^QC", "reply")
    client.raw(b"$qC#b4$?#3f$qC#b4")
    t.match(client.receive(), "^QC", "first")
    t.match(client.receive(), "^T05", "second")
    t.match(client.receive(), "^QC", "third")


@case(gdbserver="a packet longer than its buffer is cut, and the rest taken for another")
def oversized_packets(t):
    """A packet much longer than PacketSize: an error or nothing, and the session goes on."""
    client = started(t)
    client.raw(b"$m" + b"0" * (4 << 20) + b",4#")
    body = b"m" + b"0" * (4 << 20) + b",4"
    client.raw(b"%02x" % (sum(body) & 255))
    reply = client.receive()
    t.match(reply, "^(E|$|[0-9a-f]*$)", "reply")
    t.match(client.ask("qC"), "^QC", "afterwards")


@case()
def supported_features(t):
    """qSupported offers what gdb needs from this kind of server."""
    client = started(t)
    for name in ("QStartNoAckMode", "QNonStop", "multiprocess", "swbreak", "hwbreak",
                 "ConditionalBreakpoints", "BreakpointCommands", "QPassSignals", "QProgramSignals",
                 "qXfer:features:read", "qXfer:auxv:read", "qXfer:threads:read",
                 "qXfer:libraries-svr4:read", "augmented-libraries-svr4-read",
                 "qXfer:exec-file:read", "qXfer:siginfo:read", "qXfer:siginfo:write",
                 "qXfer:osdata:read", "fork-events", "vfork-events", "exec-events",
                 "QCatchSyscalls", "QThreadEvents", "no-resumed", "vContSupported",
                 "QDisableRandomization", "QStartupWithShell", "QEnvironmentHexEncoded",
                 "QEnvironmentUnset", "QEnvironmentReset", "QSetWorkingDir"):
        t.equal(client.features.get(name), "+", name)
    t.check(int(client.features["PacketSize"], 16) >= 0x47ff, "PacketSize")


@case(modes=BOTH)
def no_warnings(t):
    """A whole session of an ordinary user prints no warning, error or complaint."""
    gdb = t.gdb("hits 2 5")
    gdb.breakpoint("alpha", condition="i == 3")
    gdb.breakpoint("beta", options="-t")
    stop = gdb.cont()
    while not stop.exited:
        try:
            gdb.cli("info threads")
            gdb.cli("info registers")
            gdb.cli("info sharedlibrary")
            gdb.cli("info inferiors")
            gdb.cli("info auxv")
            gdb.cli("info proc mappings")
        except GdbError as problem:
            t.check("is running" in str(problem), str(problem))
        stop = gdb.cont(stop.thread)
    complaints = [line for line in gdb.transcript
                  if re.search(r"warning|error|unexpected|Unknown|invalid|not supported", line,
                               re.IGNORECASE) and "is running" not in line]
    t.equal(complaints, [], "complaints of gdb")
