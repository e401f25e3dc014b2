"""Why a measurement gave no figure. The text goes into the table; the run goes on."""


class Failed(Exception):
    """Something did not happen as it must."""


class TooLong(Failed):
    """Not done within the time allowed."""

    def __init__(self, seconds, what=""):
        super().__init__(f"> {seconds:g} s" + (f" ({what})" if what else ""))


class Unsupported(Exception):
    """The server cannot do it: no figure, and no failure."""
