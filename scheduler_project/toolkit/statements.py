"""Statements of our own SQL that are run again and again, on SQLite and PostgreSQL.

PostgreSQL plans such a statement once for a connection, not each time: planning would cost more than the work. Behind a
pooler that shares connections (Django's `DISABLE_SERVER_SIDE_CURSORS`) nothing is kept with the connection. Invariant:
the text of a statement does not depend on its values.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS, DataError, connection, connections, models
from django.db.models.base import ModelState
from psycopg.errors import DivisionByZero

Row = TypeVar("Row", bound=models.Model)


@dataclass(frozen=True)
class Statement:
    """One to be run with others; `returns` tells whether it finds rows. `writes`: see `must_write`."""

    sql: str
    values: Sequence[Any]
    returns: bool = False
    writes: int | None = None


COMMIT = Statement("COMMIT", [])


class NotWritten(Exception):
    """A statement has not written all the rows that it must write, so nothing of its transaction is kept."""


@dataclass(frozen=True)
class Outcome:
    """What a statement did: how many rows it wrote or found, and those that it returns."""

    count: int
    rows: list[tuple[Any, ...]]


@cache
def on_sqlite() -> bool:
    """Whether our own statements are written for SQLite; else they are for PostgreSQL. One of them is ours for good."""
    return connection.vendor == "sqlite"


def must_write(statement: Statement, count: int) -> Statement:
    """The same, which fails where it does not write so many rows: `together` raises NotWritten.

    PostgreSQL finds that out itself, so that what comes after it in one exchange, a commit too, is not done.
    """
    if on_sqlite():
        return replace(statement, writes=count)
    sql = f"WITH written AS ({statement.sql} RETURNING 1) SELECT 1 / (count(*) = CAST(%s AS bigint))::int FROM written"  # noqa: S608
    return Statement(sql, [*statement.values, count], writes=count)


def together(statements: Sequence[Statement]) -> list[Outcome]:
    """Runs statements in their order; on PostgreSQL all are sent at once, and only the last answer is waited for.

    Raises NotWritten.
    """
    if not statements:
        return []
    here = connections[DEFAULT_DB_ALIAS]
    return _exchanged(here, statements) if _is_exchanging(here) else [_one_by_one(here, one) for one in statements]


def together_at_last(statements: Sequence[Statement]) -> None:
    """The same with the last statements of the innermost transaction, which is committed with them where it can be.

    Nothing may be written in that transaction afterwards.
    """
    here = connections[DEFAULT_DB_ALIAS]
    is_outermost = here.in_atomic_block and not here.savepoint_ids and here.commit_on_exit
    together([*statements, COMMIT] if is_outermost and _is_exchanging(here) else statements)


def read(model: type[Row], sql: str, values: Sequence[Any], also: Sequence[str] = ()) -> list[Row]:
    """Instances of a model. `sql` selects `{columns}`, and then columns that become the attributes `also`."""
    statement = selecting(model, sql, values)
    return instances(model, together([statement])[0].rows, also)


def selecting(
    model: type[models.Model], sql: str, values: Sequence[Any], names: tuple[str, ...] | None = None
) -> Statement:
    """The statement of `read`, or with names of fields that of `values_of`."""
    columns, _ = _selection(model, names or _all_of(model))
    return Statement(sql.replace("{columns}", columns), values, returns=True)


def instances(model: type[Row], rows: Sequence[Sequence[Any]], also: Sequence[str] = ()) -> list[Row]:
    """What `selecting` has found, as instances; columns after the model's become the attributes `also`.

    They are made as Django makes them, without what it does for each field and for those who listen to its signals.
    """
    names = (*_all_of(model), *also)
    return [_instance(model, dict(zip(names, row, strict=True))) for row in values_of(model, _all_of(model), rows)]


def _instance(model: type[Row], values: dict[str, Any]) -> Row:
    made = model.__new__(model)
    made._state = ModelState()
    made._state.adding, made._state.db = False, DEFAULT_DB_ALIAS
    made.__dict__ |= values
    return made


def values_of(model: type[models.Model], names: tuple[str, ...], rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """What `selecting` has found, as the values of the named fields, and then of any other columns."""
    _, conversions = _selection(model, names)
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
    return [] if on_sqlite() else [Statement("SET LOCAL enable_seqscan = off", [])]


@lru_cache(maxsize=256)
def looked_up(table: str, condition: str, of: str, name: str = "") -> str:
    """`of`, a table or several, joined with the rows of `table` that each row of it finds by the condition.

    What was found goes by `name`, in the condition too, or by the name of its table.

    PostgreSQL is left no other way than to look them up one by one by an index: what it knows of a table may be long
    out of date, and a plan that reads the whole table would be kept.
    """
    if on_sqlite():
        return f"{of} JOIN {table}{f' AS {name}' if name else ''} ON {condition}"
    found_rows = f"(SELECT * FROM {table}{f' AS {name}' if name else ''} WHERE {condition} OFFSET 0)"  # noqa: S608
    return f"{of} CROSS JOIN LATERAL {found_rows} AS {name or table}"


def among(column: str) -> str:
    """The condition that a column has one of several values, which are passed as `several(…)`."""
    if on_sqlite():
        return f"{column} IN (SELECT value FROM json_each(%s))"  # noqa: S608
    return f"{column} = ANY(%s)"


def several(values: Iterable[Any]) -> Any:
    """The values of `among`."""
    return json.dumps(list(values)) if on_sqlite() else list(values)


def _is_exchanging(here: Any) -> bool:
    """Whether statements go out together: on PostgreSQL, unless somebody watches queries through Django's cursors."""
    return not (on_sqlite() or here.execute_wrappers or here.queries_logged)


def _exchanged(here: Any, statements: Sequence[Statement]) -> list[Outcome]:
    from scheduler_project.toolkit.exchange import exchange

    here.ensure_connection()
    here.validate_no_broken_transaction()
    keep_plans = not here.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS")
    asked = [(statement.sql, statement.values) for statement in statements]
    with _told_apart(statements), here.wrap_database_errors:
        return [Outcome(count, rows) for count, rows in exchange(here.connection, asked, keep_plans)]


def _one_by_one(here: Any, statement: Statement) -> Outcome:
    with _told_apart([statement]), here.cursor() as cursor:
        cursor.execute(statement.sql, statement.values)
        found = Outcome(cursor.rowcount, cursor.fetchall() if statement.returns else [])
    if on_sqlite() and statement.writes not in (None, found.count):
        raise NotWritten
    return found


@contextmanager
def _told_apart(statements: Sequence[Statement]) -> Iterator[None]:
    """The fault that `must_write` makes on purpose is not one of the database."""
    try:
        yield
    except DataError as error:
        if not isinstance(error.__cause__, DivisionByZero) or all(one.writes is None for one in statements):
            raise
        raise NotWritten from error


@lru_cache(maxsize=64)
def _all_of(model: type[models.Model]) -> tuple[str, ...]:
    return tuple(field.attname for field in model._meta.concrete_fields)


@lru_cache(maxsize=64)
def _selection(model: type[models.Model], names: tuple[str, ...]) -> tuple[str, list[tuple[int, Callable[[Any], Any]]]]:
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
