"""Debug adapters as editors run them: Eclipse's cdt-gdb-adapter over gdb, lldb-dap over LLDB.

cdt-gdb-adapter comes from npm (`npm install --prefix tests/e2e cdt-gdb-adapter`, or $CDT_GDB_ADAPTER names its
debugTargetAdapter.js).
"""

import base64
import os
import re
import shutil
import signal

from harness import ALL_STOP, BOTH, Skip, case, procfs
from harness.dap import Adapter
from harness.gdb import find_gdb

HERE = os.path.dirname(os.path.abspath(__file__))
CDT = "node_modules/cdt-gdb-adapter/dist/debugTargetAdapter.js"


def cdt(t):
    """Eclipse's adapter for remote targets, initialized."""
    path = os.environ.get("CDT_GDB_ADAPTER") or os.path.join(os.path.dirname(HERE), CDT)
    if not os.path.exists(path):
        raise Skip("cdt-gdb-adapter is not there: npm install --prefix tests/e2e cdt-gdb-adapter")
    adapter = Adapter(t, [t.installed("node"), path])
    adapter.ask("initialize", clientID="test", adapterID="gdbtarget", linesStartAt1=True,
                columnsStartAt1=True, pathFormat="path")
    return adapter


def arguments(t, program, **target):
    """What a launch.json has."""
    return {"program": program, "gdb": find_gdb(t), "gdbNonStop": t.non_stop, "gdbAsync": True,
            "target": target,
            "initCommands": [], "preRunCommands": ["set debuginfod enabled off"]}


def begin(adapter, request, values, breakpoints=None):
    """launch or attach, with the breakpoints that are set before anything runs."""
    number = adapter.post(request, **values)
    adapter.wait("initialized")
    if breakpoints:
        path, lines = breakpoints
        answer = adapter.ask("setBreakpoints", source={"path": path}, breakpoints=lines)
        assert all(one["verified"] for one in answer["breakpoints"]), answer
    adapter.ask("configurationDone")
    adapter.take(number, request)


def source(name):
    return os.path.realpath(os.path.join(HERE, "..", "..", "programs", name))


def variables(adapter, thread):
    """{name: value} of the locals in the innermost frame."""
    frame = adapter.ask("stackTrace", threadId=thread)["stackFrames"][0]
    found = {}
    for scope in adapter.ask("scopes", frameId=frame["id"])["scopes"]:
        if scope["name"] == "Local":
            for one in adapter.ask("variables", variablesReference=scope["variablesReference"])["variables"]:
                found[one["name"]] = one["value"]
    return frame, found


@case(modes=BOTH, timeout=90)
def cdt_launch(t):
    """cdt-gdb-adapter starts the server itself: conditional breakpoint, stack, variables, memory, end."""
    program = os.path.abspath(t.program("steps")[0])
    adapter = cdt(t)
    begin(adapter, "launch", arguments(
        t, program, server=t.server_path, serverParameters=["--once", ":0", program],
        serverPortRegExp="Listening on port ([0-9]+)"),
        (source("steps.c"), [{"line": t.line("steps.c", "inner: second"), "condition": "x == 11"}]))
    stop = adapter.wait("stopped")
    t.equal(stop["reason"], "breakpoint", "reason of the stop")
    frame, found = variables(adapter, stop["threadId"])
    t.equal((frame["name"], found["x"], found["y"]), ("inner", "11", "22"), "where it stopped")
    address = adapter.ask("evaluate", expression="&table", frameId=frame["id"],
                          context="watch")["result"]
    memory = adapter.ask("readMemory", memoryReference=address.split()[-2] if "<" in address else
                         address, count=16)
    t.equal(base64.b64decode(memory["data"]), b"".join(n.to_bytes(4, "little") for n in (1, 2, 3, 4)),
            "the memory view")
    adapter.ask("next", threadId=stop["threadId"])
    t.equal(adapter.wait("stopped")["reason"], "step", "reason of the stop")
    adapter.ask("continue", threadId=stop["threadId"])
    adapter.wait("terminated")
    adapter.ask("disconnect")


@case(modes=BOTH, timeout=90)
def cdt_attach_and_pause(t):
    """cdt-gdb-adapter connects to a server that has attached; pause, look, on; disconnect leaves it."""
    process = t.spawn("selfcheck 3")
    process.wait_output("beat 2 ")
    server = t.server(attach=process.pid)
    adapter = cdt(t)
    begin(adapter, "attach", arguments(t, os.path.abspath(process.words[0]), host="127.0.0.1", port=str(server.port)))
    for _ in range(2):
        threads = adapter.ask("threads")["threads"]
        t.equal(len(threads), 4, "threads")
        count = process.output().count("beat")
        t.wait_until(lambda: process.output().count("beat") > count, "the program to go on")
        adapter.ask("pause", threadId=threads[0]["id"])
        stop = adapter.wait("stopped")  # non-stop: one thread stops, with signal 0
        t.check(stop["reason"] in ("SIGINT", "SIGTRAP", "pause", "0"), f"reason of {stop}")
        t.check(adapter.ask("stackTrace", threadId=threads[0]["id"])["stackFrames"], "frames")
        adapter.ask("continue", threadId=threads[0]["id"])
    adapter.ask("disconnect")
    server.wait_exit()
    t.equal(procfs.tracer(process.pid), 0, "tracer")
    process.signal(signal.SIGTERM)
    t.equal(process.wait_exit(), 0, "exit status of the program")
    t.match(process.output(), r"^done rounds=\d+ wrong=0 ", "the program's last line")


@case(modes=(ALL_STOP,), timeout=90)
def lldb_dap(t):
    """lldb-dap, as VS Code's LLDB extensions use it. `gdb-remote-port` is there from version 19 on,
    whose `attachCommands` may look for the process before it is there; older ones have only these."""
    names = ("lldb-dap", *(f"{name}-{n}" for n in range(22, 13, -1) for name in ("lldb-dap", "lldb-vscode")))
    path = os.environ.get("LLDB_DAP") or next(filter(None, map(shutil.which, names)), None)
    if not path:
        raise Skip("lldb-dap is not installed")
    server = t.server("steps")
    adapter = Adapter(t, [path])
    abilities = adapter.ask("initialize", clientID="test", adapterID="lldb-dap", linesStartAt1=True,
                            columnsStartAt1=True, pathFormat="path")
    version = re.search(r"version (\d+)", abilities.get("__lldb", {}).get("version", "version 0"))
    where = {"gdb-remote-port": server.port, "gdb-remote-hostname": "127.0.0.1"}
    if int(version[1]) < 19:
        where = {"attachCommands": [f"gdb-remote 127.0.0.1:{server.port}"]}
    number = adapter.post("attach", program=os.path.abspath(server.program[0]), stopOnEntry=True,
                          initCommands=["settings set symbols.enable-external-lookup false"], **where)
    adapter.wait("initialized")
    adapter.ask("setBreakpoints", source={"path": source("steps.c")},
                breakpoints=[{"line": t.line("steps.c", "inner: second"), "condition": "x == 11"}])
    adapter.ask("configurationDone")
    adapter.take(number, "attach")
    stop = entry = adapter.wait("stopped")
    adapter.ask("continue", threadId=stop["threadId"])
    while stop["reason"] == entry["reason"]:  # lldb-dap may tell of the stop at the entry twice
        stop = adapter.wait("stopped")
    t.equal(stop["reason"], "breakpoint", "reason of the stop")
    frame = adapter.ask("stackTrace", threadId=stop["threadId"])["stackFrames"][0]
    t.equal(frame["line"], t.line("steps.c", "inner: second"), "where it stopped")
    t.equal(adapter.ask("evaluate", expression="(int)factorial(4)", frameId=frame["id"],
                        context="watch")["result"], "24", "a function called")
    adapter.ask("stepOut", threadId=stop["threadId"])
    t.equal(adapter.wait("stopped")["reason"], "step", "reason of the stop")
    adapter.ask("continue", threadId=stop["threadId"])
    t.equal(adapter.wait("exited")["exitCode"], 7, "exit code")
