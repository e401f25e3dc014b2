"""What a client may send, or not read, and what it costs the server: no more than a fixed amount."""

import time

from harness import NEVER, RspClient, case, procfs
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
