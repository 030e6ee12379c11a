"""Every knot of circular waiting is found, and who comes before whom, at any depth."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from graphs.core.order import find_cycles, levels, not_before


def test_each_knot_gives_one_circle() -> None:
    waits = {"a": {"b"}, "b": {"a"}, "c": {"b", "d"}, "d": {"c"}, "e": {"e", "d"}, "f": {"e"}}
    assert find_cycles(waits) == [["a", "b", "a"], ["c", "d", "c"], ["e", "e"]]


def test_a_circle_of_a_hundred_thousand_is_found() -> None:
    ring = {str(n): {str((n + 1) % 100_000)} for n in range(100_000)}
    [circle] = find_cycles(ring)
    assert len(circle) == 100_001


graphs = st.integers(1, 12).flatmap(
    lambda size: st.lists(st.sets(st.integers(0, size - 1)), min_size=size, max_size=size).map(
        lambda rows: {str(n): {str(one) for one in row} for n, row in enumerate(rows)}
    )
)


@given(graphs)
@settings(max_examples=200)
def test_circles_are_real_and_none_is_missed(waits: dict[str, set[str]]) -> None:
    circles = find_cycles(waits)
    for circle in circles:
        assert circle[0] == circle[-1]
        assert all(before in waits[after] for before, after in pairwise(circle))
    left = set(waits)
    while free := {name for name in left if not waits[name] & left}:
        left -= free
    assert bool(circles) == bool(left)


@given(graphs)
@settings(max_examples=200)
def test_what_comes_before_is_what_can_be_walked_to(waits: dict[str, set[str]]) -> None:
    acyclic = {name: {one for one in needed if int(one) < int(name)} for name, needed in waits.items()}
    before: dict[str, set[str]] = {}
    for name in sorted(acyclic, key=int):
        before[name] = acyclic[name].union(*(before[one] for one in acyclic[name]))
    pairs = [(one, two) for one in acyclic for two in acyclic]
    expected = {(one, two) for one, two in pairs if one not in before[two]}
    assert not_before(pairs, acyclic, levels(acyclic)) == expected
