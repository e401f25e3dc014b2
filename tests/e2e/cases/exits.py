"""How a program ends, and what the server says then."""

import os
import re
import signal
import socket
import subprocess

from harness import BOTH, Disconnected, case, procfs, server


@case(modes=BOTH)
def exit_codes(t):
    """Exit codes 0, 1, 42 and 255 as gdb shows them."""
    for code in (0, 1, 42, 255):
        gdb = t.gdb(f"ends exit {code}")
        stop = gdb.run_out()
        t.equal(stop.exit_code or 0, code, "exit code")
        gdb.quit()
        t.match(gdb.server.messages(), rf"^Child exited with status {code}$", "message")


@case(modes=BOTH)
def deaths(t):
    """Ends by signals: first the stop, then the end."""
    for number, name in ((signal.SIGABRT, "SIGABRT"), (signal.SIGFPE, "SIGFPE"),
                         (signal.SIGTERM, "SIGTERM"), (35, "SIG35")):
        gdb = t.gdb(f"ends signal {int(number)}")
        t.equal(gdb.cont().signal, name, "the stop")
        stop = gdb.cont()
        t.equal((stop.reason, stop.data.get("signal-name")), ("exited-signalled", name), "the end")
        gdb.quit()
        t.match(gdb.server.messages(), rf"^Child terminated with signal = 0x{int(number):x} ",
                "message")


@case()
def packets(t):
    """W and X with and without multiprocess ids."""
    client = t.rsp(t.server("ends exit 66"), handshake=True)
    client.query()
    client.expect("vCont;c", re.compile(f"^W42;process:{client.server.inferior():x}$"))
    client = t.rsp(t.server("ends exit 5"))
    client.no_ack()
    client.query()
    client.expect("vCont;c", "W05")
    client = t.rsp(t.server("ends signal 11"), handshake=True)
    client.query()
    t.equal(client.resume().signal, 11, "the stop")
    client.expect("vCont;C0b", re.compile(f"^X0?b;process:{client.server.inferior():x}$"))


@case()
def ends_while_it_is_let_go(t):
    """A program that ends while its threads are detached from, one by one: the server ends too."""
    for _ in range(3):
        client = t.rsp(t.server("ends crowd 200"), handshake=True)
        client.query()
        client.run_to("late")
        client.ok("D")
        t.equal(client.server.wait_exit(), 0, "status of the server")


@case()
def killed_from_outside(t):
    """SIGKILL by somebody else while stopped and while running: X09, no hang."""
    for stopped in (True, False):
        client = t.rsp(t.server("selfcheck 3"), handshake=True)
        client.query()
        client.run_to("ready")
        pid = client.server.inferior()
        if not stopped:
            client.send("vCont;c")
            client.silence(0.1)
        subprocess.run(["kill", "-KILL", str(pid)], check=True)
        if stopped:
            client.send("vCont;c")
        t.match(client.receive(), f"^X0?9;process:{pid:x}$", "the end")


@case()
def k_and_vkill(t):
    """k has no reply, vKill says OK; the program is gone after both."""
    client = t.rsp(t.server("selfcheck 2"), handshake=True)
    client.query()
    pid = client.server.inferior()
    client.ok(f"vKill;{pid:x}")
    t.wait_until(lambda: not procfs.alive(pid), "the program to be gone")
    client = t.rsp(t.server("selfcheck 2"), handshake=True)
    client.query()
    pid = client.server.inferior()
    client.send("k")
    t.wait_until(lambda: not procfs.alive(pid), "the program to be gone")
    client.server.wait_exit()
    client = t.rsp(t.server("selfcheck 2"), handshake=True)
    client.query()
    client.expect("vKill;1", "E01")
    t.check(len(client.ask("g")) > 100, "the session goes on")


@case(modes=BOTH)
def monitor_exit(t):
    """`monitor exit` prints nothing, ends the server and what it launched."""
    gdb = t.gdb("selfcheck 2")
    gdb.cont_to("ready")
    pid = gdb.server.inferior()
    gdb.cli("monitor exit")
    t.equal(gdb.server.wait_exit(), 0, "exit status of the server")
    t.wait_until(lambda: not procfs.alive(pid), "the program to be gone")


@case()
def run_after_exit(t):
    """extended-remote: run, exit, run again, then kill, in one connection."""
    gdb = t.gdb(multi=True)
    path = t.program("steps")[0]
    gdb.load(path)
    gdb.cli(f"set remote exec-file {path}")
    for _ in range(3):
        gdb.breakpoint("inner", options="-t")
        gdb.mi("-exec-run")
        t.equal(gdb.wait_stop().function, "inner", "where it stopped")
        t.equal(gdb.run_out().exit_code, 7, "exit code")
    gdb.quit()
    t.equal(gdb.server.wait_exit(), 0, "exit status of the server (--once)")


@case()
def arguments_and_environment(t):
    """vRun with arguments, environment and working directory as gdb sets them."""
    gdb = t.gdb(multi=True)
    path = t.program("ends")[0]
    gdb.load(path)
    gdb.cli(f"set remote exec-file {path}")
    gdb.cli("set args echo one 'two words'  \\*")
    gdb.cli("set environment E2E_VARIABLE a=b c")
    gdb.mi("-exec-run")
    t.equal(gdb.wait_stop().exit_code or 0, 0, "exit code")
    t.equal(gdb.server.output(), "variable=a=b c arguments=5\n[one]\n[two words]\n[*]\n", "its output")


@case()
def launch_failures(t):
    """A program that isn't there: gdbserver's words on stderr, exit status 1, no port."""
    missing = server.Process(t, [t.server_path, "--once", "127.0.0.1:0", "/no/such/program"])
    t.equal(missing.wait_exit(), 1, "exit status")
    t.match(missing.messages(), r"/no/such/program", "the name")
    t.match(missing.messages(), r"During startup program exited with code 127\.$", "message")
    t.match(missing.messages(), r"^Exiting$", "message")
    direct = server.Process(t, [t.server_path, "--no-startup-with-shell", "--once", "127.0.0.1:0",
                                "/no/such/program"])
    t.equal(direct.wait_exit(), 1, "exit status")
    t.match(direct.messages(), r"Cannot exec /no/such/program", "message")
    t.match(direct.messages(), r"No such file or directory", "message")


@case(gdbserver="a failed vRun forgets what was negotiated and sends acks again")
def failed_run_leaves_the_session(t):
    """vRun of a missing program: an error; then a good one runs in the same connection."""
    client = t.rsp(t.server(multi=True), handshake=True)
    client.send("vRun;" + b"/no/such/program".hex() + ";")
    t.match(client.receive(), r"^E", "the reply")
    path = t.program("ends")[0]
    stop = client.ask("vRun;" + path.encode().hex() + ";" + b"exit".hex() + ";" + b"3".hex())
    t.match(stop, r"^T05.*thread:p[0-9a-f]+\.[0-9a-f]+;", "stop reply, with multiprocess ids")
    t.match(client.ask("vCont;c"), r"^W0?3;process:", "the end")


@case()
def standard_input(t):
    """The program reads the server's standard input and writes to its standard output."""
    read_end, write_end = os.pipe()
    program_server = t.server("ends echo", stdin=read_end, env={"E2E_VARIABLE": "from outside"})
    os.close(read_end)
    gdb = t.gdb("ends echo", server=program_server)
    gdb.resume()
    program_server.wait_output("^variable=from outside arguments=2$")
    os.write(write_end, b"hello\nend\n")
    os.close(write_end)
    t.check(gdb.wait_exit(), "the end")
    t.match(program_server.output(), "^read: hello$.*^read: end$", "its output")


@case()
def wrapper(t):
    """--wrapper env X=Y --: the program starts under it, stopped at its own first instruction."""
    gdb = t.gdb("ends echo", wrapper=["env", "E2E_VARIABLE=wrapped"])
    gdb.run_out()
    t.match(gdb.server.output(), "^variable=wrapped arguments=2$", "its output")


@case()
def over_standard_io(t):
    """`target remote | server - prog`: the session runs over the server's stdin and stdout."""
    gdb = t.gdb(connect=False)
    program = t.program("steps")
    gdb.load(program[0])
    gdb.mi(f"-target-select remote | {t.server_path} --once - {program[0]}")
    gdb.stops.clear()
    t.equal(gdb.cont_to("inner").function, "inner", "where it stopped")
    t.equal(gdb.run_out().exit_code, 7, "exit code")


@case()
def dprintf_over_standard_io(t):
    """The same, in non-stop: what breakpoints print goes to stderr, not among the packets."""
    gdb = t.gdb(connect=False)
    program = t.program("hits")
    gdb.load(program[0])
    gdb.cli("set non-stop on")
    gdb.cli("set dprintf-style agent")
    errors = os.path.join(t.directory, "errors")
    gdb.mi(f"-target-select remote | {t.server_path} --once - {program[0]} 1 20 2>{errors}")
    gdb.stops.clear()
    gdb.cli('dprintf alpha,"price $%ld#00 ok\\n",i')
    gdb.run_out()
    with open(errors, encoding="utf-8") as file:
        t.equal(re.findall(r"price \$(\d+)#00 ok\n", file.read()), [str(n) for n in range(20)], "lines")


@case()
def restart_packet(t):
    """R in extended mode starts the program again; ! is answered OK."""
    client = t.rsp(t.server("steps"), handshake=True)
    client.query()
    client.ok("!")
    first = client.query().pid
    client.send("R00")
    second = client.query().pid
    t.check(first != second, f"a new process: {first}, {second}")
    t.equal(client.resume().status, 7, "exit code")


@case()
def second_client_is_told(t):
    """While one client is served, another gets a refusal or a closed door, and disturbs nobody."""
    client = t.rsp(t.server("selfcheck 2"), handshake=True)
    client.query()
    try:
        second = socket.create_connection(("127.0.0.1", client.server.port), 3)
        second.settimeout(1)
        second.sendall(b"$?#3f")
        try:
            second.recv(100)
        except (TimeoutError, ConnectionError):
            pass
        second.close()
    except (ConnectionError, Disconnected):
        pass
    t.check(len(client.ask("g")) > 100, "the first client's session goes on")
