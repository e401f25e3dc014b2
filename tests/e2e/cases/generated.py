"""Conditions made up by a generator: the server's opinion of each against gdb's own.

No stop is needed for the server's: a condition may assign to trace state variables, so each one notes
in a variable of its own for which calls it was true, and is false in the end. gdb prints the truth of
the same expressions at every one of these calls."""

import random
import re

from harness import GdbError, case

# Values at the return statement of probe() in conditions.c: locals, arguments, statics, globals, and
# what can be reached from them, of every type there is.
INTEGERS = """i u l c local narrow tiny utiny small usmall medium umedium large ularge truth
colour matrix[1][2] matrix[i%3][i%4] *(&matrix[0][0]+i%12) node->value node->whole node->flags.low
node->flags.middle node->flags.high first.flags.low first.flags.middle second.flags.high bits.low
bits.middle bits.high node->parts[i%8] node->name[i%5] string[i%4] *string text[i%9]
(*node).parts[i&7] first.next->value second.value node->name[0] first.parts[3]
$rsp $eflags $rip (long)$rdi""".split()
POINTERS = ["node", "&first", "&second", "first.next", "second.next", "nowhere", "string", "text",
            "&matrix[1][1]", "&node->value", "function", "&local", "&first.name[i%8]"]
CASTS = ["char", "signed char", "unsigned char", "short", "unsigned short", "int", "unsigned",
         "long", "unsigned long", "enum colour", "_Bool"]
ARITHMETIC = "+ - * & | ^".split()
COMPARISONS = "== != < <= > >=".split()


class Generator:
    def __init__(self, seed, narrowing):
        self.random = random.Random(seed)
        self.integer = "{}" if narrowing else "(long)({})"
        self.shifts = ["<<", ">>"] if narrowing else [">>"]
        self.casts = CASTS[:9] if narrowing else ["long", "unsigned long"]
        # Not of a _Bool: what these make of one is not agreed on.
        self.signs = ["-(long)", "!"] + (["~(int)", "~(unsigned)"] if narrowing else ["~(long)"])

    def value(self, depth):
        one = self.random
        kind = one.randrange(9) if depth else 0
        if kind <= 2:
            leaf = one.choice(INTEGERS)
            return leaf if leaf.startswith("$") else self.integer.format(leaf)
        if kind == 3:
            return f"({one.choice(self.casts)})({self.value(depth - 1)})"
        if kind == 4:
            return f"{one.choice(self.signs)}({self.value(depth - 1)})"
        if kind == 5:
            return f"(({self.value(depth - 1)}) {one.choice('/%')} {one.randrange(2, 40)})"
        if kind == 6:
            return f"(({self.value(depth - 1)}) {one.choice(self.shifts)} {one.randrange(0, 12)})"
        if kind == 7:
            # gdb gives ?: the type of the operand it takes, and its compiler that of the first one.
            cast = one.choice(self.casts)
            return (f"(({self.condition(depth - 1)}) ? ({cast})({self.value(depth - 1)}) : "
                    f"({cast})({self.value(depth - 1)}))")
        return f"(({self.value(depth - 1)}) {one.choice(ARITHMETIC)} ({self.value(depth - 1)}))"

    def condition(self, depth):
        one = self.random
        kind = one.randrange(7)
        if kind == 0:
            return f"{one.choice(POINTERS)} {one.choice(['==', '!='])} {one.choice(POINTERS)}"
        if kind == 1 and depth:
            joint = one.choice(["&&", "||"])
            return f"({self.condition(depth - 1)}) {joint} ({self.condition(depth - 1)})"
        if kind == 2:
            return f"({self.value(depth)}) & {1 << one.randrange(6)}"
        if kind == 3:
            return f"({self.value(depth)}) % {one.randrange(2, 7)} == {one.randrange(3)}"
        if kind == 4:
            return f"!({self.condition(depth - 1)})" if depth else f"!{one.choice(INTEGERS)}"
        return f"({self.value(depth)}) {one.choice(COMPARISONS)} ({self.value(depth)})"


def split(items, size):
    return [items[at:at + size] for at in range(0, len(items), size)]


def numbered(words):
    return list(enumerate(words, 1))


@case(timeout=150, gdbserver="takes only packets too short for so many conditions; gdb dies of it")
def server_and_gdb_agree(t):
    """Hundreds of conditions, random but always the same: true for the same calls in server and gdb."""
    gdb = t.gdb("conditions")
    narrowing = gdb.number("(char)-1001") == 23  # gdb 16's own result is another
    generator = Generator("conditions", narrowing)
    conditions = [generator.condition(2) for _ in range(480)]
    gdb.cli("set confirm off")
    place = f"conditions.c:{t.line('conditions.c', 'probe: here')}"
    gdb.cont_to(place)
    conditions = [text for text in conditions if usable(gdb, place, text)]
    t.check(len(conditions) >= 300, f"only {len(conditions)} conditions")
    for number, _ in numbered(conditions):
        gdb.cli(f"tvariable $seen{number} = 0")
        gdb.cli(f"maint packet QTDV:{number:x}:0:0:{f'seen{number}'.encode().hex()}")
    gdb.cont_to("round_end")
    for number, text in numbered(conditions):
        gdb.cli(f"break {place} if ({text}) && "
                f"(($seen{number} = $seen{number} | (1 << i)) == 0)")
    gdb.breakpoint("round_end")
    gdb.cont()  # a round of 16 calls, decided on by the server
    told = gdb.cli("info breakpoints")
    t.equal(told.count("(target evals)"), len(conditions), "conditions that the server was sent")
    server = [gdb.number(f"$seen{number}") for number, _ in numbered(conditions)]
    gdb.cli("delete")
    gdb.breakpoint(place)
    own = [0] * len(conditions)
    for call in range(16):
        stop = gdb.cont()
        t.equal(stop.argument("i"), str(call), repr(stop))
        values = []
        for part in split(conditions, 25):
            form = " ".join(["%d"] * len(part))
            asked = ", ".join(f"(({text}) != 0)" for text in part)
            values += [int(word) for word in gdb.cli(f'printf "{form}\\n", {asked}').split()]
        for at, value in enumerate(values):
            own[at] |= value << call
    different = [f"{text}: server {a:016b}, gdb {b:016b}"
                 for text, a, b in zip(conditions, server, own) if a != b]
    t.equal(different, [], "different opinions")
    both = sum(0 < calls < 0xffff for calls in own)
    t.check(both >= 70, f"only {both} conditions are neither always nor never true")
    t.note(f"{len(conditions)} conditions, {both} of them true for some calls and false for others"
           + ("" if narrowing else "; nothing is narrowed or shifted left, which this gdb does wrongly"))


def usable(gdb, place, text):
    """Whether gdb can evaluate it, and compile it: one that it cannot makes it keep all the others at
    that place to itself."""
    try:
        value = gdb.cli(f"print ({text}) != 0")
        compiled = gdb.cli(f"maint agent-eval -at {place}, {text}")
    except GdbError:
        return False
    return re.match(r"\$\d+ = -?\d+", value) is not None and "end" in compiled


# Wrong for these calls of probe(): a null pointer, a division, an address that is none.
ERRORS = (
    ("nowhere->value == 1", range(16)),
    ("i == 4 && nowhere->next", [4]),
    ("100 / (i - 3) == 1000", [3]),
    ("100 % (i / 14) == 1000", range(14)),
    ("u / (c / 16 - 5) == 0 && 0", [5]),
    ("i > 12 ? *(int *)8 : 0", [13, 14, 15]),
    ("*(char *)(long)(i == 9 ? -1 : (long)&local) == 1 && 0", [9]),
)


@case(timeout=100, gdbserver="takes a condition that faults for false")
def errors_are_told(t):
    """A condition that cannot be evaluated stops at exactly the calls where it cannot."""
    client = t.gdb("conditions")
    place = f"conditions.c:{t.line('conditions.c', 'probe: here')}"
    client.breakpoint("round_end")
    client.cont()
    for text, wrong in ERRORS:
        number = client.cli(f"break {place} if {text}").split()[1]
        seen = []
        while True:
            try:
                stop = client.cont()
            except GdbError:  # gdb evaluates it as well, and says what is wrong
                stop = client.wait_stop()
            if stop.function != "probe":
                break
            seen.append(int(stop.argument("i")))
        client.cli(f"delete {number}")
        t.equal(seen, list(wrong), text)
