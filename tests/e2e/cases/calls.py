"""Inferior calls made while the thread is in a system call: it goes on as if nobody had looked."""

import re
import time

from harness import Skip, case, procfs
from harness.lldb import find_lldb, run_python

# What each call gives when it is left alone.
SLEEPS = {"nanosleep": "0 -", "poll": "0 -", "read": "1 -", "wait": "1 -",
          "pause": "-1 Interrupted system call"}


def stop_in_call(t, client, pid):
    """Interrupts the program once it sleeps in its system call."""
    client.send("vCont;c")
    t.wait_until(lambda: procfs.state(pid) == "S", "the program sleeps")
    client.raw(b"\x03")
    return client.stop_reply()


class Registers:
    """Saved and put back in one of the ways that clients have."""

    def __init__(self, client, way, thread):
        self.client, self.way, self.thread = client, way, thread
        self.table = client.register_table()
        self.saved = client.ask("g")
        self.id = client.ask(f"QSaveRegisterState;thread:{thread};") if way == "state" else None

    def number(self, *names):
        return next((self.table[name][0], name) for name in names if name in self.table)

    def set(self, value, *names):
        number, name = self.number(*names)
        size = self.table[name][1]
        self.client.ok(f"P{number:x}={value.to_bytes(size, 'little').hex()}")

    def restore(self):
        if self.way == "state":
            self.client.ok(f"QRestoreRegisterState:{self.id};thread:{self.thread};")
        elif self.way == "G":
            self.client.ok("G" + self.saved)
        else:
            for name, (number, size, offset) in self.table.items():
                general = size <= 8 and re.fullmatch(r"[re]?[a-ds][ipx]|[re]ip|r\d+|eflags|orig_[re]ax", name)
                if not general or (self.way == "P" and name.startswith("orig_")):
                    continue
                self.client.ok(f"P{number:x}={self.saved[2 * offset:2 * (offset + size)]}")


def interrupted_call(t, program, call, way):
    server = t.server(f"{program} {call}")
    client = t.rsp(server)
    client.handshake("multiprocess+;swbreak+;xmlRegisters=i386")  # no stops at forks
    client.query()
    client.ok("QPassSignals:e;14")
    client.run_to("main")
    pid = server.inferior()
    over = client.address("errand_over")
    stop = stop_in_call(t, client, pid)
    registers = Registers(client, way, stop.thread)
    _, name = registers.number("rsp", "esp")
    size, offset = registers.table[name][1:]
    stack = int.from_bytes(bytes.fromhex(registers.saved[2 * offset:2 * (offset + size)]), "little")
    stack = (stack - 1024) & ~15
    registers.set(stack - size, "rsp", "esp")
    registers.set(client.address("errand"), "rip", "eip")
    if way == "gdb":
        registers.set(2 ** (8 * size) - 1, "orig_rax", "orig_eax")
    client.insert(over)
    t.equal(client.resume().pc, over, f"{call} by {way}: the function that was called")
    client.remove(over)
    # Its own end: nothing of the program has seen it but the counter.
    registers.restore()
    stop = client.resume()
    t.equal((stop.kind, stop.status), ("W", 0), f"{call} by {way}: the end: {stop}")
    t.match(server.output(), re.escape(f"{call} {SLEEPS[call]} errands 0"), f"{call} by {way}")


def every_call(t, program):
    for call in SLEEPS:
        for way in ("G", "P", "P and orig_rax", "gdb", "state"):
            interrupted_call(t, program, call, way)


@case(timeout=200, gdbserver="leaves it to the client to keep the kernel from a restart")
def restarts_survive_inferior_calls(t):
    """All restart codes, by g/G, p/P with and without orig_rax, and QSaveRegisterState."""
    every_call(t, "calls")


@case(timeout=200, gdbserver="leaves it to the client to keep the kernel from a restart")
def restarts_survive_inferior_calls_i386(t):
    """The same in a 32-bit program."""
    every_call(t, "calls32")


@case(timeout=120)
def forks_survive_inferior_calls(t):
    """A Ctrl-C anywhere in fork and vfork, an inferior call by gdb, and on: no fork fails."""
    gdb = t.gdb("calls fork")
    gdb.cont_to("main")
    for _ in range(25):
        gdb.resume()
        time.sleep(0.01)
        gdb.interrupt()
        stop = gdb.wait_stop()
        if stop.exited:
            break
        t.equal(stop.signal, "SIGINT", repr(stop))
        t.equal(gdb.eval("(int)getpid()"), str(gdb.server.inferior()), "getpid()")
    else:
        gdb.run_out()
    t.match(gdb.server.output(), r"fork 0 ", "forks that failed")


@case(timeout=60, gdbserver="is no server for LLDB")
def lldb_calls_a_function(t):
    """An expression in LLDB while the program sleeps in a system call."""
    find_lldb()
    server = t.server("calls nanosleep")
    text = run_python(t, f'''
import time
lldb.debugger.SetAsync(True)
target, error = lldb.debugger.CreateTarget("{server.program[0]}"), lldb.SBError()
process = target.ConnectRemote(listener, "connect://127.0.0.1:{server.port}", "gdb-remote", error)
checked(error)
until(process, lldb.eStateStopped)
process.Continue()
until(process, lldb.eStateRunning)
while open("/proc/{server.inferior()}/stat").read().rpartition(")")[2].split()[0] != "S":
    time.sleep(0.01)
pause(process)
frame = process.GetThreadAtIndex(0).GetFrameAtIndex(0)
print("errand:", frame.EvaluateExpression("errand(), errands").GetValue())
process.Continue()
until(process, lldb.eStateExited)
print("status", process.GetExitStatus())
''')
    if "PLEASE submit a bug report" in text:
        raise Skip("LLDB itself has crashed (its own stack trace is in its output)")
    t.match(text, r"errand: 1", "the call")
    t.match(server.output(), r"nanosleep 0 - errands 1", "the system call")
