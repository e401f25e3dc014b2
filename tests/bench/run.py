#!/usr/bin/env python3
"""Benchmarks: sidestep and gdbserver in turn, in one run. See README.md."""

import argparse
import fnmatch
import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import benchmarks  # noqa: E402,F401 (fills the registry)
from harness import report  # noqa: E402
from harness.benchmark import REGISTRY, Setup  # noqa: E402
from harness.errors import Failed, Unsupported  # noqa: E402
from harness.processes import Session  # noqa: E402

SKIPPED = 77  # ctest's word for "could not be run here"
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME",
                        help="benchmarks, with * and ? as in a shell; all of a group by its name")
    parser.add_argument("--list", action="store_true", help="what there is")
    parser.add_argument("--sidestep", default=os.path.join(ROOT, "build", "sidestep"),
                        help="the binary (default: build/sidestep)")
    parser.add_argument("--gdbserver", default="gdbserver", help="the other one (default: PATH)")
    parser.add_argument("--programs", default=os.path.join(ROOT, "build", "tests", "bench"),
                        help="directory of the measured programs")
    parser.add_argument("--rounds", type=int, default=5, help="of both servers (default: 5)")
    parser.add_argument("--window", type=float, default=0.5,
                        help="seconds over which a rate is taken (default: 0.5)")
    parser.add_argument("--budget", type=float, default=540,
                        help="seconds after which rounds are left out (default: 540)")
    parser.add_argument("--quick", action="store_true",
                        help="one round of everything as short as it gets: does it work?")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    return parser.parse_args()


def selected(names, quick):
    for name in names:
        if not any(matches(one.name, [name]) for one in REGISTRY):
            sys.exit(f"no benchmark is called {name}; --list shows them")
    return [one for one in REGISTRY
            if (matches(one.name, names) if names else one.quick or not quick)]


def matches(name, patterns):
    return any(fnmatch.fnmatch(name, pattern) or name.startswith(pattern.rstrip("/") + "/")
               for pattern in patterns)


class Run:
    """Round after round over the benchmarks, both servers in each, the one that begins changing."""

    def __init__(self, options, servers, chosen):
        self.options, self.servers = options, servers
        self.begin = time.monotonic()
        self.chosen = chosen
        self.rows = {one: [report.Row(one, metric, list(servers)) for metric in one.metrics]
                     for one in chosen}
        self.rounds = {one: 0 for one in chosen}

    def all(self):
        for number in range(1 if self.options.quick else self.options.rounds):
            for one in self.chosen:
                if one.rounds is not None and number >= one.rounds:
                    continue
                if number and time.monotonic() - self.begin > self.options.budget:
                    return
                self.round(one, number)

    def round(self, one, number):
        names = list(self.servers)
        for name in names if number % 2 == 0 else reversed(names):
            if any(row.failures[name] for row in self.rows[one]):
                continue  # it would only take long again
            progress(f"round {number + 1}: {one.name}: {name}")
            try:
                self.store(one, name, self.measure(one, name))
            except (Failed, OSError, ValueError) as error:
                for row in self.rows[one]:
                    row.failures[name] = str(error)[:300]
        self.rounds[one] = number + 1

    def measure(self, one, name):
        quick = self.options.quick
        setup = Setup(self.options.programs, 0.05 if quick else self.options.window,
                      one.limit or 20.0, quick)
        with Session(setup, self.servers[name]) as session:
            try:
                return one.measure(session, setup)
            except Unsupported:
                return {}

    def store(self, one, name, figures):
        for row in self.rows[one]:
            value = figures.get(row.metric.name)
            if value is not None:
                row.values[name].append(value)

    def left_out(self):
        wanted = 1 if self.options.quick else self.options.rounds
        return [f"{one.name}: {done} of {min(wanted, one.rounds or wanted)} rounds"
                for one, done in self.rounds.items() if done < min(wanted, one.rounds or wanted)]


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def version(path):
    text = subprocess.run([path, "--version"], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=10, check=False)
    return (text.stdout + text.stderr).strip().partition("\n")[0]


def find(program):
    path = shutil.which(program)
    if not path:
        print(f"{program} is not there: nothing to measure", file=sys.stderr)
        sys.exit(SKIPPED)
    return os.path.abspath(path)


def main():
    options = arguments()
    chosen = selected(options.names, options.quick)
    if options.list:
        for one in chosen:
            print(f"{one.name:28}{one.what}")
        return 0
    find("gdb")
    servers = {"sidestep": find(options.sidestep), "gdbserver": find(options.gdbserver)}
    about = {"machine": report.machine(),
             "servers": {name: [path, version(path)] for name, path in servers.items()}}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of what cleans up
    run = Run(options, servers, chosen)
    run.all()
    progress("")
    rows = [row for one in chosen for row in run.rows[one]]
    host = about["machine"]
    print(f"{host['cpus']} cpus, {host['model']}, Linux {host['kernel']}, load {host['load']:.1f}; "
          f"{time.monotonic() - run.begin:.0f} s; medians; ratio: how many times better")
    for name, (path, text) in about["servers"].items():
        print(f"{name}: {path}: {text}")
    print()
    print(report.table(rows, list(servers)))
    for title, lines in (("no figure:", list(report.failures(rows))),
                         ("left out, time was over:", run.left_out())):
        if lines:
            print(f"\n{title}", *lines, sep="\n  ")
    if options.json:
        report.write_json(options.json, about, rows)
    return 1 if any(row.failures["sidestep"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
