"""Who may connect, and what a client may do."""

import os
import shutil
import signal
import socket
import subprocess
import sys

from harness import RspClient, Skip, case, hexed, procfs
from harness import server as server_module
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


@case(gdbserver="lets every user of the machine in")
def refusals_do_not_fill_the_log(t):
    """Another user may try as often as they like: it takes a bounded number of lines."""
    server = t.spawn_server(["--multi", "127.0.0.1:0"])
    port = int(server.wait_message(r"^Listening on port (\d+)")[1])
    for _ in range(30):
        t.match(as_nobody(("127.0.0.1", port)), REFUSED, "another user")
    t.check(15 <= server.messages().count("refused") <= 25, "lines about it")
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(frame(b"!") + frame(b"qSupported"))
    server.wait_message("^Remote debugging from host [^ ]*, port \\d+$")
    client.close()
    server.wait_message("^Remote side has terminated")
    before = server.messages().count("refused")
    t.match(as_nobody(("127.0.0.1", port)), REFUSED, "another user again")
    t.wait_until(lambda: server.messages().count("refused") > before, "a line about it")


def own_address():
    """An address of this machine that is not the loopback's; nothing is sent for it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            raise Skip("this machine has no address but the loopback's") from None
        return probe.getsockname()[0]


@case(gdbserver="lets every user of the machine in")
def another_user_by_our_own_address(t):
    """By an address that other machines use as well, another user of this one is refused."""
    host = own_address()
    server = t.spawn_server(["--multi", "0.0.0.0:0"])
    port = int(server.wait_message(r"^Listening on port (\d+)")[1])
    t.match(as_nobody((host, port)), REFUSED, "another user")
    client = socket.create_connection((host, port))
    client.sendall(frame(b"qSupported"))
    t.match(client.recv(4096).decode("latin-1"), "PacketSize", "our own user")


@case(gdbserver="does not listen on unix sockets")
def another_user_at_an_abstract_socket(t):
    """A socket without a file, ours or a service manager's: its peer is asked for."""
    server = t.spawn_server(["--multi", f"unix:@sidestep-{os.getpid()}"])
    server.wait_message("^Listening on socket")
    t.match(as_nobody(f"\0sidestep-{os.getpid()}", socket.AF_UNIX), REFUSED, "abstract")
    name = f"\0passed-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as passed:
        passed.bind(name)
        passed.listen()
        activate = ("import os, sys; os.dup2(int(sys.argv[1]), 3); os.set_inheritable(3, True);"
                    "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1');"
                    "os.execv(sys.argv[2], sys.argv[2:])")
        subprocess.Popen([sys.executable, "-c", activate, str(passed.fileno()), t.server_path,
                          "--multi", "systemd"], pass_fds=[passed.fileno()],
                         stderr=subprocess.DEVNULL)
        t.match(as_nobody(name, socket.AF_UNIX), REFUSED, "a service manager's")


@case(gdbserver="lets every user of the machine in")
def unknown_to_the_user_namespace(t):
    """Where all users have the number 65534, as in a user namespace without a map, none is let in
    for having our number."""
    command = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "unshare", "--user",
               t.server_path, "--multi"]
    if os.geteuid() != 0 or subprocess.run([*command[:-2], "true"], check=False,
                                           stderr=subprocess.DEVNULL).returncode != 0:
        raise Skip("no user namespaces here")
    for option, answer in (([], REFUSED), (["--allow-user=nobody"], "PacketSize")):
        server = server_module.Process(t, [*command, *option, "127.0.0.1:0"])
        port = int(server.wait_message(r"^Listening on port (\d+)")[1])
        t.match(as_nobody(("127.0.0.1", port)), answer, f"another user {option}")
        server.signal(signal.SIGTERM)
        server.wait_exit()


# Two machines with a cable: the second one takes 127.0.0.1 for the first one's, which lets it in.
ROUTES = """
ip link add left type veth peer name right netns {second}
ip addr add 10.9.9.1/24 dev left
ip link set left up
ip link set lo up
sysctl -qw net.ipv4.conf.left.route_localnet=1
"""
ROUTES_BACK = """
ip addr add 10.9.9.2/24 dev right
ip link set right up
sysctl -qw net.ipv4.conf.right.route_localnet=1
ip route add 127.0.0.1/32 via 10.9.9.1 dev right src 10.9.9.2
"""
ASK = """
import socket, sys
source = (sys.argv[3], 0) if len(sys.argv) > 3 else None
client = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10, source)
client.sendall(b"$qSupported#37")
print(client.recv(4096))
"""


@case(gdbserver="listens on every interface")
def routed_to_the_loopback(t):
    """From another machine to 127.0.0.1, which net.ipv4.conf.*.route_localnet makes possible: a bare
    port lets nobody in that way, and 0.0.0.0 does by the machine's own address."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "nsenter", "ip", "sysctl"))):
        raise Skip("no network namespaces here")
    machines = [server_module.Process(t, ["unshare", "--net", "sleep", "60"]) for _ in range(2)]
    t.wait_until(lambda: len({os.readlink(f"/proc/{pid}/ns/net") for pid in
                              ("self", *(machine.pid for machine in machines))}) == 3, "namespaces")
    inside = [["nsenter", "--net", "--target", str(machine.pid)] for machine in machines]
    for machine, script in zip(inside, (ROUTES.format(second=machines[1].pid), ROUTES_BACK)):
        made = subprocess.run([*machine, "sh", "-ec", script], capture_output=True, text=True,
                              check=False)
        if made.returncode != 0:
            raise Skip(f"no such network here: {made.stderr}")
    for comm, host, answer in ((":0", "127.0.0.1", "cannot be found out"),
                               ("0.0.0.0:0", "127.0.0.1", "cannot be found out"),
                               ("0.0.0.0:0", "10.9.9.1", "PacketSize")):
        server = server_module.Process(t, [*inside[0], t.server_path, "--multi", comm])
        port = int(server.wait_message(r"^Listening on port (\d+)")[1])
        asked = subprocess.run([*inside[1], sys.executable, "-c", ASK, host, str(port)],
                               capture_output=True, text=True, check=False)
        t.match(asked.stdout, answer, f"{comm} by {host}: {asked.stderr}")
        server.signal(signal.SIGTERM)
        server.wait_exit()


# A kernel that tells nothing about sockets.
BLIND = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#define REAL(function) ((__typeof__(&function))dlsym(RTLD_NEXT, #function))
int socket(int family, int type, int protocol) {
  if (family != AF_NETLINK) return REAL(socket)(family, type, protocol);
  errno = EPROTONOSUPPORT;
  return -1;
}
static int hidden(const char* path) { errno = ENOENT; return !strncmp(path, "/proc/net/tcp", 13); }
FILE* fopen(const char* path, const char* mode) {
  return hidden(path) ? NULL : REAL(fopen)(path, mode);
}
FILE* fopen64(const char* path, const char* mode) {
  return hidden(path) ? NULL : REAL(fopen64)(path, mode);
}
"""


@case(gdbserver="lets every user of the machine in")
def nobody_can_be_looked_up(t):
    """Where the kernel does not tell whose a socket is, nobody of this machine is let in, by
    whatever pair of its addresses; a server that asks nobody lets them in."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "nsenter", "ip"))):
        raise Skip("no network namespaces here")
    source, shim = os.path.join(t.directory, "blind.c"), os.path.join(t.directory, "blind.so")
    with open(source, "w", encoding="utf-8") as file:
        file.write(BLIND)
    subprocess.run([t.installed("cc"), "-shared", "-fPIC", source, "-o", shim, "-ldl"], check=True)
    script = ("ip link set lo up && ip addr add 10.9.9.1/32 dev lo && "
              "ip addr add 10.9.9.2/32 dev lo && exec sleep 60")
    machine = server_module.Process(t, ["unshare", "--net", "sh", "-c", script])
    inside = ["nsenter", "--net", "--target", str(machine.pid)]
    t.wait_until(lambda: procfs.read(f"/proc/{machine.pid}/comm") == "sleep\n", "the addresses")
    pairs = [("127.0.0.1", "127.0.0.1"), ("10.9.9.1", "127.0.0.1"), ("127.0.0.1", "10.9.9.1"),
             ("10.9.9.1", "10.9.9.1"), ("10.9.9.2", "10.9.9.1")]
    for option, answer in (([], "cannot be found out"), (["--allow-user=*"], "PacketSize")):
        for comm in ("0.0.0.0:0", "[::]:0"):
            server = server_module.Process(
                t, [*inside, t.server_path, "--multi", *option, comm],
                env={"LD_PRELOAD": shim, "ASAN_OPTIONS": "verify_asan_link_order=0"})
            port = int(server.wait_message(r"^Listening on port (\d+)")[1])
            for theirs, ours in pairs if not option else pairs[:1]:
                asked = subprocess.run([*inside, sys.executable, "-c", ASK, ours, str(port), theirs],
                                       capture_output=True, text=True, check=False)
                t.match(asked.stdout, answer, f"{comm}, {theirs} to {ours}: {asked.stderr}")
            server.signal(signal.SIGTERM)
            server.wait_exit()


@case(gdbserver="does not listen on unix sockets")
def socket_of_another_server(t):
    """The file of a server that listens is left alone, also from another network namespace, and the
    server is not disturbed, be it for one connection; that of a server that was killed is replaced."""
    path = os.path.join(t.directory, "socket")
    words = ["--once", "unix:" + path, "/bin/true"]
    first = t.spawn_server(words)
    first.wait_message("Listening on socket")
    inode = os.stat(path).st_ino
    for namespace in ([], ["unshare", "--net", "--"]):
        if namespace and subprocess.run([*namespace, "true"], check=False, capture_output=True).returncode:
            continue  # not allowed here
        second = subprocess.run([*namespace, t.server_path, *words], capture_output=True, timeout=20,
                                check=False)
        t.match(second.stderr.decode(), "Can't bind address: Address already in use", f"{namespace}")
        t.equal(os.stat(path).st_ino, inode, f"{namespace}: the first server's file")
    t.check(first.popen.poll() is None, "the first server goes on")
    tracer = next(child for child in procfs.children(first.pid)
                  if procfs.status(child).get("Name") == "ss-tracer")
    os.kill(tracer, signal.SIGKILL)
    first.popen.wait()
    t.check(os.path.exists(path), "its file is left")
    third = t.spawn_server(words)
    third.wait_message("Listening on socket")


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


@case(gdbserver="has no such option")
def no_other_process(t):
    """--no-run with a program: the client is confined to it, by pid and by name; with --multi it
    may attach. What was refused is said on the server's terminal, too."""
    other = t.spawn("idle 1")
    for options, multi, reply in ((["--no-run"], False, "^E"), ([], False, "^T"),
                                  (["--no-run"], True, "^T")):
        client = t.rsp(program=None if multi else "hits 1 1", multi=multi,
                       server_options=options, handshake=True)
        client.ok("!")
        for packet in (f"vAttach;{other.pid:x}", "vAttachName;" + hexed("idle")):
            t.match(client.ask(packet), reply, f"{options} multi={multi}: {packet}")
            if reply == "^E":
                client.server.wait_message("^Attaching is switched off", 5)
                continue
            client.ok(f"D;{other.pid:x}")
        client.close()
        client.server.wait_exit()


@case(gdbserver="prints the name as it is")
def names_of_a_client_on_the_terminal(t):
    """What a client names cannot send commands to the server's terminal, nor forge a line there."""
    forged = "\nListening on port 99\n"
    name = "/nowhere/\x1b[2J" + forged
    for shell in (1, 0):
        client = t.rsp(multi=True, handshake=True)
        client.ok("!")
        client.ok(f"QStartupWithShell:{shell}")
        t.match(client.ask("vRun;" + hexed(name)), "^E", "vRun")
        client.ok("QSetWorkingDir:" + hexed(name))
        t.match(client.ask("vRun;" + hexed("/bin/true")), "^E", "vRun in a directory")
        client.server.wait_message(r"Cannot exec /nowhere/\\x1b\[2J\\nListening")
        client.server.wait_message(r"Cannot change to directory /nowhere/\\x1b")
        t.check("\x1b" not in client.server.messages(), "no escape sequence")
        t.check(forged not in client.server.messages(), "no line of the client's")
        client.close()
        client.server.wait_exit()


@case()
def a_refused_attach_is_said_on_the_terminal(t):
    """The server's user sees what the client was told: gdb 13 shows no reason."""
    client = t.rsp(multi=True, handshake=True)
    client.ok("!")
    t.match(client.ask("vAttach;f423f"), "^E", "vAttach of a process that is not there")
    client.server.wait_message(r"^Cannot attach to process 999999: No such process \(3\)$")


LIBRARY = """
#include <fcntl.h>
__attribute__((constructor)) static void loaded(void) { creat("%s", 0600); }
"""


@case(gdbserver="has no such option")
def no_library_either(t):
    """--no-run: the client cannot have the server load a libthread_db of its own."""
    made, source = os.path.join(t.directory, "made"), os.path.join(t.directory, "x.c")
    with open(source, "w", encoding="utf-8") as file:
        file.write(LIBRARY % made)
    subprocess.run([t.installed("cc"), "-shared", "-fPIC", source, "-o",
                    os.path.join(t.directory, "libthread_db.so.1")], check=True)
    for options, loaded in (([], True), (["--no-run"], False)):
        client = t.rsp(program="tls", server_options=options, handshake=True)
        stop = client.query()
        text, reply = client.monitor(f"set libthread-db-search-path {t.directory}")
        t.equal(reply, "OK" if loaded else "E01", text)
        client.ask(f"qGetTLSAddr:{stop.thread},0,{client.address('main'):x}")
        t.equal(os.path.exists(made), loaded, f"{options}: the library was loaded")
        if loaded:
            os.unlink(made)


@case(gdbserver="takes whoever connects for its client")
def strangers_are_no_clients(t):
    """With --once: a port scan, a browser's request with packets in it and a connection that says
    nothing do not end the server, and the debugger that comes then has the session."""
    server = t.server("steps")
    address = ("127.0.0.1", server.port)
    socket.create_connection(address).close()
    silent = socket.create_connection(address)
    with socket.create_connection(address, 10) as browser:
        browser.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n" + frame(b"vKill;1"))
        answer = b""
        while block := browser.recv(4096):
            answer += block
    t.match(answer.decode(), r"^HTTP/1\.1 400 Bad Request\r\n(.*\r\n)+\r\nThis port speaks", "HTTP")
    server.wait_message("refused, it has sent an HTTP request")
    client = RspClient(t, server, handshake=True)
    t.check(client.query().pid > 0, "the program is there")
    silent.settimeout(10)
    t.match(silent.recv(4096).decode(), "another client is connected", "the silent one")
    silent.close()
