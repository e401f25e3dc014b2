"""Hardware breakpoints and watchpoints, dprintf, tbreak, ignore counts, commands."""

import re

from harness import (ALWAYS, BOTH, NEVER, GdbError, case, condition, instruction_offsets,
                     procfs)
from harness.rsp import GDB_FEATURES


@case(modes=BOTH)
def watch_writes(t):
    """watch: each change stops once with old and new value."""
    gdb = t.gdb("watched")
    gdb.cont_to("ready")
    gdb.cli("watch watched")
    values = []
    stop = gdb.cont()
    while stop.reason == "watchpoint-trigger":
        values.append((stop.data["value"]["old"], stop.data["value"]["new"]))
        if len(values) == 5:
            break
        stop = gdb.cont()
    t.equal(values, [(str(i * 10), str(i * 10 + 10)) for i in range(5)], "changes")
    gdb.cli("delete")
    gdb.run_out()
    t.match(gdb.server.output(), "^sum=65 shared=10 executed=5 wide=10000000000$", "its output")


@case(modes=BOTH)
def access_watch(t):
    """awatch stops at reads too."""
    gdb = t.gdb("watched")
    gdb.cont_to("ready")
    gdb.breakpoint("executed_here", condition="i == 5", options="-t")
    gdb.cont()
    gdb.exec("-exec-finish")
    gdb.cli("awatch watched")
    stop = gdb.cont()
    t.equal(stop.reason, "access-watchpoint-trigger", repr(stop))
    t.equal(stop.data["value"]["new"], "50", "the value read")
    gdb.cli("delete")
    gdb.run_out()


@case(modes=BOTH)
def watch_a_byte_and_a_long(t):
    """Widths 1 and 8, both armed at once."""
    gdb = t.gdb("watched")
    gdb.cont_to("ready")
    gdb.cli("watch bytes[3]")
    gdb.cli("watch wide")
    stop = gdb.cont()
    t.equal(stop.data["wpt"]["exp"], "bytes[3]", repr(stop))
    stop = gdb.cont()
    t.equal((stop.data["wpt"]["exp"], stop.data["value"]["new"]), ("wide", str(1 << 40)), repr(stop))
    gdb.cli("delete")
    gdb.run_out()


@case(modes=BOTH)
def watch_in_threads_to_come(t):
    """A watchpoint set before the threads exist catches their writes."""
    gdb = t.gdb("watched")
    gdb.cont_to("ready")
    gdb.cli("watch shared_counter")
    seen, threads = [], set()
    stop = gdb.cont()
    while stop.reason == "watchpoint-trigger":
        seen.append(stop.data["value"]["new"])
        threads.add(stop.thread)
        stop = gdb.cont(stop.thread)
    t.check(stop.exited or stop.reason == "watchpoint-scope", repr(stop))
    t.equal(seen, [str(i) for i in range(1, 11)], "values")
    t.equal(len(threads), 2, "threads that wrote")


@case(modes=BOTH)
def conditional_watch(t):
    """watch … if: only the change for which it is true stops."""
    gdb = t.gdb("watched")
    gdb.cont_to("ready")
    gdb.cli("watch watched if watched == 40")
    stop = gdb.cont()
    t.equal(stop.data["value"]["new"], "40", repr(stop))
    gdb.cli("delete")
    gdb.run_out()


@case(modes=BOTH)
def hardware_breakpoint(t):
    """hbreak is hit, with the memory untouched, in all-stop and non-stop."""
    gdb = t.gdb("watched")
    gdb.cont_to("ready")
    gdb.cli("set breakpoint always-inserted on")
    gdb.breakpoint("executed_here", options="-h")
    pid = gdb.server.inferior()
    t.equal(procfs.text_differences(pid, gdb.server.program[0]), [], "text")
    for i in range(1, 6):
        stop = gdb.cont()
        t.equal((stop.function, stop.argument("i")), ("executed_here", str(i)), repr(stop))
    t.check(gdb.run_out().exited, "the end")


@case()
def debug_registers_run_out(t):
    """The fifth hardware breakpoint is an error; after one is removed there is room again."""
    client = t.rsp(t.server("watched"), handshake=True)
    client.query()
    client.run_to("ready")
    base = client.address("executed_here")
    for i in range(4):
        client.insert(base + i, type_=1)
    client.expect(f"Z1,{base + 4:x},1", re.compile("^E"))
    client.remove(base + 3, type_=1)
    client.insert(client.address("watched"), kind=4, type_=2)
    client.remove(client.address("watched"), kind=4, type_=2)
    for i in range(1, 3):
        client.remove(base + i, type_=1)
    stop = client.resume()
    t.check("hwbreak" in stop, f"a hwbreak stop: {stop}")
    t.equal(stop.pc, base, "pc")


@case()
def watch_reply_raw(t):
    """Z2 stops with watch:ADDRESS after the write; Z3 is empty; a bad width is an error."""
    client = t.rsp(t.server("watched"), handshake=True)
    client.query()
    client.run_to("ready")
    watched = client.address("watched")
    client.expect(f"Z3,{watched:x},4", "")
    client.insert(watched, kind=4, type_=2)
    stop = client.resume()
    t.equal(int(stop["watch"], 16), watched, "the address")
    t.equal(client.read_memory(watched, 4), b"\x0a\0\0\0", "the value is there already")
    client.expect(f"Z2,{watched:x},3", re.compile("^(OK|E..)$"))


@case(gdbserver="takes no condition on watchpoints")
def hardware_conditions_raw(t):
    """Z1, Z2 and Z4 with a list of conditions: passed while all are false, told when one is true."""
    client = t.rsp(t.server("watched"), handshake=True)
    client.query()
    client.run_to("ready")
    executed, watched = client.address("executed_here"), client.address("watched")
    # reg 5, const8 2, equal, end; const64 watched, ref32, const8 30, equal, end.
    second = condition(bytes.fromhex("26000522021327"))
    thirty = condition(b"\x25" + watched.to_bytes(8, "big") + bytes.fromhex("19221e1327"))
    client.insert(executed, type_=1, rest=NEVER)
    client.insert(watched, kind=4, type_=2, rest=NEVER)
    client.insert(executed, type_=1, rest=NEVER + second)  # another list: one of two
    stop = client.resume()
    t.equal(("hwbreak" in stop, stop.pc), (True, executed), repr(stop))
    t.equal(client.register_value("rdi") & 0xffffffff, 2, "its argument")
    client.remove(executed, type_=1)
    client.insert(watched, kind=4, type_=2, rest=thirty)
    stop = client.resume()
    t.equal(int(stop["watch"], 16), watched, repr(stop))
    t.equal(client.read_memory(watched, 4), bytes([30, 0, 0, 0]), "the value")
    client.remove(watched, kind=4, type_=2)
    client.insert(watched, kind=4, type_=4, rest=NEVER + ALWAYS)
    stop = client.resume()
    t.equal(int(stop["awatch"], 16), watched, repr(stop))
    client.insert(watched, kind=4, type_=4, rest=NEVER)
    stop = client.resume()
    t.equal((stop.kind, stop.status), ("W", 0), f"the end: {stop}")


@case(gdbserver="takes no condition on watchpoints")
def watch_inside_a_slot(t):
    """Writes by instructions that run in slots are told behind the instruction, in the program."""
    places = []
    for with_sites in (False, True):
        client = t.rsp(t.server("watched"), handshake=True)
        client.query()
        client.run_to("ready")
        if with_sites:
            start = client.address("main")
            for offset in instruction_offsets(t, client.server.program[0], "main"):
                client.insert(start + offset, rest=NEVER)
        for name, size in (("watched", 4), ("wide", 8), ("shared_counter", 4)):
            client.insert(client.address(name), kind=size, type_=2)
        seen, stop = [], client.resume()
        while stop.kind == "T":
            t.check("watch" in stop, repr(stop))
            seen.append((int(stop["watch"], 16), stop.pc))
            client.ok("Hg" + stop.thread)
            t.equal(client.register_value("rip"), stop.pc, "pc")
            stop = client.resume()
        t.equal((stop.kind, stop.status), ("W", 0), f"the end: {stop}")
        places.append(seen)
    t.equal(len(places[0]), 5 + 1 + 10, "writes")
    t.equal(places[1], places[0], "the same with every instruction of main in a slot")


@case(modes=BOTH)
def ignore_and_temporary(t):
    """ignore counts, tbreak, disable: gdb's own bookkeeping adds up."""
    gdb = t.gdb("hits 1 30")
    number = gdb.breakpoint("alpha", options="-i 19")
    gdb.breakpoint("beta", options="-t")
    t.equal(gdb.cont().function, "beta", "first")
    stop = gdb.cont()
    t.equal((stop.function, stop.argument("i")), ("alpha", "19"), repr(stop))
    gdb.cli(f"disable {number}")
    t.check(gdb.run_out().exited, "the end")


@case(modes=BOTH)
def commands_of_gdb(t):
    """A breakpoint's commands in gdb: silent, print, continue, at each of 30 hits."""
    gdb = t.gdb("hits 2 15")
    gdb.breakpoint("alpha")
    gdb.mi('-break-commands 1 "silent" "printf \\"i is %ld\\\\n\\", i" "continue"')
    gdb.resume()
    t.wait_until(lambda: drain(gdb) and gdb.server.output().startswith("alpha=30") and
                 "".join(gdb.console).count("i is ") >= 30, "the program to end", 40)
    t.equal("".join(gdb.console).count("i is "), 30, "lines printed")


def drain(gdb):
    gdb._read(0.05)
    return True


@case(modes=BOTH)
def dprintf_by_gdb(t):
    """dprintf printed by gdb, in order."""
    gdb = t.gdb("hits 1 20")
    gdb.cli('dprintf alpha,"at %ld\\n",i')
    gdb.run_out()
    lines = re.findall(r"at (\d+)\n", "".join(gdb.console))
    t.equal(lines, [str(i) for i in range(20)], "lines")


@case(modes=BOTH)
def dprintf_by_the_server(t):
    """dprintf-style agent: the server formats; the lines come out in order, on one side or the other."""
    gdb = t.gdb("hits 1 50")
    gdb.cli("set dprintf-style agent")
    gdb.cli('dprintf alpha,"at %ld\\n",i')
    gdb.run_out()
    gdb.quit()
    text = "".join(gdb.console) + gdb.server.output()
    lines = re.findall(r"at (\d+)\n", text)
    t.equal(lines, [str(i) for i in range(50)], "lines")


@case(modes=BOTH)
def pending_in_a_library(t):
    """A pending breakpoint in a library that is loaded later, without debug information."""
    gdb = t.gdb("plugin")
    gdb.cli("set breakpoint pending on")
    gdb.mi("-break-insert -f cbrt")
    for _ in range(2):
        t.match(gdb.cont().function, "cbrt", "where it stopped")
        stop = gdb.exec("-exec-finish")
        t.equal(stop.function, "main", "after finish")
    t.equal(gdb.run_out().exit_code or 0, 0, "exit code")
    t.match(gdb.server.output(), r"^3\.0 4\.0$", "its output")


@case(modes=BOTH, timeout=60)
def library_loaded_again(t):
    """A library is unloaded and loaded again, at the same address as a rule: gdb doesn't remove its
    breakpoints, inserts them again, and each call is a hit."""
    for options in "-f", "-f -h":
        gdb = t.gdb("plugin 4")
        gdb.cli("set breakpoint pending on")
        gdb.mi(f"-break-insert {options} cbrt")
        for call in range(8):
            t.match(gdb.cont().function, "cbrt", f"where it stopped, call {call} ({options})")
        t.equal(gdb.run_out().exit_code or 0, 0, "exit code")
        t.equal(gdb.server.output().count("3.0 4.0"), 4, "its output")


@case(modes=BOTH)
def catch_syscall(t):
    """catch syscall: entry and return of one call, by number."""
    gdb = t.gdb("ends exit 0")
    gdb.cont_to("ready")
    gdb.cli("catch syscall exit_group")
    stop = gdb.cont()
    t.equal((stop.reason, stop.data["syscall-name"]), ("syscall-entry", "exit_group"), repr(stop))
    t.check(gdb.run_out().exited, "the end")


@case(modes=BOTH)
def until_and_advance(t):
    """advance and until LOCATION."""
    gdb = t.gdb("steps")
    gdb.cont_to("main")
    gdb.cli("advance loop")
    t.equal(gdb.wait_stop().function, "loop", "advance")
    gdb.cli("delete")
    t.equal(gdb.run_out().exit_code, 7, "exit code")


@case(modes=BOTH)
def host_side_conditions(t):
    """Conditions that gdb must evaluate itself ($_streq, a call): the stub stops, gdb decides."""
    gdb = t.gdb("hits 2 20")
    gdb.breakpoint("alpha", condition="$_thread == 2 && i == 7")
    stop = gdb.cont()
    t.equal((stop.argument("i"), stop.thread), ("7", 2), repr(stop))
    gdb.run_out()
    t.match(gdb.server.output(), "^alpha=40 beta=40 ", "the program's count")


@case(modes=BOTH)
def condition_with_an_error(t):
    """A condition that reads bad memory stops and is reported."""
    gdb = t.gdb("hits 1 5")
    gdb.breakpoint("alpha", condition="*(int*)(i * 0) == 1")
    try:
        stop = gdb.cont()
    except GdbError:
        stop = gdb.wait_stop()
    t.equal((stop.reason, stop.function), ("breakpoint-hit", "alpha"), repr(stop))


@case(gdbserver="does not name what helps")
def text_that_cannot_be_written(t):
    """A shared view of a file opened for reading: no int3 can be written, and the error says what to
    do instead. The hardware breakpoint works."""
    for features, refusal in ((GDB_FEATURES, "^E01$"), (GDB_FEATURES + ";error-message+", r"^E\..*hbreak")):
        client = t.rsp(t.server("sharedtext"))
        client.handshake(features)
        client.query()
        client.run_to("ready")
        at = int.from_bytes(client.read_memory(client.address("view"), 8), "little")
        t.match(client.ask(f"Z0,{at:x},1"), refusal, "the reply")
        client.server.wait_message(f"^Cannot insert a breakpoint at {at:#x}. .*hbreak")
        client.insert(at, type_=1)
        stop = client.resume()
        t.equal((stop.kind, stop.pc), ("T", at), repr(stop))
        client.close()
