"""i386 programs on an x86-64 server (skipped where the compiler has no 32-bit libraries)."""

from harness import BOTH, NEVER, case, instruction_offsets


@case(modes=BOTH)
def session(t):
    """Breakpoint, backtrace, step, finish and registers of a 32-bit program."""
    gdb = t.gdb("steps32")
    stop = gdb.cont_to("inner")
    t.equal(stop.argument("x"), "10", repr(stop))
    t.equal(gdb.eval("sizeof(long)"), "4", "width")
    t.equal(gdb.number("$cs"), 0x23, "cs")
    t.equal(gdb.number("$eip"), stop.pc, "eip")
    gdb.exec("-exec-next")
    gdb.cli("set $ecx = 0x12345678")
    t.equal(gdb.number("$ecx"), 0x12345678, "ecx")
    stop = gdb.exec("-exec-finish")
    t.equal(stop.data["return-value"], "20", "inner(10)")
    t.equal(gdb.eval("factorial(5)"), "120", "a call")
    t.equal(gdb.run_out().exit_code, 7, "exit code")


@case()  # in non-stop gdb may choose a thread that has just ended
def threads_and_conditions(t):
    """Three threads, a condition true for every seventh call, and a false one."""
    gdb = t.gdb("hits32 3 70")
    gdb.breakpoint("alpha", condition="i % 7 == 3")
    gdb.breakpoint("beta", condition="$esp == 0")
    gdb.breakpoint("*beta", condition="$esp == 0")
    hits = 0
    stop = gdb.cont()
    while not stop.exited:
        hits += 1
        stop = gdb.cont(stop.thread)
    t.equal(hits, 30, "stops")
    process = t.spawn("hits32 3 70")
    process.wait_exit()
    t.equal(gdb.server.output(), process.output(), "its output")


@case(modes=BOTH)
def children(t):
    """fork and vfork of a 32-bit program over breakpoints."""
    for mode in ("fork", "vfork-exec", "exec"):
        gdb = t.gdb(f"forks32 {mode} 3")
        gdb.cont_to("ready")
        gdb.breakpoint("*shared", condition="calls < 0")
        gdb.breakpoint("parent_here", condition="calls < 0")
        stop = gdb.run_out()
        t.equal(stop.exit_code, 23 if mode == "exec" else 5, "exit code")
        t.check("died" not in gdb.server.output(), "children")


@case(modes=BOTH)
def signals(t):
    """Signals, siginfo in the 32-bit layout, a fault and the longjmp out of its handler."""
    gdb = t.gdb("signals32 faults 3")
    gdb.breakpoint("touch", condition="got_segv < 0")
    for _ in range(3):
        stop = gdb.cont()
        t.equal((stop.signal, stop.function), ("SIGSEGV", "touch"), repr(stop))
        t.equal(gdb.eval("$_siginfo._sifields._sigfault.si_addr"), "0x10", "si_addr")
    gdb.run_out()
    t.match(gdb.server.output(), "segv=3 ", "the program's count")


@case(modes=BOTH)
def siginfo_written(t):
    """A value changed in $_siginfo, in the 32-bit layout, reaches the handler."""
    gdb = t.gdb("signals32 handled 2")
    gdb.cli("handle SIGUSR1 SIGUSR2 nostop noprint pass")
    stop = gdb.cont()
    t.equal(stop.signal, "SIG37", repr(stop))
    t.equal(gdb.eval("$_siginfo._sifields._rt.si_sigval.sival_int"), "0", "the value")
    t.equal(gdb.number("$_siginfo._sifields._rt.si_pid"), gdb.server.inferior(), "the sender")
    gdb.cli("set variable $_siginfo._sifields._rt.si_sigval.sival_int = 5")
    stop = gdb.cont()
    t.equal(stop.signal, "SIG37", repr(stop))
    t.equal(gdb.eval("last_value"), "5", "the value that the handler saw")
    gdb.run_out()


@case()
def description(t):
    """target.xml says i386; expedited registers are ebp, esp, eip."""
    client = t.rsp(t.server("steps32"), handshake=True)
    stop = client.query()
    client.ask("Hg0")
    text = client.transfer("features", "target.xml")
    t.check("<architecture>i386</architecture>" in text, "architecture")
    for name, key in (("ebp", "05"), ("esp", "04"), ("eip", "08")):
        t.equal(stop[key], client.register(name).hex(), name)


@case(timeout=90)
def every_instruction(t):
    """A false condition on each instruction of all functions of a 32-bit program."""
    client = t.rsp(t.server("steps32"), handshake=True)
    client.query()
    client.run_to("main")
    for function in ("inner", "outer", "loop", "factorial", "__x86.get_pc_thunk.ax",
                     "__x86.get_pc_thunk.bx"):
        if function in client.elf.symbols:
            for offset in instruction_offsets(t, client.server.program[0], f"'{function}'"):
                client.insert(client.address(function) + offset, rest=NEVER)
    t.equal(client.resume().status, 7, "exit code")
    t.match(client.server.output(), "^42 300 120 42$", "its output")


@case(modes=BOTH)
def exec_from_64_to_32_bits(t):
    """A 64-bit program executes a 32-bit one: registers, breakpoints and signals go along."""
    target = t.program("forks32")[0]
    gdb = t.gdb(["forks", "exec", "1", target])
    gdb.cont_to("ready")
    gdb.cli("catch exec")
    t.equal(gdb.cont().reason, "exec", "the exec")
    stop = gdb.cont_to("after_exec")
    t.equal(gdb.number("$cs"), 0x23, f"cs at {stop!r}")
    t.equal(gdb.eval("sizeof(long)"), "4", "width")
    t.equal(gdb.run_out().exit_code, 23, "exit code")
    t.match(gdb.server.output(), "^executed 42$", "its output")
