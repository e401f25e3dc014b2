"""The instructions of programs, also of stripped ones: functions come from the unwind tables."""

import re
import struct
import subprocess

from .errors import Failure
from .procfs import Elf, maps, peek


class Text:
    """Functions and instruction boundaries of an ELF file, as offsets from its base."""

    def __init__(self, path):
        self.path, self.elf = path, Elf(path)
        self.entry, = struct.unpack_from("<Q" if self.elf.wide else "<I", self.elf.data, 24)
        self.functions = self._functions()  # [(start, end)], sorted

    def _functions(self):
        """From .eh_frame_hdr (LSB, "Exception Frames"): pairs of sdata4, relative to its address,
        that lead to the entries of .eh_frame with the start (pc-relative) and the size."""
        header, address = self._program_header(0x6474e550)  # PT_GNU_EH_FRAME
        data = self.elf.data
        if data[header + 1:header + 4] != b"\x1b\x03\x3b":
            raise Failure(f"{self.path}: an .eh_frame_hdr of another form")
        count, = struct.unpack_from("<I", data, header + 8)
        found = []
        for n in range(count):
            start, entry = struct.unpack_from("<ii", data, header + 12 + 8 * n)
            size, = struct.unpack_from("<I", data, header + entry + 12)
            found.append((address + start, address + start + size))
        return sorted(found)

    def _program_header(self, wanted):
        wide, data = self.elf.wide, self.elf.data
        offset, = struct.unpack_from("<Q", data, 32) if wide else struct.unpack_from("<I", data, 28)
        size, count = struct.unpack_from("<HH", data, 54 if wide else 42)
        for at in range(offset, offset + size * count, size):
            kind, = struct.unpack_from("<I", data, at)
            place, address = struct.unpack_from("<QQ" if wide else "<II", data, at + (8 if wide else 4))
            if kind == wanted:
                return place, address
        raise Failure(f"{self.path} has no program header {wanted:#x}")

    def function_at(self, address):
        return next(((start, end) for start, end in self.functions if start <= address < end), None)

    def _exports(self):
        """(name, type, value) of each symbol in .dynsym that has a value."""
        wide, data = self.elf.wide, self.elf.data
        for _, kind, offset, size, link in self.elf.sections:
            if kind != 11:  # SHT_DYNSYM
                continue
            strings = self.elf.sections[link][2]
            for at in range(offset, offset + size, 24 if wide else 16):
                if wide:
                    text, info, value = struct.unpack_from("<IB3xQ", data, at)
                else:
                    text, value, info = struct.unpack_from("<II4xB", data, at)
                if value:
                    end = data.index(b"\0", strings + text)
                    yield data[strings + text:end].decode(), info & 15, value

    def dynamic_symbol(self, name):
        for found, _, value in self._exports():
            if found == name:
                return value
        raise Failure(f"{self.path} does not export {name}")

    def exported_functions(self):
        """Where they begin, resolvers of chosen ones among them."""
        return sorted({value for _, kind, value in self._exports() if kind in (2, 10)})

    def disassemble(self, ranges):
        """[(address, text)] of all instructions, by gdb's disassembler."""
        lines = ["set confirm off"] + [f"disassemble {start:#x},{end:#x}" for start, end in ranges]
        result = subprocess.run(["gdb", "-nx", "-q", "-iex", "set height 0",
                                 "-iex", "set debuginfod enabled off", self.path],
                                input="\n".join(lines), capture_output=True, text=True, check=False)
        return [(int(address, 16), text) for address, text in
                re.findall(r"^\s+(0x[0-9a-f]+)[^:\n]*:\t(.*)$", result.stdout, re.M)]

    def instructions(self, ranges):
        return [address for address, _ in self.disassemble(ranges)]

    def called(self, ranges):
        """Where direct calls and jumps out of there lead."""
        return [int(found[1], 16) for _, text in self.disassemble(ranges)
                if (found := re.match(r"(?:bnd |notrack )?(?:call|jmp)\s+(0x[0-9a-f]+)", text))]

    def reached(self, starts, depth):
        """The functions at `starts` and those that they call directly, so many levels down."""
        seen, fresh = set(), {self.function_at(start) for start in starts} - {None}
        while fresh and depth >= 0:
            seen |= fresh
            called = self.called(sorted(fresh))
            fresh = {self.function_at(target) for target in called} - {None} - seen
            depth -= 1
        return sorted(seen)


def vdso(context, pid):
    """(its address in a process, its Text)"""
    start, end = next((start, end) for start, end, _, _, path in maps(pid) if path == "[vdso]")
    path = f"{context.directory}/vdso.so"
    with open(path, "wb") as file:
        file.write(peek(pid, start, end - start))
    return start, Text(path)


def insert_all(client, addresses, rest=""):
    """Z0 at each address; returns those that were refused."""
    return _for_each(client, "Z0,{:x},1" + rest, addresses)


def remove_all(client, addresses):
    """z0 at each address; returns those that were refused."""
    return _for_each(client, "z0,{:x},1", addresses)


def _for_each(client, packet, addresses, batch=200):
    """Many packets are on the way at a time."""
    refused = []
    for first in range(0, len(addresses), batch):
        part = addresses[first:first + batch]
        for address in part:
            client.send(packet.format(address))
        refused += [address for address in part if client.receive(60) != "OK"]
    return refused
