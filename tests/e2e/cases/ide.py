"""The MI command sequences of IDEs, as their logs show them, against a server that they start or that waits.

A sequence is a list of commands; `(stop REASON FUNCTION)` waits for a stop. {…} are places in programs.
"""

import os
import re

from harness import ALL_STOP, BOTH, NON_STOP, case

# ms-vscode.cpptools (MIEngine): everything global, variables by -var-create, then kill and -gdb-exit.
CPPTOOLS = """
-gdb-set mi-async on
-interpreter-exec console "set pagination off"
-enable-pretty-printing
-gdb-set print sevenbit-strings off
-file-exec-and-symbols {program}
-break-insert -f main
-target-select remote 127.0.0.1:{port}
-break-insert -f -c "x == 11" {source}:{line}
-exec-continue
(stop breakpoint-hit main)
-thread-info
-stack-list-frames 0 1000
-stack-list-arguments 0 0 1000
-exec-continue
(stop breakpoint-hit inner)
-thread-info
-stack-list-frames 0 1000
-stack-select-frame 1
-stack-list-variables 0
-stack-select-frame 0
-stack-list-variables 0
-var-create --thread 1 --frame 0 - * "y"
-var-create --thread 1 --frame 0 - * "table"
-var-list-children --simple-values "var2" 0 1000
-data-evaluate-expression "&table"
-data-read-memory-bytes &table 16
-data-disassemble -s $pc -e "$pc + 32" -- 0
-data-list-register-names
-data-list-register-values x
-exec-next
(stop end-stepping-range inner)
-var-update --all-values *
-exec-finish
(stop function-finished outer)
-break-delete 2
-exec-step
(stop end-stepping-range outer)
-interpreter-exec console "kill"
-gdb-exit
"""

# CLion: everything names its thread and frame, and the console does the connecting.
CLION = """
-gdb-set mi-async on
-gdb-set breakpoint pending on
-gdb-set print elements 200
-interpreter-exec console "set sysroot /"
-file-exec-and-symbols {program}
-interpreter-exec console "target remote 127.0.0.1:{port}"
-break-insert -f -c "x == 11" {source}:{line}
-exec-continue --all
(stop breakpoint-hit inner)
-thread-list-ids
-thread-info 1
-stack-info-depth --thread 1
-stack-list-frames --thread 1 0 20
-stack-list-variables --thread 1 --frame 0 --no-values
-var-create --thread 1 --frame 0 - * x
-var-create --thread 1 --frame 1 - * a
-var-evaluate-expression var1
-data-evaluate-expression --thread 1 --frame 0 total
-exec-step --thread 1
(stop end-stepping-range inner)
-exec-until --thread 1 {source}:{after}
(stop location-reached inner)
-exec-finish --thread 1
(stop function-finished outer)
-var-delete var1
-break-delete 1
-target-detach
-gdb-exit
"""

# Eclipse CDT (DSF): features and thread groups first, then non-stop with a group.
ECLIPSE = """
-gdb-set auto-solib-add on
-list-features
-environment-cd /
-file-exec-and-symbols {program}
-target-select remote 127.0.0.1:{port}
-list-thread-groups
-list-thread-groups i1
-break-insert -f -c "x == 11" {source}:{line}
-break-list
-thread-info
-exec-continue --thread-group i1
(stop breakpoint-hit inner)
-list-thread-groups i1
-stack-info-depth --thread 1 11
-stack-list-frames --thread 1
-stack-list-locals --thread 1 --frame 0 1
-data-list-register-names --thread-group i1
-data-list-register-values --thread 1 --frame 0 N 16
-data-read-memory --thread 1 &table x 1 1 16
-exec-next --thread 1 1
(stop end-stepping-range inner)
-exec-finish --thread 1 --frame 0
(stop function-finished outer)
-break-delete 1
-exec-continue --thread 1
(stop exited -)
-gdb-exit
"""


def play(t, sequence):
    gdb = t.gdb("steps", connect=False)
    server = t.server("steps")
    values = {"program": os.path.abspath(server.program[0]), "port": server.port, "source": "steps.c",
              "line": t.line("steps.c", "inner: first"), "after": t.line("steps.c", "inner: return")}
    results = {}
    for line in sequence.strip().splitlines():
        stop = re.fullmatch(r"\(stop (\S+) (\S+)\)", line)
        if stop:
            seen = gdb.wait_stop()
            t.check(seen.reason.startswith(stop[1]), f"{line}: {seen!r}")
            t.check(stop[2] in ("-", seen.function), f"{line}: {seen!r}")
            continue
        command = re.sub(r"\{(\w+)\}", lambda found: str(values[found[1]]), line)
        token = gdb.post(command)
        if command != "-gdb-exit":
            results[line] = gdb.take(token, command)
            if line.startswith("-target-select") or "target remote" in line:
                gdb.stops.clear()
    gdb.popen.wait(20)
    t.equal(server.wait_exit(), 0, "exit status of the server")
    return results


@case(modes=BOTH)
def cpptools(t):
    """VS Code's C/C++ extension: from main to a conditional breakpoint, all panes filled, kill."""
    results = play(t, CPPTOOLS if t.mode == ALL_STOP else CPPTOOLS.replace(
        '-interpreter-exec console "set pagination off"', '-interpreter-exec console "set non-stop on"'))
    memory = results["-data-read-memory-bytes &table 16"]["memory"][0]["contents"]
    t.equal(memory, "01000000020000000300000004000000", "the memory view")
    t.equal(results['-var-create --thread 1 --frame 0 - * "table"']["numchild"], "4", "children of table")
    t.equal(len(results["-stack-list-frames 0 1000"]["stack"]), 3, "frames")


@case(modes=(ALL_STOP,))
def clion(t):
    """CLion's Remote Debug: conditional breakpoint, step, run to cursor, finish, detach."""
    results = play(t, CLION)
    t.equal(results["-var-evaluate-expression var1"]["value"], "11", "x")


@case(modes=(NON_STOP,))
def eclipse(t):
    """Eclipse CDT in non-stop mode, by thread groups, to the end of the program."""
    results = play(t, ECLIPSE)
    t.equal(results["-data-read-memory --thread 1 &table x 1 1 16"]["total-bytes"], "16", "memory")
