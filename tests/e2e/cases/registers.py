"""Registers: general, segment, x87, SSE, AVX, AVX-512, read and written, by gdb and by packets."""

import re

from harness import BOTH, Skip, case
from harness.rsp import GDB_FEATURES


def stopped_with_patterns(t):
    """gdb at the label where every vector register holds a pattern (see vectors.c)."""
    bare = t.spawn("vectors")
    if bare.wait_exit() == 2:
        raise Skip("this processor has no AVX")
    gdb = t.gdb("vectors")
    gdb.cont_to("*all_registers_loaded")
    return gdb, bare.output()


@case(modes=BOTH)
def vectors_are_read(t):
    """ymm, x87 and general registers show what the program loaded."""
    gdb, _ = stopped_with_patterns(t)
    for number in (0, 7, 15):
        value = gdb.eval(f"$ymm{number}.v32_int8")
        numbers = [int(n) & 255 for n in re.findall(r"-?\d+", value)]
        t.equal(numbers, [(number * 16 + i) & 255 for i in range(32)], f"ymm{number}")
    t.equal(gdb.eval("$xmm3.v2_int64[0] == $ymm3.v4_int64[0]"), "1", "xmm3 is ymm3's lower half")
    t.equal(gdb.eval("$st0")[:8], "3.141592", "st0")
    t.equal(gdb.number("$rbx"), 0x1111222233334444, "rbx")
    t.equal(gdb.number("$r14"), 0x0123456789abcdef, "r14")


@case(modes=BOTH, gdbserver="assumes Intel's XSAVE layout: wrong on AMD processors")
def avx512(t):
    """zmm16 and up, and mask registers, read and written (their place in XSAVE is the CPU's choice)."""
    gdb, output = stopped_with_patterns(t)
    if "zmm20" not in output:
        raise Skip("this processor has no AVX-512")
    numbers = [int(n) & 255 for n in re.findall(r"-?\d+", gdb.eval("$zmm20.v64_int8"))]
    t.equal(numbers, [255 - i for i in range(64)], "zmm20")
    t.equal(gdb.number("$k3"), 0xa5a5, "k3")
    gdb.cli("set $zmm20.v8_int64[7] = 0x0807060504030201")
    gdb.cli("set $zmm20.v8_int64[0] = 0x1716151413121110")
    gdb.run_out()
    t.match(gdb.server.output(), "^zmm20=1011121314151617" +
            "".join(f"{255 - i:02x}" for i in range(8, 56)) + "0102030405060708$", "zmm20")


@case(modes=BOTH)
def vectors_are_written(t):
    """What gdb writes into vector, x87 and general registers is what the program stores."""
    gdb, _ = stopped_with_patterns(t)
    for at in range(4):
        gdb.cli(f"set $ymm5.v4_int64[{at}] = {0x1122334455667700 + at}")
    gdb.cli("set $ymm11.v8_int32[7] = 0x0badcafe")
    gdb.cli("set $r12 = 0xfeedfacecafebeef")
    gdb.cli("set $st0 = 2.5")
    gdb.run_out()
    text = gdb.server.output()
    t.match(text, "^ymm5=" + "".join((0x1122334455667700 + at).to_bytes(8, "little").hex()
                                     for at in range(4)), "ymm5")
    t.match(text, r"^ymm11=[0-9a-f]{56}fecaad0b$", "ymm11")
    t.match(text, "^general1=feedfacecafebeef$", "r12")
    t.match(text, r"^pi=2\.500000$", "st0")
    for number in (0, 4, 6, 15):
        want = "".join(f"{(number * 16 + i) & 255:02x}" for i in range(32))
        t.match(text, f"^ymm{number}={want}$", f"ymm{number}, which nobody wrote")


@case(modes=BOTH)
def general_and_control(t):
    """pc, sp, flags, segments and bases are as the processor has them; $pc can be moved."""
    gdb = t.gdb("steps")
    gdb.cont_to("inner")
    t.equal(gdb.number("$cs"), 0x33, "cs")
    t.equal(gdb.number("$ss"), 0x2b, "ss")
    t.equal(gdb.number("$gs_base"), 0, "gs_base")
    t.equal(gdb.number("*(long*)$fs_base"), gdb.number("$fs_base"), "fs_base points to itself")
    t.match(gdb.eval("$eflags"), r"^\[.*IF.*\]$", "eflags")
    t.check("TF" not in gdb.eval("$eflags"), "no trap flag is shown")
    gdb.exec("-exec-step-instruction")
    t.check("TF" not in gdb.eval("$eflags"), "no trap flag is shown after stepi")
    gdb.cli("set variable x = 100")
    gdb.cli("set $pc = inner")  # begin again: rbp is pushed a second time, so undo the first
    gdb.cli("set $rsp = $rsp + 8")
    gdb.cli("set $rbp = *(long*)($rsp - 8)")
    gdb.cli("set $edi = 50")
    gdb.exec("-exec-next")
    stop = gdb.exec("-exec-finish")
    t.equal(stop.data["return-value"], "100", "inner(50)")


@case(modes=BOTH)
def inferior_calls(t):
    """print f(…) calls functions of the program, breakpoints in them included."""
    gdb = t.gdb("steps")
    gdb.cont_to("main")
    t.equal(gdb.eval("factorial(6)"), "720", "factorial(6)")
    t.equal(gdb.eval("inner(4) + outer(1)"), "14", "two calls")
    gdb.breakpoint("factorial", condition="n == 99")
    t.equal(gdb.eval("factorial(5)"), "120", "over a false condition")
    t.equal(gdb.run_out().exit_code, 7, "exit code")


@case(gdbserver="has no p and P")
def g_and_p_agree(t):
    """p answers each register as g has it; P writes one; G writes all; a bad number is an error."""
    client = t.rsp(t.server("steps"), handshake=True)
    client.query()
    client.run_to("inner")
    table = client.register_table()
    block = client.ask("g")
    sizes = sum(size for _, size, _ in table.values())
    t.equal(len(block), 2 * sizes, "length of g")
    for name, (number, size, offset) in table.items():
        reply = client.ask(f"p{number:x}")
        t.equal(reply, block[2 * offset:2 * (offset + size)], f"p of {name}")
    rbx = table["rbx"][0]
    client.ok(f"P{rbx:x}=efcdab8967452301")
    t.equal(client.register_value("rbx"), 0x0123456789abcdef, "rbx after P")
    client.ok("G" + block)
    t.equal(client.ask("g"), block, "g after G")
    client.expect("pffff", re.compile("^(E..|x*)$"))
    client.expect("Pffff=00", re.compile("^(E..|)$"))
    t.equal(client.resume().status, 7, "exit code")


@case()
def hg_selects_the_thread(t):
    """Hg chooses whose registers are read and written."""
    client = t.rsp(t.server("tls 3"), handshake=True)
    client.query()
    client.run_to("all_set")
    seen = set()
    for thread in client.threads():
        seen.add(client.register_value("rsp", thread))
    t.equal(len(seen), 4, "different stack pointers")
    client.expect("Hgp1.1", "E01")


@case()
def expedited_registers(t):
    """Stop replies carry rbp, rsp and rip, equal to what g says."""
    client = t.rsp(t.server("steps"), handshake=True)
    stop = client.query()
    for name, key in (("rbp", "06"), ("rsp", "07"), ("rip", "10")):
        t.equal(stop[key], client.register(name).hex(), name)
    t.check("core" in stop, "core:")
    t.equal(stop.pid, client.server.inferior(), "process in thread:")


@case()
def target_description(t):
    """target.xml names the architecture, the ABI and the features that gdb wants."""
    client = t.rsp(t.server("steps"), handshake=True)
    client.query()
    client.ask("Hg0")
    text = client.transfer("features", "target.xml")
    t.check("<architecture>i386:x86-64</architecture>" in text, "architecture")
    t.check("<osabi>GNU/Linux</osabi>" in text, "osabi")
    for feature in ("core", "sse", "linux", "segments"):
        t.check(f'org.gnu.gdb.i386.{feature}"' in text or
                any(feature in name for name in re.findall(r'href="([^"]+)"', text)), feature)
    client.expect("qXfer:features:read:nothing.xml:0,100", re.compile("^E0."))
    client.expect(f"qXfer:features:read:target.xml:{len(text):x},100", "l")
    client.expect("qXfer:features:read:target.xml:100000,100", re.compile("^(l|E01)$"))


def undescribed(t, program, bits):
    """A client that reads no target description gets the layout that gdb takes for granted."""
    client = t.rsp(t.server(program))
    client.handshake(GDB_FEATURES.replace(";xmlRegisters=i386", ""))
    stop = client.query()
    client.ok("Hg0")
    block = client.ask("g")
    t.equal(len(block), 2 * (560 if bits == 64 else 312), "length of g")
    name = "i386:x86-64" if bits == 64 else "i386"
    t.equal(client.transfer("features", "target.xml"),
            f"<target><architecture>{name}</architecture><osabi>GNU/Linux</osabi></target>",
            "target.xml")
    client.ok("G" + block)
    t.equal(client.ask("g"), block, "g after G")
    pc = ("10", 16 * 8) if bits == 64 else ("08", 8 * 4)
    width = bits // 4
    t.equal(stop[pc[0]], block[2 * pc[1]:2 * pc[1] + width], "the PC of the stop reply")


@case()
def without_a_description(t):
    """g and G for a client that does not offer xmlRegisters=i386."""
    undescribed(t, "steps", 64)


@case()
def without_a_description_32_bits(t):
    """The same for a 32-bit program."""
    undescribed(t, "steps32", 32)


@case(modes=BOTH)
def gdb_without_a_description(t):
    """gdb that is told not to ask for one (set remote target-features-packet off)."""
    gdb = t.gdb("vectors", settings=("set remote target-features-packet off",))
    stop = gdb.cont_to("main")
    t.equal(gdb.number("$pc"), stop.pc, "pc")
    gdb.cli("set $xmm3.v2_int64[0] = 0x1122334455667788")
    t.equal(gdb.number("$xmm3.v2_int64[0]"), 0x1122334455667788, "xmm3")
    t.match(gdb.cli("print/x $mxcsr"), "= 0x1f80$", "mxcsr")
    t.equal(gdb.number("*(long*)$fs_base"), gdb.number("$fs_base"), "fs_base points to itself")
    gdb.run_out()
