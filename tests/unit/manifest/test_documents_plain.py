"""YAML is read as its version 1.2 says, and no text can bring the reader down."""

import pytest

from scheduler_project.toolkit.documents import parse
from scheduler_project.toolkit.errors import InvalidDocument


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"on: host-a", {"on": "host-a"}),
        (b"at: 12:30", {"at": "12:30"}),
        (b"time: 2030-01-31T08:00:00Z", {"time": "2030-01-31T08:00:00Z"}),
        (b"mode: 010", {"mode": "010"}),
        (b"answer: yes", {"answer": "yes"}),
        (b"a: [1, -2, 0x10, 1.5, .5, 1e3, 1.]", {"a": [1, -2, 16, 1.5, 0.5, 1000.0, 1.0]}),
        (b"a: [true, False, null, ~, '']", {"a": [True, False, None, None, ""]}),
        (b"base: &b {x: 1}\nmore: {<<: *b, y: 2}", {"base": {"x": 1}, "more": {"x": 1, "y": 2}}),
    ],
)
def test_a_value_is_what_it_looks_like(text: bytes, value: object) -> None:
    assert parse(text) == value


@pytest.mark.parametrize("opening", [b"a: ", b""], ids=["yaml", "json"])
def test_nesting_without_end_is_refused(opening: bytes) -> None:
    with pytest.raises(InvalidDocument, match="levels deep"):
        parse(opening + b"[" * 400_000)
