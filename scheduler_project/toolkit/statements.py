"""Statements of our own SQL that are run again and again, on SQLite and PostgreSQL.

PostgreSQL plans such a statement once for a connection, not each time: planning would cost more than the work. Behind a
pooler that shares connections (Django's `DISABLE_SERVER_SIDE_CURSORS`) nothing is kept with the connection. Invariant:
the text of a statement does not depend on its values.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from typing import Any, TypeVar

from django.db import connection, models

PLANNED_FROM = 2
Row = TypeVar("Row", bound=models.Model)


def changed(sql: str, values: Sequence[Any]) -> int:
    """Runs a statement that writes. Returns how many rows it wrote."""
    with _cursor() as cursor:
        cursor.execute(sql, values)
        return int(cursor.rowcount)


def found(sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Runs a statement that returns rows, as the database gives them."""
    with _cursor() as cursor:
        cursor.execute(sql, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def read(model: type[Row], sql: str, values: Sequence[Any], also: Sequence[str] = ()) -> list[Row]:
    """Instances of a model. `sql` selects `{columns}`, and then columns that become the attributes `also`."""
    names = tuple(field.attname for field in model._meta.concrete_fields)
    rows = read_values(model, names, sql, values)
    instances = [model.from_db(connection.alias, names, row[: len(names)]) for row in rows]
    for instance, row in zip(instances, rows, strict=True):
        for name, value in zip(also, row[len(names) :], strict=True):
            setattr(instance, name, value)
    return instances


def read_values(model: type[models.Model], names: tuple[str, ...], sql: str, values: Sequence[Any]) -> list[list[Any]]:
    """The named fields' values. `sql` selects `{columns}` from the model's table, and then any other columns."""
    columns, conversions = _selection(model, names, connection.vendor)
    rows = [list(row) for row in found(sql.replace("{columns}", columns), values)]
    for position, convert in conversions:
        for row in rows:
            row[position] = convert(row[position])
    return rows


def use_keys() -> None:
    """Lets PostgreSQL find rows by their indexes until the transaction ends, however small their tables are now.

    Else a plan that is kept from when a table was small would go on to read the whole of it when it has grown.
    """
    if connection.vendor == "postgresql":
        changed("SET LOCAL enable_seqscan = off", [])


def looked_up(table: str, condition: str, of: str) -> str:
    """`of`, a table or several, joined with the rows of `table` that each row of it finds by the condition.

    PostgreSQL is left no other way than to look them up one by one by an index: what it knows of a table may be long
    out of date, and a plan that reads the whole table would be kept.
    """
    if connection.vendor == "sqlite":
        return f"{of} JOIN {table} ON {condition}"
    return f"{of} CROSS JOIN LATERAL (SELECT * FROM {table} WHERE {condition} OFFSET 0) AS {table}"  # noqa: S608


def among(column: str) -> str:
    """The condition that a column has one of several values, which are passed as `several(…)`."""
    if connection.vendor == "sqlite":
        return f"{column} IN (SELECT value FROM json_each(%s))"  # noqa: S608
    return f"{column} = ANY(%s)"


def several(values: Iterable[Any]) -> Any:
    """The values of `among`."""
    return json.dumps(list(values)) if connection.vendor == "sqlite" else list(values)


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
