"""From figures to a table and to JSON."""

import json
import os
import platform
import statistics

from .benchmark import HIGHER

TOLERANCE = 0.95  # two medians of the same thing differ by so much where other work goes on


def machine():
    model = ""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {"cpus": len(os.sched_getaffinity(0)), "model": model, "kernel": platform.release(),
            "load": os.getloadavg()[0]}


def shown(value):
    """A figure in about four digits."""
    if value is None:
        return "-"
    for limit, divisor, suffix in (1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k"):
        if abs(value) >= limit:
            return f"{value / divisor:.4g}{suffix}"
    return f"{value:.4g}"


class Row:
    """One metric of one benchmark: the figures of both servers, round by round."""

    def __init__(self, benchmark, metric, names):
        self.benchmark, self.metric, self.names = benchmark, metric, names
        self.values = {name: [] for name in names}
        self.failures = {name: None for name in names}

    def median(self, name):
        return statistics.median(self.values[name]) if self.values[name] else None

    @property
    def ratio(self):
        """How many times better the first server is than the second."""
        ours, theirs = (self.median(name) for name in self.names)
        if self.metric.better != HIGHER:
            ours, theirs = theirs, ours
        return None if ours is None or not theirs else ours / theirs

    @property
    def verdict(self):
        metric, ours = self.metric, self.median(self.names[0])
        if ours is None:
            return "FAILED" if self.failures[self.names[0]] else ""
        if metric.limit is not None:
            good = ours >= metric.limit if metric.better == HIGHER else ours <= metric.limit
            return "met" if good else "MISSED"
        if metric.aim is None or self.ratio is None:
            return ""
        if metric.aim == 1:
            return "" if self.ratio >= TOLERANCE else "SLOWER"
        return "met" if self.ratio >= metric.aim else "MISSED"

    def cells(self):
        metric = self.metric
        aim = ""
        if metric.limit is not None:
            aim = f"{'>=' if metric.better == HIGHER else '<='} {metric.limit:g}"
        elif metric.aim not in (None, 1):
            aim = f"{metric.aim:g}x"
        ratio = self.ratio
        ends = []
        for name in self.names:
            values, failure = self.values[name], self.failures[name]
            ends += [shown(self.median(name)) if values else "failed" if failure else "-",
                     f"{shown(min(values))}..{shown(max(values))}" if len(values) > 1 else ""]
        return [metric.name, metric.unit, *ends, "-" if ratio is None else f"{ratio:.3g}x", aim,
                self.verdict]

    def as_json(self):
        return {"benchmark": self.benchmark.name, "metric": self.metric.name,
                "unit": self.metric.unit, "better": self.metric.better, "values": self.values,
                "median": {name: self.median(name) for name in self.names}, "ratio": self.ratio,
                "aim": self.metric.aim, "limit": self.metric.limit, "verdict": self.verdict,
                "failures": {name: why for name, why in self.failures.items() if why}}


def table(rows, names):
    head = ["", "", names[0], "min..max", names[1], "min..max", "ratio", "aim", ""]
    lines, sizes, last = [], [len(cell) for cell in head], None
    for row in rows:
        if row.benchmark is not last:
            lines.append(row.benchmark)
            last = row.benchmark
        cells = row.cells()
        cells[0] = "  " + cells[0]
        lines.append(cells)
        sizes = [max(size, len(cell)) for size, cell in zip(sizes, cells)]

    def text(cells):
        return "  ".join(cell.ljust(size) if at < 2 else cell.rjust(size)
                         for at, (cell, size) in enumerate(zip(cells, sizes))).rstrip()

    out = [text(head)]
    for line in lines:
        out.append(text(line) if isinstance(line, list) else f"{line.name}: {line.what}")
    return "\n".join(out)


def failures(rows):
    seen = []
    for row in rows:
        for name, why in row.failures.items():
            if why and (row.benchmark.name, name) not in seen:
                seen.append((row.benchmark.name, name))
                yield f"{row.benchmark.name}: {name}: {why}"


def write_json(path, about, rows):
    with open(path, "w", encoding="utf-8") as file:
        json.dump({**about, "rows": [row.as_json() for row in rows]}, file, indent=1)
        file.write("\n")
