"""Cases that are data: a folder with script.gdb and expect, or a .rsp file of packets and replies.
The formats are described in README.md."""

import os
import re

from . import gdb, procfs
from .context import ALL_STOP, BOTH, add
from .errors import Failure
from .rsp import Disconnected


def header(path):
    """{"program": "...", ...} from the `#@ key: value` lines at the top of a file."""
    values = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            found = re.match(r"#@\s*([\w-]+):\s*(.*)", line)
            if found:
                values[found[1]] = found[2].strip()
    return values


def register(name, path, function):
    values = header(path)
    modes = tuple(values.get("modes", ALL_STOP).split())
    modes = BOTH if modes == ("both",) else modes
    add(name, function, modes, float(values.get("timeout", "60")), values.get("gdbserver"),
        values.get("about", ""))


# --- folders: script.gdb + expect ---

def register_folder(folder):
    script, expect = os.path.join(folder, "script.gdb"), os.path.join(folder, "expect")
    register(os.path.basename(folder), script, lambda t: run_folder(t, script, expect))


def run_folder(t, script, expect):
    values = header(script)
    program = t.program(values["program"])
    server = t.server(program) if values.get("connect", "yes") != "no" else None
    lines = [*gdb.SETTINGS, f"set non-stop {'on' if t.non_stop else 'off'}"]
    lines += [f"file {program[0]}"]
    lines += [f"target remote 127.0.0.1:{server.port}"] if server else []
    with open(script, encoding="utf-8") as file:
        lines += [line.rstrip("\n") for line in file]
    console = gdb.run_script(t, lines, t.entry.timeout)
    if server:
        t.equal(server.wait_exit(), 0, "exit status of the server (--once) after the session")
    texts = {"gdb": console, "program": server.output() if server else "",
             "server": server.messages() if server else ""}
    compare(expect, texts, t)


def compare(expect, texts, t):
    """Checks an `expect` file against what was printed."""
    section, position = "gdb", {name: 0 for name in texts}
    for number, line in enumerate(procfs.read(expect).splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if re.fullmatch(r"\[\w+\]", line):
            section = line[1:-1]
        elif line.startswith("!"):
            pattern = as_pattern(line[1:].strip())
            t.check(not re.search(pattern, texts[section], re.M),
                    f"{expect}:{number}: {section} printed /{pattern}/")
        elif re.match(r"=\d+ ", line):
            count, pattern = int(line[1:].split()[0]), as_pattern(line.split(" ", 1)[1].strip())
            t.equal(len(re.findall(pattern, texts[section], re.M)), count,
                    f"{expect}:{number}: times that {section} printed /{pattern}/")
        else:
            pattern = as_pattern(line)
            found = re.compile(pattern, re.M).search(texts[section], position[section])
            if not found:
                raise Failure(f"{expect}:{number}: {section} did not print /{pattern}/ "
                              "(after the lines before it)")
            position[section] = found.end()


def as_pattern(text):
    """/…/ is a regular expression, everything else means itself."""
    if len(text) > 1 and text[0] == text[-1] == "/":
        return text[1:-1]
    return re.escape(text)


# --- .rsp files: packets and replies ---

def register_packets(path):
    name = os.path.basename(path)[:-len(".rsp")]
    register(name, path, lambda t: run_packets(t, path))


def run_packets(t, path):
    values = header(path)
    options = values.get("server", "").split()
    server = t.server(values.get("program"), multi="--multi" in options, once="--once" in options,
                      server_options=[o for o in options if o not in ("--multi", "--once")])
    client = t.rsp(server)
    names = Names(t, server, client)
    failures, skip = [], False
    for number, kind, text in exchanges(path):
        try:
            if kind == "!":
                skip = t.on_gdbserver
            elif kind == "@":
                names.directive(text)
            elif kind == ">":
                if skip:
                    continue
                client.send(names.expand(text).encode("latin-1").decode("unicode_escape"))
            elif kind == "<":
                if skip:
                    skip = False
                    continue
                actual = client.receive()
                if not names.matches(text, actual):
                    failures.append(f"{path}:{number}: expected {text!r}, got {actual!r}")
                names.probe()
        except (Failure, Disconnected) as failure:
            raise Failure("\n".join([*failures, f"{path}:{number}: {failure}"])) from None
    t.check(not failures, lambda: "\n".join(failures))


def exchanges(path):
    """(line number, one of > < ! @, text) for each line that is not a comment."""
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")
            if not line.strip() or line.startswith("#"):
                continue
            if line[0] not in "><!@":
                raise ValueError(f"{path}:{number}: a line starts with > < ! @ or #")
            yield number, line[0], line[1:].strip()


class Names:
    """${…} in packets: symbols of the program, pid, and what an earlier reply captured."""

    def __init__(self, t, server, client):
        self.t, self.server, self.client = t, server, client
        self.values, self.elf, self.probe_packet = {}, None, None

    def directive(self, text):
        word, _, rest = text.partition(" ")
        if word == "handshake":
            self.client.handshake()
        elif word == "probe":
            self.probe_packet = rest
        elif word == "silence":
            self.client.silence(float(rest))
        else:
            raise ValueError(f"unknown directive @{text}")

    def probe(self):
        """The session still works: what is asked here has an empty reply."""
        if self.probe_packet:
            self.client.expect(self.probe_packet, "")

    def value(self, name):
        if name in self.values:
            return self.values[name]
        pid = self.server.inferior()
        if name == "pid":
            return f"{pid:x}"
        if self.elf is None:
            self.elf = procfs.Elf(self.server.program[0])
        symbol, plus, offset = name.partition("+")
        return f"{self.elf.address(pid, symbol) + int(offset or '0', 0):x}"

    def expand(self, text):
        return re.sub(r"\$\{([^}]+)\}", lambda found: self.value(found[1]), text)

    def matches(self, wanted, actual):
        wanted = self.expand(wanted)
        if len(wanted) > 1 and wanted[0] == wanted[-1] == "/":
            found = re.search(wanted[1:-1], actual, re.S)
            if found:
                self.values.update(found.groupdict())
            return bool(found)
        return actual == wanted
