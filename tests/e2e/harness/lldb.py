"""A real LLDB: a script run in batch mode, where each command waits for its end, and a session that
is typed into, where the program runs on meanwhile."""

import os
import re
import shutil
import subprocess
import time

from . import procfs
from .errors import Skip
from .tool import Tool

NAMES = ("lldb", *(f"lldb-{version}" for version in range(22, 13, -1)))
# Nothing of the user's, no network, no questions.
SETTINGS = ["settings set auto-confirm true", "settings set symbols.enable-external-lookup false",
            "settings set target.preload-symbols false", "settings set use-color false",
            "settings set stop-line-count-before 0", "settings set stop-line-count-after 1"]


def find_lldb():
    """The path of an LLDB, or the case is skipped."""
    path = os.environ.get("LLDB") or next(filter(None, map(shutil.which, NAMES)), None)
    if not path:
        raise Skip("lldb is not installed")
    return path


def version():
    """The major version."""
    shown = subprocess.run([find_lldb(), "--version"], capture_output=True, text=True, check=False)
    return int(re.search(r"version (\d+)", shown.stdout)[1])


def run_script(t, lines, seconds=60.0):
    """Runs commands one after the other and returns everything printed."""
    path = os.path.join(t.directory, "lldb.script")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join([*SETTINGS, *lines]) + "\n")
    output = os.path.join(t.directory, "lldb.output")
    packets = os.path.join(t.directory, "lldb.packets")
    t.log("lldb output", lambda: procfs.read(output))
    t.log("lldb packets", lambda: procfs.read(packets))
    with open(output, "wb") as out:
        lldb = subprocess.Popen(
            [find_lldb(), "--no-lldbinit", "--batch", "-o",
             f"log enable -f {packets} gdb-remote packets", "-s", path],
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    t.wait_until(lambda: lldb.poll() is not None, "the lldb script to end", seconds)
    return procfs.read(output)


# A connection to a server that has no program yet ends in a state that LLDB's commands cannot wait
# for; its Python interface can, and that is how IDEs do it.
PYTHON = """
import lldb
def arrives(process, seconds, *states):
    event = lldb.SBEvent()
    while listener.WaitForEvent(seconds, event):
        state = lldb.SBProcess.GetStateFromEvent(event)
        if state in states and not lldb.SBProcess.GetRestartedFromEvent(event): return state
    return None
def until(process, *states):
    state = arrives(process, 20, *states)
    if state is None: raise Exception("the process did not come into the state waited for")
    return state
def pause(process):  # LLDB drops an interrupt while it stops and goes on by itself
    for _ in range(10):
        process.SendAsyncInterrupt()
        if arrives(process, 2, lldb.eStateStopped): return
    raise Exception("the process could not be paused")
def until_stopped_by(process, reason):  # stops of LLDB's own may come before
    while True:
        until(process, lldb.eStateStopped)
        found = process.GetThreadAtIndex(0).GetStopDescription(100) or ""
        if reason in found: return found
def checked(error):
    if error.Fail(): raise Exception(error.GetCString())
def connect(path, port):
    lldb.debugger.SetAsync(True)
    target, error = lldb.debugger.CreateTarget(path), lldb.SBError()
    process = target.ConnectRemote(listener, f"connect://127.0.0.1:{port}", "gdb-remote", error)
    checked(error)
    until(process, lldb.eStateConnected)
    return target, process
listener = lldb.SBListener("test")
"""


def run_python(t, code, seconds=60.0):
    """Runs Python inside LLDB and returns what was printed."""
    probe = subprocess.run([find_lldb(), "--no-lldbinit", "--batch", "-o", "script print(6 * 7)"],
                           capture_output=True, text=True, check=False)
    if "\n42\n" not in probe.stdout:
        raise Skip("this lldb has no Python")
    path = os.path.join(t.directory, "script.py")
    with open(path, "w", encoding="utf-8") as file:
        file.write(PYTHON + code)
    return run_script(t, [f"script exec(open('{path}').read())"], seconds)


class Lldb(Tool):
    """Commands are typed; what they print is returned. A command that lets the program run returns
    at once: wait_state() waits for what becomes of it."""

    def __init__(self, t):
        self.t, self.text, self.number = t, "", 0
        t.log("lldb session", lambda: self.text)
        self.popen = subprocess.Popen([find_lldb(), "--no-lldbinit"], bufsize=0,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, start_new_session=True)
        t.clients.append(self)
        self.packets = os.path.join(t.directory, f"lldb{len(t.logs)}.packets")
        t.log("lldb packets", lambda: procfs.read(self.packets))
        for line in [*SETTINGS, f"log enable -f {self.packets} gdb-remote packets"]:
            self.run(line)

    def _until(self, pattern, start, seconds):
        end = time.monotonic() + seconds
        while not (found := re.compile(pattern, re.M).search(self.text, start)):
            block = self.read_block(end, "lldb", f"/{pattern}/, {seconds:g} s")
            self.text += block.decode("utf-8", "replace")
        return found

    def run(self, command, seconds=40.0):
        """Types a command and then nonsense, whose refusal is the end of the command's output."""
        start = len(self.text)
        self.number += 1
        marker = f"done{self.number}"
        self.popen.stdin.write(f"{command}\n{marker}\n".encode())
        found = self._until(rf"error: '{marker}' is not a valid command", start, seconds)
        return self.text[start:found.start()]

    def go(self, command, wanted="stopped", seconds=40.0):
        """Types a command that lets the program run, and waits for its next stop or end."""
        start = len(self.text)
        self.popen.stdin.write(f"{command}\n".encode())
        self._until(rf"^Process \d+ {wanted}", start, seconds)
        self.run("version")  # what belongs to the stop has been printed
        return self.text[start:]
