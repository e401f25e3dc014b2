"""The sessions everybody has: launch, run, stop, step, end."""

import re

from harness import BOTH, case, procfs


@case(modes=BOTH)
def run_to_exit(t):
    """A program that nobody stops ends by itself, with its own output and status."""
    gdb = t.gdb("steps")
    stop = gdb.run_out()
    t.equal(stop.exit_code, 7, "exit code")
    t.match(gdb.server.output(), r"^42 ", "the program's output")
    gdb.quit()
    t.equal(gdb.server.wait_exit(), 0, "the server's exit status")


@case(modes=BOTH)
def next_goes_over_calls(t):
    """next and step, line by line, through calls and out of them."""
    gdb = t.gdb("steps")
    gdb.cont_to("main")
    lines = []
    for command in ("next", "step", "step", "next", "next", "next", "next", "next", "next"):
        stop = gdb.exec(f"-exec-{command}")
        lines.append(stop.line)
    wanted = ["main: outer", "outer: first call", "inner: first", "inner: second", "inner: return"]
    t.equal(lines[:5], [t.line("steps.c", comment) for comment in wanted], "lines stepped through")
    t.check(t.line("steps.c", "outer: second call") in lines[5:], "next came back to outer")
    t.equal(gdb.run_out().exit_code, 7, "exit code")


@case(modes=BOTH)
def finish_returns_value(t):
    """finish out of nested frames shows the value returned."""
    gdb = t.gdb("steps")
    gdb.breakpoint("factorial", condition="n == 2")
    stop = gdb.cont()
    t.equal((stop.function, gdb.number("n")), ("factorial", 2), "where it stopped")
    stop = gdb.exec("-exec-finish")
    t.equal(stop.data["return-value"], "2", "factorial(2)")
    stop = gdb.exec("-exec-finish")
    t.equal(stop.data["return-value"], "6", "factorial(3)")
    t.equal(gdb.run_out().exit_code, 7, "exit code")


@case(modes=BOTH)
def until_leaves_a_loop(t):
    """until at the end of a loop goes to the first line after it (range stepping in between)."""
    gdb = t.gdb("steps")
    head, after = t.line("steps.c", "loop: head"), t.line("steps.c", "loop: after")
    gdb.cont_to("loop")
    stop = gdb.exec(f"-exec-until {head}")
    t.equal(stop.line, head, "until to the head")
    gdb.exec("-exec-next")
    stop = gdb.exec("-exec-next")
    t.equal(stop.line, head, "back at the head")
    stop = gdb.exec("-exec-until", seconds=50)
    t.equal(stop.line, after, "until went out of the loop")
    t.equal(gdb.number("sum"), sum(i & 3 for i in range(200)), "the loop's sum")
    t.equal(gdb.run_out().exit_code, 7, "exit code")


@case(modes=BOTH)
def stepi_counts(t):
    """stepi N and nexti move by whole instructions; x/i shows the program, not the breakpoints."""
    gdb = t.gdb("steps")
    gdb.cont_to("*inner")
    listing = gdb.cli("x/6i inner")
    addresses = [int(a, 16) for a in re.findall(r"(0x[0-9a-f]+) <", listing)]
    t.equal(gdb.pc(), addresses[0], "first instruction")
    for address in addresses[1:4]:
        stop = gdb.exec("-exec-step-instruction")
        t.equal(stop.pc, address, "stepi")
    gdb.cli("break *inner")
    t.equal(gdb.cli("x/6i inner").replace("=>", "  ").count("int3"), 0, "breakpoint bytes shown")
    t.equal(gdb.cont().function, "inner", "second call")


@case(modes=BOTH)
def kill_ends_the_program(t):
    """kill: the program is gone, the server says so and ends."""
    gdb = t.gdb("hits 2 1000000000")
    pid = gdb.server.inferior()
    gdb.cont_to("alpha")
    gdb.cli("kill")
    t.wait_until(lambda: not procfs.alive(pid), "the program to be gone")
    gdb.quit()
    t.equal(gdb.server.wait_exit(), 0, "the server's exit status")
