"""How the indices of an array are written, and what a request becomes."""

import pytest

from workers.core.arrays import ARRAY_SIZE_MAX, ArrayError, Wanted, faults_of_wanted, members_of, parse_array
from workers.core.commands import NewCommand


@pytest.mark.parametrize(
    ("text", "indices"),
    [
        ("7", [7]),
        ("0-3", [0, 1, 2, 3]),
        ("0-10:5", [0, 5, 10]),
        ("0-9:4", [0, 4, 8]),
        ("1,3,7", [1, 3, 7]),
        (" 7 , 1-2 ", [1, 2, 7]),
        ("3,1-4,2", [1, 2, 3, 4]),
    ],
)
def test_indices_ranges_steps_and_lists_are_read(text: str, indices: list[int]) -> None:
    assert parse_array(text) == indices


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "is no index or range"),
        ("a", "'a' is no index or range"),
        ("1-", "is no index or range"),
        ("-1", "is no index or range"),
        ("1:2", "is no index or range"),
        ("1,,2", "'' is no index or range"),
        ("\N{ARABIC-INDIC DIGIT ONE}", "is no index or range"),
        ("9-1", "ends before it begins"),
        ("1-9:0", "a step of 0"),
        ("2147483648", "goes beyond"),
        (f"0-{ARRAY_SIZE_MAX}", f"more than {ARRAY_SIZE_MAX} indices"),
        ("0-9999,20000", f"more than {ARRAY_SIZE_MAX} indices"),
    ],
)
def test_anything_else_is_refused_with_what_may_be_written(text: str, part: str) -> None:
    with pytest.raises(ArrayError, match=part):
        parse_array(text)


def test_a_request_without_an_array_is_one_command() -> None:
    (member,) = members_of([Wanted(NewCommand(argv=["a"], idempotency_key="k"))])

    assert (member.index, member.at_once, member.command.idempotency_key) == (None, 0, "k")
    assert dict(member.command.env) == {}


def test_each_member_of_an_array_has_a_key_of_its_own() -> None:
    members = members_of([Wanted(NewCommand(argv=["a"], idempotency_key="k"), array="0-1", at_once=1)])

    assert [member.command.idempotency_key for member in members] == ["k/0", "k/1"]


def test_a_bound_without_an_array_is_a_fault() -> None:
    (fault,) = faults_of_wanted([Wanted(NewCommand(argv=["a"]), at_once=3)])

    assert (fault.path, fault.message) == ("commands[0].at_once", "bounds an array; give array too")
