"""What can go wrong for the operator, and the exit code of each.

Invariant: the text of a `CtlError` says what is wrong and what to do, and never holds the token.
"""

OK = 0
FAILED = 1
USAGE = 2
TIMED_OUT = 124
INTERRUPTED = 130


class CtlError(Exception):
    """Something went wrong."""

    exit_code = FAILED


class ConfigError(CtlError):
    """The configuration is not usable."""

    exit_code = USAGE


class BadFile(CtlError):
    """A file given by the operator cannot be read or is not what was asked for."""


class Refused(CtlError):
    """The server refused the request."""


class NotFound(Refused):
    """The server knows no such object."""

    exit_code = 3


class Denied(Refused):
    """The token is missing, wrong, or its role does not allow this."""

    exit_code = 4


class Conflict(Refused):
    """The object's present state does not allow this."""

    exit_code = 5


class NotOurServer(CtlError):
    """What answered is not the scheduler's API."""


class Unreachable(CtlError):
    """The server cannot be reached, or is up without being able to answer; it may come back."""


class TimedOut(CtlError):
    """What was waited for did not happen in time."""

    exit_code = TIMED_OUT


class NoAnswerInTime(Unreachable):
    """The server took longer than the connection timeout."""

    exit_code = TIMED_OUT
