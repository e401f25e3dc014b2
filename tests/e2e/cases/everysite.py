"""A false condition on every instruction: what a program prints and how it ends is as without."""

import collections
import os
import re
import subprocess
import time

from harness import NEVER, Skip, case, procfs
from harness.context import ALL_STOP, add
from harness.text import Text, insert_all, remove_all, vdso


def started(t, words, address):
    """A raw client whose program has come to `address(base of the program)`, then in non-stop mode."""
    client = t.rsp(t.server(words, env={"LD_BIND_NOW": "1"}))
    client.handshake("multiprocess+;swbreak+;vContSupported+;xmlRegisters=i386")  # children are let go unseen
    client.query()
    place = address(client.elf.base(client.server.inferior()))
    client.insert(place)
    t.equal(client.resume().pc, place, "the place where sites go in")
    client.remove(place)
    client.non_stop()
    client.stopped_threads()
    return client


def run_through(t, client, words, sites, most=None):
    """Puts them in, lets the program run to its end and compares that with a run of its own. After
    `most` hits, those of inner loops, all are taken out again while it runs."""
    process = t.spawn(words)
    status, output = process.wait_exit(), process.output()
    pid = client.server.inferior()
    libc = library(pid, "libc.so.6")
    last = mapped(pid, libc) + Text(libc).dynamic_symbol("_exit")
    t.equal(insert_all(client, sites, NEVER), [], "sites refused")
    client.insert(last)
    start = time.monotonic()
    client.ok("vCont;c")
    while most and not client.notifications:
        if counted(client)[0] >= most:
            remove_all(client, sites)
            break
    stop = next_stop(client)
    t.check(stop.kind == "T" and stop.pc == last, f"a stop that nobody asked for: {stop}")
    hits, lanes = counted(client)
    t.note(f"{len(sites)} sites, {hits} hits ({lanes}), {time.monotonic() - start:.1f} s")
    t.check(hits > len(sites) / 10, f"only {hits} hits")
    client.ok("vCont;c")
    stop = next_stop(client)
    t.equal((stop.kind, stop.status), ("W", status), f"the end: {stop}")
    t.equal(client.server.output(), output, "its output")


def next_stop(client):
    client.notifications.insert(0, client.notification(seconds=100))
    return client.take_stops()[0]


def counted(client):
    """(hits, sites by lane) from the server's own statistics."""
    rows = re.findall(r"^0x[0-9a-f]+ +(emulate|boost|trap|in place) +(\d+) +(\d+)",
                      client.monitor("stats")[0], re.M)
    lanes = collections.Counter(lane for lane, hits, _ in rows if int(hits))
    return (sum(int(hits) for _, hits, _ in rows),
            ", ".join(f"{lane} {count}" for lane, count in sorted(lanes.items())))


def mapped(pid, path):
    """Where a file is mapped in a process."""
    return min(start for start, _, _, _, name in procfs.maps(pid) if name == os.path.realpath(path))


def library(pid, name):
    return next(path for _, _, _, _, path in procfs.maps(pid) if os.path.basename(path) == name)


def in_library(t, words, starts, depth, least):
    """Sites in what functions of libc reach; `starts` maps (pid, text, base) to their offsets."""
    text = Text(words[0])
    client = started(t, words, lambda base: base + text.elf.symbols["main"])
    pid = client.server.inferior()
    libc = library(pid, "libc.so.6")
    inside, base = Text(libc), mapped(pid, libc)
    ranges = inside.reached(starts(pid, inside, base), depth)
    sites = [base + at for at in inside.instructions(ranges)]
    t.check(len(sites) >= least, f"only {len(sites)} instructions found")
    t.note(f"{len(ranges)} functions")
    run_through(t, client, words, sites)


def libc_sorting(t, program):
    """qsort and what it calls, with the program's own function in between."""
    in_library(t, t.program(f"{program} libc"),
               lambda pid, text, base: [text.dynamic_symbol("qsort")], 2, 200)


def libc_formatting(t, program):
    """printf and snprintf and what they call, two levels down: vfprintf's jump tables, buffers."""
    in_library(t, t.program(f"{program} libc"),
               lambda pid, text, base: [text.dynamic_symbol(name) for name in
                                        ("printf", "snprintf", "vfprintf", "vsnprintf")], 2, 1000)


def libc_copying(t, program):
    """memcpy, memmove and memset as chosen for this processor: rep movs, SSE, AVX."""
    words = t.program(f"{program} libc")
    chosen = Text(words[0])
    word = 8 if chosen.elf.wide else 4

    def targets(pid, text, base):
        """What the pointers of the program's PLT lead to, where that is libc and no exported start."""
        found = []
        for start, end, permissions, _, path in procfs.maps(pid):
            if path != os.path.realpath(words[0]) or "x" in permissions:
                continue
            data = procfs.peek(pid, start, end - start)
            for at in range(0, len(data) - word + 1, word):
                offset = int.from_bytes(data[at:at + word], "little") - base
                if any(first == offset for first, _ in text.functions):
                    found.append(offset)
        exported = {text.dynamic_symbol(name) for name in ("qsort", "printf", "snprintf", "write",
                                                           "__libc_start_main", "puts")}
        return [offset for offset in found if offset not in exported]

    t.check(chosen.elf.relocatable, "a position-independent program")
    in_library(t, words, targets, 0, 100)


def whole_program(t, words, least):
    """Sites in the whole text of an installed program, from its entry point on."""
    text = Text(words[0])
    client = started(t, words, lambda base: base + text.entry)
    client.ok("QPassSignals:14;1e")  # SIGCHLD, SIGUSR1
    base = client.elf.base(client.server.inferior())
    sites = [base + at for at in text.instructions(text.functions)]
    t.check(len(sites) > least, f"only {len(sites)} instructions found")
    run_through(t, client, words, sites)


@case(timeout=240)
def shell(t):
    """A shell that forks, makes pipes, waits and traps signals: its children are rid of every site."""
    script = ("trap 'echo trapped' USR1; for i in 1 2; do x=$(echo $((i * 7)) | tr 1 2); "
              "echo $x; (echo sub $i; exit $i) || echo status $?; kill -USR1 $$; done; "
              "false | true && echo \"${x%1}\"; exit 3")
    whole_program(t, [os.path.realpath(t.installed("sh")), "-c", script], 1000)


@case(timeout=180)
def sha256sum(t):
    """The whole text of the installed sha256sum."""
    words = [t.installed("sha256sum"), f"{t.directory}/abc"]
    with open(words[1], "w", encoding="ascii") as file:
        file.write("abc" * 100)
    whole_program(t, words, 1000)


def samples(t, words, text):
    """In which functions of the program it is when it is interrupted again and again."""
    client = t.rsp(t.server(words), handshake=True)
    client.query()
    base = client.elf.base(client.server.inferior())
    client.insert(base + text.entry)
    client.resume()
    while True:
        client.send("vCont;c")
        client.raw(b"\x03")
        stop = client.stop_reply()
        if stop.kind == "W":
            return
        if function := text.function_at(stop.pc - base):
            yield function


def busiest_functions(t, words, text, count):
    found = collections.Counter()
    while found.total() < 300:
        found.update(samples(t, words, text))
    return [function for function, _ in found.most_common(count)]


@case(timeout=240)
def compiler(t):
    """The inner loops of the compiler proper: each instruction of the functions it is busiest in."""
    name = subprocess.run(["g++", "-print-prog-name=cc1plus"], capture_output=True, text=True,
                          check=False).stdout.strip()
    if not os.path.isabs(name):
        raise Skip("g++ is not installed")
    source = f"{t.directory}/twice.cc"
    with open(source, "w", encoding="ascii") as file:
        file.write("int twice(int a) { return a * 2; }\n")
    words = [os.path.realpath(name), "-quiet", "-O1", source, "-o", "-"]
    text = Text(words[0])
    functions = busiest_functions(t, words, text, 3)
    client = started(t, words, lambda base: base + text.entry)
    base = client.elf.base(client.server.inferior())
    sites = [base + at for at in text.instructions(functions)]
    t.check(len(sites) > 50, f"only {len(sites)} instructions found")
    run_through(t, client, words, sites, most=200000)


def own_program(t, program):
    """Hashing, copying, sorting, formatting, the PLT and the start-up code of one program."""
    whole_program(t, t.program(f"{program} own"), 250)


def lanes_of_libc(t, program):
    """Where the exported functions of libc begin: 99 of 100 sites need not stop other threads."""
    words = t.program(f"{program} libc")
    client = started(t, words, lambda base: base + Text(words[0]).elf.symbols["main"])
    pid = client.server.inferior()
    libc = library(pid, "libc.so.6")
    sites = [mapped(pid, libc) + at for at in Text(libc).exported_functions()]
    t.check(len(sites) > 1000, f"only {len(sites)} functions")
    t.equal(insert_all(client, sites, NEVER), [], "sites refused")
    rows = re.findall(r"  (0x[0-9a-f]+)  in   (emulate|boost|trap|in place)",
                      client.monitor("sites")[0])
    t.equal(sorted(int(at, 16) for at, _ in rows), sites, "sites in the table")
    lanes = collections.Counter(lane for _, lane in rows)
    t.note(", ".join(f"{lane} {count}" for lane, count in sorted(lanes.items())))
    t.check(lanes["in place"] * 100 <= len(sites), f"in place: {lanes}")


for size, built in (("", "digest"), ("i386_", "digest32")):
    for function in (libc_sorting, libc_formatting, libc_copying, own_program, lanes_of_libc):
        add(f"everysite.{size}{function.__name__}",
            lambda t, run=function, program=built: run(t, program), (ALL_STOP,), 180, None,
            f"{built}: {function.__doc__}")


@case(gdbserver="reports the hit again instead of stepping off the site")
def i386_vdso_step(t):
    """vCont;s from a breakpoint on sysenter or syscall: to where the kernel returns to."""
    client = t.rsp(t.server("matrix32 boost during 60"), handshake=True)
    client.query()
    client.run_to("ready")
    start, text = vdso(t, client.server.inferior())
    code = text.disassemble([text.function_at(text.dynamic_symbol("__kernel_vsyscall"))])
    fast = [at for at, words in code if re.match("sys(enter|call)", words)]
    if not fast:
        raise Skip("the vDSO makes its system calls by int 0x80")
    landing = next(after for (_, words), (after, _) in zip(code, code[1:])
                   if re.match("int +", words))
    client.insert(start + fast[0])
    stop = client.resume()
    while stop.signal != 5:
        stop = client.resume(f"vCont;C{stop.signal:02x}:{stop.thread};c")
    t.equal(stop.pc, start + fast[0], repr(stop))
    stop = client.resume(f"vCont;s:{stop.thread}")
    t.equal((stop.signal, stop.pc), (5, start + landing), repr(stop))


@case()
def i386_vdso(t):
    """The way by which a 32-bit libc makes system calls (sysenter and syscall return to the vDSO,
    wherever they stand), with signals that interrupt them."""
    client = t.rsp(t.server("matrix32 boost during 60"), handshake=True)
    client.query()
    client.run_to("ready")
    client.ok("QPassSignals:1e")  # SIGUSR1
    pid = client.server.inferior()
    start, text = vdso(t, pid)
    code = text.disassemble([text.function_at(text.dynamic_symbol("__kernel_vsyscall"))])
    t.note("; ".join(" ".join(words.split()) for _, words in code))
    t.equal(insert_all(client, [start + at for at, _ in code], NEVER), [], "sites refused")
    libc = library(pid, "libc.so.6")
    client.insert(mapped(pid, libc) + Text(libc).dynamic_symbol("_exit"))
    t.equal(client.resume().kind, "T", "at the end")
    hits, lanes = counted(client)
    t.note(f"{hits} hits ({lanes})")
    t.check(hits > 100, f"only {hits} hits")
    stop = client.resume()
    t.match(client.server.output(), "stray=0 wrong=0$", "what the program saw")
    t.equal((stop.kind, stop.status), ("W", 0), f"the end: {stop}")
