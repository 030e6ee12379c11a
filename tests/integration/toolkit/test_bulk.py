"""Many rows written in one statement, on each database."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from scheduler_project.models import Event
from scheduler_project.toolkit.bulk import (
    ROWS_PER_STATEMENT,
    insert_missing_rows,
    insert_rows,
    insert_values,
    update_rows,
)
from workers.models import Command, Worker

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 21, 12, 30, 15, 123456, tzinfo=UTC)
FIELDS = ["argv", "stdin", "reason", "timeout_s", "attempt", "worker", "cancel_requested", "exit_code", "started_at"]


def stored(number: int) -> list[Command]:
    rows = [Command(id=f"c{index:04}", argv=["true"], created_at=NOW) for index in range(number)]
    return Command.objects.bulk_create(rows)


def values_of(command: Command) -> list[Any]:
    return [bytes(getattr(command, name)) if name == "stdin" else getattr(command, name) for name in FIELDS]


def test_every_row_gets_its_own_values_of_every_type(django_assert_num_queries: Any) -> None:
    worker = Worker.objects.create(
        id="w", name="host-a", registered_at=NOW, last_seen_at=NOW, silent_at=NOW, changed_at=NOW
    )
    first, second, untouched = stored(3)
    first.argv, first.stdin, first.reason, first.timeout_s = ["é", 'a"b'], b"\x00\xff", "x" * 5000, 1.5
    first.attempt, first.worker, first.cancel_requested, first.exit_code = 3, worker, True, -1
    first.started_at = NOW
    second.reason = "100 % {} it's"

    with django_assert_num_queries(1):
        update_rows([first, second], FIELDS)

    rows = {row.id: row for row in Command.objects.select_related("worker")}
    assert values_of(rows[first.id]) == values_of(first)
    assert values_of(rows[second.id]) == values_of(second)
    assert rows[untouched.id].reason == ""


def test_a_column_of_nothing_but_nulls_is_written() -> None:
    rows = stored(2)
    Command.objects.update(started_at=NOW, exit_code=1)

    update_rows(rows, ["started_at", "exit_code"])

    assert set(Command.objects.values_list("started_at", "exit_code")) == {(None, None)}


def test_fields_that_are_not_named_stay() -> None:
    (row,) = stored(1)
    row.state, row.reason = "dead", "why"

    update_rows([row], ["reason"])

    assert Command.objects.values_list("state", "reason").get() == ("pending", "why")


def test_a_long_list_is_written_in_parts(django_assert_num_queries: Any) -> None:
    rows = stored(ROWS_PER_STATEMENT + 1)
    for row in rows:
        row.reason = row.id

    with django_assert_num_queries(2):
        update_rows(rows, ["reason"])

    assert all(row.reason == row.id for row in Command.objects.all())


def test_an_empty_list_asks_nothing(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        update_rows([], ["reason"])


def test_new_rows_are_stored_with_every_field_as_django_would(django_assert_num_queries: Any) -> None:
    rows = [
        Command(id="a", argv=["é", 'a"b', "100 %"], env={"A": "1"}, stdin=b"\x00\xff", created_at=NOW, exit_code=-1),
        Command(id="b", argv=["true"], env={}, timeout_s=1.5, created_at=NOW, reason="x" * 5000, priority=-3),
    ]
    twins = [Command(**{field.attname: getattr(row, field.attname) for field in row._meta.fields}) for row in rows]

    with django_assert_num_queries(1):
        insert_rows(rows)
    stored_rows = plain(Command.objects.order_by("id"))
    Command.objects.all().delete()
    Command.objects.bulk_create(twins)

    assert stored_rows == plain(Command.objects.order_by("id"))
    assert not any(row._state.adding for row in rows)


def test_values_that_are_alike_but_not_the_same_stay_apart() -> None:
    rows = [Command(id="a", argv=[1], created_at=NOW), Command(id="b", argv=[True], created_at=NOW)]

    insert_rows(rows)

    assert [json.dumps(row.argv) for row in Command.objects.order_by("id")] == ["[1]", "[true]"]


def test_numbered_rows_are_stored_in_their_order() -> None:
    insert_rows([Event(at=NOW, name="a", subject=f"s{index}", data={}) for index in range(ROWS_PER_STATEMENT + 1)])

    subjects = list(Event.objects.order_by("id").values_list("subject", flat=True))
    assert subjects == [f"s{index}" for index in range(ROWS_PER_STATEMENT + 1)]


def test_rows_that_are_there_already_are_passed_over() -> None:
    stored(2)

    insert_missing_rows(
        [Command(id="c0001", argv=["other"], created_at=NOW), Command(id="new", argv=[], created_at=NOW)]
    )

    assert dict(Command.objects.values_list("id", "argv")) == {"c0000": ["true"], "c0001": ["true"], "new": []}


def test_a_row_that_breaks_a_constraint_is_refused() -> None:
    rows = stored(1)

    with pytest.raises(IntegrityError), transaction.atomic():
        insert_rows([Command(id=rows[0].id, argv=["other"], created_at=NOW)])


def plain(rows: Any) -> list[dict[str, Any]]:
    return [{**row, "stdin": bytes(row["stdin"])} for row in rows.values()]


def test_values_without_instances_are_stored_in_order_with_defaults_for_the_rest(
    django_assert_num_queries: Any,
) -> None:
    rows = [{"id": f"c{index:04}", "argv": ["é", index], "created_at": NOW, "worker": None} for index in range(3)]

    with django_assert_num_queries(1):
        keys = insert_values(Command, rows, returning=("id", "argv"))

    assert sorted(key for key, _ in keys) == ["c0000", "c0001", "c0002"]
    assert list(Command.objects.order_by("id").values_list("id", "created_at", "state", "timeout_s")) == [
        (f"c{index:04}", NOW, Command().state, Command().timeout_s) for index in range(3)
    ]
    assert [command.argv for command in Command.objects.order_by("id")] == [["é", index] for index in range(3)]


def test_no_values_need_no_statement(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert insert_values(Command, [], returning=("id",)) == []
