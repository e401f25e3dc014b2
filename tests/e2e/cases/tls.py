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


def values_of_mine(t, client, elf):
    """`mine` as each thread has it, ascending."""
    values = []
    for thread in client.threads():
        reply = client.ask(f"qGetTLSAddr:{thread},{elf.symbols['mine']:x},0")
        t.check(re.fullmatch("[0-9a-f]+", reply), f"an address in {thread}: {reply}")
        values.append(int.from_bytes(client.read_memory(int(reply, 16), 4), "little"))
    return sorted(values)


def look_at_all(t, path, full):
    """`mine` in each of four threads of `path`; symbols from `full`, where they were stripped."""
    client = t.rsp(Server(t, [path, "3"]), handshake=True)
    elf = procfs.Elf(full)
    client.query()
    at = elf.symbols["all_set"] + (elf.base(client.server.inferior()) if full == path else 0)
    client.insert(at)
    stop = client.resume()
    t.equal(stop.pc, at, repr(stop))
    t.equal(values_of_mine(t, client, elf), [7, 100, 101, 102], "values")


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


@case()
def of_running_threads(t):
    """Non-stop: one thread is stopped, the variables of the others are read while they run."""
    client = t.rsp(t.server("tls 3 60"), handshake=True)
    client.non_stop()
    client.query()
    client.ok("vStopped")
    client.insert(client.address("all_set"))
    client.ok("vCont;c")
    stops = client.take_stops()
    t.equal(len(stops), 1, f"stops: {stops}")
    t.equal(values_of_mine(t, client, client.elf), [7, 100, 101, 102], "values")


@case()
def of_threads_that_never_stopped(t):
    """Non-stop: attached to, no thread has been stopped yet."""
    process = t.spawn("tls 3 60")
    process.wait_output("^set$")
    client = t.rsp(t.server(multi=True), handshake=True)
    client.non_stop()
    client.ok(f"vAttach;{process.pid:x}")
    elf = procfs.Elf(process.words[0])
    t.equal(values_of_mine(t, client, elf), [7, 100, 101, 102], "values")
    for thread in client.threads():
        t.match(client.ask(f"Hg{thread}"), "^(OK|E)", "thread is there")
    t.match(client.ask("g"), "^E", "registers: the thread is not stopped for the client")
