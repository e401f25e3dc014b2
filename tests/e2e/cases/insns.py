"""Every kind of instruction stepped over by the server: a false condition on each, results as bare.

insns.c prints a line per kind; the first line that differs names the kind that went wrong."""

import re
import time

from harness import ALWAYS, BOTH, NEVER, case, instruction_offsets, procfs


def bare(t, command_line):
    process = t.spawn(command_line)
    process.wait_exit()
    return process.output()


def sites(client):
    """{name: address} of the labels site_* of insns.S."""
    base = client.elf.base(client.server.inferior())
    return {name[5:]: base + value for name, value in client.elf.symbols.items()
            if name.startswith("site_")}


def breakpoints(client):
    """Those that a breakpoint leaves as they are: at an int3 of the program's own the trap is the
    breakpoint's (traps.permanent_condition_false)."""
    return {name: address for name, address in sites(client).items() if name != "trap_int3"}


def started(t, command_line="insns"):
    client = t.rsp(t.server(command_line), handshake=True)
    client.query()
    client.run_to("ready")
    client.ok("QPassSignals:e")  # SIGALRM
    return client


def same_lines(t, actual, expected):
    got, want = actual.splitlines(), expected.splitlines()
    wrong = [f"{w!r} became {g!r}" for g, w in zip(got, want) if g != w]
    t.check(not wrong and len(got) == len(want),
            f"{len(want)} lines expected, {len(got)} came; " + "; ".join(wrong[:10]))


def belongs_to_the_program(t, pid, pc):
    """No client may see a pc in memory that is not a file's or the vDSO's."""
    for start, end, permissions, _, path in procfs.maps(pid):
        if start <= pc < end:
            t.check(path.startswith("/") or path == "[vdso]", f"pc {pc:#x} in {path or 'anonymous'}")
            return
    t.check(pc < 0x1000, f"pc {pc:#x} in no mapping")


def run_with_faults(t, client):
    """To the exit; each fault is passed on, after a look at where it is said to be."""
    where = sites(client)
    expected = {name: where[name] for name in where if name.startswith(("fault_", "trap_"))}
    expected["fault_jump"] = 0x28
    seen = {}
    stop = client.resume()
    while stop.kind == "T":
        belongs_to_the_program(t, client.server.inferior(), stop.pc)
        for name, address in expected.items():
            if address <= stop.pc <= address + (1 if name.startswith("trap_") else 0):
                seen[name] = stop.signal
        stop = client.resume(f"vCont;C{stop.signal:02x}:{stop.thread};c")
    t.equal((stop.kind, stop.status), ("W", 0), f"the end: {stop}")
    t.equal(seen, {"fault_ud2": 4, "fault_divide": 8, "fault_load": 11, "fault_hlt": 11,
                   "fault_call": 11, "fault_push": 11, "fault_jump": 11, "trap_int3": 5,
                   "trap_int1": 5, "fault_rep": 11}, "faults reported, by place")


@case(timeout=90, gdbserver="its step over in place leaves the trap flag in pushf and in r11")
def false_condition_on_each_kind(t):
    """All sites of insns.S at once, never true."""
    client = started(t)
    for address in breakpoints(client).values():
        client.insert(address, rest=NEVER)
    run_with_faults(t, client)
    same_lines(t, client.server.output(), bare(t, "insns"))


@case(timeout=90, gdbserver="takes the program's own int3 for one of its breakpoints and moves the pc")
def faults_without_sites(t):
    """The same faults and traps with no breakpoint near: reported where they happen."""
    client = started(t)
    run_with_faults(t, client)
    same_lines(t, client.server.output(), bare(t, "insns"))


@case(timeout=90, gdbserver="reports the same hit for ever: only the client can step off a site")
def reported_then_continued(t):
    """A simple client: told of a hit, it just continues, the site in place; the server steps over."""
    client = started(t)
    where = breakpoints(client)
    for address in where.values():
        client.insert(address, rest=ALWAYS)
    hits = {address: 0 for address in where.values()}
    # Every site once, then it is taken out: thousands of stops would take long.
    names = {address: name for name, address in where.items()}
    stop = client.resume()
    while stop.kind == "T":
        if "swbreak" in stop and stop.pc in hits:
            hits[stop.pc] += 1
            if hits[stop.pc] == 3:
                client.remove(stop.pc)
            stop = client.resume()
        else:
            stop = client.resume(f"vCont;C{stop.signal:02x}:{stop.thread};c")
    t.equal((stop.kind, stop.status), ("W", 0), f"the end: {stop}")
    few = [names[a] for a, count in hits.items() if count < 1 and names[a] != "raw_syscall"]
    t.equal(few, [], "sites that were never hit")
    same_lines(t, client.server.output(), bare(t, "insns"))


@case(timeout=90, gdbserver="reports the hit again instead of stepping off the site")
def stepped_from_a_site(t):
    """vCont;s from a reported site that stays in: exactly one instruction, and no trap flag left."""
    client = started(t)
    where = {name: address for name, address in breakpoints(client).items() if name != "raw_syscall"}
    for address in where.values():
        client.insert(address)
    names = {address: name for name, address in where.items()}
    left = set(where)
    stop = client.resume()
    while stop.kind == "T":
        if stop.pc in names and "swbreak" in stop:
            name, at = names[stop.pc], stop.pc
            stop = client.resume(f"vCont;s:{stop.thread}")
            left.discard(name)
            if name == "fault_jump":
                stop = client.resume()  # the jump itself went well
            if name.startswith(("fault_", "trap_")):
                continue
            t.check("swbreak" in stop or stop.pc != at or name.startswith(("rep", "loop_")),
                    f"a step from {name} went nowhere: {stop}")
            belongs_to_the_program(t, client.server.inferior(), stop.pc)
            client.remove(at)
            if stop.signal == 5:
                stop = client.resume()
        else:
            stop = client.resume(f"vCont;C{stop.signal:02x}:{stop.thread};c")
    t.equal((stop.kind, stop.status), ("W", 0), f"the end: {stop}")
    t.equal(sorted(left), [], "sites that were never hit")
    same_lines(t, client.server.output(), bare(t, "insns"))


@case(modes=BOTH, timeout=120)
def gdb_steps_over_each_kind(t):
    """gdb's own stepping over unconditional breakpoints, one of each kind, twice around."""
    gdb = t.gdb("insns values")
    gdb.cont_to("ready")
    elf = procfs.Elf(t.program("insns")[0])
    kinds = [name for name in elf.symbols if name.startswith("site_") and
             not name.startswith(("site_raw", "site_fault", "site_trap"))]
    if t.non_stop:  # gdb 13 copies these itself and gets them wrong (displaced stepping)
        kinds = [name for name in kinds if name not in ("site_rip_shift", "site_rip_cmpxchg16b")]
    for name in kinds:
        gdb.mi(f"-break-insert -t *{name}")
    hits = 0
    stop = gdb.cont()
    while not stop.exited:
        hits += 1
        stop = gdb.cont()
    t.equal(hits, len(kinds), "hits of temporary breakpoints")
    same_lines(t, gdb.server.output(), bare(t, "insns values"))


@case(timeout=90, gdbserver="steps over with all other threads stopped: a read that waits for one of "
      "them never ends")
def blocking_system_calls(t):
    """A site on a syscall instruction: calls that block, are restarted, are interrupted, fail."""
    client = started(t, "insns syscalls")
    client.insert(client.address("site_raw_syscall"), rest=NEVER)
    stop = client.resume()
    t.equal((stop.kind, stop.status), ("W", 0), f"the end: {stop}")
    same_lines(t, client.server.output(), bare(t, "insns syscalls"))


@case(timeout=90)
def interrupted_in_a_system_call(t):
    """Ctrl-C while a thread sits in a system call that has a site: the original pc, and it goes on."""
    client = started(t, "insns syscalls")
    site = client.address("site_raw_syscall")
    client.insert(site, rest=NEVER)
    expected = bare(t, "insns syscalls")
    inside = 0
    client.send("vCont;c")
    end = time.monotonic() + 30
    stop = None
    while time.monotonic() < end:
        time.sleep(0.012)
        client.raw(b"\x03")
        stop = client.stop_reply()
        if stop.kind == "W":
            break
        t.equal(stop.signal, 2, repr(stop))
        belongs_to_the_program(t, client.server.inferior(), stop.pc)
        inside += stop.pc in (site, site + 2)
        client.send("vCont;c")
    t.equal((stop.kind, stop.status), ("W", 0), f"the end: {stop}")
    t.check(inside > 3, f"only {inside} stops inside the system call")
    same_lines(t, client.server.output(), expected)


EVERYSITE = ("site_copy", "site_sort", "site_crc", "site_float", "site_switch", "compare")


def every_instruction(t, rest):
    client = t.rsp(t.server("everysite 3"), handshake=True)
    client.query()
    client.run_to("main")
    count = 0
    for function in EVERYSITE:
        start = client.address(function)
        for offset in instruction_offsets(t, client.server.program[0], function):
            client.insert(start + offset, rest=rest)
            count += 1
    t.check(count > 150, f"only {count} sites")
    process = t.spawn("everysite 3")
    return client, process.wait_exit(), process.output(), count


@case(timeout=120)
def a_site_on_every_instruction(t):
    """Six functions with a false condition on each instruction: output and status as bare."""
    client, status, output, count = every_instruction(t, NEVER)
    start = time.monotonic()
    stop = client.resume(seconds=100)
    t.note(f"{count} sites, {time.monotonic() - start:.1f} s")
    t.equal((stop.kind, stop.status), ("W", status), f"the end: {stop}")
    t.equal(client.server.output(), output, "its output")


@case(timeout=120)
def every_instruction_of_libc_functions(t):
    """Sites on all of some functions of libc while `sort` runs; its output is right."""
    sort = t.installed("sort")
    path = f"{t.directory}/numbers"
    with open(path, "w", encoding="ascii") as file:
        file.write("\n".join(str(i * 7919 % 10007) for i in range(150)) + "\n")
    process = t.spawn([sort, "--parallel=1", "-n", path], env={"LC_ALL": "C"})
    process.wait_exit()
    gdb = t.gdb([sort, "--parallel=1", "-n", path], env={"LC_ALL": "C"})
    gdb.cli("set breakpoint pending on")
    gdb.mi("-break-insert -f -t __libc_start_main")
    gdb.cont()
    count = 0
    for function in ("malloc", "free", "memchr", "strtol"):
        listing = gdb.cli(f"disassemble {function}")
        for address in re.findall(r"^(?:=>)?\s+(0x[0-9a-f]+) <", listing, re.M):
            gdb.breakpoint(f"*{address}", condition="$rsp == 0")
            count += 1
    stop = gdb.run_out(100)
    t.note(f"{count} sites")
    t.equal(stop.exit_code or 0, 0, "exit code")
    t.equal(gdb.server.output(), process.output(), "its output")
