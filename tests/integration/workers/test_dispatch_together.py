"""What one round of work sends: one message to each host, after everything else, and no message to itself."""

from collections.abc import Iterator, Mapping, Sequence

import pytest

from workers import dispatch
from workers.protocol import Applied, Order, SetDraining


class Recorder:
    """A transport that remembers."""

    def __init__(self) -> None:
        self.sent: list[dict[str, list[Order]]] = []
        self.wakes = 0

    def send(self, orders: Mapping[str, Sequence[Order]]) -> None:
        self.sent.append({host: list(some) for host, some in orders.items()})

    def tell(self, audience: str, order: Order) -> None:
        raise AssertionError("nobody was to be told anything")

    def wake(self) -> None:
        self.wakes += 1


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    before = dispatch.use_transport(recorder)
    yield recorder
    dispatch.use_transport(before)


APPLIED, DRAIN = Applied(session="s", seq=1), SetDraining(draining=True)


def test_each_host_is_sent_one_message_at_the_end(recorder: Recorder) -> None:
    with dispatch.together():
        dispatch.publish({"host-a": [APPLIED]})
        dispatch.publish({"host-a": [DRAIN], "host-b": [DRAIN]})
        assert not recorder.sent

    assert recorder.sent == [{"host-a": [APPLIED, DRAIN], "host-b": [DRAIN]}]


def test_who_places_at_once_need_not_be_woken(recorder: Recorder) -> None:
    with dispatch.together() as sending:
        dispatch.wake()
        assert sending.take_wake()
        assert not sending.take_wake()

    assert recorder.wakes == 0


def test_a_wake_that_nobody_takes_is_sent_once(recorder: Recorder) -> None:
    with dispatch.together():
        dispatch.wake()
        dispatch.wake()

    assert recorder.wakes == 1


def test_what_was_committed_before_an_error_is_sent_all_the_same(recorder: Recorder) -> None:
    def fail() -> None:
        with dispatch.together():
            dispatch.publish({"host-a": [APPLIED]})
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()

    assert recorder.sent == [{"host-a": [APPLIED]}]
    dispatch.publish({"host-a": [DRAIN]})
    assert len(recorder.sent) == 2
