"""What /proc tells about processes, and what an ELF file says should be in their memory."""

import os
import re
import struct


def read(path, default=""):
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8", "replace")
    except OSError:
        return default


def threads(pid):
    try:
        return sorted(int(tid) for tid in os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return []


def status(pid, tid=None):
    """/proc/PID/task/TID/status as a dictionary; empty when the thread is gone."""
    text = read(f"/proc/{pid}/task/{tid or pid}/status")
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def has_protection_keys():
    """The processor has them and the kernel uses them (pkeys(7))."""
    return " ospke" in read("/proc/cpuinfo")


def alive(pid):
    return status(pid).get("State", "Z")[0] not in "ZX"


def state(pid, tid=None):
    """R, S, D, t, T, Z … or "" when there is no such thread."""
    return status(pid, tid).get("State", " ")[0].strip()


def cpu_seconds(pid):
    """Processor time of a process so far."""
    fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def tracer(pid):
    return int(status(pid).get("TracerPid", "0"))


def children(pid):
    found = []
    for tid in threads(pid):
        found += [int(word) for word in read(f"/proc/{pid}/task/{tid}/children").split()]
    return found


def descendants(pid):
    found = []
    for child in children(pid):
        found += [child] + descendants(child)
    return found


def describe(pid):
    lines = [f"{pid}: {read(f'/proc/{pid}/cmdline').replace(chr(0), ' ')}"]
    for tid in threads(pid)[:20]:
        fields = status(pid, tid)
        lines.append(f"   {tid} {fields.get('Name')} {fields.get('State')} tracer {fields.get('TracerPid')} "
                     f"SigPnd {fields.get('SigPnd')} SigBlk {fields.get('SigBlk')} "
                     f"wchan {read(f'/proc/{pid}/task/{tid}/wchan')} "
                     f"syscall {read(f'/proc/{pid}/task/{tid}/syscall').strip()}")
    return "\n".join(lines)


def maps(pid):
    """[(start, end, permissions, offset, path)] of the process."""
    rows = []
    for line in read(f"/proc/{pid}/maps").splitlines():
        found = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) \S+ \d+\s*(.*)", line)
        if found:
            start, end, permissions, offset, path = found.groups()
            rows.append((int(start, 16), int(end, 16), permissions, int(offset, 16), path))
    return rows


def areas(pid):
    """Where the server's slots are. Kernels without names for such mappings show none."""
    return [(start, end) for start, end, permissions, _, path in maps(pid)
            if permissions == "r-xp" and path in ("", "[anon:sidestep-ssol]")]


def peek(pid, address, size):
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(address)
        return memory.read(size)


def text_differences(pid, path):
    """[(address, byte in the file, byte in memory)] over the executable mappings of `path`."""
    differences = []
    with open(path, "rb") as file:
        contents = file.read()
    for start, end, permissions, offset, mapped in maps(pid):
        if mapped != os.path.realpath(path) or "x" not in permissions:
            continue
        wanted = contents[offset:offset + end - start]
        actual = peek(pid, start, len(wanted))
        if wanted != actual:
            differences += [(start + i, wanted[i], actual[i])
                            for i in range(len(wanted)) if wanted[i] != actual[i]]
    return differences


class Elf:
    """Symbols and sections of an ELF file (32 or 64 bits, little-endian)."""

    def __init__(self, path):
        self.path = os.path.realpath(path)
        with open(path, "rb") as file:
            self.data = file.read()
        self.wide = self.data[4] == 2
        self.relocatable = struct.unpack_from("<H", self.data, 16)[0] == 3  # ET_DYN
        self.sections = self._sections()
        self.symbols, self.sizes = {}, {}
        for name, kind, offset, size, link in self.sections:
            if kind == 2:  # SHT_SYMTAB
                self._symbols(offset, size, self.sections[link][2])

    def _sections(self):
        offset, = struct.unpack_from("<Q" if self.wide else "<I", self.data, 40 if self.wide else 32)
        size, count, names = struct.unpack_from("<HHH", self.data, 58 if self.wide else 46)
        rows = []
        for i in range(count):
            at = offset + i * size
            if self.wide:
                name, kind, _, _, start, length, link = struct.unpack_from("<IIQQQQI", self.data, at)
            else:
                name, kind, _, _, start, length, link = struct.unpack_from("<IIIIIII", self.data, at)
            rows.append((name, kind, start, length, link))
        return rows

    def _symbols(self, offset, size, strings):
        width = 24 if self.wide else 16
        for at in range(offset, offset + size, width):
            if self.wide:
                name, _, _, _, value, length = struct.unpack_from("<IBBHQQ", self.data, at)
            else:
                name, value, length = struct.unpack_from("<III", self.data, at)
            end = self.data.index(b"\0", strings + name)
            text = self.data[strings + name:end].decode()
            self.symbols[text], self.sizes[text] = value, length

    def base(self, pid):
        """Load address in a process (0 for a program linked to a fixed address)."""
        if not self.relocatable:
            return 0
        return min(start for start, _, _, _, path in maps(pid) if path == self.path)

    def address(self, pid, symbol):
        return self.base(pid) + self.symbols[symbol]
