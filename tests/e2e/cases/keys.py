"""Protection keys: pkru is what the thread has, whatever is done to the thread."""

import re

from harness import BOTH, Skip, case, procfs

AFTER_EXEC = "takes the kernel's image after execve at its word: 0"


def gdb_on(t, arguments="3"):
    """A gdb at the program's first instruction, and the PKRU it starts with outside a debugger."""
    bare = t.spawn(["keys", arguments])
    if bare.wait_exit() == 2:
        raise Skip("this processor or kernel has no protection keys")
    first = int(re.search("^first=([0-9a-f]+)$", bare.output(), re.M)[1], 16)
    return t.gdb(f"keys {arguments}"), first


@case(modes=BOTH, gdbserver=AFTER_EXEC)
def at_the_start(t):
    """Before the first instruction it is the kernel's default; writing registers changes nothing."""
    gdb, first = gdb_on(t)
    t.equal(gdb.number("$pkru"), first, "pkru after execve")
    gdb.cli("set $xmm7.v4_int32[1] = 5")  # writes the image that pkru is in
    t.equal(gdb.number("$pkru"), first, "pkru after another register was written")
    gdb.breakpoint("main")
    gdb.cont()
    t.equal(gdb.number("$pkru"), first, "pkru in main")
    gdb.run_out()
    t.match(gdb.server.output(), f"^first={first:x}$", "what the program has read")
    t.match(gdb.server.output(), "^wrong=0$", "what the program has found")


@case(modes=BOTH, gdbserver="version 13 does not write pkru")
def written_by_the_client(t):
    """What the client writes is what rdpkru reads: some rights, all and none."""
    gdb, _ = gdb_on(t, "30")
    gdb.cont_to("look")
    for value in (0x55555550, 0, 0xfffffff0, 0x0c):
        gdb.cli(f"set $pkru = {value}")
        t.equal(gdb.number("$pkru"), value, "pkru as written")
        gdb.exec("-exec-finish")
        t.equal(gdb.number("seen"), value, "what rdpkru has read")
        t.equal(gdb.number("$pkru"), value, "pkru after running")
        gdb.cont_to("look")


@case(modes=BOTH)
def kept(t):
    """Through breakpoints, steps over wrpkru, function calls and accesses to protected memory."""
    gdb, _ = gdb_on(t, "6")
    gdb.breakpoint("*write_pkru")
    gdb.breakpoint("look", condition="$pkru == expected")
    for rights in range(2):
        t.equal(gdb.cont().function, "set_rights", "stopped at wrpkru")
        gdb.exec("-exec-step-instruction")
        wanted = gdb.number("expected")
        t.equal(gdb.number("$pkru"), wanted, f"pkru behind wrpkru, round {rights}")
        gdb.exec("-exec-finish")
        t.equal(gdb.number("*page"), 4711 + rights, "protected memory as gdb reads it")
        gdb.cli(f"set *page = {4712 + rights}")
        t.equal(gdb.number("add(2, 3)"), 5, "a function call")
        t.equal(gdb.number("$pkru"), wanted, "pkru after a function call")
        t.equal(gdb.cont().function, "look", "the condition on pkru holds")
        gdb.exec("-exec-next")
        t.equal(gdb.number("seen"), wanted, "what rdpkru has read")
    gdb.cli("delete")
    gdb.run_out()
    t.match(gdb.server.output(), "^wrong=0$", "what the program has found")


@case(modes=BOTH)
def kept_by_detach(t):
    """A program that is let go at a breakpoint goes on with the rights it had."""
    gdb, _ = gdb_on(t, "100")
    gdb.cont_to("look")
    server = gdb.server
    gdb.cli("detach")
    t.wait_until(lambda: "last=" in server.output(), "the program's end")
    t.match(server.output(), "^wrong=0$", "what the program has found")


@case(modes=BOTH, gdbserver=AFTER_EXEC)
def exec_is_caught(t):
    """At the stop of a caught exec pkru is the new program's, and stays so."""
    _, first = gdb_on(t)
    program = t.program("keys")[0]
    gdb = t.gdb(server=t.server(["/bin/sh", "-c", f"exec {program} 3"]))
    gdb.cli("catch exec")
    gdb.cont()
    t.equal(gdb.number("$pkru"), first, "pkru at the stop")
    gdb.cli("set $xmm7.v4_int32[1] = 5")
    gdb.run_out()
    t.match(gdb.server.output(), f"^first={first:x}$", "what the program has read")
    t.match(gdb.server.output(), "^wrong=0$", "what the program has found")


@case(modes=BOTH)
def execute_only(t):
    """Breakpoints on each instruction of execute-only code, steps through it, and its bytes."""
    gdb, _ = gdb_on(t, "4")
    gdb.cont_to("ready")
    start = gdb.number("hidden")
    t.match(procfs.read(f"/proc/{gdb.server.inferior()}/maps"), f"^{start:x}-[0-9a-f]+ --xp", "maps")
    places = [start + offset for offset in (0, 1, 5, 6, 9)]
    for place in places:
        gdb.breakpoint(f"*{place}")
    for _ in range(2):
        t.equal([gdb.cont().pc for _ in places], places, "where it stopped")
    t.equal(gdb.number(f"*(unsigned char *){start}"), 0x57, "the code's first byte")
    t.equal(gdb.cont().pc, places[0], "where it stopped")
    for place in places[1:]:
        t.equal(gdb.exec("-exec-step-instruction").pc, place, "where a step led to")
    gdb.cli("delete")
    gdb.run_out()
    t.match(gdb.server.output(), "^wrong=0$", "what the program has found")


@case(gdbserver="makes no system calls for the client")
def borrowed_thread(t):
    """System calls that the server makes in a thread leave its rights alone: the kernel's default,
    and all, which mapping execute-only memory takes from the thread that does it (pkeys(7))."""
    gdb_on(t)  # for its Skip
    client = t.rsp(program="keys 3", handshake=True)
    client.query()
    for value in (client.register_value("pkru"), 0, 0xfffffff0):
        client.write_register("pkru", value)
        for rights in ("rw", "rx", "x"):
            memory = client.ask(f"_M1000,{rights}")
            t.equal(client.register_value("pkru"), value, f"pkru after _M with {rights}")
            client.ok(f"_m{memory}")
            t.equal(client.register_value("pkru"), value, "pkru after _m")
    t.match(client.ask("vCont;c"), "^W0;", "the program's end")
