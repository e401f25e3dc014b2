"""What a case file imports. README.md in the folder above shows how cases are written."""

from .context import ALL_STOP, BOTH, NON_STOP, case
from .errors import Failure, Skip
from . import procfs
from .gdb import Gdb, GdbError, instruction_offsets
from .rsp import ALWAYS, NEVER, Disconnected, RspClient, condition, hexed, unhexed
from .server import Server

__all__ = ["ALL_STOP", "ALWAYS", "BOTH", "NEVER", "NON_STOP", "Disconnected", "Failure", "Gdb",
           "GdbError", "RspClient", "Server", "Skip", "case", "condition", "hexed",
           "instruction_offsets", "procfs", "unhexed"]
