"""Many statements in one exchange with PostgreSQL, and what is left behind when one of them fails."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import DataError, IntegrityError, OperationalError, connection, transaction
from psycopg import pq

from scheduler_project.models import Event
from scheduler_project.toolkit import exchange
from scheduler_project.toolkit.events import NewEvent, recording
from scheduler_project.toolkit.statements import NotWritten, Statement, must_write, together, together_at_last

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite is in the process; there is no exchange"),
]
NOW = datetime(2026, 11, 29, 20, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture(autouse=True)
def fresh_connection() -> Iterator[None]:
    """Nothing is planned for it yet."""
    connection.close()
    yield
    connection.close()


def asking(sql: str, *values: Any) -> Statement:
    return Statement(sql, values, returns=True)


def told(name: str) -> list[Statement]:
    return recording([NewEvent(name, "graph:x")], NOW)


def planned() -> int:
    (count,) = together([asking("SELECT count(*) FROM pg_prepared_statements")])
    return int(count.rows[0][0])


def test_statements_are_done_in_their_order_and_each_gets_its_own_answer() -> None:
    answers = together(
        [asking("SELECT %s::int + 1", 41), *told("a"), asking("SELECT name FROM scheduler_project_event")]
    )

    assert [(answer.count, answer.rows) for answer in answers] == [(1, [(42,)]), (1, []), (1, [("a",)])]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("text", "é % 'x' \"y\" \\"),
        ("int", -7),
        ("bigint", 2**62),
        ("boolean", True),
        ("double precision", 1.5),
        ("timestamptz", NOW),
        ("text[]", ["a,b", 'c"d', "NULL", ""]),
        ("bigint[]", [1, 2**40]),
        ("text", None),
    ],
)
def test_values_travel_there_and_back_unchanged(kind: str, value: Any) -> None:
    assert together([asking(f"SELECT CAST(%s AS {kind}), '100 %%'", value)])[0].rows == [(value, "100 %")]


def test_after_a_fault_nothing_is_done_and_the_connection_goes_on() -> None:
    with pytest.raises(DataError, match="division by zero"), transaction.atomic():
        together([*told("before"), asking("SELECT 1 / %s::int", 0), *told("after")])

    assert not Event.objects.exists()
    assert together([asking("SELECT %s::int", 1)])[0].rows == [(1,)]


def test_the_fault_of_the_first_that_fails_is_told() -> None:
    incomplete = Statement("INSERT INTO scheduler_project_event (at) VALUES (now())", [])

    with pytest.raises(IntegrityError):
        together([incomplete, asking("SELECT 1 / %s::int", 0)])


def test_a_text_is_planned_once_for_a_connection() -> None:
    together([asking("SELECT %s::int", 1)])
    before = planned()

    together([asking("SELECT %s::int", number) for number in range(5)])

    assert planned() == before


def test_what_could_not_be_planned_is_planned_when_it_can_be() -> None:
    statement = asking("SELECT value FROM comes_later")
    with pytest.raises(Exception, match="comes_later"):
        together([asking("SELECT 1"), statement])
    together([Statement("CREATE TEMPORARY TABLE comes_later AS SELECT 5 AS value", [])])

    assert together([statement])[0].rows == [(5,)]


def test_plans_that_were_not_used_for_long_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "PLANS_MAX", 3)
    for number in range(10):
        together([asking(f"SELECT {number}")])

    assert planned() <= 3 + 1
    assert together([asking("SELECT 0")])[0].rows == [(0,)]


def test_behind_a_pooler_nothing_is_kept_with_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", True)

    assert together([asking("SELECT %s::int", 3)] * 2)[0].rows == [(3,)]

    assert planned() == 0


def test_more_than_the_sockets_hold_in_both_directions_is_exchanged() -> None:
    text = "x" * 2_000_000

    answers = together([asking("SELECT %s::text", text) for _ in range(10)])

    assert [len(answer.rows[0][0]) for answer in answers] == [len(text)] * 10


def test_a_connection_that_dies_is_told_as_such() -> None:
    with pytest.raises(OperationalError):
        together([asking("SELECT pg_terminate_backend(pg_backend_pid())"), asking("SELECT 1")])
    connection.close()

    assert together([asking("SELECT 1")])[0].rows == [(1,)]


def test_the_last_statements_are_committed_in_the_same_exchange() -> None:
    with transaction.atomic():
        together(told("a"))
        together_at_last(told("b"))
        assert connection.connection.info.transaction_status == pq.TransactionStatus.IDLE

    assert Event.objects.count() == 2


def test_inside_another_transaction_nothing_is_committed_before_its_end() -> None:
    with transaction.atomic():
        with transaction.atomic():
            together_at_last(told("a"))
        transaction.set_rollback(True)

    assert not Event.objects.exists()


def test_a_row_that_was_not_written_undoes_all_of_the_exchange_and_its_commit() -> None:
    lost = must_write(Statement("UPDATE scheduler_project_event SET name = 'x' WHERE name = %s", ["nobody"]), 1)

    with pytest.raises(NotWritten), transaction.atomic():
        together_at_last([*told("a"), lost])

    assert not Event.objects.exists()


def test_what_is_done_when_the_transaction_has_committed_is_done() -> None:
    done: list[str] = []
    with transaction.atomic():
        transaction.on_commit(lambda: done.append("now"))
        together_at_last(told("a"))
        assert not done

    assert done == ["now"]
