"""Programs that nobody here wrote, with conditional breakpoints in their hot functions."""

import hashlib
import os
import re
import signal
import socket
import subprocess

from harness import BOTH, Skip, case


def function_of(gdb, names):
    """The first of these functions that the debugged program or its libraries have."""
    for name in names:
        text = gdb.cli(f"info functions ^{name}$")
        if re.search(rf"^0x[0-9a-f]+  {name}$|\b{name}\(", text, re.M):
            return name
    raise Skip(f"none of {', '.join(names)} is a symbol here")


def start(t, words, **options):
    """gdb with the program stopped at its entry, libraries loaded."""
    gdb = t.gdb(words, **options)
    gdb.cli("set breakpoint pending on")
    gdb.mi("-break-insert -f -t __libc_start_main")
    stop = gdb.cont()
    t.match(stop.function, "libc_start_main", repr(stop))
    return gdb


@case(modes=BOTH, timeout=120)
def xz_two_threads(t):
    """xz -T2 with false conditions in memcpy-like and lzma code: what it writes unpacks to the same."""
    xz = t.installed("xz")
    source = os.path.join(t.directory, "data")
    block = b"".join(hashlib.sha256(str(i).encode()).digest() * 4 for i in range(400))
    with open(source, "wb") as file:
        file.write(block * 3)
    gdb = start(t, [xz, "-T2", "--block-size=65536", "-1", "-k", "-f", source])
    hot = function_of(gdb, ["lzma_code", "lzma_block_encoder"])
    gdb.breakpoint(hot, condition="$rdi == 1")
    gdb.breakpoint("lzma_crc64", condition="$rsi == 3")
    gdb.breakpoint("pthread_mutex_lock", condition="$rdi == 0")
    gdb.breakpoint("pthread_cond_signal", condition="$rdi == 0")
    stop = gdb.run_out(100)
    t.equal(stop.exit_code or 0, 0, "exit code")
    unpacked = subprocess.run([xz, "-dc", source + ".xz"], capture_output=True, check=True).stdout
    t.equal(hashlib.sha256(unpacked).hexdigest(), hashlib.sha256(block * 3).hexdigest(), "unpacked")


SCRIPT = """
import hashlib, threading
def work(n, out):
    total = 0
    for i in range(150):
        total += len(str(i)) + hash((i, n)) % 7
    out[n] = (total, hashlib.sha256(str([i * i for i in range(300)]).encode()).hexdigest())
out = {}
threads = [threading.Thread(target=work, args=(n, out)) for n in range(3)]
[t.start() for t in threads]
[t.join() for t in threads]
print(sorted(out.items()))
"""


@case(modes=BOTH, timeout=120)
def python_three_threads(t):
    """python3 with false conditions in its allocator and in libc's: same output."""
    python = t.installed("python3")
    words = [python, "-S", "-E", "-c", SCRIPT]
    environment = {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    process = t.spawn(words, env=environment)
    t.equal(process.wait_exit(), 0, "exit code without a debugger")
    gdb = start(t, words, env=environment)
    gdb.breakpoint("malloc", condition="$rdi == 123456789")
    gdb.breakpoint("free", condition="$rdi == 1")
    hot = function_of(gdb, ["PyObject_Hash", "PyUnicode_FromFormat", "PyLong_FromLong"])
    gdb.breakpoint(hot, condition="$rdi == 1")
    stop = gdb.run_out(100)
    t.equal(stop.exit_code or 0, 0, "exit code")
    t.equal(gdb.server.output(), process.output(), "its output")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@case(modes=BOTH, timeout=150)
def redis_under_benchmark(t):
    """redis-server, attached, false condition in its hot functions, under redis-benchmark."""
    redis, benchmark = t.installed("redis-server"), t.installed("redis-benchmark")
    port = str(free_port())
    process = t.spawn([redis, "--port", port, "--save", "", "--appendonly", "no", "--bind",
                       "127.0.0.1", "--dir", t.directory])
    process.wait_output("eady to accept connections")
    gdb = t.gdb(attach=process.pid)
    gdb.stop_all()
    for name in ("malloc", "write", "epoll_wait"):
        gdb.breakpoint(name, condition="$rdi == 0x123456789")
    gdb.resume()
    load = t.spawn([benchmark, "-p", port, "-n", "200", "-c", "8", "-t", "set,get,incr", "--csv"])
    t.equal(load.wait_exit(100), 0, "exit code of redis-benchmark")
    text = load.output()
    t.equal(len(re.findall(r'^"(?:SET|GET|INCR)","\d', text, re.M)), 3, f"results in\n{text}")
    t.note("; ".join(re.findall(r'^"\w+","[\d.]+"', text, re.M)))
    gdb.interrupt()
    gdb.wait_stop()
    gdb.stop_all()
    gdb.cli("delete")
    gdb.cli("detach")
    gdb.quit()
    with socket.create_connection(("127.0.0.1", int(port)), 10) as client:
        client.settimeout(10)
        client.sendall(b"PING\r\n")
        t.equal(client.recv(100), b"+PONG\r\n", "redis after detach")
    process.signal(signal.SIGTERM)
    t.equal(process.wait_exit(), 0, "exit status of redis")


@case(modes=BOTH, timeout=90)
def shell_with_children(t):
    """A shell that forks and execs: breakpoints in the shell, free children, right output."""
    bash = t.installed("bash")
    words = [bash, "-c", "for i in 1 2 3 4 5; do echo $(expr $i \\* 2) | cat; done; exit 3"]
    gdb = start(t, words)
    gdb.cli("handle SIGCHLD nostop noprint pass")
    gdb.breakpoint("malloc", condition="$rdi == 123456789")
    gdb.breakpoint("fork", condition="$rsp == 0")
    stop = gdb.run_out(60)
    t.equal(stop.exit_code, 3, "exit code")
    t.equal(gdb.server.output(), "2\n4\n6\n8\n10\n", "its output")
