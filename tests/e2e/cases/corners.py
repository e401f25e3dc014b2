"""What few programs do, and clients less often still, with breakpoints at the very place."""

from harness import NEVER, case


def started(t, command_line, function="ready"):
    client = t.rsp(t.server(command_line), handshake=True)
    client.query()
    client.run_to(function)
    return client


def runs_as_bare(t, client, command_line):
    process = t.spawn(command_line)
    status, output = process.wait_exit(), process.output()
    stop = client.resume()
    t.equal((stop.kind, stop.status), ("W", status), f"the end: {stop}")
    t.equal(client.server.output(), output, "its output")


@case()
def retargeted_branches(t):
    """A program changes where a call and two jumps go: the displacement behind a breakpoint."""
    client = started(t, "patched")
    for name in ("site_call", "site_jump", "site_condition"):
        client.insert(client.address(name), rest=NEVER)
    runs_as_bare(t, client, "patched")


@case()
def watched_stack(t):
    """Watchpoints on what calls, a push and a return access, with breakpoints on these."""
    client = started(t, "stacked", "stacked")
    landings = {"push": "after_push", "call": "target", "call_register": "target",
                "call_memory": "target", "return": "after_call_memory"}
    for name, landing in landings.items():
        site = client.address(f"site_{name}")
        client.run_to(f"site_{name}")
        word = client.register_value("rsp") - (0 if name == "return" else 8)
        client.insert(site, rest=NEVER)
        client.insert(word, kind=8, type_=4)
        stop = client.resume()
        kind = "watch" if t.on_gdbserver else "awatch"  # which has one word for both
        t.check(kind in stop, f"{name}: {stop}")
        t.equal((int(stop[kind], 16), stop.pc), (word, client.address(landing)), name)
        client.remove(word, kind=8, type_=4)
        client.remove(site)
    runs_as_bare(t, client, "stacked")


@case()
def watched_elsewhere(t):
    """A watchpoint on something else does not have anybody stopped for a push or a call."""
    client = started(t, "stacked", "stacked")
    client.insert(client.register_value("rsp") + 64, kind=8, type_=2)
    for name in ("push", "call", "call_register", "call_memory", "return"):
        client.insert(client.address(f"site_{name}"), rest=NEVER)
    client.insert(client.address("after_call_memory"))
    stop = client.resume()
    t.equal(stop.pc, client.address("after_call_memory"), repr(stop))
    if not t.on_gdbserver:
        t.check("in place" not in client.monitor("sites")[0], client.monitor("sites")[0])


@case()
def watched_operand(t):
    """A watchpoint on what an indirect call reads, with a breakpoint on the call: nobody is stopped."""
    client = started(t, "stacked", "stacked")
    operand = client.address("pointer")
    client.insert(client.address("site_call_memory"), rest=NEVER)
    client.insert(operand, kind=8, type_=4)
    stop = client.resume()
    kind = "watch" if t.on_gdbserver else "awatch"
    t.check(kind in stop, repr(stop))
    t.equal((int(stop[kind], 16), stop.pc), (operand, client.address("target")), "what was read")
    if not t.on_gdbserver:
        t.check("in place" not in client.monitor("sites")[0], client.monitor("sites")[0])
    client.remove(operand, kind=8, type_=4)
    runs_as_bare(t, client, "stacked")


@case()
def code_of_another_size(t):
    """32-bit code in a 64-bit process: the bytes mean something else there."""
    client = started(t, "segments")
    low = client.address("low")
    # 64-bit code comes by the first, so that there are slots near the others.
    for name in ("enter", "inc", "load", "push", "pop", "jump", "add", "return"):
        client.insert(0x10000000 + client.address(f"site_{name}") - low, rest=NEVER)
    runs_as_bare(t, client, "segments")


@case(gdbserver="reports the hit again instead of stepping off the site")
def step_through_a_return(t):
    """vCont;s over a `ret` that cannot be emulated: its address lies across the end of a page."""
    client = started(t, "straddling", "site_return")
    client.insert(client.address("site_return"))
    stop = client.resume("vCont;s")
    t.equal((stop.signal, stop.pc), (5, client.address("landing")), repr(stop))
    runs_as_bare(t, client, "straddling")
