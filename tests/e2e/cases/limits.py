"""What a client may send, or not read, and what it costs the server: no more than a fixed amount."""

import os
import resource
import socket
import time

from harness import NEVER, RspClient, case, hexed, procfs
from harness.rsp import GDB_FEATURES, frame

MOST_KB = 48 * 1024  # of the process that does the work, whatever happens


def resident_kb(server, what="VmRSS"):
    return int(procfs.status(server.tracer())[what].split()[0])


def bounded(t, server):
    t.check(resident_kb(server, "VmHWM") < MOST_KB,
            lambda: f"the server has used {resident_kb(server, 'VmHWM')} kB")


def answers(t, client):
    t.match(client.ask("qSupported:" + GDB_FEATURES), "PacketSize", "the session goes on")


@case()
def packet_of_ten_megabytes(t):
    """10 MiB in one packet, with and without an end: an error, and the session goes on."""
    client = t.rsp(program="steps", handshake=True)
    client.query()
    zeros = 10 << 20
    checksum = ord("m") + zeros * ord("0") & 255
    client.raw(b"$m" + b"0" * zeros + f"#{checksum:02x}".encode())
    t.match(client.receive(60), "^E", "reply")
    answers(t, client)
    client.raw(b"$m" + b"0" * zeros)
    client.raw(f"#{checksum:02x}".encode())
    t.match(client.receive(60), "^E", "reply")
    answers(t, client)
    bounded(t, client.server)


@case(timeout=120)
def a_client_that_does_not_read(t):
    """Thousands of requests with large replies, in a burst, nothing read until all are sent."""
    client = t.rsp(program="steps", handshake=True)
    client.query()
    client.no_ack()
    address = client.address("main") & ~0xfff
    count, size = 1000, 0x1000
    sent = frame(f"m{address:x},{size:x}".encode()) * count
    client.socket.setblocking(False)
    deadline = time.monotonic() + 2
    while sent and time.monotonic() < deadline:
        try:
            sent = sent[client.socket.send(sent):]
        except BlockingIOError:
            time.sleep(0.01)
    bounded(t, client.server)
    replies = 0
    while replies < count:
        if sent:
            try:
                sent = sent[client.socket.send(sent):]
            except BlockingIOError:
                pass
        t.equal(len(client.receive()), 2 * size, "length of a reply")
        replies += 1
    client.silence(0.1)
    answers(t, client)
    bounded(t, client.server)


@case()
def flood_of_interrupts(t):
    """100,000 Ctrl-C, stopped and running: one stop for what runs, none for what is stopped."""
    client = t.rsp(program="selfcheck 3", handshake=True)
    client.query()
    client.raw(b"\x03" * 100_000)
    client.send("vCont;c")
    client.raw(b"\x03" * 100_000)
    t.equal(client.stop_reply().signal, 2, "signal")
    client.silence(0.1)
    answers(t, client)
    t.equal(client.query().kind, "T", "the program is there")
    bounded(t, client.server)


@case()
def silent_and_slow_clients(t):
    """A client that says nothing; one that sends a packet byte by byte; breakpoints go on meanwhile."""
    process = t.spawn("selfcheck 2")
    process.wait_output("beat 1 ")
    server = t.server_of(process)
    client = t.rsp(server, handshake=True)
    client.query()
    client.insert(client.address("sum_step"), rest=NEVER)
    client.send("vCont;c")
    beats = process.output().count("beat")
    t.wait_until(lambda: process.output().count("beat") > beats + 3, "the program to go on")
    for byte in frame(b"m0,4")[:-1]:
        client.raw(bytes([byte]))
        time.sleep(0.002)
    t.wait_until(lambda: process.output().count("beat") > beats + 6, "the program to go on")
    client.raw(frame(b"m0,4")[-1:])
    t.match(client.receive(), "^E", "reply to the packet")
    client.close()
    server.wait_exit()
    t.equal(procfs.text_differences(process.pid, process.words[0]), [], "text")


@case(timeout=240)
def ten_thousand_threads(t):
    """Attach to 10,000 threads: all are listed, stop, go on, and are let go."""
    count = 10_000
    process = t.spawn(f"idle {count}")
    process.wait_output("beat 1 ", 60)
    server = t.server_of(process)
    client = t.rsp(server)
    client.handshake()
    t.equal(client.ask("?", 60)[:1], "T", "stopped")
    t.equal(len(client.threads()), count + 1, "threads")
    client.insert(client.address("tick"))
    for _ in range(2):
        t.check("swbreak" in client.resume(seconds=60), "a hit")
    t.note(f"{resident_kb(server, 'VmHWM') // 1024} MB for {count} threads")
    t.equal(client.ask("D;" + f"{process.pid:x}", 60), "OK", "detached")
    beats = process.output().count("beat")
    t.wait_until(lambda: process.output().count("beat") > beats + 2, "the program to go on")
    t.equal(procfs.tracer(process.pid), 0, "tracer")


@case()
def many_second_clients(t):
    """Fifty more connections, kept open: the first one has the session."""
    first = t.rsp(program="steps", once=False, handshake=True)
    first.query()
    others = [RspClient(t, first.server) for _ in range(50)]
    answers(t, first)
    for other in others:
        other.close()
    answers(t, first)
    bounded(t, first.server)


@case()
def three_hundred_at_once(t):
    """Three hundred connections in one moment: each is told, none has to wait for its turn."""
    first = t.rsp(program="steps", once=False, handshake=True)
    first.query()
    others = [socket.socket() for _ in range(300)]
    for other in others:
        other.setblocking(False)
        other.connect_ex(("127.0.0.1", first.server.port))
    for other in others:
        other.settimeout(10)
        t.match(other.recv(4096).decode(), "E.another client is connected", "what it is told")
        other.close()
    answers(t, first)
    bounded(t, first.server)


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


@case(gdbserver="never looks at a second connection")
def no_descriptor_is_left(t):
    """More clients come when the server can open nothing any more: it waits without using the
    processor, the one who has the session has it still, and later they are told."""
    first = t.rsp(program="steps", once=False, handshake=True)
    stop = first.query()
    tracer = first.server.tracer()
    before = resource.prlimit(tracer, resource.RLIMIT_NOFILE)
    resource.prlimit(tracer, resource.RLIMIT_NOFILE, (descriptors(tracer), before[1]))
    others = [RspClient(t, first.server) for _ in range(3)]
    used = procfs.cpu_seconds(tracer)
    time.sleep(0.5)
    t.check(procfs.cpu_seconds(tracer) - used < 0.2, "it waits by asking all the time")
    t.equal(first.query().thread, stop.thread, "the first client goes on")
    time.sleep(0.05)
    t.equal(first.query().thread, stop.thread, "also after a pause")
    resource.prlimit(tracer, resource.RLIMIT_NOFILE, before)
    for other in others:
        t.equal(other.receive(), "E.another client is connected", "what the others are told")


@case(gdbserver="has no such option")
def onlookers_that_open_files(t):
    """Whatever clients open, some descriptors are left to the server: it can start a program."""
    first = t.rsp(multi=True, once=False, server_options=["--observe"], handshake=True)
    first.ok("!")
    tracer = first.server.tracer()
    limit = descriptors(tracer) + 200
    resource.prlimit(tracer, resource.RLIMIT_NOFILE, (limit, limit))
    opened = []
    for _ in range(4):
        onlooker = RspClient(t, first.server, handshake=True)
        opened += [onlooker.ask(f"vFile:open:{hexed('/etc/passwd')},0,0") for _ in range(60)]
    t.equal(opened[-1], "F-1,18", "too many open files")
    t.check(descriptors(tracer) < limit - 50, "some are left")
    t.check(sum("F-1" not in reply for reply in opened) > 100, "many could be opened")
    t.match(first.ask("vRun;" + hexed(t.program("steps")[0])), "^T", "a program starts")


@case(gdbserver="has no such option")
def an_onlooker_that_asks_for_much(t):
    """A thousand requests that take long, from one who looks on: the other client is answered in
    between, and SIGTERM ends the server."""
    first = t.rsp(program="selfcheck 2", once=False, server_options=["--observe"], handshake=True)
    first.query()
    place = first.address("main") & ~0xfff
    onlooker = RspClient(t, first.server, handshake=True)
    for packet in (f"qSearch:memory:{place:x};100000000;abc", f"qCRC:{place:x},100000000"):
        t.match(onlooker.ask(packet), "^E", "more than an onlooker may have")
    path = os.path.join(t.directory, "large")
    with open(path, "wb") as file:
        file.truncate(16 << 20)
    onlooker.raw(frame(f"vFile:MD5:{hexed(path)}".encode()) * 1000)
    time.sleep(0.1)
    for _ in range(3):
        answers(t, first)
    onlooker.socket.settimeout(10)
    answered = onlooker.socket.recv(1 << 20).count(b"$F")
    t.check(answered < 500, f"{answered} of the onlooker's requests came first")
    first.server.signal(15)
    first.server.wait_exit(20)


@case(timeout=120)
def conditions_without_end(t):
    """The longest condition at ever more addresses: refused at some time; less works again then."""
    client = t.rsp(program="steps", handshake=True)
    client.query()
    place = client.address("main") & ~0xfff
    condition = "220129" * 15000 + "220127"  # 1 and pop, very often; 1
    packet = f";X{len(condition) // 2:x},{condition}"
    replies = [client.ask(f"Z0,{place + at:x},1{packet}") for at in range(400)]
    t.equal((replies[0], replies[-1][:1]), ("OK", "E"), "the first and the last reply")
    last = len(replies) - replies[::-1].index("OK") - 1
    client.ok(f"z0,{place + last:x},1")
    client.ok(f"Z0,{place + last:x},1{NEVER}")
    for _ in range(3):  # in place of itself
        client.ok(f"Z0,{place:x},1{packet}")
    used = resident_kb(client.server, "VmHWM")
    t.check(used < MOST_KB + (80 << 10), f"the server has used {used} kB")
