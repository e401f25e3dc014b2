"""A real LLDB on the same port."""

import os
import re
import signal

from harness import Skip, case, hexed, procfs
from harness.lldb import Lldb, find_lldb, run_python, run_script, version

GDBSERVER = "leaves the PC behind LLDB's breakpoints, so it never steps over them"


def in_order(t, text, *patterns):
    """Each of these matches after the one before it."""
    at = 0
    for pattern in patterns:
        found = re.compile(pattern, re.M).search(text, at)
        t.check(found, f"lldb did not print /{pattern}/ (after what came before it)")
        at = found.end()


def connect(server):
    return [f"target create {server.program[0]}", f"gdb-remote 127.0.0.1:{server.port}"]


def script(t, program, *commands, **options):
    """A server for the program, an LLDB that runs these commands; returns both."""
    find_lldb()
    server = t.server(program, **options)
    return server, run_script(t, [*connect(server), *commands])


@case(gdbserver=GDBSERVER)
def breakpoints_and_steps(t):
    """Breakpoint, backtrace, step in, over and out, to the end and its status."""
    server, text = script(t, "steps", "breakpoint set -n inner", "continue", "thread backtrace",
                          "finish", "next", "step", "breakpoint delete 1", "next", "continue")
    at = {name: t.line("steps.c", name) for name in
          ("inner: first", "inner: second", "outer: first call", "outer: second call")}
    in_order(t, text, rf"stop reason = breakpoint 1\.1\n.*inner\(x=10\) at steps.c:{at['inner: first']}",
             rf"frame #1: .* outer|frame #1: .*`outer\(x=10\) at steps.c:{at['outer: first call']}",
             r"frame #2: .*`main", r"stop reason = step out\n.*= 20",
             rf"stop reason = step over\n.*steps.c:{at['outer: second call']}",
             rf"stop reason = (breakpoint 1\.1|step in)\n.*inner\(x=11\) at steps.c:{at['inner: first']}",
             rf"stop reason = step over\n.*steps.c:{at['inner: second']}",
             r"exited with status = 7")
    t.match(server.output(), r"^42 ", "the program's output")
    t.equal(server.wait_exit(), 0, "exit status of the server")


@case(gdbserver=GDBSERVER)
def condition(t):
    """A condition that LLDB itself decides on, hit by hit."""
    _, text = script(t, "steps", "breakpoint set -n factorial -c 'n == 2'", "continue",
                     "expression n", "breakpoint list -v 1", "continue")
    in_order(t, text, r"stop reason = breakpoint 1\.1", r"factorial\(n=2\)", r"\(int\) \$0 = 2",
             r"exited with status = 7")


@case(gdbserver=GDBSERVER)
def expressions(t):
    """Expressions that call functions of the program, write memory and registers."""
    server, text = script(t, "steps", "breakpoint set -n inner", "continue",
                          "expression (int)factorial(5)", "expression total = 1000",
                          "expression (int)outer(3)", "memory read -c 4 -f d -s 4 &table",
                          "memory write -s 4 &table[0] 0x77", "expression table[0]",
                          "register write rax 0x123456", "register read rax",
                          "breakpoint delete 1", "continue")
    in_order(t, text, r"\(int\) \$0 = 120", r"\(int\) \$1 = 1000",
             r"stop reason = breakpoint|\(int\) \$2 = 14|Execution was interrupted", r"= 119",
             r"rax = 0x0000000000123456", r"exited with status = 7")
    t.match(server.output(), r"^42 \d+ 120 10\d\d", "total as the expression left it")


@case(gdbserver=GDBSERVER)
def watchpoints(t):
    """Writes and reads of a variable: the old and the new value, in the right order."""
    line = t.line("watched.c", "watched: write")
    _, text = script(t, "watched", f"breakpoint set -f watched.c -l {line}", "continue",
                     "breakpoint disable 1", "watchpoint set variable watched", "continue",
                     "continue", "watchpoint delete 1",
                     "watchpoint set variable -w read_write shared_counter", "continue",
                     "watchpoint delete 2", "continue")
    in_order(t, text, r"stop reason = breakpoint 1\.1", r"old value: 0\nnew value: 10",
             r"old value: 10\nnew value: 20", r"stop reason = watchpoint 2",
             r"exited with status = 0")


@case(gdbserver=GDBSERVER)
def many_threads(t):
    """Four threads through one breakpoint; not one call is lost or done twice."""
    server, text = script(t, "hits 4 20", "breakpoint set -n beta",
                          "breakpoint set -n alpha -G true -c 'i == 7'", "continue", "thread list",
                          "thread backtrace all", "breakpoint disable 1",
                          "breakpoint set -n finished", "continue", "breakpoint list 2",
                          "expression alpha_calls", "continue")
    in_order(t, text, r"stop reason = breakpoint 1\.1", r"^  thread #5|^\* thread #5",
             r"stop reason = breakpoint 3\.1", r"locations = 1.*hit count = 4",
             r"\(long\) \$0 = 80", r"exited with status")
    t.match(server.output(), r"^alpha=80 beta=80 ", "the program's own count")


@case(gdbserver=GDBSERVER)
def interrupt(t):
    """process interrupt while several threads run, look, and on: three times."""
    find_lldb()
    server = t.server("selfcheck 4")
    lldb = Lldb(t)
    *before, connecting = connect(server)
    for line in before:
        lldb.run(line)
    lldb.go(connecting)  # its stop is told by another thread of lldb, maybe later than its prompt
    lldb.run("breakpoint set -n main")
    lldb.go("continue")
    for _ in range(3):
        lldb.go("continue", "resuming")
        server.wait_output(f"beat {server.output().count('beat') + 1}")
        lldb.go("process interrupt")
        t.match(lldb.run("thread list"), r"Process \d+ stopped\n(.*thread #\d+.*\n){5}", "threads")
    lldb.run("breakpoint delete 1")
    lldb.go("continue", "resuming")
    os.kill(server.inferior(), signal.SIGCONT)  # no signal of ours is left behind
    lldb.go("process interrupt")
    t.match(lldb.run("process kill"), r"exited with status = 9", "the end")
    t.equal(server.wait_exit(), 0, "exit status of the server")


@case(gdbserver=GDBSERVER)
def attach_and_detach(t):
    """A server that has attached; the program goes on unharmed after `detach`, with a hot breakpoint
    in it until then."""
    find_lldb()
    process = t.spawn("selfcheck 4")
    process.wait_output("beat 2 ")
    server = t.server_of(process)
    text = run_script(t, [*connect(server), "thread list", "breakpoint set -n sum_step", "continue",
                          "continue", "thread backtrace", "detach"])
    in_order(t, text, r"stop reason = breakpoint 1\.1", r"stop reason = breakpoint 1\.1",
             r"`sum_step", r"detached")
    server.wait_exit()
    t.equal(procfs.tracer(process.pid), 0, "tracer")
    t.equal(procfs.text_differences(process.pid, process.words[0]), [], "text differs from the file")
    count = process.output().count("beat")
    t.wait_until(lambda: process.output().count("beat") > count + 2, "the program to go on")
    process.signal(signal.SIGTERM)
    t.equal(process.wait_exit(), 0, "exit status of the program")
    t.match(process.output(), r"^done rounds=\d+ wrong=0 ", "the program's last line")


@case(gdbserver=GDBSERVER)
def launch(t):
    """--multi: a program is started with arguments, environment and files, and once more."""
    server = t.server(multi=True, once=False)
    out = os.path.join(t.directory, "out")
    text = run_python(t, f"""
for rounds in "30", "40":
    target, process = connect({t.program('hits')[0]!r}, {server.port})
    target.BreakpointCreateByName("finished")
    error = lldb.SBError()
    process.RemoteLaunch(["2", rounds], ["GREETING=hello"], None, {out!r} + rounds, None, None, 0,
                         False, error)
    checked(error)
    process.Continue()
    until(process, lldb.eStateStopped)
    thread = process.GetSelectedThread()
    print("stop", thread.GetStopReason() == lldb.eStopReasonBreakpoint, thread.GetFrameAtIndex(0),
          target.EvaluateExpression("alpha_calls").GetValue())
    print("environment", "GREETING=hello" in open(f"/proc/{{process.GetProcessID()}}/environ").read())
    process.Continue()
    until(process, lldb.eStateExited)
    print("exit", process.GetExitStatus())
    process.Destroy()
""")
    in_order(t, text, r"^stop True .*`finished.* 60$", "^environment True", "^exit 0",
             r"^stop True .*`finished.* 80$", "^exit 0")
    for rounds, calls in ((30, 60), (40, 80)):
        t.match(procfs.read(out + str(rounds)), f"^alpha={calls} beta={calls} ", "program's output")


@case(gdbserver=GDBSERVER)
def attach_through_the_server(t):
    """--multi: attached to by pid and, waiting for one to come up, by name."""
    process = t.spawn("selfcheck 2")
    process.wait_output("beat 1 ")
    server = t.server(multi=True, once=False)
    text = run_python(t, f"""
import subprocess
target, process = connect({process.words[0]!r}, {server.port})
error = lldb.SBError()
process.RemoteAttachToProcessWithID({process.pid}, error)
checked(error)
until(process, lldb.eStateStopped)
target.BreakpointCreateByName("sum_step")
process.Continue()
until(process, lldb.eStateStopped)
hit = next(each for each in process if each.GetStopReason() == lldb.eStopReasonBreakpoint)
print("hit", hit.GetFrameAtIndex(0))
checked(process.Detach())
""")
    in_order(t, text, r"^hit .*`sum_step")
    process.signal(signal.SIGTERM)
    t.equal(process.wait_exit(), 0, "exit status of the program")
    t.match(process.output(), r"^done rounds=\d+ wrong=0 ", "the program's last line")


@case()
def wait_for_a_name(t):
    """vAttachWait and vAttachOrWait as LLDB asks them: the next process of that name, not an old one."""
    old = t.spawn("selfcheck 2")
    old.wait_output("beat 1 ")
    client = t.rsp(t.server(multi=True))
    client.ok("QThreadSuffixSupported")
    client.ok("qVAttachOrWaitSupported")
    client.send("vAttachWait;" + hexed("selfcheck"))
    client.silence(0.1)
    new = t.spawn("selfcheck 2")
    stop = client.receive()
    t.match(stop, f"^T13.*thread:{new.pid:x};", "the stop of the new process")
    client.ok("D")
    t.match(client.ask("vAttachOrWait;" + hexed("selfcheck")), f"thread:({old.pid:x}|{new.pid:x});",
            "one that is there already")
    client.ok("D")
    client.send("vAttachWait;" + hexed("there is none"))
    client.raw(b"\x03")
    t.match(client.receive(), "^E", "the answer to an interrupted wait")
    for process in old, new:
        process.signal(signal.SIGTERM)
        t.equal(process.wait_exit(), 0, "exit status")


@case()
def memory_for_the_client(t):
    """_M and _m: memory in the program, as many bytes and with the rights asked for."""
    client = t.rsp(t.server("steps"))
    client.query()
    pid = client.server.inferior()
    for rights, shown in (("rw", "rw-p"), ("rx", "r-xp"), ("rwx", "rwxp"), ("r", "r--p"),
                          ("x", "--xp")):
        before = client.ask("g")
        start = int(client.ask(f"_M3000,{rights}"), 16)
        t.match(procfs.read(f"/proc/{pid}/maps"), rf"^{start:x}-{start + 0x3000:x} {shown}", "maps")
        t.equal(client.ask("g"), before, "registers")
        client.ok(f"X{start:x},3:abc")
        t.equal(client.ask(f"m{start:x},3"), "616263", "what was written")
        client.ok(f"_m{start:x}")
        t.check(f"\n{start:x}-" not in procfs.read(f"/proc/{pid}/maps"), "still mapped")
        t.match(client.ask(f"_m{start:x}"), "^E", "freed twice")
    t.match(client.ask("_Mffffffffffffff,rw"), "^E", "more than there is")
    t.match(client.ask("vCont;c"), "^W07", "the program's end")


@case()
def refused(t):
    """LLDB is told at once that another client has the session: it does not wait for ever."""
    find_lldb()
    first = t.rsp(program="steps", once=False, handshake=True)
    stop = first.query()
    text = run_script(t, [f"gdb-remote 127.0.0.1:{first.server.port}"])
    t.match(text, "^error: ", "what LLDB says")
    t.equal(first.query().thread, stop.thread, "the first client's session goes on")


FAULTS = {
    "null": r"SIGSEGV: address not mapped to object \(fault address: 0x1234\)",
    "constant": r"SIGSEGV: invalid permissions for mapped object \(fault address: 0x[0-9a-f]+\)",
    "canonical": r"SIGSEGV: general protection fault",
    "illegal": r"SIGILL: illegal operand",
    "divide": r"SIGFPE: integer divide by zero",
    "bus": r"SIGBUS: nonexistent physical address \(fault address: 0x[0-9a-f]+\)",
}


@case(timeout=180)
def why_it_crashed(t):
    """A fault is told with its reason and its address."""
    for kind, reason in FAULTS.items():
        _, text = script(t, f"crashes fault {kind}", "continue", "thread info")
        in_order(t, text, "stop reason = signal " + reason, "stop reason = signal " + reason)


@case()
def a_pause_is_no_signal(t):
    """`process handle -p true SIGINT` is about the program's SIGINTs, not about pauses."""
    find_lldb()
    server = t.server("crashes wait")
    line = t.line("crashes.c", "crashes: handlers are set")
    text = run_python(t, f"""
lldb.debugger.SetAsync(True)
target, error = lldb.debugger.CreateTarget({server.program[0]!r}), lldb.SBError()
process = target.ConnectRemote(listener, "connect://127.0.0.1:{server.port}", "gdb-remote", error)
checked(error)
until(process, lldb.eStateStopped)
lldb.debugger.HandleCommand("process handle -p true -s false SIGINT")
set_up = target.BreakpointCreateByLocation("crashes.c", {line})
process.Continue()
until(process, lldb.eStateStopped)
target.BreakpointDelete(set_up.GetID())
for _ in range(3):
    process.Continue()
    until(process, lldb.eStateRunning)
    pause(process)
    print("paused:", process.GetThreadAtIndex(0).GetStopDescription(100))
checked(process.Detach())
print("detached")
""")
    in_order(t, text, *["^paused: signal SIGSTOP"] * 3, "^detached")
    os.kill(server.inferior(), signal.SIGTERM)
    server.wait_output("^done interrupted=")
    t.match(server.output(), "^done interrupted=0$", "the program's last line")


@case()
def first_stop_of_an_attach(t):
    """After --attach there is a stop with a reason, a thread and a frame."""
    find_lldb()
    process = t.spawn("crashes wait")
    process.wait_output("^waiting")
    server = t.server_of(process)
    text = run_script(t, [*connect(server), "thread info", "thread backtrace", "detach"])
    in_order(t, text, r"stop reason = signal SIGSTOP\n.*frame #0: ", "stop reason = signal SIGSTOP",
             "frame #0: ")
    process.signal(signal.SIGTERM)
    t.equal(process.wait_exit(), 0, "exit status of the program")


@case()
def crashed_expression_and_detach(t):
    """An expression crashes and is undone; a detach then delivers no signal of it."""
    find_lldb()
    process = t.spawn("crashes wait")
    process.wait_output("^waiting")
    server = t.server_of(process)
    text = run_python(t, f"""
for command in ("target create {process.words[0]}", "gdb-remote 127.0.0.1:{server.port}",
                "expression read_int((int*)0)", "process detach"):
    lldb.debugger.HandleCommand(command)
""")
    in_order(t, text, "Execution was interrupted, reason: signal SIGSEGV", "detached")
    process.signal(signal.SIGTERM)
    t.equal(process.wait_exit(), 0, "exit status of the program")
    t.match(process.output(), "^done interrupted=0$", "the program's last line")


@case()
def withheld_signal(t):
    """A signal that LLDB's user withholds (`process handle -p false`) is not delivered by a detach."""
    find_lldb()
    process = t.spawn("crashes wait")
    process.wait_output("^waiting")
    server = t.server_of(process)
    text = run_python(t, f"""
import os, signal
lldb.debugger.SetAsync(True)
target, error = lldb.debugger.CreateTarget({process.words[0]!r}), lldb.SBError()
process = target.ConnectRemote(listener, "connect://127.0.0.1:{server.port}", "gdb-remote", error)
checked(error)
until(process, lldb.eStateStopped)
lldb.debugger.HandleCommand("process handle -p false -s true SIGUSR1")
process.Continue()
until(process, lldb.eStateRunning)
os.kill({process.pid}, signal.SIGUSR1)
print("stopped:", until_stopped_by(process, "SIGUSR1"))
checked(process.Detach())
""")
    in_order(t, text, "^stopped: signal SIGUSR1")
    server.wait_exit()
    process.signal(signal.SIGTERM)
    t.equal(process.wait_exit(), 0, "exit status of the program")


@case()
def read_watchpoint(t):
    """`watchpoint set -w read` stops at a read."""
    line = t.line("crashes.c", "crashes: read")
    _, text = script(t, "crashes read", f"breakpoint set -f crashes.c -l {line}", "continue",
                     "watchpoint set variable -w read shared_word", "continue", "thread info",
                     "watchpoint delete 1", "continue")
    in_order(t, text, r"stop reason = breakpoint 1\.1", "Watchpoint created",
             "stop reason = watchpoint 1", "stop reason = watchpoint 1", "exited with status = 0")


@case()
def failed_starts(t):
    """--multi: LLDB's user reads why a program did not start: program, directory, redirection."""
    server = t.server(multi=True, once=False)
    text = run_python(t, f"""
path = {t.program('crashes')[0]!r}
def start(stdin=None, directory=None):
    target, process = connect(path, {server.port})
    error = lldb.SBError()
    process.RemoteLaunch(["read"], [], stdin, None, None, directory, 0, False, error)
    print("start:", error.GetCString())
    lldb.debugger.DeleteTarget(target)
start(directory="/no/such/directory")
start(directory="/etc/passwd")
start(stdin="/no/such/input")
start()
""")
    in_order(t, text, r"^start: .*/no/such/directory: No such file or directory",
             r"^start: .*/etc/passwd: Not a directory",
             r"^start: .*/no/such/input: No such file or directory", r"^start: None")
    client = t.rsp(t.server(multi=True))
    client.ok("QThreadSuffixSupported")
    word = hexed("/no/such/program")
    t.match(client.ask(f"A{len(word)},0,{word}"), "^E", "a program that is not there")
    t.match(client.ask("qLaunchSuccess"), "^E.*/no/such/program: No such file or directory", "why")


@case()
def shell_command(t):
    """`platform shell` is refused in words."""
    find_lldb()
    server = t.server(multi=True)
    text = run_script(t, ["platform select remote-linux",
                          f"platform connect connect://127.0.0.1:{server.port}",
                          "platform shell echo hi"])
    t.match(text, "runs no shell commands", "what LLDB says")


@case()
def thread_local_variable(t):
    """A thread-local variable of the program, by LLDB from 19 on."""
    if version() < 17:
        raise Skip(f"LLDB {version()} finds no thread pointer")
    _, text = script(t, "crashes read", "breakpoint set -n look", "continue",
                     "target variable in_thread")
    in_order(t, text, r"stop reason = breakpoint 1\.1", r"^\(int\) in_thread = 7$")


@case()
def comes_back_after_a_kill(t):
    """LLDB is killed where a thread other than the first has stopped; for the next one main is
    thread 1 all the same, and the other thread's stop is told."""
    find_lldb()
    server = t.server("hits 4 200", once=False)
    lldb = Lldb(t)
    for line in connect(server)[:1]:
        lldb.run(line)
    lldb.go(connect(server)[1])
    lldb.run("breakpoint set -n beta")
    lldb.go("continue")
    stopped = re.search(r"^\* thread #(\d+)", lldb.run("thread list"), re.M)
    t.check(stopped and stopped[1] != "1", "a thread other than main has stopped")
    lldb.popen.kill()
    server.wait_port(2)
    server.port = server.wait_port(2)
    text = run_script(t, [*connect(server), "thread list", "thread backtrace 1", "process kill"])
    in_order(t, text, r"^[ *] thread #1: tid = %d," % server.inferior(), r"`main")
    t.match(text, r"^\* thread #[2-5]: .*stop reason = ", "the thread that has stopped is selected")


REGISTERS = """
def frame():
    return process.GetThreadAtIndex(0).GetFrameAtIndex(0)  # another one when rsp has changed
def values():
    return {{register.GetName(): (register.GetError().GetCString(), list(register.GetData().uint8))
            for registers in frame().GetRegisters() for register in registers}}
target, error = lldb.debugger.CreateTarget({path!r}), lldb.SBError()
process = target.ConnectRemote(listener, "connect://127.0.0.1:{port}", "gdb-remote", error)
checked(error)
until(process, lldb.eStateStopped)
before = values()
print("count", len(before))
bad = []
for name, (failed, data) in list(before.items()):
    if not failed and data: continue
    bad.append((name, "read", failed))
    del before[name]
# Each is changed in one bit and put back. The kernel or the processor has its say about some. `sp`,
# 16 bits of rsp, cannot be written: `register write` takes the name for that of the stack pointer.
keep = ("rip eip rflags eflags cs ds es fs gs ss orig_rax fs_base gs_base mxcsr fctrl fstat ftag "
        "fop fiseg fioff foseg fooff pkru").split()
for name, (_, data) in before.items():
    if name == "sp": continue
    flipped = list(data) if name in keep else [data[0] ^ 1] + data[1:]
    for wanted in flipped, data:
        text = ("{{" + " ".join(hex(byte) for byte in wanted) + "}}" if len(wanted) > 8
                else hex(int.from_bytes(bytes(wanted), "little")))
        result = lldb.SBCommandReturnObject()
        lldb.debugger.GetCommandInterpreter().HandleCommand(
            f"register write {{name}} '{{text}}'", result)
        now = list(frame().FindRegister(name).GetData().uint8)
        if not result.Succeeded() or now != wanted:
            bad.append((name, "write", wanted, now, result.GetError()))
for name, (_, data) in values().items():
    if name in before and before[name][1] != data: bad.append((name, "in the end", data))
print("bad", bad)
for name in "rflags", "eflags", "rax", "eax", "st0", "xmm0":
    print("found", name, frame().FindRegister(name).IsValid())
print("sets", [registers.GetName() for registers in frame().GetRegisters()])
process.Kill()
"""


@case(timeout=180)
def every_register(t):
    """Each register that LLDB lists has a value, takes another one and its own again."""
    find_lldb()
    server = t.server("steps")
    text = run_python(t, REGISTERS.format(path=server.program[0], port=server.port), 150)
    t.match(text, r"^bad \[\]$", "registers with an error")
    count = int(re.search(r"^count (\d+)", text, re.M)[1])
    t.check(count > 80, f"{count} registers")
    for name in "rflags", "rax", "eax", "st0", "xmm0":
        t.match(text, f"^found {name} True", "a register of that name")
    t.match(text, "^sets .*General Purpose Registers.*Floating Point Registers", "sets")
