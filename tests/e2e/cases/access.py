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
def others_look_on(t):
    """--observe: a second client reads while the first one runs the program, and can change nothing."""
    first = t.rsp(program="selfcheck 2", server_options=["--observe"], handshake=True)
    first.query()
    site = first.address("sum_step")
    first.insert(site)
    stop = first.resume()
    second = RspClient(t, first.server, handshake=True)
    t.equal((second.query().signal, second.query().pc), (stop.signal, stop.pc), "the stop")
    t.equal(second.ask("g"), first.ask("g"), "registers")
    t.equal(second.threads(), first.threads(), "threads")
    for packet in ("vCont;c", f"Z0,{site:x},1", f"M{site:x},1:90", "vCtrlC", "qRcmd,65786974"):
        t.match(second.ask(packet), "^E", packet)
    t.equal(second.read_memory(site, 1), first.read_memory(site, 1), "memory, without the breakpoint")
    first.remove(site)
    first.send("vCont;c")
    rounds = first.address("rounds")
    third = RspClient(t, first.server, handshake=True)
    t.match(third.ask("?"), "^T00.*thread:", "a program that runs")
    t.match(third.ask("g"), "^x{100}", "registers")
    before = third.read_memory(rounds, 8)
    t.wait_until(lambda: third.read_memory(rounds, 8) != before, "memory to change")
    for client in (second, third):
        client.send("k")
        t.check(client.closed(), "closed")
    first.raw(b"\x03")
    t.equal(first.stop_reply().signal, 2, "the first client goes on")
    others = [RspClient(t, first.server, handshake=True) for _ in range(8)]
    t.equal(RspClient(t, first.server).ask("qSupported"), "E.another client is connected", "the ninth")
    first.close()
    t.equal(first.server.wait_exit(), 0, "it ends with the one who has the session")
    for other in others:
        t.check(other.closed(), "closed")


@case(gdbserver="has no such option")
def gdb_looks_on(t):
    """--observe: a real gdb reads variables, code and threads of a program that runs for somebody else."""
    server = t.server("selfcheck 2", server_options=["--observe"])
    first = RspClient(t, server, handshake=True)
    first.query()
    first.run_to("ready")
    first.send("vCont;c")
    gdb = t.gdb("selfcheck 2", server)
    rounds = gdb.cli("print rounds")
    t.wait_until(lambda: gdb.cli("print rounds").split("=")[1] != rounds.split("=")[1], "progress")
    t.equal(gdb.cli("info threads").count("Thread "), 3, "threads")
    t.match(gdb.cli("x/i sum_step"), "push", "code")
    gdb.cli("detach")
    first.raw(b"\x03")
    t.equal(first.stop_reply().signal, 2, "the first client goes on")


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
