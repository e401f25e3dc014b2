"""Agent expressions (GDB manual, "Bytecode Descriptions") as the benchmarks send them."""

ADD, EQUAL, LESS_SIGNED, EXT, REF64, PRINTF, END = 0x02, 0x13, 0x14, 0x16, 0x1a, 0x34, 0x27
RDI = 5


def const8(value):
    return bytes((0x22, value))


def const64(value):
    return b"\x25" + value.to_bytes(8, "big")


def register(number):
    return b"\x26" + number.to_bytes(2, "big")


def ext(bits):
    return bytes((EXT, bits))


FALSE = const8(0) + bytes((END,))


def sum_below_zero(address):
    """*(long *)$rdi + *(long *)address < 0: two reads of memory and one of a register."""
    return (register(RDI) + bytes((REF64,)) + const64(address) + bytes((REF64, ADD)) + const8(0) +
            bytes((LESS_SIGNED, END)))


def printf_rdi(text=b"hit %d\\n\0"):
    """As gdb's agent-printf compiles `dprintf …,"hit %d\\n",$edi`."""
    return (register(RDI) + ext(32) + const8(0) + const8(0) + bytes((PRINTF, 1)) +
            len(text).to_bytes(2, "big") + text + bytes((END,)))


def condition(code):
    return b";X%x,%b" % (len(code), code.hex().encode())


def commands(code):
    return b";cmds:0,X%x,%b" % (len(code), code.hex().encode())
