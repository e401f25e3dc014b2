"""Go, Java and Python, attached to in full swing: runtimes that signal and fault on purpose, with many
threads that the user did not make."""

import os
import signal
import subprocess
import sys

from harness import BOTH, case, procfs
from harness.context import SOURCES

PYTHON = """
import concurrent.futures, hashlib, signal, sys, time
stop, rounds = [], [0]
signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
def work(n):
    rounds[0] += 1
    return hashlib.sha256(b"%d" % n * 500).hexdigest()
want = [work(n) for n in range(40)]
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    beat = 0
    while not stop:
        print("beat", beat, "rounds", rounds[0], flush=True)
        beat += 1
        if list(pool.map(work, range(40))) != want:
            sys.exit("a wrong result")
print("done rounds=%d" % rounds[0])
"""


class Runtime:
    """A running program: process, threads it has at least, signals that are its own business, a
    function that its threads call all the time, one that they call now and then, and an address that
    can be watched."""

    def __init__(self, process, threads, signals, hot, seldom, watched, calls):
        self.process, self.threads, self.signals = process, threads, signals
        self.hot, self.seldom, self.watched, self.calls = hot, seldom, watched, calls


def go(t):
    compiler, program = t.installed("go"), os.path.join(t.directory, "busy")
    subprocess.run([compiler, "build", "-gcflags=all=-N -l", "-o", program,
                    os.path.join(SOURCES, "busy.go")], check=True)
    return Runtime(t.spawn([program]), 20, "SIGURG", "main.work", "main.work", "main.rounds", False)


def java(t):
    compiler, java = t.installed("javac"), t.installed("java")
    subprocess.run([compiler, "-d", t.directory, os.path.join(SOURCES, "Busy.java")], check=True)
    return Runtime(t.spawn([java, "-Xmx64m", "-cp", t.directory, "Busy"], cwd=t.directory), 12, "SIGSEGV",
                   "pthread_cond_signal", "-qualified write", "*(long*)&environ", True)


def python(t):
    return Runtime(t.spawn([sys.executable, "-S", "-E", "-c", PYTHON]), 9, "SIGALRM", "malloc",
                   "-qualified write", "*(long*)&environ", True)


def alive(t, process):
    """It goes on for three beats."""
    before = process.output().count("beat")
    t.wait_until(lambda: process.output().count("beat") > before + 3 or not process.running(),
                 "the program to go on")
    t.check(process.running(), f"the program has died: {process.popen.poll()}")


def pause(t, gdb):
    """Everything stops; all-stop: with one stop, non-stop: each thread for itself."""
    gdb.interrupt()
    if not t.non_stop:
        gdb.wait_stop()
    gdb.stop_all()
    gdb.stops.clear()
    t.equal({state for _, state, _ in gdb.threads()}, {"stopped"}, "states after the pause")


def wait_for_output(t, gdb, text):
    """Five lines of a dprintf. In non-stop mode no packet can carry them: the server prints them."""
    def seen():
        gdb._read(0)
        return ("".join(gdb.console) + gdb.server.output()).count(text) >= 5

    t.wait_until(seen, f"'{text}' to be printed", 30)


def attached(t, runtime):
    process = runtime.process
    process.wait_output("beat 10 ")
    gdb = t.gdb(process.words[0], attach=process.pid,
                settings=(f"handle {runtime.signals} nostop noprint pass",))
    gdb.stop_all()
    threads = gdb.threads()
    t.check(len(threads) >= runtime.threads, f"{len(threads)} threads")
    return gdb


def ends_well(t, process):
    t.wait_until(lambda: procfs.tracer(process.pid) == 0, "the tracer to leave")
    alive(t, process)
    t.equal(procfs.text_differences(process.pid, process.words[0]), [], "text differs from the file")
    process.signal(signal.SIGTERM)
    process.wait_exit()
    t.match(process.output(), r"^done rounds=\d+( nulls=\d+ wrong=0)?$", "its last line")


def session(t, runtime):
    """What a user does in an afternoon: conditions, dprintf, pauses, calls, a watchpoint, detach."""
    process = runtime.process
    gdb = attached(t, runtime)
    gdb.breakpoint(runtime.hot, condition="$rsp == 0")
    gdb.resume()
    alive(t, process)
    pause(t, gdb)
    if runtime.calls:
        t.equal(gdb.eval("(int)getpid()"), str(process.pid), "getpid()")
    gdb.cli("delete")
    # A gdb that is interrupted while it steps a thread over a breakpoint by itself loses the thread's
    # signal (it is told of SIGURG, and continues without). Go waits for that signal for ever.
    steps_by_itself = t.non_stop and runtime.signals == "SIGURG"
    for style in ("agent",) if steps_by_itself else ("gdb", "agent"):
        gdb.cli(f"set dprintf-style {style}")
        gdb.cli(f'dprintf {runtime.seldom},"it is %d\\n",{len(style)}')
        gdb.resume()
        wait_for_output(t, gdb, f"it is {len(style)}")
        pause(t, gdb)
        gdb.cli("delete")
    gdb.cli(f"watch {runtime.watched}")
    gdb.resume()
    if runtime.watched.startswith("*"):
        alive(t, process)
        pause(t, gdb)
    else:
        t.equal(gdb.wait_stop().reason, "watchpoint-trigger", "the stop of the watchpoint")
        gdb.stop_all()
    gdb.cli("delete")
    gdb.cli(f"break {runtime.seldom}")
    stop = gdb.cont()
    t.check(stop.reason == "breakpoint-hit" and runtime.seldom.endswith(stop.function.split("_")[-1]),
            repr(stop))
    gdb.cli("detach")
    gdb.quit()
    ends_well(t, process)


def gdb_dies(t, runtime):
    """gdb is killed while threads run through breakpoints: the program is let go. Not while gdb has a
    thread execute a copy of an instruction, which only gdb could bring to an end."""
    gdb = attached(t, runtime)
    gdb.cli("set displaced-stepping off")
    gdb.breakpoint(runtime.hot, condition="$rsp == 0")
    gdb.cli(f"break {runtime.seldom}")
    gdb.cont()
    gdb.resume()
    gdb.vanish()
    gdb.server.wait_exit()
    ends_well(t, runtime.process)


@case(modes=BOTH, timeout=180, gdbserver={"non-stop": "gdb dies of the second stop it is told of"})
def go_session(t):
    """A Go program, its threads preempted by SIGURG, in a session of everything."""
    session(t, go(t))


@case(modes=BOTH, timeout=180, gdbserver={"non-stop": "gdb dies of the second stop it is told of"})
def java_session(t):
    """A Java program, which faults on purpose, in a session of everything."""
    session(t, java(t))


@case(modes=BOTH, timeout=180)
def python_session(t):
    """A Python program with a pool of workers and a timer, in a session of everything."""
    session(t, python(t))


@case(modes=BOTH, timeout=180, gdbserver="leaves breakpoints in the program")
def go_when_gdb_dies(t):
    """A Go program outlives gdb and the server."""
    gdb_dies(t, go(t))


@case(modes=BOTH, timeout=180, gdbserver="leaves breakpoints in the program")
def java_when_gdb_dies(t):
    """A Java program outlives gdb and the server."""
    gdb_dies(t, java(t))


@case(modes=BOTH, timeout=180, gdbserver="leaves breakpoints in the program")
def python_when_gdb_dies(t):
    """A Python program outlives gdb and the server."""
    gdb_dies(t, python(t))
