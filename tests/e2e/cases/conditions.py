"""Conditions: what the server makes of gdb's bytecode against what gdb itself makes of the text."""

from harness import BOTH, GdbError, case

# Each is tried on every one of 16 calls of probe() in conditions.c, by gdb and by the server.
EXPRESSIONS = """
1
0
i == 3
i != 3
i > 7
i >= 8 && i <= 11
i < 3 || i > 12
!(i & 4)
i % 5 == 2
-i % 5 == -2
i / 3 == 2
(i - 8) / 3 == -1
(i - 8) % 3 == -1
i * i == 49
(i ^ 5) == 6
(i | 8) == 12
~i == -4
-i == -6
i << 2 == 20
1 << i == 256
i >> 1 == 4
(i - 8) >> 1 == -2
(unsigned)(i - 8) >> 28 == 15
i ? i == 4 : 1
i > 5 ? i < 8 : i == 2
i == 2, i == 3
u == 4294967290
u > 4294967285
(int)u == -6
(int)u < -10
u / 2 > 2147483641
u % 10 == 3
u + 10 < 5
(long)u == 4294967291
l == 42949672960
l >> 33 == 9
l / 8589934592 > 10
(int)(l >> 32) == 6
c == 128
c > 127
(signed char)c < 0
(signed char)c == -16
c * 2 == 256
c & 0x30
(short)(c << 8) < 0
tiny < 0
tiny == -18
(unsigned char)tiny == 238
utiny == 250 && i == 1
utiny + 10 == 260 && i == 2
small < -29999 && i == 3
usmall == 60000 && i == 4
(short)usmall == -5536 && i == 5
medium == -2000000000 && i == 6
medium - 1 < medium && i == 1
umedium == 4000000000 && i == 7
umedium > 0 && i == 8
large < 0 && i == 9
large == -9000000000000000000 && i == 10
ularge > 9000000000000000000 && i == 11
ularge / 2 == 9000000000000000000 && i == 12
large >> 62 == -2 && i == 13
ularge >> 62 == 3 && i == 14
colour == red
colour == green
colour == blue
colour < 0
colour == 5
matrix[1][2] == 7 && i == 1
matrix[i % 3][i % 4] == 8
matrix[i % 3][0] + matrix[0][i % 4] > 12
*(&matrix[0][0] + i % 12) == 6
node->value == 11
node->value == 22 && i > 9
node->next != 0
node->next && node->next->value == 22
node->name[0] == 's'
node->name[i % 5] == 'c'
node->flags.low == 5
node->flags.middle < 0
node->flags.middle == 7
node->flags.high == 77
first.flags.low == 6
first.flags.middle == -5
first.flags.low + first.flags.middle == 3
node->whole == -1
node->parts[0] == 8
node->parts[7] == 1
(node->parts[i % 8] & 1) == 1
node == &first
node != &second
node - &first == 0
(char*)node == (char*)&second
*node->name == 'f'
&node->value == (int*)node
nowhere == 0 && i == 5
nowhere ? nowhere->value : i == 6
string[0] == 'o'
string[1] == 'v'
*string == 'e' && string[4] == 0
*(string + 2) == 'd'
text[5] == 't' && i == 2
function != 0 && i == 3
truth
!truth
truth && i > 8
local == 21
local > i * 2 + 10
narrow == 9000
narrow < 0
narrow + narrow == 10000
bits.low == 3
bits.middle == -1
bits.middle < -4
bits.high == 1500
bits.low == (unsigned)i
calls % 4 == 1
sizeof(struct node) == 32 && i == 0
sizeof(bits) + i == 7
$rsp == 0
$rsp != 0 && i == 15
(int)$rdi == $rdi && i == 3
$rip == $pc && i == 2
$eflags & 0x200
*(int*)($rbp - 4) == local
(long)&local > (long)$rsp
i == matrix[0][3]
(i & 1) == (u & 1)
(char)(i * 40) < 0
(unsigned short)(i * 5000) > 40000
(i > 3) + (i > 6) + (i > 9) == 2
(i == 1) | (i == 2) | (i == 9)
((i * 2654435761) & 0xff) == 0x13
""".strip().splitlines()


@case(timeout=180)
def server_and_gdb_agree(t):
    """A hundred and more expressions: stops with the server deciding = stops with gdb deciding."""
    gdb = t.gdb("conditions")
    here = gdb.breakpoint("probe")
    gdb.cont()
    gdb.cli(f"delete {here}")
    place = f"conditions.c:{t.line('conditions.c', 'probe: here')}"
    gdb.breakpoint("round_end")
    gdb.cont()
    different = []
    for text in EXPRESSIONS:
        hits = {}
        for side in ("target", "host"):
            gdb.cli(f"set breakpoint condition-evaluation {side}")
            # At the return statement, where every local has its value.
            number = gdb.cli(f"break {place} if {text}").split()[1]
            values = []
            stop = gdb.cont()
            while stop.function == "probe":
                values.append(int(stop.argument("i")))
                stop = gdb.cont()
            t.equal(stop.function, "round_end", repr(stop))
            gdb.cli(f"delete {number}")
            hits[side] = values
        if hits["target"] != hits["host"]:
            different.append(f"{text}: server {hits['target']}, gdb {hits['host']}")
    t.equal(different, [], "different opinions")
    t.note(f"{len(EXPRESSIONS)} expressions")
    gdb.cli("set variable finished = 1")
    t.equal(gdb.run_out().exit_code or 0, 0, "exit code")


@case(modes=BOTH, gdbserver="takes a condition that faults for false")
def errors_stop(t):
    """A condition that faults stops at every call where it faults, and nowhere else."""
    gdb = t.gdb("conditions")
    gdb.breakpoint("round_end")
    gdb.breakpoint("probe", condition="i == 4 && nowhere->value == 1")
    try:
        stop = gdb.cont()
    except GdbError:
        stop = gdb.wait_stop()
    t.equal(stop.function, "probe", repr(stop))
    t.equal(stop.argument("i"), "4", repr(stop))
    t.equal(gdb.cont().function, "round_end", "no other stop")


@case(modes=BOTH)
def conditions_come_and_go(t):
    """The condition of one breakpoint is changed between and, in non-stop, during runs."""
    gdb = t.gdb("conditions")
    gdb.breakpoint("round_end")
    number = gdb.breakpoint("probe")
    t.equal(gdb.cont().argument("i"), "0", "without a condition")
    for value in (5, 9, 11):
        gdb.cli(f"condition {number} i == {value}")
        t.equal(gdb.cont().argument("i"), str(value), "with a condition")
    gdb.cli(f"condition {number} 0")
    t.equal(gdb.cont().function, "round_end", "never true")
    gdb.cli(f"condition {number}")
    t.equal(gdb.cont().argument("i"), "0", "without a condition again")
