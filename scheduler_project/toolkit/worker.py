"""Ends the Celery worker of this process as failed.

Invariant: the worker's parts are stopped in order, and its exit code tells whoever supervises it to start it afresh.
"""

from celery.worker import state

EXIT_FAILED = 1


def end_worker() -> None:
    """May be called by any thread of the worker; returns at once."""
    state.should_stop = EXIT_FAILED
