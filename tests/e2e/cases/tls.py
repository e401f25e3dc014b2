"""Thread-local variables: qGetTLSAddr, with libthread_db and where it is of no use."""

import os
import re
import shutil
import subprocess

from harness import Skip, case, procfs
from harness.context import SOURCES
from harness.server import Server


def built(t, name, *words):
    """tls.c by another compiler or linked in another way."""
    path = os.path.join(t.directory, name)
    made = subprocess.run([*words, "-g", "-O0", "-o", path, os.path.join(SOURCES, "tls.c"), "-pthread"],
                          capture_output=True, check=False)
    if made.returncode:
        raise Skip(f"{words[0]} {' '.join(words[1:])}: {made.stderr.decode()[-200:]}")
    return path


def look_at_all(t, path, full):
    """`mine` in each of four threads of `path`; symbols from `full`, where they were stripped."""
    client = t.rsp(Server(t, [path, "3"]), handshake=True)
    elf = procfs.Elf(full)
    client.query()
    at = elf.symbols["all_set"] + (elf.base(client.server.inferior()) if full == path else 0)
    client.insert(at)
    stop = client.resume()
    t.equal(stop.pc, at, repr(stop))
    offset, values = elf.symbols["mine"], []
    for thread in client.threads():
        reply = client.ask(f"qGetTLSAddr:{thread},{offset:x},0")
        t.check(re.fullmatch("[0-9a-f]+", reply), f"an address: {reply}")
        values.append(int.from_bytes(client.read_memory(int(reply, 16), 4), "little"))
    t.equal(sorted(values), [7, 100, 101, 102], "values")


@case()
def static(t):
    """A static program of glibc, as it is and stripped: the thread pointer is enough."""
    path = built(t, "tls-static", t.installed("gcc"), "-static", "-no-pie")
    look_at_all(t, path, path)
    stripped = path + "-stripped"
    shutil.copy(path, stripped)
    subprocess.run(["strip", "-s", stripped], check=True)
    look_at_all(t, stripped, path)


@case()
def musl(t):
    """musl, static and dynamic: its threads mean nothing to libthread_db."""
    compiler = t.installed("musl-gcc")
    path = built(t, "tls-musl-static", compiler, "-static", "-no-pie")
    look_at_all(t, path, path)
    path = built(t, "tls-musl", compiler, "-no-pie")
    look_at_all(t, path, path)


@case()
def stripped_dynamic(t):
    """A stripped program with glibc's shared libraries."""
    path = built(t, "tls-dynamic", t.installed("gcc"), "-no-pie")
    look_at_all(t, path, path)
    stripped = path + "-stripped"
    shutil.copy(path, stripped)
    subprocess.run(["strip", "-s", stripped], check=True)
    look_at_all(t, stripped, path)
