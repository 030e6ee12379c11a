"""What an agent answers to orders, decided from what it knows."""

from workers.protocol import RunCommand

MISSED_START = "it came after its start deadline"
DRAINING = "the host is draining"
STOPPED_BEFORE = "it was stopped before it came"
CANCELLED_IN_QUEUE = "it was cancelled before it could start"


def refusal(order: RunCommand, now: float, draining: str) -> str:
    """Why a new command is not taken; empty when it is. `draining` is that state's reason, empty outside of it."""
    if draining:
        return draining
    return missed_start(order, now)


def missed_start(order: RunCommand, now: float) -> str:
    """Why a command must not start any more; empty when it may."""
    return MISSED_START if 0 < order.start_by < now else ""
