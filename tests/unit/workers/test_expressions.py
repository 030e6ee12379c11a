"""Where a command may run: what can be written, what is refused, and the reason a worker does not fit."""

import pytest

from workers.core.expressions import ExpressionError, parse

HOST = {"name": "host-a", "zone": "a", "gpu": "yes", "cores": 8, "memory_mb": "2048", "docker": True}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "host-a",
        "name=host-a",
        "zone=a",
        "zone = a and cores >= 8",
        "zone!=b and gpu=yes",
        "cores>7",
        "cores<9 and cores<=8",
        "memory_mb>=2048",
        "docker=yes",
        "rack!=r1",
    ],
)
def test_a_fitting_worker_has_no_refusal(text: str) -> None:
    assert parse(text).refusal(HOST) == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("host-b", "its name is host-a, name=host-b is wanted"),
        ("zone=b", "its zone is a, zone=b is wanted"),
        ("zone!=a", "its zone is a, zone!=a is wanted"),
        ("rack=r1", "has no rack, rack=r1 is wanted"),
        ("rack>1", "has no rack, rack>1 is wanted"),
        ("zone>1", "its zone is a, zone>1 is wanted"),
        ("docker>0", "its docker is yes, docker>0 is wanted"),
        ("zone=a and cores>8", "its cores is 8, cores>8 is wanted"),
    ],
)
def test_a_worker_that_does_not_fit_is_told_by_the_term_that_failed(text: str, reason: str) -> None:
    assert parse(text).refusal(HOST) == reason


@pytest.mark.parametrize(
    ("text", "position", "part"),
    [
        ("=a", 1, "name of a label"),
        ("zone=", 6, "a value after '='"),
        ("zone a", 6, "one of = !="),
        ("zone=a and", 11, "after `and`"),
        ("zone=a or cores>1", 8, "`and` is expected, not 'or'"),
        ("cores>=many", 8, "'many' is not a number"),
        ("zone=a and =b", 12, "name of a label"),
        ("zone!a", 5, "'!' is not expected"),
        ("zone==a", 6, "a value after '='"),
    ],
)
def test_an_unreadable_expression_names_the_position(text: str, position: int, part: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)

    assert caught.value.position == position
    assert part in str(caught.value)
