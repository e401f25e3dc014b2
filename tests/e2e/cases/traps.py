"""What breakpoints do to a program's own settings for SIGTRAP (programs/traps.c): the kernel undoes
some of them with each int3 (stub/kernel/trap_mask.h)."""

from harness import NEVER, case, instruction_offsets


def shown(t, mode, rest=NEVER, own=0):
    """What the program finds, with sites on each instruction of passed(); `own` SIGTRAPs are told."""
    client = t.rsp(t.server(f"traps {mode} 10"), handshake=True)
    client.query()
    offsets = instruction_offsets(t, client.server.program[0], "passed")
    for offset in offsets:
        client.insert(client.address("passed") + offset, rest=rest)
    stop = client.resume()
    hits = 0
    while stop.kind == "T" and "swbreak" in stop:
        hits += 1
        stop = client.resume()
    t.equal(hits, 0 if rest else 10 * len(offsets), "hits that were told")
    for _ in range(own):
        t.equal((stop.kind, stop.signal), ("T", 5), f"the program's own: {stop}")
        stop = client.resume(f"vCont;C05:{stop.thread};c")
    t.equal((stop.kind, stop.status), ("W", 0), f"the end: {stop}")
    return client.server.output()


@case(gdbserver="loses the block")
def everything_blocked(t):
    """A program that has blocked all signals, and a thread that has inherited that."""
    t.equal(shown(t, "workers"),
            "main: blocked=1 pending=0 action=default handled=0 wrong=0\n"
            "worker: blocked=1 pending=0 action=default handled=0 wrong=0\n", "what it finds")


@case(gdbserver="loses the block")
def attached(t):
    """A program that was attached to while it had nothing but SIGTRAP blocked."""
    process = t.spawn("traps wait")
    process.wait_output("^waiting$")
    client = t.rsp(t.server(attach=process.pid), handshake=True)
    client.query()
    client.now_runs(process.words[0])
    client.ok("QPassSignals:e")  # SIGALRM, that ends the wait
    for offset in instruction_offsets(t, process.words[0], "passed"):
        client.insert(client.address("passed") + offset, rest=NEVER)
    stop = client.resume()
    t.equal((stop.kind, stop.status), ("W", 0), f"the end: {stop}")
    t.match(process.output(), "^main: blocked=1 .*wrong=0$", "what it finds")


@case(gdbserver="takes the hit for the pending signal and goes on in the middle of an instruction")
def pending(t):
    """A SIGTRAP of the program's own waits, blocked, while breakpoints are hit: told and not told."""
    expected = ("main: blocked=1 pending=1 action=default handled=0 wrong=0\n"
                "unblocked: blocked=0 pending=0 action=handler handled=1 wrong=0\n")
    for rest in (NEVER, ""):
        t.equal(shown(t, "pending", rest, 1), expected, f"what it finds ({rest})")


@case(gdbserver="reports the same hit for ever: only the client can step off a site")
def own_trap_flag(t):
    """A program that single-steps itself gets each of its traps, at the same places as without us."""
    process = t.spawn("traps step 10")
    process.wait_exit()
    steps = int(t.match(process.output(), "^steps=([0-9]+) ", "its count")[1])
    t.check(steps > 15, f"{steps} steps")
    t.equal(shown(t, "step", NEVER, steps), process.output(), "what it finds")


@case(gdbserver="takes it for a breakpoint of its own and moves the pc")
def long_int3(t):
    """int3 in two bytes (cd 03) is the program's own, like the one of one byte."""
    process = t.spawn("traps long 10")
    process.wait_exit()
    t.match(process.output(), "^handled=1, 0 bytes", "without us")
    t.equal(shown(t, "long", NEVER, 1), process.output(), "what it finds")


@case(gdbserver="the flag is seen: the program traps for ever once it has restored it")
def stepped_over_what_saves_the_flag(t):
    """Steps over pushf and syscall, with no breakpoint near: the trap flag is in neither's copy."""
    client = t.rsp(t.server("hits 1 1"), handshake=True)
    client.query()
    client.run_to("main")
    code = client.register_value("rip")
    thread = client.threads()[0]
    # pushf; popf; data16 pushf; data16 popf; mov $39,%eax (getpid); syscall; nop
    client.write_memory(code, bytes.fromhex("9c 9d 669c 669d b827000000 0f05 90"))
    for length, size in ((1, 8), (1, 0), (2, 2), (2, 0), (5, 0), (2, 0)):
        code += length
        t.equal(client.resume(f"vCont;s:{thread}").pc, code, "where the step ends")
        t.equal(client.register_value("eflags") & 0x100, 0, "TF in eflags")
        if size:
            flags = client.read_memory(client.register_value("rsp"), size)
            t.equal(flags[1] & 1, 0, f"TF in {flags.hex()}")
    t.equal(client.register_value("r11") & 0x100, 0, "TF in r11")
    client.insert(code)
    t.equal(client.resume().pc, code, "continued, it traps at the breakpoint and not before")


@case()
def permanent_condition_false(t):
    """A false condition at the program's own int3: it goes on behind it, and gets no SIGTRAP."""
    client = t.rsp(t.server("permanent"), handshake=True)
    client.query()
    client.ok("QPassSignals:e;1e")
    client.insert(client.address("own_int3"), rest=NEVER)
    stop = client.resume()
    t.equal((stop.kind, stop.status), ("W", 0), f"the end: {stop}")
    t.equal(client.server.output(), "passed 4 trapped 0\n", "what the program counted")


@case(gdbserver="reports the same hit for ever: only the client can step off a site")
def permanent_stepped_over(t):
    """From a hit at the program's own int3: by a step one instruction, by a continue to the next."""
    client = t.rsp(t.server("permanent"), handshake=True)
    client.query()
    client.ok("QPassSignals:1e")
    site = client.address("own_int3")
    client.insert(site)
    for step in (True, False, True, False):
        stop = client.resume()
        t.equal((stop.signal, stop.pc), (5, site), f"the hit: {stop}")
        if step:
            stop = client.resume(f"vCont;s:{stop.thread}")
            t.equal((stop.signal, stop.pc), (5, client.address("behind_int3")), f"the step: {stop}")
    stop = client.resume()
    t.equal((stop.kind, stop.status), ("W", 0), f"the end: {stop}")
    t.equal(client.server.output(), "passed 4 trapped 0\n", "what the program counted")


@case(gdbserver="takes the trap for a breakpoint's")
def permanent_without_a_breakpoint(t):
    """Nobody's breakpoint is there: the program gets its trap."""
    client = t.rsp(t.server("permanent"), handshake=True)
    client.query()
    client.ok("QPassSignals:1e")
    stop = client.resume()
    for _ in range(4):
        t.equal((stop.signal, stop.pc), (5, client.address("behind_int3")), f"the trap: {stop}")
        stop = client.resume(f"vCont;C05:{stop.thread};c")
    t.equal((stop.kind, stop.status), ("W", 0), f"the end: {stop}")
    t.equal(client.server.output(), "passed 4 trapped 4\n", "what the program counted")
