"""Arrays, retries, bounds and the local queue, for any input."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from workers.agent.core.queue import Queue
from workers.core.arrays import ArrayError, parse_array
from workers.core.bounds import Admission, Bound
from workers.core.retries import RETRY_DELAY_MAX_S, delay_s, spread
from workers.protocol import RunCommand

PARTS = st.tuples(st.integers(0, 500), st.integers(0, 100), st.integers(1, 50))


@given(st.lists(PARTS, min_size=1, max_size=8))
def test_an_array_is_the_union_of_its_ranges_ascending_and_each_once(parts: list[tuple[int, int, int]]) -> None:
    text = ",".join(f"{first}-{first + more}:{step}" for first, more, step in parts)

    expected = {index for first, more, step in parts for index in range(first, first + more + 1, step)}
    assert parse_array(text) == sorted(expected)


@given(st.text(max_size=30) | st.text(alphabet="0123456789-:, ", max_size=30))
def test_any_text_is_an_array_or_refused(text: str) -> None:
    try:
        indices = parse_array(text)
    except ArrayError:
        return
    assert indices
    assert indices == sorted(set(indices))
    assert indices[0] >= 0


@given(st.integers(1, 200), st.floats(0, 1e6), st.text(max_size=10))
def test_a_pause_is_never_above_its_limit_nor_below_half_of_what_it_should_be(
    number: int, first_s: float, name: str
) -> None:
    full_s = min(first_s * 2.0 ** min(number - 1, 64), RETRY_DELAY_MAX_S)

    pause_s = delay_s(number, first_s, spread(name, number))

    assert full_s / 2 <= pause_s <= full_s


@given(
    st.dictionaries(st.sampled_from("abc"), st.integers(1, 4), min_size=1), st.lists(st.sets(st.sampled_from("abc")))
)
def test_no_bound_is_ever_exceeded(limits: dict[str, int], commands: list[set[str]]) -> None:
    admission = Admission({})
    taken: Counter[str] = Counter()

    for keys in commands:
        bounds = [Bound(key, limits[key], "") for key in sorted(keys) if key in limits]
        if admission.admit(bounds) is None:
            taken.update(bound.key for bound in bounds)

    assert all(taken[key] <= limit for key, limit in limits.items())


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), max_size=40))
def test_a_queue_gives_out_everything_once_by_priority_and_arrival(entries: list[tuple[int, bool]]) -> None:
    queue = Queue()
    for number, (priority, _) in enumerate(entries):
        queue.add(RunCommand(unit=str(number), attempt=1, argv=["true"], priority=priority))
    for number, (_, removed) in enumerate(entries):
        if removed:
            queue.remove(str(number))

    left = [(-priority, number) for number, (priority, removed) in enumerate(entries) if not removed]
    assert [int(order.unit) for order in iter(lambda: queue.next(()), None)] == [number for _, number in sorted(left)]
