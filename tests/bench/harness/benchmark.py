"""What a benchmark is: a name, what it measures, its metrics, and a function that measures once.

    @benchmark("group/name", "what it is", Metric("rate", "hits/s", HIGHER, aim=4))
    def name(session, setup): ... return {"rate": 1234.5}

The function gets a fresh Session for one server, is called for each server in turn, round after
round, and returns a figure for each metric (None where this server has none).
"""

import dataclasses
import typing

HIGHER, LOWER = "higher", "lower"


@dataclasses.dataclass(frozen=True)
class Metric:
    """`aim`: sidestep is to be so many times better than gdbserver. `limit`: sidestep's own figure
    is to be no worse than this, whatever gdbserver's is; then the ratio is judged by nothing."""
    name: str
    unit: str
    better: str
    aim: typing.Optional[float] = 1.0
    limit: typing.Optional[float] = None


@dataclasses.dataclass(frozen=True)
class Benchmark:
    name: str
    what: str
    metrics: tuple
    measure: typing.Callable
    rounds: typing.Optional[int] = None  # at most, where one round takes long
    quick: bool = True                   # part of --quick
    limit: typing.Optional[float] = None  # seconds that a measurement may wait for anything


@dataclasses.dataclass
class Setup:
    """What the command line says about every measurement."""
    programs: str     # directory
    window: float     # seconds over which a rate is taken
    limit: float      # seconds after which something is given up
    quick: bool       # only to see whether it works

    def scaled(self, full, quick):
        return quick if self.quick else full


REGISTRY = []


def benchmark(name, what, *metrics, **options):
    def register(function):
        REGISTRY.append(Benchmark(name, what, metrics, function, **options))
        return function
    return register
