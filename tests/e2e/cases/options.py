"""What the command line has beyond gdbserver's: service managers, port files, lost connections."""

import os
import re
import signal
import socket
import sys

from harness import NEVER, RspClient, case, procfs
from harness import server as server_module

NOT_THERE = "has no such option"

# What a service manager does, short of the unit files: opens a socket, says so, executes.
ACTIVATE = """
import os, socket, sys
kind, path, *words = sys.argv[1:]
if kind == "unix":
    made = socket.socket(socket.AF_UNIX); made.bind(path); made.listen()
else:
    made = socket.create_server(("127.0.0.1", 0))
open(path + ".port", "w").write(str(made.getsockname()[1]) if kind != "unix" else path)
if kind == "connected":
    made = made.accept()[0]
os.dup2(made.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="x")
os.execv(words[0], words)
"""


class Activated(server_module.Process):
    """A server whose socket was made by somebody else."""

    def __init__(self, t, kind, *options):
        self.path, self.attached = os.path.join(t.directory, kind), None
        self.program = t.program("ends exit 3")
        super().__init__(t, [sys.executable, "-c", ACTIVATE, kind, self.path, t.server_path, *options,
                             "systemd", *self.program])
        self.port = int(t.wait_until(lambda: procfs.read(self.path + ".port"), "the socket")) \
            if kind != "unix" else None

    def inferior(self):
        return int(self.wait_message(r"^Process .* created; pid = (\d+)")[1])


def environment(pid):
    return procfs.read(f"/proc/{pid}/environ")


@case(gdbserver=NOT_THERE)
def activated(t):
    """Socket activation: a listening TCP socket; the program knows nothing of it."""
    server = Activated(t, "tcp")
    server.wait_message(rf"^Listening on port {server.port}$")
    for again in range(2):
        client = RspClient(t, server, handshake=True)
        t.equal(client.query().kind, "T", "the first stop, and once more")
        if not again:
            client.close()
            t.wait_until(lambda: server.messages().count("Listening") == 2, "the next client's turn")
    t.check("LISTEN_" not in environment(server.inferior()), "the program got LISTEN_ variables")
    t.check(not os.path.exists(f"/proc/{server.inferior()}/fd/3"), "the program got the socket")
    t.match(client.ask("vCont;c"), "^W0?3", "the end")
    client.close()
    t.equal(server.wait_exit(), 0, "exit status")


@case(gdbserver=NOT_THERE)
def activated_for_one_client(t):
    """The same with Accept=yes: the socket is a connection, and the server ends with it."""
    server = Activated(t, "connected")
    client = RspClient(t, server, handshake=True)
    t.equal(client.query().kind, "T", "the first stop")
    client.close()
    t.equal(server.wait_exit(), 0, "exit status")
    t.check(not procfs.alive(server.inferior()), "the program is left")


@case(gdbserver=NOT_THERE)
def activated_for_no_debugger(t):
    """The same, and the connection brings an HTTP request: it gets an answer, and that was all."""
    server = Activated(t, "connected")
    with socket.create_connection(("127.0.0.1", server.port), 20) as browser:
        browser.sendall(b"GET / HTTP/1.1\r\n\r\n")
        t.match(browser.recv(4096).decode(), "^HTTP/1.1 400 Bad Request\r\n", "the answer")
    t.equal(server.wait_exit(), 0, "exit status")
    t.match(server.messages(), "refused, it has sent an HTTP request", "the message")


@case(gdbserver=NOT_THERE)
def activated_unix(t):
    """The same with a unix socket; it belongs to the service manager and stays."""
    server = Activated(t, "unix", "--once")
    server.wait_message(f"^Listening on socket {server.path}$")
    link = socket.socket(socket.AF_UNIX)
    link.connect(server.path)
    link.sendall(b"$?#3f")
    t.match(link.recv(4096).decode(), r"^\+\$T05", "the first stop")
    link.close()
    t.equal(server.wait_exit(), 0, "exit status")
    t.check(os.path.exists(server.path), "the socket was removed")


@case(gdbserver=NOT_THERE)
def not_activated(t):
    """`systemd` where nobody passed a socket, or passed it to somebody else."""
    for env in ({}, {"LISTEN_PID": "1", "LISTEN_FDS": "1"}, {"LISTEN_FDS": "1"}):
        process = server_module.Process(t, [t.server_path, "systemd", "/bin/true"], env=env)
        t.equal(process.wait_exit(), 1, "exit status")
        t.match(process.messages(), "^No socket was passed by the service manager.\nExiting$", "message")


@case(gdbserver=NOT_THERE)
def port_file(t):
    """--port-file has the port as soon as it is listened on; where it cannot be written, no start."""
    path = os.path.join(t.directory, "port")
    server = t.server("ends exit 0", server_options=[f"--port-file={path}"])
    t.equal(procfs.read(path), f"{server.port}\n", "the file")
    bad = server_module.Process(t, [t.server_path, "--port-file=/nonexistent/x", "127.0.0.1:0",
                                    "/bin/true"])
    t.equal(bad.wait_exit(), 1, "exit status")
    t.match(bad.messages(), "^/nonexistent/x: No such file or directory\nExiting$", "message")


@case(gdbserver=NOT_THERE)
def on_disconnect(t):
    """--on-disconnect=keep, detach and kill, for launched and for attached programs."""
    for what in ("keep", "detach", "kill"):
        for attach in False, True:
            process = t.spawn("selfcheck 2") if attach else None
            if process:
                process.wait_output("beat 1 ")
            server = t.server(None if attach else "selfcheck 2", attach=process and process.pid,
                              once=False, server_options=[f"--on-disconnect={what}"])
            server.program = t.program("selfcheck 2")
            client = RspClient(t, server, handshake=True)
            client.query()
            pid = server.inferior()
            if attach:
                client.insert(client.address("sum_step"), rest=NEVER)
            client.close()
            if what == "keep":
                server.wait_port(2)
                t.equal(procfs.tracer(pid), server.tracer(), "tracer")
                t.equal(RspClient(t, server, handshake=True).query().pid, pid, "the same program")
            elif what == "detach":
                t.wait_until(lambda: procfs.tracer(pid) == 0, "the program to be let go")
                where = process or server
                count = where.output().count("beat")
                t.wait_until(lambda: where.output().count("beat") > count, "the program to go on")
                os.kill(pid, signal.SIGTERM)
            else:
                t.wait_until(lambda: process.popen.poll() is not None if process else
                             not procfs.alive(pid), "the program to be gone")


@case()
def keepalive(t):
    """The kernel watches a silent connection: its keepalive timer runs."""
    client = t.rsp(t.server("steps"), handshake=True)
    client.query()
    port = f"{client.server.port:04X}"

    def timer():
        found = re.search(rf"^\s*\d+: 0100007F:{port} \S+ 01 \S+ (\d\d):", procfs.read("/proc/net/tcp"),
                          re.M)
        return found and found[1]
    t.wait_until(lambda: timer() == "02", "the keepalive timer")  # proc(5): 1 is a retransmission
