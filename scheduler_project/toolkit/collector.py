"""Lets Python's cyclic garbage collector rest while a large document is read.

What is read holds no circles, yet the collector would walk all of it again and again while it grows: most of the time
that reading takes. Invariant: the collector is as it was before once the last of all readers, in any thread, is done.
"""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_resting = {"readers": 0, "was_enabled": 0}


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """No cyclic garbage collection in this process within the block."""
    with _lock:
        if not _resting["readers"]:
            _resting["was_enabled"] = int(gc.isenabled())
            gc.disable()
        _resting["readers"] += 1
    try:
        yield
    finally:
        with _lock:
            _resting["readers"] -= 1
            if not _resting["readers"] and _resting["was_enabled"]:
                gc.enable()
