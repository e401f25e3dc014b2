#!/usr/bin/env python3
"""Runs end-to-end cases against a gdbserver-compatible server.

    run.py                                   all cases, against $SIDESTEP or build/sidestep
    run.py CASE...                           some (shell patterns: 'breakpoints.*')
    run.py --server gdbserver                compare mode: what the real gdbserver fails, and why
    run.py --list [-v]                       names, one per line; with -v what each is about
    run.py -j2 ...                           several at a time, each in a process of its own

Exit status 0 = all passed, 1 = a failure, 77 = everything was skipped.
"""

import argparse
import concurrent.futures
import fnmatch
import glob
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

from harness import context as cases  # noqa: E402
from harness import Disconnected, Failure, GdbError, Skip, scripts  # noqa: E402
from harness.errors import Timeout  # noqa: E402

SKIPPED = 77


def load():
    """Fills the registry from the cases folder."""
    for path in sorted(glob.glob(os.path.join(HERE, "cases", "*"))):
        name = os.path.basename(path)
        if name.endswith(".py"):
            spec = importlib.util.spec_from_file_location(f"cases_{name[:-3]}", path)
            spec.loader.exec_module(importlib.util.module_from_spec(spec))
        elif name.endswith(".rsp"):
            scripts.register_packets(path)
        elif os.path.exists(os.path.join(path, "script.gdb")):
            scripts.register_folder(path)


def select(patterns):
    """[(entry, mode, id)] of the cases named, in registry order."""
    chosen = []
    for entry in cases.registry.values():
        for mode, name in zip(entry.modes, entry.ids()):
            if not patterns or any(fnmatch.fnmatchcase(name, p) or fnmatch.fnmatchcase(entry.name, p)
                                   for p in patterns):
                chosen.append((entry, mode, name))
    return chosen


def on_alarm(number, stack):
    raise Timeout("".join(traceback.format_stack(stack)))


def run_case(entry, mode, name, server, programs, slower):
    """Runs one case in this process; returns (outcome, text). Prints the logs of a failure."""
    cases.become_subreaper()
    context = cases.Context(entry, mode, server, programs)
    signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(int(entry.timeout * slower) + 1)
    logs = not (is_oracle(server) and entry.known(mode))
    try:
        entry.function(context)
        return "pass", "; ".join(context.notes)
    except Skip as reason:
        return "skip", str(reason)
    except (Exception, Timeout) as error:
        if logs:
            context.dump()
        return outcome_of(error, entry.timeout * slower)
    finally:
        signal.alarm(0)
        context.close()


def outcome_of(error, seconds):
    """A server that misbehaves has failed; anything else says that the case itself is broken."""
    steps = [f"{os.path.basename(frame.filename)}:{frame.lineno}"
             for frame in traceback.extract_tb(error.__traceback__) if "/cases/" in frame.filename]
    where = f"\n(at {', '.join(steps)})" if steps else ""
    if isinstance(error, Timeout):
        return "fail", f"not finished after {seconds:g} s, in\n{error}"
    if isinstance(error, (Failure, GdbError, Disconnected)):
        return "fail", f"{type(error).__name__}: {error}{where}"
    return "broken", "".join(traceback.format_exception(error))


def is_oracle(server):
    return os.path.basename(server).startswith("gdbserver")


def report(name, outcome, text, seconds, known):
    if outcome == "fail" and known:
        label, text = "XFAIL", f"{known}\n    {text.splitlines()[0] if text else ''}"
    elif outcome == "pass" and known:
        label, text = "XPASS", f"was expected to fail: {known}"
    else:
        label = "FAIL" if outcome == "broken" else outcome.upper()
    print(f"{label:5} {name} ({seconds:.1f} s){': ' + text if text else ''}", flush=True)
    return label


def run_here(chosen, arguments):
    labels = []
    for entry, mode, name in chosen:
        start = time.monotonic()
        outcome, text = run_case(entry, mode, name, arguments.server, arguments.programs,
                                 arguments.slower)
        known = entry.known(mode) if is_oracle(arguments.server) else None
        labels.append(report(name, outcome, text, time.monotonic() - start, known))
    return labels


def run_apart(chosen, arguments):
    """Each case in a runner of its own, several at a time."""
    def one(name):
        command = [sys.executable, os.path.abspath(__file__), "--server", arguments.server,
                   "--programs", arguments.programs, "--slower", str(arguments.slower), name]
        result = subprocess.run(command, capture_output=True, check=False)
        text = result.stdout.decode("utf-8", "replace") + result.stderr.decode("utf-8", "replace")
        labels = [line.split()[0] for line in text.splitlines()
                  if line[:5].strip() in ("PASS", "FAIL", "SKIP", "XFAIL", "XPASS")
                  and f" {name} (" in line]
        return name, labels[-1] if labels else "FAIL", text

    labels = []
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for name, label, text in pool.map(one, [name for _, _, name in chosen]):
            show = text if label == "FAIL" else "\n".join(
                line for line in text.splitlines()
                if line.startswith(label) or line.startswith("    "))
            print(show.rstrip(), flush=True)
            labels.append(label)
    return labels


def default_programs(server):
    beside = os.path.join(os.path.dirname(os.path.abspath(server)), "tests", "programs")
    return beside if os.path.isdir(beside) else os.path.join(ROOT, "build", "tests", "programs")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default=os.environ.get("SIDESTEP") or
                        os.path.join(ROOT, "build", "sidestep"))
    parser.add_argument("--programs", default=os.environ.get("SIDESTEP_TEST_PROGRAMS"),
                        help="folder of the built test programs")
    parser.add_argument("--slower", type=float, default=float(os.environ.get("SIDESTEP_SLOWER", "1")),
                        help="factor on every case's timeout (sanitizers, slow machines)")
    parser.add_argument("-j", dest="jobs", type=int, default=1)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--timeouts", action="store_true", help="with --list: name and seconds")
    parser.add_argument("-v", dest="verbose", action="store_true")
    parser.add_argument("patterns", nargs="*", metavar="CASE")
    arguments = parser.parse_args()
    load()
    chosen = select(arguments.patterns)
    if arguments.list:
        for entry, _, name in chosen:
            print(f"{name} {int(entry.timeout)}" if arguments.timeouts else
                  f"{name}: {' '.join(entry.doc.split())}" if arguments.verbose else name)
        return 0
    if not chosen:
        sys.exit(f"no case matches {' '.join(arguments.patterns)}")
    arguments.server = shutil.which(arguments.server) or arguments.server
    if not os.access(arguments.server, os.X_OK):
        sys.exit(f"{arguments.server} is not there: build it, or name one with --server")
    arguments.server = os.path.abspath(arguments.server)
    arguments.programs = arguments.programs or default_programs(arguments.server)

    labels = run_here(chosen, arguments) if arguments.jobs == 1 else run_apart(chosen, arguments)
    if len(labels) > 1:
        kinds = sorted(set(labels))
        print(", ".join(f"{labels.count(kind)} {kind.lower()}" for kind in kinds))
    if "FAIL" in labels:
        return 1
    return SKIPPED if set(labels) == {"SKIP"} else 0


if __name__ == "__main__":
    sys.exit(main())
