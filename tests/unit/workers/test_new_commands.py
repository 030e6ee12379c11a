"""What makes a request for a command unacceptable, each fault with its path."""

import math
from typing import Any

import pytest

from workers.core.commands import ARGV_BYTES_MAX, STDIN_BYTES_MAX, NewCommand, faults_of


@pytest.mark.parametrize(
    ("changes", "path", "part"),
    [
        ({"argv": []}, "argv", "is empty"),
        ({"argv": [""]}, "argv[0]", "is empty"),
        ({"argv": "true"}, "argv", "not a list of strings"),
        ({"argv": ["true", 1]}, "argv", "not a list of strings"),
        ({"argv": ["a\0b"]}, "argv", "NUL"),
        ({"argv": ["x" * (ARGV_BYTES_MAX + 1)]}, "argv", "send long input as stdin"),
        ({"env": {"A=B": "1"}}, "env", "'A=B' cannot be the name"),
        ({"env": {"A": "1\0"}}, "env.A", "NUL"),
        ({"cwd": "/\0"}, "cwd", "NUL"),
        ({"cwd": "x" * 2000}, "cwd", "longer than 1024"),
        ({"on": "zone="}, "on", "at position 6"),
        ({"timeout_s": -1}, "timeout_s", "0 or more"),
        ({"grace_s": math.nan}, "grace_s", "0 or more"),
        ({"start_within_s": math.inf}, "start_within_s", "0 or more"),
        ({"stdin": b"x" * (STDIN_BYTES_MAX + 1)}, "stdin", "longer than"),
    ],
)
def test_each_fault_is_named_with_its_path(changes: dict[str, Any], path: str, part: str) -> None:
    wanted = NewCommand(**{"argv": ["true"], **changes})

    (fault,) = faults_of([NewCommand(argv=["true"]), wanted])

    assert fault.path == f"commands[1].{path}"
    assert part in fault.message


def test_all_faults_are_reported_at_once() -> None:
    paths = [fault.path for fault in faults_of([NewCommand(argv=[], on="=", timeout_s=-1)])]

    assert paths == ["commands[0].argv", "commands[0].timeout_s", "commands[0].on"]
