"""One module for each kind of work. A new benchmark is a decorated function in one of them."""

from . import hits, memory, sessions, stepping, threads  # noqa: F401 (they register themselves)
