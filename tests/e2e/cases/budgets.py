"""Requests that take long: the program, its client's ^C and SIGTERM do not wait for them."""

import ctypes
import os
import time

from harness import Disconnected, RspClient, Skip, case, hexed, procfs


def zeros(t, size):
    """A file that takes no room, and its digest a while."""
    path = os.path.join(t.directory, f"zeros{size}")
    with open(path, "wb") as file:
        file.truncate(size)
    return path


def opened_by(pid):
    directory = f"/proc/{pid}/fd"
    names = []
    for number in os.listdir(directory):
        try:
            names.append(os.readlink(f"{directory}/{number}"))
        except OSError:  # closed meanwhile
            pass
    return names


def digest(path):
    return f"vFile:MD5:{hexed(path)}"


@case(gdbserver="has no such packet")
def files_without_an_end(t):
    """Only regular files have a digest, and only up to a gigabyte."""
    client = t.rsp(program="steps", handshake=True)
    client.query()
    fifo = os.path.join(t.directory, "fifo")
    os.mkfifo(fifo)
    for path in ("/dev/zero", "/dev/urandom", fifo, t.directory):
        t.equal(client.ask(digest(path)), "F,x", path)
    t.equal(client.ask(digest(zeros(t, 1 << 20))), "F,d872560a361bd8b62c3e15390f43270c",
            "a regular file")


@case(gdbserver="has no such packet")
def interrupt_during_a_long_request(t):
    """^C has its stop before the reply to a request that came before it and takes long."""
    client = t.rsp(program="selfcheck 2", handshake=True)
    client.query()
    client.no_ack()
    path = zeros(t, 256 << 20)
    client.send("vCont;c")
    client.send(digest(path))
    client.raw(b"\x03")
    t.match(client.receive(60), "^T02", "the first reply")
    t.match(client.receive(60), "^F,[0-9a-f]{32}$", "the second")


@case(gdbserver="has no such packet")
def sigterm_during_a_long_request(t):
    """SIGTERM to the documented pid ends the server in the middle of a request: no reply comes."""
    client = t.rsp(program="steps", handshake=True)
    client.query()
    path = zeros(t, 1 << 30)
    client.send(digest(path))
    tracer = client.server.tracer()
    t.wait_until(lambda: path in opened_by(tracer), "the server to open the file")
    client.server.signal(15)
    client.server.wait_exit()
    try:
        t.check(False, f"a reply: {client.receive()}")
    except Disconnected:
        pass


@case(gdbserver="has no such option")
def onlooker_that_leaves_early(t):
    """Nothing is worked on for one who has gone: the next one of eight has its place."""
    first = t.rsp(program="steps", once=False, server_options=["--observe"], handshake=True)
    first.query()
    request = digest(zeros(t, 16 << 20))
    for _ in range(20):
        onlooker = RspClient(t, first.server, handshake=True)
        for _ in range(50):
            onlooker.send(request)
        onlooker.close()
    t.equal(first.query().kind, "T", "the first client")


def silent_file_system(t):
    """A directory whose file server never answers; the descriptor to be closed for its end."""
    try:
        fuse = os.open("/dev/fuse", os.O_RDWR)
    except OSError as error:
        raise Skip(f"/dev/fuse: {error.strerror}") from None
    path = os.path.join(t.directory, "silent")
    os.mkdir(path)
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={fuse},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()}"
    if libc.mount(b"silent", path.encode(), b"fuse", 0, options.encode()) != 0:
        os.close(fuse)
        raise Skip(f"mount: {os.strerror(ctypes.get_errno())}")
    return path, fuse, lambda: libc.umount2(path.encode(), 2)  # MNT_DETACH


@case(gdbserver="has to be killed with SIGKILL, and leaves its breakpoints in the program")
def file_system_that_hangs(t):
    """A file whose server does not answer: SIGTERM, when it is sent again, ends ours; nothing is left."""
    process = t.spawn("selfcheck 2")
    process.wait_output("beat 1 ")
    server = t.server_of(process)
    client = t.rsp(server, handshake=True)
    client.query()
    client.insert(client.address("sum_step"))
    path, fuse, unmount = silent_file_system(t)
    try:
        client.send(digest(os.path.join(path, "file")))
        for _ in range(20):
            if not server.running():
                break
            server.signal(15)
            time.sleep(1)
        t.check(not server.running(), "the server is still there")
        t.equal(procfs.tracer(process.pid), 0, "tracer")
        t.unharmed(process)
    finally:
        unmount()
        os.close(fuse)
