"""Programs that make it hard for us (programs/intruder.c). The server never dies, hangs or hurts
anybody else; where the program itself is in order, it computes what it does without us."""

import ctypes
import os
import random
import re
import select
import signal
import subprocess

from harness import NEVER, Disconnected, case, instruction_offsets, procfs
from harness.text import Text, insert_all, vdso

FAULTS = "04;05;08;0a;0b"  # SIGILL, SIGTRAP, SIGFPE, SIGBUS, SIGSEGV
FACTOR = int(os.environ.get("SIDESTEP_LONG", "1"))  # of all rounds, here and in the program


def started(t, words, functions=("visited",), passed="", every_byte=False, **server):
    """The program at ready(), sites with a false condition on every instruction of `functions`."""
    words = t.program(words) if isinstance(words, str) else words
    client = t.rsp(t.server(words, **server), handshake=True)
    client.query()
    client.run_to("ready")
    if passed:
        client.ok(f"QPassSignals:{passed}")
    sites = []
    for name in functions:
        start, offsets = client.address(name), instruction_offsets(t, words[0], name)
        if every_byte:
            offsets = range(client.elf.sizes[name])
        sites += [start + offset for offset in offsets]
    t.equal(insert_all(client, sites, NEVER), [], "sites refused")
    return client


def still_there(t, client):
    """The session goes on, whatever became of the program."""
    try:
        t.equal(client.ask("vMustReplyEmpty"), "", "the session goes on")
    except Disconnected:
        t.check(False, f"the server died: {client.server.messages()}")


def finish(t, client, seconds=60):
    """To the end; each signal that is reported is passed on."""
    seconds *= FACTOR
    try:
        stop = client.resume(seconds=seconds)
        for _ in range(3000 * FACTOR):
            if stop.kind != "T":
                break
            stop = client.resume(f"vCont;C{stop.signal:02x}:{stop.thread};c", seconds)
    except Disconnected:
        t.check(False, f"the server died: {client.server.messages()}")
    t.check(stop.kind in "WX", f"the end: {stop}")
    still_there(t, client)
    return stop


def survive(t, client):
    """The program may run wild, and for ever; the server can still be asked, and kill it."""
    client.send("vCont;c")
    for _ in range(3000 * FACTOR):
        if not select.select([client.socket], [], [], 4)[0]:
            client.raw(b"\x03")
        stop = client.stop_reply()
        if stop.kind != "T" or stop.signal == 2:
            break
        client.send(f"vCont;C{stop.signal:02x}:{stop.thread};c")
    still_there(t, client)
    if stop.kind == "T":
        client.expect(f"vKill;{stop.pid:x}", "OK")


def in_order(t, client, pattern="", seconds=60):
    stop = finish(t, client, seconds)
    t.match(client.server.output(), f"{pattern}wrong=0$", f"what the program computed ({stop})")
    t.equal((stop.kind, stop.status), ("W", 0), f"the end: {stop}")


def places(client):
    """What the program says of itself: the signal restorer, and clock_gettime of the vDSO."""
    found = client.server.wait_output("^restorer=([0-9a-f]+) clock=([0-9a-f]+)$")
    return int(found[1], 16), int(found[2], 16)


@case()
def text_rewritten(t):
    """The instruction under a site is overwritten with other operands, thousands of times."""
    in_order(t, started(t, "intruder rewrite 2000", ["changing"]))


@case()
def bytes_changed_behind_a_site(t):
    """The breakpoint stays, the rest of its instruction changes before each call."""
    in_order(t, started(t, "intruder behind 2000", ["changing"]))


@case()
def instructions_of_other_lengths(t):
    """One instruction becomes two of other lengths and kinds, so that sites stand anywhere."""
    client = started(t, "intruder reshape 1000", [])
    client.insert(client.address("changing"), rest=NEVER)
    in_order(t, client)


def meddle(t, how):
    in_order(t, started(t, f"intruder meddle {how}", passed=FAULTS), "found=1 strays=0 ")


@case()
def area_unmapped(t):
    """Four threads are in and out of slots while the program unmaps the area again and again."""
    meddle(t, "munmap")


@case()
def half_of_the_area_unmapped(t):
    """The same, with half of it left."""
    meddle(t, "half")


@case()
def area_protected(t):
    """The same, the area made inaccessible."""
    meddle(t, "protect")


@case()
def area_made_data(t):
    """The same, the area made writable and not executable."""
    meddle(t, "data")


@case()
def area_covered(t):
    """The same, other memory mapped over it."""
    meddle(t, "cover")


@case()
def area_moved(t):
    """The same, the area moved elsewhere by mremap."""
    meddle(t, "move")


@case()
def area_made_writable(t):
    """The area is made writable and executable: the program's own business, nothing changes."""
    meddle(t, "writable")


NO_AREA = "has no area"
CANNOT_STEP_OFF = "reports the same hit for ever: only the client can step off a site"
CLAIMS = ("zeros", "data", "code")


@case(timeout=90, gdbserver=NO_AREA)
def area_claimed(t):
    """The program maps data or code of its own where the area was: not a byte of it changes."""
    for how in CLAIMS:
        in_order(t, started(t, f"intruder claim {how}", passed=FAULTS), "damage=0 ")


@case(timeout=90, gdbserver=NO_AREA)
def area_claimed_and_left(t):
    """The same, and the client leaves, or the server ends: what the program has there stays mapped."""
    for name, end in ENDS.items():
        for how in CLAIMS:
            process, client = held(t, f"intruder claim {how} held")
            client.ok(f"QPassSignals:{FAULTS}")
            start = client.address("visited")
            offsets = instruction_offsets(t, process.words[0], "visited")
            t.equal(insert_all(client, [start + offset for offset in offsets], NEVER), [], "refused")
            client.run_to("claimed")
            leave(client, end)
            process.wait_output("wrong=")
            t.match(process.output(), "^damage=0 wrong=0$", f"{name}, {how}")


# ---- text that is mapped anew (programs/remapped.c) ----------------------------------------------

PLACE = 0x300000000000
PIECES = [bytes.fromhex(text) for text in ("488d4703c3", "488d4705c3", "55488d47075dc3", "cc488d4709c3")]
WITH_INT3 = 3
WAYS = ("unmap", "over", "move", "discard", "protect")
ENDS = {"detach": lambda client: client.expect("D", "OK"),
        "SIGKILL": lambda client: os.kill(client.server.tracer(), signal.SIGKILL),
        "a crash": lambda client: os.kill(client.server.tracer(), signal.SIGSEGV)}


def held(t, words):
    """The program, attached to at its start."""
    process = t.spawn(words)
    client = t.rsp(t.server_of(process), handshake=True)
    client.query()
    client.write_memory(client.address("held"), bytes(4))
    return process, client


def leave(client, end):
    client.write_memory(client.address("leaving"), b"\1\0\0\0")
    end(client)


def remapped(t, how, rounds=9):
    client = t.rsp(t.server(f"remapped {how} {rounds}"), handshake=True)
    client.query()
    client.insert(client.address("mapped"))
    return client


def events_of(t, client, on_round):
    """To the end: what the program stopped for besides mapped(), in each round."""
    stop, events = client.resume(), []
    while stop.kind == "T":
        if stop.pc == client.address("mapped"):
            events.append([])
            piece = client.register_value("rdi")
            on_round(len(events) - 1, piece)
            t.equal(client.read_memory(PLACE, len(PIECES[piece])), PIECES[piece],
                    f"what the client reads in round {len(events)}")
            stop = client.resume()
        else:
            hit = "swbreak" in stop or "hwbreak" in stop
            events[-1].append(("hit" if hit else f"signal {stop.signal}", stop.pc - PLACE))
            stop = client.resume("vCont;c" if hit else f"vCont;C05:{stop.thread};c")
    t.equal((stop.kind, stop.status), ("W", 0), f"the end: {stop}")
    t.match(client.server.output(), "^wrong=0$", "what the program computed")
    return events


def own_int3(how, round_):
    return [("signal 5", 1)] if how != "protect" and round_ % len(PIECES) == WITH_INT3 else []


@case(timeout=90, gdbserver=CANNOT_STEP_OFF)
def text_mapped_anew(t):
    """Inserted again without having been removed, as gdb does for a library: a hit in each round."""
    for how in WAYS:
        client = remapped(t, how)

        def insert(_, piece):
            client.insert(PLACE + (1 if piece == WITH_INT3 else 0))
        events = events_of(t, client, insert)
        t.equal(events, [own_int3(how, n) + [("hit", 1 if own_int3(how, n) else 0)] for n in range(9)],
                how)


@case(gdbserver=CANNOT_STEP_OFF)
def hardware_point_in_text_mapped_anew(t):
    """The same with a hardware breakpoint."""
    for how in "unmap", "over":
        client = remapped(t, how, 3)
        events = events_of(t, client, lambda *_: client.insert(PLACE, type_=1))
        t.equal(events, [[("hit", 0)]] * 3, how)


@case(timeout=90, gdbserver=CANNOT_STEP_OFF)
def stale_sites(t):
    """Inserted once: what comes after it is the program's own, to read, to run, and when the site is
    removed."""
    for how in WAYS:
        for rest in "", NEVER:
            client = remapped(t, how)

            def on_round(round_, _):
                if round_ == 0:
                    client.insert(PLACE, rest=rest)
                if round_ == 7:
                    client.remove(PLACE)
            events = events_of(t, client, on_round)
            stays = range(7) if how == "protect" else range(1)
            t.equal(events, [own_int3(how, n) + ([("hit", 0)] if not rest and n in stays else [])
                             for n in range(9)], f"{how}, {'a condition' if rest else 'none'}")


@case(gdbserver=CANNOT_STEP_OFF)
def removed_where_nothing_is_mapped(t):
    """z0 where the program has unmapped the memory is an error, and the site is gone with it."""
    client = remapped(t, "unmap")
    client.resume()
    client.insert(PLACE)
    t.equal(client.resume().pc, PLACE, "the hit")
    client.run_to("unmapped")
    for packet in "z0", "z0", "Z0":
        t.match(client.ask(f"{packet},{PLACE:x},1"), "^E", packet)
    stop = client.resume()
    t.equal(stop.pc, client.address("mapped"), f"{stop}")
    client.insert(PLACE)
    t.equal(client.resume().pc, PLACE, "the hit of the new one")
    client.expect("D", "OK")


@case(timeout=90, gdbserver=CANNOT_STEP_OFF)
def left_with_stale_sites(t):
    """Sites of text that is not there any more when the client leaves, or the server ends: nothing of
    the new text changes."""
    for name, end in ENDS.items():
        for how in WAYS:
            process, client = held(t, f"remapped {how} 9 held")
            client.insert(client.address("mapped"))
            client.resume()
            client.insert(PLACE, rest=NEVER)
            for _ in range(WITH_INT3):
                t.equal(client.resume().pc, client.address("mapped"), f"{name}, {how}")
            client.remove(client.address("mapped"))
            leave(client, end)
            process.wait_output("wrong=")
            t.match(process.output(), "^wrong=0$", f"{name}, {how}")


@case(timeout=90)
def slots_scribbled(t):
    """Slots are overwritten with all sorts of bytes: the program may die of it, nobody else."""
    survive(t, started(t, "intruder scribble", passed=FAULTS))


@case(timeout=90)
def area_entered(t):
    """A jump to each byte of the first slots: the program may die of it, nobody else."""
    survive(t, started(t, "intruder enter", passed=FAULTS))


@case()
def area_entered_in_the_open(t):
    """What the client is told of a thread that has jumped into the area: where it went."""
    client = started(t, "intruder enter")
    client.ok("QPassSignals:")
    pid = client.server.inferior()
    stop, told = client.resume(), []
    while stop.kind == "T" and len(told) < 40:
        place = next((row for row in procfs.maps(pid) if row[0] <= stop.pc < row[1]), None)
        if place and "x" in place[2] and not place[4].startswith(("/", "[vdso]")):
            told.append(stop)
            client.read_memory(stop.pc, 1)
            t.equal(client.register_value("rip"), stop.pc, "rip")
            stop = client.resume(f"vCont;s:{stop.thread}")
            t.check(stop.kind == "T", f"a step: {stop}")
        stop = client.resume(f"vCont;C{stop.signal:02x}:{stop.thread};c")
    t.note(f"{len(told)} stops inside")
    t.check(told, "no stop inside the area")
    still_there(t, client)
    if stop.kind == "T":
        client.expect(f"vKill;{stop.pid:x}", "OK")


@case()
def area_entered_when_gone(t):
    """A jump to where the area was: the fault that any other address would have given."""
    in_order(t, started(t, "intruder gone"))


@case(timeout=90)
def short_lived_threads(t):
    """Thousands of threads, each with sites in its only function."""
    in_order(t, started(t, "intruder threads 300", ["short_lived", "visited"]))


def signal_storm(t, functions, restorer):
    client = started(t, "intruder signals 3000", functions, passed="2e;" + FAULTS)
    if restorer:
        address = places(client)[0]
        client.insert(address, rest=NEVER)                             # mov $15, %rax
        client.insert(address + 7, rest=NEVER)                         # syscall
    in_order(t, client, f"handled={3000 * FACTOR} strays=0 ")


@case(timeout=90)
def queued_signals(t):
    """Queued signals as fast as they go, sites where they arrive: all handled, in order, no pc of ours."""
    signal_storm(t, ["visited"], False)


@case(timeout=90)
def sites_on_handler_and_restorer(t):
    """The same with sites on every instruction of the handler and on the restorer's two."""
    signal_storm(t, ["on_queued", "visited"], True)


@case()
def sites_in_the_vdso(t):
    """Sites on every instruction of the vDSO's clock_gettime."""
    client = started(t, "intruder clocks 300", [])
    clock = places(client)[1]
    if not clock:
        return t.note("no vDSO")
    start, text = vdso(t, client.server.inferior())
    sites = [start + at for at in text.instructions([text.function_at(clock - start)])]
    t.equal(insert_all(client, sites, NEVER), [], "sites refused")
    t.note(f"{len(sites)} sites")
    in_order(t, client)


@case(timeout=90)
def sites_in_ld_so_before_libc(t):
    """From the very first instruction of the process: _start, _dl_start and what they call."""
    words = t.program("digest own")
    process = t.spawn(words)
    status = process.wait_exit()
    client = t.rsp(t.server(words), handshake=True)
    client.query()
    pid = client.server.inferior()
    loader, base = next((path, start) for start, _, _, _, path in procfs.maps(pid) if "ld-linux" in path)
    text = Text(loader)
    first = (text.entry, text.entry + 8)  # mov %rsp, %rdi; call _dl_start: no unwind information
    functions = text.reached(text.called([first]), 1)
    sites = [base + at for at in text.instructions([first, *functions])]
    t.check(len(sites) > 200, f"only {len(sites)} instructions found")
    t.equal(insert_all(client, sites, NEVER), [], "sites refused")
    t.note(f"{len(functions)} functions, {len(sites)} sites")
    stop = client.resume(seconds=60)
    t.equal((stop.kind, stop.status), ("W", status), f"the end: {stop}")
    t.equal(client.server.output(), process.output(), "its output")


@case()
def neighbouring_one_byte_instructions(t):
    """Sites on all of them, and put in and taken out at random while the thread passes."""
    client = started(t, "intruder neighbours", ["neighbours"], passed="1e")  # SIGUSR1
    start = client.address("neighbours")
    offsets = instruction_offsets(t, client.server.program[0], "neighbours")
    client.non_stop()
    client.stopped_threads()
    client.ok("vCont;c")
    chance, present = random.Random(1), set(offsets)
    for _ in range(400 * FACTOR):
        offset = chance.choice(offsets)
        if offset in present:
            client.remove(start + offset)
        else:
            client.insert(start + offset, rest=NEVER)
        present ^= {offset}
    os.kill(client.server.inferior(), signal.SIGUSR1)  # enough
    client.notifications.append(client.notification(20 * FACTOR))
    stop = client.take_stops()[0]
    t.match(client.server.output(), "wrong=0$", f"what the program computed ({stop})")
    t.equal((stop.kind, stop.status), ("W", 0), f"the end: {stop}")


@case()
def a_site_on_every_byte(t):
    """Sites in the middle of instructions as well: the program may die of it, nobody else."""
    survive(t, started(t, "intruder visit 100", every_byte=True, passed=FAULTS))


@case()
def no_address_space_left(t):
    """RLIMIT_AS forbids the area: slower, but right."""
    in_order(t, started(t, "intruder limit 300"))


@case()
def filter_that_allows_two_calls(t):
    """A seccomp filter kills on everything but write and exit_group."""
    in_order(t, started(t, "intruder filter 300"))


def without_admin():
    """For a server that cannot suspend filters: its root has no CAP_SYS_ADMIN."""
    os.setsid()
    ctypes.CDLL(None).prctl(24, 21, 0, 0, 0)  # PR_CAPBSET_DROP


@case()
def filter_that_cannot_be_suspended(t):
    """The same under a server without CAP_SYS_ADMIN: nothing is mapped, nobody is killed."""
    client = started(t, "intruder filter 300", preexec=without_admin)
    last = client.address("visited") + instruction_offsets(t, client.server.program[0], "visited")[-1]
    client.remove(last)
    client.insert(last)
    t.equal(client.resume().pc, last, "the last of the sites")
    paths = [path for _, _, _, _, path in procfs.maps(client.server.inferior())]
    t.equal([path for path in paths if "ssol" in path], [], "areas")
    t.match(client.monitor("sites")[0], " boost +runs the same anywhere; in place [1-9][0-9]* times: no slot",
            "how it is done and why")
    client.remove(last)
    in_order(t, client)


ODD_PLACES = (0x200000000000, 0x10000000, 0x20000, 0x600000000000)


def odd_places(t, crowded):
    """The program with sites everywhere; {place: what is in the areas within its reach}, and what is
    in the others."""
    client = started(t, f"intruder odd {crowded}")
    pid = client.server.inferior()
    before = {start for start, _, permissions, _, _ in procfs.maps(pid) if "x" in permissions}
    libc = next(path for _, _, _, _, path in procfs.maps(pid) if path.endswith("/libc.so.6"))
    base = min(start for start, _, _, _, path in procfs.maps(pid) if path == libc)
    printf, last = (base + Text(libc).dynamic_symbol(name) for name in ("printf", "_exit"))
    text = client.address("visited")
    client.insert(printf, rest=NEVER)
    for place in ODD_PLACES:
        for offset in (0, 7, 10):  # mov 64(code), %rax; add %rdi, %rax; ret
            client.insert(place + offset, rest=NEVER)
    client.insert(last)
    t.equal(client.resume().pc, last, "the last of the sites")
    areas = {start: procfs.peek(pid, start, end - start)
             for start, end, permissions, _, _ in procfs.maps(pid)
             if "x" in permissions and start not in before}
    t.note(f"areas: {', '.join(f'{start:#x}' for start in areas)}")
    in_order(t, client)
    near, others = {}, dict(areas)
    for place in (*ODD_PLACES, text, printf):
        near[place] = [areas[start] for start in areas if abs(start - place) < 1 << 31]
        others = {start: others[start] for start in others if abs(start - place) >= 1 << 31}
    return near, others.values()


@case()
def generated_code_in_odd_places(t):
    """Code far from everything, at low addresses and at very low ones, the program's, a library's:
    an area near each."""
    near, others = odd_places(t, 0)
    t.equal([[hex(place) for place in near if not near[place]], len(others)], [[], 0],
            "places without an area near, areas near none")


@case()
def no_room_near_generated_code(t):
    """The same with 2 GiB reserved on both sides of some: slots far away, through a scratch register."""
    near, others = odd_places(t, 1)
    t.equal([place for place in near if not near[place]], [ODD_PLACES[0], ODD_PLACES[3]],
            "places without an area near")
    code = b"\x48\x8b\x81\0\0\0\0\xcc"  # mov 0(%rcx), %rax; int3
    everywhere = b"".join([*others, *(area for areas in near.values() for area in areas)])
    t.check(code in everywhere, "a slot through a scratch register")


@case()
def fixed_address_static_program(t):
    """A static program at low fixed addresses."""
    source = os.path.join(os.path.dirname(__file__), "..", "..", "programs", "intruder.c")
    path = f"{t.directory}/intruder"
    built = subprocess.run([t.installed("gcc"), "-static", "-no-pie", "-w", "-O0", "-o", path, source],
                           capture_output=True, check=False)
    if built.returncode:
        built = subprocess.run(["gcc", "-no-pie", "-w", "-O0", "-o", path, source],
                               capture_output=True, check=True)
    in_order(t, started(t, [path, "visit", "300"]))


@case(timeout=240)
def a_hundred_thousand_sites(t):
    """One on each instruction of a long straight piece of code, each hit once."""
    count = 100000
    client = started(t, f"intruder straight {count}")
    sites = [0x300000000002 + 4 * n for n in range(count)]
    t.equal(insert_all(client, sites, NEVER), [], "sites refused")
    in_order(t, client, seconds=120)
