"""Statements of our own SQL that are run again and again, on SQLite and PostgreSQL.

PostgreSQL plans such a statement once for a connection, not each time: planning would cost more than the work. Behind a
pooler that shares connections (Django's `DISABLE_SERVER_SIDE_CURSORS`) nothing is kept with the connection. Invariant:
the text of a statement does not depend on its values.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, TypeVar

from django.db import connection, models

PLANNED_FROM = 2
Row = TypeVar("Row", bound=models.Model)


@dataclass(frozen=True)
class Statement:
    """One to be run with others. `writes` is how many rows it must write, None for any number."""

    sql: str
    values: Sequence[Any]
    returns: bool = False
    writes: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What a statement did: how many rows it wrote or found, and those that it returns."""

    count: int
    rows: list[tuple[Any, ...]]


def together(statements: Sequence[Statement]) -> list[Outcome]:
    """Runs statements in their order; on PostgreSQL all are sent at once, and only the last answer is waited for."""
    if len(statements) < 2 or connection.vendor != "postgresql":
        return [_outcome(statement) for statement in statements]
    with _pipeline():
        cursors = [_executed(statement) for statement in statements]
    return [
        Outcome(cursor.rowcount, cursor.fetchall() if statement.returns else [])
        for statement, cursor in zip(statements, cursors, strict=True)
    ]


def read(model: type[Row], sql: str, values: Sequence[Any], also: Sequence[str] = ()) -> list[Row]:
    """Instances of a model. `sql` selects `{columns}`, and then columns that become the attributes `also`."""
    statement = selecting(model, sql, values)
    return instances(model, _outcome(statement).rows, also)


def selecting(
    model: type[models.Model], sql: str, values: Sequence[Any], names: tuple[str, ...] | None = None
) -> Statement:
    """The statement of `read`, or with names of fields that of `values_of`."""
    columns, _ = _selection(model, names or _all_of(model), connection.vendor)
    return Statement(sql.replace("{columns}", columns), values, returns=True)


def instances(model: type[Row], rows: Sequence[Sequence[Any]], also: Sequence[str] = ()) -> list[Row]:
    """What `selecting` has found, as instances; columns after the model's become the attributes `also`."""
    names = _all_of(model)
    found_values = values_of(model, names, rows)
    made = [model.from_db(connection.alias, names, row[: len(names)]) for row in found_values]
    for instance, row in zip(made, found_values, strict=True):
        for name, value in zip(also, row[len(names) :], strict=True):
            setattr(instance, name, value)
    return made


def values_of(model: type[models.Model], names: tuple[str, ...], rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """What `selecting` has found, as the values of the named fields, and then of any other columns."""
    _, conversions = _selection(model, names, connection.vendor)
    converted = [list(row) for row in rows]
    for position, convert in conversions:
        for row in converted:
            row[position] = convert(row[position])
    return converted


def use_keys() -> None:
    """Lets PostgreSQL find rows by their indexes until the transaction ends, however small their tables are now.

    Else a plan that is kept from when a table was small would go on to read the whole of it when it has grown.
    """
    together(using_keys())


def using_keys() -> list[Statement]:
    """The statement of `use_keys`; none where there is nothing to be said."""
    return [Statement("SET LOCAL enable_seqscan = off", [])] if connection.vendor == "postgresql" else []


def looked_up(table: str, condition: str, of: str, name: str = "") -> str:
    """`of`, a table or several, joined with the rows of `table` that each row of it finds by the condition.

    What was found goes by `name`, in the condition too, or by the name of its table.

    PostgreSQL is left no other way than to look them up one by one by an index: what it knows of a table may be long
    out of date, and a plan that reads the whole table would be kept.
    """
    if connection.vendor == "sqlite":
        return f"{of} JOIN {table}{f' AS {name}' if name else ''} ON {condition}"
    found_rows = f"(SELECT * FROM {table}{f' AS {name}' if name else ''} WHERE {condition} OFFSET 0)"  # noqa: S608
    return f"{of} CROSS JOIN LATERAL {found_rows} AS {name or table}"


def among(column: str) -> str:
    """The condition that a column has one of several values, which are passed as `several(…)`."""
    if connection.vendor == "sqlite":
        return f"{column} IN (SELECT value FROM json_each(%s))"  # noqa: S608
    return f"{column} = ANY(%s)"


def several(values: Iterable[Any]) -> Any:
    """The values of `among`."""
    return json.dumps(list(values)) if connection.vendor == "sqlite" else list(values)


def _outcome(statement: Statement) -> Outcome:
    with _executed(statement) as cursor:
        return Outcome(cursor.rowcount, cursor.fetchall() if statement.returns else [])


def _executed(statement: Statement) -> Any:
    cursor = _cursor()
    cursor.execute(statement.sql, statement.values)
    return cursor


@contextmanager
def _pipeline() -> Iterator[None]:
    """Inside, PostgreSQL's answers are not waited for; a fault of any statement is raised at the end at the latest."""
    connection.ensure_connection()
    with connection.wrap_database_errors, connection.connection.pipeline():
        yield


@lru_cache(maxsize=64)
def _all_of(model: type[models.Model]) -> tuple[str, ...]:
    return tuple(field.attname for field in model._meta.concrete_fields)


def _cursor() -> Any:
    """Django's cursor, with its transactions and its counting of queries, over one that keeps plans where it may."""
    if connection.vendor != "postgresql" or connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
        return connection.cursor()
    from psycopg import Cursor

    connection.ensure_connection()
    connection.connection.prepare_threshold = PLANNED_FROM
    return connection._prepare_cursor(Cursor(connection.connection))  # type: ignore[attr-defined]


@lru_cache(maxsize=64)
def _selection(
    model: type[models.Model], names: tuple[str, ...], vendor: str
) -> tuple[str, list[tuple[int, Callable[[Any], Any]]]]:
    """The columns' text, and what Django makes of their values before they become attributes, by their positions."""
    quote = connection.ops.quote_name
    fields: list[Any] = [model._meta.get_field(name) for name in names]
    steps: list[tuple[int, Callable[[Any], Any]]] = []
    for position, field in enumerate(fields):
        column = field.get_col(model._meta.db_table)
        for convert in (*connection.ops.get_db_converters(column), *field.get_db_converters(connection)):
            steps.append((position, partial(_convert, convert, column)))
    return ", ".join(f"{quote(model._meta.db_table)}.{quote(field.column)}" for field in fields), steps


def _convert(convert: Callable[..., Any], column: Any, value: Any) -> Any:
    return convert(value, column, connection)
