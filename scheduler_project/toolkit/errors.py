"""The root of all errors that a user can meet, and what each means over HTTP.

Invariant: the text of a `SchedulerError` tells the user what is wrong and what to do; it holds no secret.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One thing wrong in a user's document: where (`services[0].desired`) and what."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class SchedulerError(Exception):
    """Something went wrong."""

    http_status = 500
    code = "internal"

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class ConfigurationError(SchedulerError):
    """The configuration is not usable."""

    code = "configuration"


class InvalidDocument(SchedulerError):
    """The document is not valid; every fault is listed with its path."""

    http_status = 422
    code = "invalid"

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(str(fault) for fault in self.faults))


class NotFound(SchedulerError):
    """There is no such object."""

    http_status = 404
    code = "not-found"


class Denied(SchedulerError):
    """Your role does not allow this."""

    http_status = 403
    code = "denied"


class Unauthenticated(SchedulerError):
    """Log in, or send a token: `Authorization: Bearer …`."""

    http_status = 401
    code = "unauthenticated"


class Conflict(SchedulerError):
    """The object's present state does not allow this."""

    http_status = 409
    code = "conflict"


class Unavailable(SchedulerError):
    """A part that is needed for this cannot be reached now; try again."""

    http_status = 503
    code = "unavailable"
