"""What is asked of the kernel beyond Python's own library."""

import ctypes
import sys

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def end_with_parent(number: int) -> None:
    """Has the kernel send this process the signal when the one that started it ends; Linux only.

    For use in a child before it becomes its program.
    """
    if sys.platform == "linux":
        _libc.prctl(PR_SET_PDEATHSIG, number)
