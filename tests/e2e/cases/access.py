"""Who may connect, and what a client may do."""

import os
import signal
import socket

from harness import RspClient, Skip, case, hexed
from harness.rsp import frame

NOBODY = 65534
REFUSED = "E.user .*may not debug here"


def as_nobody(address, family=socket.AF_INET):
    """What another user on this machine gets for its first packet."""
    if os.geteuid() != 0:
        raise Skip("only root can become another user")
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            client = socket.socket(family)
            client.settimeout(10)
            client.connect(address)
            client.sendall(frame(b"qSupported"))
            answer = b""
            while block := client.recv(4096):
                answer += block
                if b"#" in answer[:-2]:
                    break
            os.write(write_end, answer)
        except OSError as error:
            os.write(write_end, f"{error.strerror}".encode())
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as answer:
        text = answer.read().decode("latin-1")
    os.waitpid(child, 0)
    return text


@case(gdbserver="listens on every interface")
def a_bare_port_is_loopback(t):
    """`:PORT` and `PORT`: one line says that others are kept out and what lets them in, before the
    line that scripts wait for; nothing is said where an address was given."""
    for comm in (":0", "0"):
        server = t.spawn_server(["--multi", comm])
        server.wait_message(r"^Listening on port \d+$")
        t.match(server.messages(),
                r"^Only this machine can connect; 0\.0\.0\.0:0 or \[::\]:0 lets others in\.\n"
                r"Listening on port \d+\n$", comm)
    for comm in ("127.0.0.1:0", "localhost:0", "0.0.0.0:0", "[::]:0"):
        server = t.spawn_server(["--multi", comm])
        server.wait_message(r"^Listening on port \d+$")
        t.match(server.messages(), r"^Listening on port \d+\n$", comm)


@case(gdbserver="lets every user of the machine in")
def another_user_is_refused(t):
    """Loopback, both families, a mapped address: another user gets a sentence, and the session goes on."""
    for comm, host, family in ((":0", "127.0.0.1", socket.AF_INET),
                               (":0", "::1", socket.AF_INET6),
                               ("[::]:0", "::ffff:127.0.0.1", socket.AF_INET6),
                               ("0.0.0.0:0", "127.0.0.1", socket.AF_INET)):
        server = t.spawn_server(["--multi", comm])
        port = int(server.wait_message(r"^Listening on port (\d+)")[1])
        t.match(as_nobody((host, port), family), REFUSED, f"{comm} from {host}")
        server.wait_message(r"refused, user .*65534")
        client = socket.socket(family)
        client.connect((host, port))
        client.sendall(frame(b"qSupported"))
        t.match(client.recv(4096).decode("latin-1"), "PacketSize", "our own user")
        client.close()
        server.signal(signal.SIGTERM)
        server.wait_exit()


@case(gdbserver="does not listen on unix sockets")
def another_user_at_a_unix_socket(t):
    """A unix socket: its file keeps others off; where one is allowed, its user is asked for."""
    path = os.path.join(t.directory, "socket")
    os.chmod(t.directory, 0o755)
    server = t.spawn_server(["--multi", "unix:" + path])
    server.wait_message("^Listening on socket")
    t.match(as_nobody(path, socket.AF_UNIX), "Permission denied", "without --allow-user")
    server.signal(signal.SIGTERM)
    server.wait_exit()
    server = t.spawn_server(["--multi", "--allow-user=1", "unix:" + path])
    server.wait_message("^Listening on socket")
    t.match(as_nobody(path, socket.AF_UNIX), REFUSED, "somebody else allowed")
    server.signal(signal.SIGTERM)
    server.wait_exit()


@case(gdbserver="has no such option")
def an_allowed_user(t):
    """--allow-user by number, by name, for everybody."""
    for option in (f"--allow-user={NOBODY}", "--allow-user=nobody", "--allow-user=*"):
        server = t.spawn_server(["--multi", option, "127.0.0.1:0"])
        port = int(server.wait_message(r"^Listening on port (\d+)")[1])
        t.match(as_nobody(("127.0.0.1", port)), "PacketSize", option)
        server.signal(signal.SIGTERM)
        server.wait_exit()


@case(gdbserver="closes no second connection: it never looks at it")
def a_second_client_is_told(t):
    """One client has the session; the next one gets a sentence, and the first one notices nothing."""
    first = t.rsp(program="selfcheck 2", once=False, handshake=True)
    first.query()
    for _ in range(3):
        second = RspClient(t, first.server)
        t.equal(second.ask("qSupported"), "E.another client is connected", "the second client")
        t.check(second.closed(), "its connection is closed")
        second.close()
    t.equal(first.query().kind, "T", "the first client")


@case(gdbserver="has no such option")
def files_are_off(t):
    """--host-io=off and =read: what the file packets may do; --no-run: nothing is started."""
    path = os.path.join(t.directory, "file")
    with open(path, "w", encoding="utf-8") as file:
        file.write("text")
    name = hexed(path)
    for option, opened, removed in (("--host-io=off", "^F-1,1$", "^F-1,1$"),
                                    ("--host-io=read", "^F[0-9a-f]+$", "^F-1,1$"),
                                    ("--host-io=full", "^F[0-9a-f]+$", "^F0$")):
        client = t.rsp(multi=True, server_options=[option], handshake=True)
        t.match(client.ask(f"vFile:open:{name},0,0"), opened, f"{option}: open for reading")
        t.match(client.ask(f"vFile:unlink:{name}"), removed, f"{option}: unlink")
        client.close()
        client.server.wait_exit()
    client = t.rsp(multi=True, server_options=["--no-run"], handshake=True)
    client.ok("!")
    t.match(client.ask("vRun;" + hexed("/bin/sh") + ";" + hexed("-c") + ";" + hexed("true")),
            "^E", "vRun")
    t.equal(client.ask("qPlatform_shell," + hexed("true")), "", "qPlatform_shell")
    client.send("R00")
    t.match(client.ask("qSupported"), "PacketSize|^$", "R starts nothing")
