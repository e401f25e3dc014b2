"""The program owns the server's terminal while it runs."""

import fcntl
import os
import pty
import re
import signal
import subprocess
import termios
import time

from harness import Failure, case, procfs


class TerminalServer:
    """A server on a pseudo-terminal, with the few members that gdb and raw clients need."""

    def __init__(self, t, program, multi=False):
        self.context, self.program, self.multi, self.attached = t, program, multi, None
        self.master, slave = pty.openpty()
        self.text = ""
        t.log("terminal", lambda: self.text)

        def own_terminal():
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        options = ["--multi"] if multi else []
        self.popen = subprocess.Popen([t.server_path, "--once", *options, "127.0.0.1:0", *program],
                                      stdin=slave, stdout=slave, stderr=slave,
                                      preexec_fn=own_terminal)
        os.close(slave)
        os.set_blocking(self.master, False)
        self.pid = self.popen.pid
        self.port = int(self.wait_text(r"Listening on port (\d+)\r\n")[1])

    def read(self):
        try:
            self.text += os.read(self.master, 65536).decode("utf-8", "replace")
        except (BlockingIOError, OSError):
            pass
        return self.text

    def wait_text(self, pattern, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = re.search(pattern, self.read())
            if found:
                return found
            time.sleep(0.01)
        raise Failure(f"the terminal did not show /{pattern}/")

    def inferior(self):
        return int(self.wait_text(r"created; pid = (\d+)")[1])

    def output(self):
        return self.read()


@case()
def reads_the_terminal(t):
    """What is typed reaches the program; what it prints appears; nothing stops by SIGTTIN."""
    server = TerminalServer(t, t.program("ends echo"))
    gdb = t.gdb("ends echo", server=server)
    gdb.resume()
    server.wait_text("variable=")
    os.write(server.master, b"typed\n")
    server.wait_text("read: typed")
    os.write(server.master, b"end\n")
    gdb.wait_exit()


@case()
def control_c_at_the_terminal(t):
    """Ctrl-C typed at the server's terminal reaches the running program, not the server."""
    server = TerminalServer(t, t.program("signals spin"))
    gdb = t.gdb("signals spin", server=server)
    gdb.cont_to("ready")
    gdb.resume()
    gdb.no_stop(0.2)
    os.write(server.master, b"\x03")
    t.equal(gdb.wait_stop(10).signal, "SIGINT", "the stop")
    t.check(server.popen.poll() is None, "the server runs")


@case(gdbserver="the terminal belongs to the program that is stopped already")
def control_c_before_a_client(t):
    """Ctrl-C typed before a client has come ends the server, and the program that it has started."""
    server = TerminalServer(t, t.program("signals spin"))
    pid = server.inferior()
    t.check(not owns_terminal(pid), "the program waits in the background")
    os.write(server.master, b"\x03")
    t.wait_until(lambda: server.popen.poll() is not None, "the server to end", 10)
    t.wait_until(lambda: not procfs.alive(pid), "the program to be gone", 10)


@case()
def hangup_ends_the_server(t):
    """When the terminal closes, the server and what it launched end."""
    server = TerminalServer(t, t.program("signals spin"))
    client = t.rsp(server, handshake=True)
    client.query()
    pid = server.inferior()
    os.close(server.master)
    t.wait_until(lambda: server.popen.poll() is not None, "the server to end", 10)
    t.wait_until(lambda: not procfs.alive(pid), "the program to be gone", 10)


def owns_terminal(pid):
    """Whether the process is in the foreground process group of its terminal (proc_pid_stat(5))."""
    fields = procfs.read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[2] == fields[5]


def outlives(t, server, pid):
    """The server has ended, and its session and the terminal with it; the program goes on."""
    server.popen.wait()
    t.check(not owns_terminal(pid), "the program is in the background")
    os.close(server.master)
    second = t.rsp(t.server(attach=pid), handshake=True)
    t.equal(second.query().pid, pid, "a second attach")
    second.ok(f"D;{pid:x}")
    t.check(procfs.alive(pid), "the program lives")
    os.kill(pid, signal.SIGKILL)


@case(timeout=90)
def detached_program_lives_on(t):
    """With `target extended-remote` the server does not wait for a program that was detached from: it
    gives the terminal back, whose hangup would end the program else."""
    for end in ("monitor exit", "disconnect", "SIGTERM"):
        if end == "SIGTERM" and t.on_gdbserver:
            continue  # it dies of the signal, and the program by the hangup
        server = TerminalServer(t, t.program("signals spin"), multi=True)
        client = t.rsp(server, handshake=True)
        client.ok("!")
        client.query()
        pid = server.inferior()
        client.ok(f"D;{pid:x}")
        t.check(owns_terminal(pid), "the program runs and has the terminal")
        if end == "monitor exit":
            client.monitor("exit")
        elif end == "disconnect":
            client.close()
        else:
            server.popen.terminate()
        t.wait_until(lambda: server.popen.poll() is not None, f"{end}: the server to end", 10)
        outlives(t, server, pid)


@case(gdbserver="dies of SIGTERM without giving the terminal back, and the program by the hangup")
def server_waits_for_a_detached_program(t):
    """With `target remote` the caller waits for the program by waiting for the server. SIGTERM ends the
    server alone."""
    server = TerminalServer(t, t.program("signals spin"))
    client = t.rsp(server, handshake=True)
    client.query()
    pid = server.inferior()
    client.ok(f"D;{pid:x}")
    t.check(client.closed(), "the connection")
    t.check(server.popen.poll() is None and owns_terminal(pid), "the program keeps the terminal")
    server.popen.terminate()
    t.wait_until(lambda: server.popen.poll() is not None, "the server to end", 10)
    outlives(t, server, pid)

    server = TerminalServer(t, t.program("signals spin"))
    client = t.rsp(server, handshake=True)
    client.query()
    client.ok(f"D;{server.inferior():x}")
    t.check(client.closed(), "the connection")
    os.kill(server.inferior(), signal.SIGKILL)
    t.wait_until(lambda: server.popen.poll() is not None, "the server to end with the program", 10)
    t.equal(server.popen.returncode, 0, "its status")
