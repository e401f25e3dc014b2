"""Byte for byte what the real gdbserver says: command lines, messages, exit codes, replies.

Where a difference is meant, the row says why. A row for one version of gdbserver only has its number.
"""

import re
import subprocess

from harness import case, hexed
from harness.twins import Twin, differences, oracle, same

PROG = "/bin/true"
BAD = "garbage:1:2"  # an address that ends every run before anything is started


class Row:
    def __init__(self, *words, why=None, version=None):
        self.words, self.why, self.version = words, why, version


FIRST = "an address that cannot be had is found out before a program is started in vain"

COMMAND_LINES = [
    # Nothing, and too little.
    Row(), Row("--once"), Row("--multi"), Row("--attach"), Row("localhost:0"), Row("stdio"), Row("-"),
    Row("--startup-with-shell"), Row("--no-startup-with-shell"), Row("--disable-randomization"),
    Row("--no-disable-randomization"), Row("--help"), Row("--once", "--help"), Row("--help", "--foo"),
    Row("--version"), Row("--version", "--help"),
    # What there is not.
    Row("-x"), Row("--foo"), Row("--foo", "--help"), Row("--once=1"), Row("--multi=1", ":0"),
    Row("--attach=1"), Row("--", "localhost:0", PROG), Row("--helpx"), Row("--debugx"),
    Row("--debug-filex"), Row("--debug-formatx"), Row("--disable-packetx"), Row("--selftestx"),
    Row("--remote-debug=1"), Row("--wrapper=x"),
    # --attach before and after COMM.
    Row("--attach", "localhost:0"), Row("--attach", "localhost:0", "abc"),
    Row("--attach", "localhost:0", "999999"), Row("--attach", "localhost:0", "0x10000000"),
    Row("--attach", "localhost:0", "12abc"), Row("--attach", "localhost:0", "0"),
    Row("--attach", "localhost:0", "-1"), Row("--attach", "localhost:0", "99999999999999999999"),
    Row("--attach", "localhost:0", "1", "2"), Row("localhost:0", "--attach"),
    Row("localhost:0", "--attach", "999999"), Row("--attach", "stdio", "999999"),
    # --wrapper.
    Row("--wrapper"), Row("--wrapper", "env"), Row("--wrapper", "--", "localhost:0", PROG),
    Row("--wrapper", "env", "--"), Row("--wrapper", "false", "--", "localhost:0", PROG),
    Row("--wrapper", "/nonexistent", "--", "localhost:0", PROG),
    # --disable-packet.
    Row("--disable-packet"), Row("--disable-packet="), Row("--disable-packet=foo", ":0", PROG),
    Row("--disable-packet=vCont,foo", ":0", PROG), Row("--disable-packet=vCont,"),
    Row("--disable-packet=,vCont", BAD, PROG),
    *[Row(f"--disable-packet={name}", BAD, PROG)
      for name in ("vCont", "T", "Tthread", "qC", "qfThreadInfo", "threads", "T,qfThreadInfo")],
    # --debug and its relatives; gdbserver 16 has made one option of four.
    Row("--debug", BAD, PROG), Row("--debug=foo", BAD, PROG, version=16),
    Row("--debug=all,-remote", BAD, PROG, version=16), Row("--debug=", BAD, PROG, version=16),
    Row("--debug-format"), Row("--debug-format="), Row("--debug-format=foo", ":0", PROG),
    Row("--debug-format=all,foo", ":0", PROG), Row("--debug-format=timestamp,none", BAD, PROG),
    Row("--debug-file"), Row("--debug-file="), Row("--debug-file=/nonexistent/x", BAD, PROG),
    Row("--event-loop-debug", BAD, PROG, version=13), Row("--remote-debug", BAD, PROG, version=13),
    Row("--selftest"), Row("--selftest=foo"),
    # COMM.
    Row("tcp8:123:4567", PROG), Row("udp123::::9", PROG), Row("garbage:1234:4567", PROG),
    Row("nohost.invalid:1", PROG), Row("localhost:abc", PROG), Row("[::1:0", PROG),
    Row("tcp4:[::1]:0", PROG),
    Row("tcp6:127.0.0.1:0", PROG, why="tells more exactly what is wrong with the name"),
    Row("localhost:", PROG, why=FIRST), Row(":", PROG, why=FIRST), Row("tcp:", PROG, why=FIRST),
    Row("garbage", PROG, why=FIRST), Row("/dev/nonexistent", PROG, why=FIRST),
    # PROG.
    Row("localhost:0", "/nonexistent/prog"), Row("localhost:0", "nonexistent"),
    Row("localhost:0", "/etc/passwd"), Row("localhost:0", "/tmp"),
    Row("localhost:0", "", version=13),  # an assertion of gdbserver 16
    Row("--no-startup-with-shell", "localhost:0", "/nonexistent/prog"),
    Row("--no-startup-with-shell", "localhost:0", "/etc/passwd"),
    Row("stdio", "/nonexistent"), Row("-", "/nonexistent"), Row("-", "--multi"),
]


def plain(text):
    """Texts that are ours alone count as one: their first word is what is looked for."""
    if text.startswith("Usage:\t"):
        return "(usage)"
    if re.match(r"(GNU gdbserver|sidestep) ", text):
        return "(version)"
    return re.sub(r"pid = \d+|process\(es\): \d+", "PID", text)


def run(t, path, words):
    result = subprocess.run([path, *words], stdin=subprocess.DEVNULL, capture_output=True,
                            timeout=20, check=False, cwd=t.directory)
    return {"status": result.returncode, "stdout": plain(result.stdout.decode()),
            "stderr": plain(result.stderr.decode())}


@case(timeout=120)
def command_lines(t):
    """Every option and misuse: standard output, standard error and status as of gdbserver."""
    path, version = oracle(t)
    found = []
    for row in COMMAND_LINES:
        if row.why or (row.version or version) != version:
            t.equal(run(t, t.server_path, row.words)["status"], 1, f"status of {row.words}")
        else:
            found += differences(" ".join(row.words), run(t, t.server_path, row.words),
                                 run(t, path, row.words))
    same(t, found)


# ---- sessions: what is said on stderr, when the server ends, and with which status -----------------

FEATURES = ("qSupported:multiprocess+;swbreak+;hwbreak+;qRelocInsn+;fork-events+;vfork-events+;"
            "exec-events+;vContSupported+;QThreadEvents+;no-resumed+;xmlRegisters=i386")
EXIT_7, ABORT = ("/bin/sh", "-c", "exit 7"), ("/bin/sh", "-c", "kill -ABRT $$")
KILL, CLOSE, CONNECT = "k", "(close)", "(connect)"

# gdbserver on stdio begins again at the end of its input, and again, without an end.
SPINS = "gdbserver does not notice that nobody can come back to its standard input"

SESSIONS = [
    (program, options, script, False, None)
    for options in ((), ("--once",), ("--multi",), ("--once", "--multi"))
    for program, script in (
        ((PROG,), ["?", "vCont;c", "?", CLOSE]),
        (EXIT_7, ["?", "vCont;c", CLOSE]),
        (EXIT_7, ["!", "?", "vCont;c", "?", CLOSE]),
        (ABORT, ["?", "vCont;c", "?", "vCont;C06", CLOSE]),
        ((PROG,), ["?", KILL]),
        ((PROG,), ["!", "?", KILL]),
        ((PROG,), ["!", "?", "vKill;PID", "?"]),
        ((PROG,), ["?", "vKill;PID", "?", CLOSE]),
        ((PROG,), ["?", "D;PID"]),
        ((PROG,), ["!", "?", "D;PID", "?"]),
        ((PROG,), ["?", CLOSE]),
        ((PROG,), ["?", "qRcmd," + hexed("exit")]),
    )
] + [
    ((), ("--multi",), ["?", CLOSE], False, None),
    ((), ("--multi",), ["!", "?", CLOSE, CONNECT, "!", "?", CLOSE], False, None),
    ((PROG,), (), ["?", CLOSE, CONNECT, "?", CLOSE, CONNECT, "?", "vCont;c"], False, None),
    ((PROG,), (), ["?", "vCont;c"], True, None),
    (EXIT_7, (), ["?", "vCont;c"], True, None),
    (EXIT_7, (), ["!", "?", "vCont;c", "?", CLOSE], True, SPINS),
    ((PROG,), (), ["?", KILL], True, None),
    ((PROG,), (), ["?", "D;PID"], True, None),
    ((PROG,), (), ["?", CLOSE], True, SPINS),
    ((PROG,), ("--once",), ["?", CLOSE], True, None),
]


# gdbserver 13 cannot write the vector registers of a processor with AMX, whose state is larger than
# its buffer, and says so at each resume.
REGISTERS_TOO_LARGE = "Warning: ptrace(regsets_store_inferior_registers): Bad address\n"


def converse(t, path, program, options, script, stdio):
    """What a server says in such a session, and whether it is still there afterwards."""
    twin = Twin(t, path, options, program, stdio)
    said, closed = {}, False
    twin.ask(FEATURES)  # compared below
    for number, step in enumerate(script):
        if step == CLOSE:
            twin.close()
            closed = True
        elif step == CONNECT:
            t.wait_until(lambda: twin.listening() > twin.heard, "the port to be open again")
            twin.connect()
            twin.ask(FEATURES)
            closed = False
        elif step == KILL:
            twin.send(KILL)  # has no reply
        else:
            said[f"{number} {step}"] = twin.ask(step.replace("PID", f"{twin.pid or 0:x}"))
    status, messages = twin.finish(closed)
    return {**said, "status": status, "stderr": messages.replace(REGISTERS_TOO_LARGE, "")}


@case(timeout=180)
def sessions(t):
    """Launch, exit, kill, detach, loss, with and without --once, --multi and `!`, also on a pipe."""
    path, _ = oracle(t)
    found = []
    for program, options, script, stdio, why in SESSIONS:
        name = f"{' '.join(options)} {'stdio ' if stdio else ''}{' '.join(program)} {script}"
        ours = converse(t, t.server_path, program, options, script, stdio)
        if why:
            t.equal(ours["status"], 0, f"status after {name}")
        else:
            found += differences(name, ours, converse(t, path, program, options, script, stdio))
    same(t, found)
