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
        ({"user": "root; id"}, "user", "no user's name or number"),
        ({"user": "-x"}, "user", "no user's name or number"),
        ({"memory_mb": -1}, "memory_mb", "from 0 to"),
        ({"cpu_seconds": 2**31}, "cpu_seconds", "from 0 to"),
        ({"open_files": -1}, "open_files", "from 0 to"),
        ({"priority": -1001}, "priority", "from -1000 to 1000"),
        ({"retries": 101}, "retries", "from 0 to 100"),
        ({"retry_delay_s": math.nan}, "retry_delay_s", "0 or more"),
        ({"output_limit_bytes": -1}, "output_limit_bytes", "from 0 to"),
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
