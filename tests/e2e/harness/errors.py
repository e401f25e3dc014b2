"""The three ways a case can end other than well. Any other exception means that the case is broken."""


class Failure(Exception):
    """The server did something else than the case expects."""


class Skip(Exception):
    """The case can't run here; the text says what is missing."""


class Timeout(BaseException):
    """Raised by the alarm. Not an Exception, so that no case swallows it."""
