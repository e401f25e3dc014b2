"""Stepping on the wire: vCont;s, vCont;r, resumes of single threads, replies to the letter."""

import os
import re
import signal

from harness import NEVER, case, instruction_offsets


def at(t, command_line, symbol):
    client = t.rsp(t.server(command_line), handshake=True)
    client.query()
    client.run_to(symbol)
    return client


def boundaries(t, client, function):
    """Addresses of a function's instructions, and of the byte after it."""
    start = client.address(function)
    offsets = instruction_offsets(t, client.server.program[0], function)
    return [start + n for n in offsets] + [start + client.elf.sizes[function]]


@case()
def vcont_is_advertised(t):
    """vCont? names c, C, s, S, t and r: without r gdb steps each instruction over the wire."""
    client = t.rsp(t.server("steps"), handshake=True)
    actions = client.ask("vCont?").split(";")
    t.equal(actions[0], "vCont", "first word")
    t.equal(sorted(actions[1:]), sorted("cCsStr"), "actions")


@case()
def one_instruction_each(t):
    """vCont;s moves by exactly one instruction."""
    client = at(t, "steps", "inner")
    for place in boundaries(t, client, "inner")[1:-1]:
        stop = client.resume("vCont;s")
        t.equal((stop.signal, stop.pc), (5, place), repr(stop))
        t.check("swbreak" not in stop, f"no breakpoint in {stop}")


@case(gdbserver="s steps over a range that nobody set: it reads memory that it never wrote")
def old_packets(t):
    """s, c, S and C as clients without vCont use them."""
    client = at(t, "steps", "inner")
    for place in boundaries(t, client, "inner")[1:-1]:
        stop = client.resume("s")
        t.equal((stop.signal, stop.pc), (5, place), repr(stop))
    t.equal(client.resume("c").status, 7, "exit code")
    client = at(t, "signals handled 1", "ready")
    t.equal(client.resume("c").signal, 0x1e, "SIGUSR1")
    stop = client.resume("S1e")
    t.equal((stop.signal, stop.pc), (5, client.address("on_signal")), f"in the handler: {stop}")
    t.equal(client.resume("c").signal, 0x1f, "SIGUSR2")
    t.equal(client.resume("C1f").signal, 49, "SIG37 in gdb's numbers")


@case()
def range_over_a_loop(t):
    """vCont;r: one stop for the whole loop, at the first address outside of the range."""
    client = at(t, "steps", "loop")
    places = boundaries(t, client, "loop")
    stop = client.resume(f"vCont;r{places[0]:x},{places[-2]:x}")  # all but the ret
    t.equal((stop.signal, stop.pc), (5, places[-2]), f"at the ret: {stop}")
    t.check("swbreak" not in stop and "hwbreak" not in stop, f"a plain stop: {stop}")
    t.equal(client.register_value("rax") & 0xffffffff, sum(i & 3 for i in range(200)), "the result")


@case()
def range_of_nothing_is_one_step(t):
    """start == end steps once; a range that the pc is not in steps once too."""
    client = at(t, "steps", "loop")
    places = boundaries(t, client, "loop")
    stop = client.resume(f"vCont;r{places[0]:x},{places[0]:x}")
    t.equal(stop.pc, places[1], repr(stop))
    stop = client.resume(f"vCont;r{places[4]:x},{places[5]:x}")
    t.equal(stop.pc, places[2], repr(stop))


@case()
def range_ends_at_a_call(t):
    """A call out of the range ends it at the callee's first instruction."""
    client = at(t, "steps", "outer")
    places = boundaries(t, client, "outer")
    stop = client.resume(f"vCont;r{places[0]:x},{places[-1]:x}")
    t.equal(stop.pc, client.address("inner"), f"in the callee: {stop}")


@case()
def range_with_a_breakpoint_inside(t):
    """A breakpoint inside the range stops there."""
    client = at(t, "steps", "loop")
    places = boundaries(t, client, "loop")
    inside = places[len(places) // 2]
    client.insert(inside)
    stop = client.resume(f"vCont;r{places[0]:x},{places[-1]:x}")
    t.equal(stop.pc, inside, f"at the breakpoint: {stop}")


@case()
def range_with_a_false_condition_inside(t):
    """A site whose condition is false inside the range is passed."""
    client = at(t, "steps", "loop")
    places = boundaries(t, client, "loop")
    for place in places[2:-2]:
        client.insert(place, rest=NEVER)
    stop = client.resume(f"vCont;r{places[0]:x},{places[-2]:x}")
    t.equal(stop.pc, places[-2], f"at the ret: {stop}")
    t.equal(client.register_value("rax") & 0xffffffff, sum(i & 3 for i in range(200)), "the result")


@case()
def range_ends_at_a_signal(t):
    """A signal that is not passed by ends the range step and is reported inside the range."""
    client = at(t, "steps", "loop")
    places = boundaries(t, client, "loop")
    client.resume("vCont;s")
    os.kill(client.server.inferior(), signal.SIGUSR2)
    stop = client.resume(f"vCont;r{places[0]:x},{places[-1]:x}")
    t.equal(stop.signal, 0x1f, repr(stop))
    t.check(places[0] <= stop.pc < places[-1], repr(stop))
    stop = client.resume(f"vCont;r{places[0]:x},{places[-2]:x}")
    t.equal((stop.signal, stop.pc), (5, places[-2]), repr(stop))


@case()
def step_into_and_out_of_a_handler(t):
    """A step that delivers a signal ends at the handler's first instruction."""
    client = at(t, "signals handled 1", "ready")
    stop = client.resume()
    t.equal(stop.signal, 0x1e, f"SIGUSR1 in gdb's numbers: {stop}")
    stop = client.resume(f"vCont;S1e:{stop.thread}")
    t.equal((stop.signal, stop.pc), (5, client.address("on_signal")), f"in the handler: {stop}")


@case()
def one_thread_alone(t):
    """All-stop vCont;c:TID resumes this thread only; the others have not moved."""
    client = at(t, "selfcheck 2", "ready")
    ids = client.threads()
    t.equal(len(ids), 3, "threads")
    step = client.address("sum_step")
    client.insert(step)
    stop = client.resume()
    client.remove(step)
    others = {i: client.register_value("rip", i) for i in ids if i != stop.thread}
    for _ in range(30):
        moved = client.resume(f"vCont;s:{stop.thread}")
        t.equal((moved.signal, moved.thread), (5, stop.thread), repr(moved))
    for thread, pc in others.items():
        t.equal(client.register_value("rip", thread), pc, f"pc of {thread}")


@case()
def leftmost_action_wins(t):
    """vCont;s:TID;c steps one and continues the others: the step ends it."""
    client = at(t, "selfcheck 3", "ready")
    step = client.address("sum_step")
    client.insert(step)
    stop = client.resume()
    client.remove(step)
    late = set()
    for _ in range(20):
        moved = client.resume(f"vCont;s:{stop.thread};c")
        if moved.thread != stop.thread:  # it had hit before the removal; that is no news twice
            t.check("swbreak" in moved and moved.pc == step, repr(moved))
            t.check(moved.thread not in late, f"{moved.thread} again")
            late.add(moved.thread)
        else:
            t.equal(moved.signal, 5, repr(moved))
    t.equal(client.read_memory(client.address("wrong"), 8), bytes(8), "wrong sums")


@case()
def no_resumed_thread_left(t):
    """N when the only resumed thread exits (the client said no-resumed+)."""
    client = at(t, "storm 1 2", "visit")
    stop = client.query()
    t.equal(client.resume(f"vCont;c:{stop.thread}").kind, "N", "the reply")
    t.equal(client.resume().kind, "W", "the end")


@case(gdbserver="dies of an assertion")
def resume_of_nobody(t):
    """Resuming thread 0 of process 0, a dead thread, a strange pattern: an error, not the end."""
    client = at(t, "steps", "inner")
    client.expect("vCont;s:p0.0", re.compile("^(E..|T05.*)$"))
    client.expect("vCont;c:p7fffffff.1", re.compile("^E"))
    client.expect("vCont;x", re.compile("^(E..|)$"))
    client.expect("vCont;c:banana", re.compile("^E"))
    t.check(len(client.ask("g")) > 100, "the session goes on")


@case()
def pc_set_onto_a_site_hits_it(t):
    """A thread whose pc the client moves onto a site reports it."""
    client = at(t, "steps", "main")
    inner = client.address("inner")
    before = client.address("outer")
    client.insert(inner)
    client.insert(before, rest=NEVER)
    t.equal(client.resume().pc, inner, "the real hit")
    client.remove(inner)
    client.resume("vCont;s")
    client.insert(inner)
    client.write_register("rip", inner)
    client.write_register("rsp", client.register_value("rsp") + 8)
    t.equal(client.resume().pc, inner, "hit after the pc was set")
