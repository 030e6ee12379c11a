"""The agent's small decisions."""

import pytest

from scheduler_project.toolkit.errors import ConfigurationError
from workers.agent.core.names import NAME_LENGTH_MAX, safe_name
from workers.agent.core.orders import MISSED_START, refusal
from workers.agent.core.ports import parse_pool, port_variables
from workers.agent.core.queue import Queue
from workers.agent.core.window import Window, patience_s
from workers.protocol import RunCommand


def test_ports_are_ranges_and_single_ports() -> None:
    assert parse_pool("31000-31999, 8080") == [(31000, 31999), (8080, 8080)]


@pytest.mark.parametrize("text", ["ten", "0", "2-1", "1-65536", "1-2-3", "-5"])
def test_a_pool_that_is_none_is_named(text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        parse_pool(text)


def test_processes_find_their_ports_in_variables() -> None:
    assert port_variables({"PROVIDED_PORT": 31000, "my-port": 31001}) == {
        "PORT_PROVIDED_PORT": "31000",
        "PROVIDED_PORT": "31000",
        "SCHEDULED_PORT": "31000",
        "PORT_MY_PORT": "31001",
    }


def test_different_units_never_share_a_folder() -> None:
    names = {safe_name(text) for text in ("command/1", "command_1", "command.1", "..", "x" * 300, "x" * 301)}
    assert len(names) == 6
    assert all("/" not in name and not name.startswith(".") and len(name) <= NAME_LENGTH_MAX for name in names)


def test_a_command_is_refused_after_its_start_deadline() -> None:
    order = RunCommand(unit="command/1", attempt=1, argv=["true"], start_by=100)
    assert refusal(order, 101, "") == MISSED_START
    assert refusal(order, 99, "") == ""
    assert refusal(RunCommand(unit="command/1", attempt=1, argv=["true"]), 1e12, "") == ""


def test_a_draining_host_refuses_with_its_reason() -> None:
    order = RunCommand(unit="command/1", attempt=1, argv=["true"])
    assert refusal(order, 0, "the host is draining") == "the host is draining"


def waiting(*units: str, **priorities: int) -> Queue:
    queue = Queue()
    for unit in units:
        queue.add(RunCommand(unit=unit, attempt=1, argv=["true"], priority=priorities.get(unit, 0)))
    return queue


def drained(queue: Queue, *busy: str) -> list[str]:
    return [order.unit for order in iter(lambda: queue.next(busy), None)]


def test_commands_start_in_order_but_never_beside_an_older_attempt() -> None:
    queue = waiting("a", "b")
    assert drained(queue, "a") == ["b"]
    assert drained(queue) == ["a"]
    assert drained(queue) == []


def test_a_higher_priority_starts_first_and_equals_in_the_order_they_came() -> None:
    assert drained(waiting("a", "b", "c", "d", b=5, d=5, c=-1)) == ["b", "d", "a", "c"]


def test_what_was_taken_out_of_the_queue_does_not_start() -> None:
    queue = waiting("a", "b", "c")
    assert [order.unit for order in [queue.remove("b")] if order] == ["b"]
    assert (queue.remove("b"), len(queue)) == (None, 2)
    assert drained(queue) == ["a", "c"]


def test_a_newer_attempt_takes_the_place_of_one_that_waits() -> None:
    queue = waiting("a", "b")
    queue.add(RunCommand(unit="a", attempt=2, argv=["true"]))
    assert [(order.unit, order.attempt) for order in iter(lambda: queue.next(()), None)] == [("b", 1), ("a", 2)]


def test_nothing_to_report_is_nothing_to_send() -> None:
    assert Window().due_at(newest=0, now=5) is None


def test_new_reports_are_sent_at_once() -> None:
    assert Window().due_at(newest=1, now=5) == 5


def test_reports_wait_for_word_on_those_before_them_and_are_then_sent_again() -> None:
    window = Window().sent(to=3, now=10)
    assert window.due_at(newest=9, now=11) == 13
    assert window.due_at(newest=9, now=20) == 20


def test_word_on_all_that_was_sent_opens_the_window() -> None:
    window = Window().sent(to=3, now=10)
    assert window.applied(2) == window
    assert window.applied(3).due_at(newest=9, now=11) == 11


def test_patience_grows_to_half_a_minute() -> None:
    assert [patience_s(times) for times in (0, 1, 2, 9, 5000)] == [3, 6, 12, 30, 30]
