"""Writes many rows in one statement, on SQLite and PostgreSQL, at a fraction of what Django's own ways cost.

`bulk_update` makes a CASE per field and row, `bulk_create` a place per field and row. Here what is the same in all
rows travels once, and to PostgreSQL the rest travels as one JSON text. Invariant: the caller of `update_rows` holds the
rows' locks, or is the only writer of these fields.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from django.db import connection, models

from scheduler_project.toolkit.columns import Model, Table, rows_told, table_of
from scheduler_project.toolkit.statements import Statement, among, must_write, several, together

ROWS_PER_STATEMENT = 500
Row = TypeVar("Row", bound=models.Model)
Item = TypeVar("Item")
Values = Mapping[str, Any]
Lists = Mapping[str, Sequence[Any]]
Names = tuple[str, ...]


def update_rows(rows: Sequence[Row], fields: Sequence[str], values: Values | None = None) -> int:
    """Saves the named fields of all rows, which are of one model, and `values` into each. Returns how many it wrote.

    Fields with `auto_now` are left as they are.
    """
    return sum(one.count for part in _parts(rows) for one in together(updates(part, fields, values)))


def updates(
    rows: Sequence[Row], fields: Sequence[str], values: Values | None = None, still: Values | None = None
) -> list[Statement]:
    """The statements of `update_rows`. With `still`, each must find its rows with these values, or fails."""
    if not rows:
        return []
    model = type(rows[0])
    lists = _values_of(rows, table_of(model).attributes(fields))
    return updates_of(model, [row.pk for row in rows], lists, values, still)


def updates_of(
    model: Model, keys: Sequence[Any], lists: Lists, values: Values | None = None, still: Values | None = None
) -> list[Statement]:
    """The same of rows that are given by their primary keys and, for each field, a list of values in their order."""
    return [
        _update(table_of(model), keys[part], {name: given[part] for name, given in lists.items()}, values, still)
        for part in _slices(len(keys))
    ]


def insert_rows(rows: Sequence[Row]) -> None:
    """Stores new rows of one model, in their order. Numbers that the database gives as keys are not learnt."""
    for part in _parts(rows):
        together(_inserts(part))


def insert_missing_rows(rows: Sequence[Row]) -> int:
    """As `insert_rows`, without those that a unique constraint refuses. Returns how many were stored."""
    ending = " ON CONFLICT DO NOTHING RETURNING 1"
    return sum(len(one.rows) for part in _parts(rows) for one in together(_inserts(part, ending)))


def insert_values(model: Model, rows: Sequence[Values], returning: Sequence[str] = ()) -> list[tuple[Any, ...]]:
    """Stores new rows given as values by the names of fields, in their order; what none of them names gets its default.

    For so many rows that instances of the model would cost more than the database. All rows name the same fields.
    Returns the fields `returning` of what was stored, in no particular order.
    """
    columns = table_of(model).columns
    ending = f" RETURNING {', '.join(columns[name].quoted for name in returning)}" if returning else ""
    return [row for part in _parts(rows) for one in together(inserts_of(model, part, ending)) for row in one.rows]


def inserts_of(model: Model, rows: Sequence[Values], ending: str = "") -> list[Statement]:
    """The statements of `insert_values`."""
    table = table_of(model)
    return [
        _insert(table, {name: [row[name] for row in part] for name in part[0]}, len(part), ending)
        for part in _parts(rows)
    ]


def _inserts(rows: Sequence[Row], ending: str = "") -> list[Statement]:
    table = table_of(type(rows[0]))
    for row in rows:
        row._state.adding, row._state.db = False, connection.alias
    return [_insert(table, _values_of(rows, table.attributes(table.stored)), len(rows), ending)]


def _values_of(rows: Sequence[Row], attributes: Mapping[str, str]) -> Lists:
    return {name: [getattr(row, attribute) for row in rows] for name, attribute in attributes.items()}


def _update(table: Table, keys: Sequence[Any], lists: Lists, values: Values | None, still: Values | None) -> Statement:
    values, still = dict(values or {}), still or {}
    varied, same = _divided(table, lists)
    source, passed = _given(table, {table.key.field.name: keys, **varied}) if varied else ("", [])
    sql = _update_text(table, source, tuple(varied), (*same, *values), tuple(still))
    statement = Statement(sql, [*_told(table, same | values), *passed, several(keys), *_told(table, still)])
    return must_write(statement, len(keys)) if still else statement


def _insert(table: Table, lists: Lists, count: int, ending: str) -> Statement:
    defaults = {name: table.columns[name].field.get_default() for name in table.stored if name not in lists}
    varied, same = _divided(table, lists)
    if count > 1 and not varied:
        varied = {name: table.columns[name].cells(lists[name]) for name in [next(iter(same))]}
        same = {name: value for name, value in same.items() if name not in varied}
    source, passed = _given(table, varied) if varied else ("", [])
    sql = _insert_text(table, source, tuple(varied), (*same, *defaults), ending)
    return Statement(sql, [*_told(table, same | defaults), *passed], returns="RETURNING" in ending)


def _divided(table: Table, lists: Lists) -> tuple[Lists, dict[str, Any]]:
    """The cells of those fields that differ between rows, and the value of each of those that do not.

    Compared is what travels: to Python, 1 and true are the same.
    """
    cells = {name: table.columns[name].cells(given) for name, given in lists.items()}
    varied = {name: given for name, given in cells.items() if given.count(given[0]) < len(given)}
    return varied, {name: given[0] for name, given in lists.items() if name not in varied}


def _given(table: Table, cells: Lists) -> tuple[str, list[Any]]:
    """What differs between rows as the table `given` of a statement, and what is passed for it."""
    return rows_told(zip(*cells.values(), strict=True), [table.columns[name] for name in cells])


def _told(table: Table, values: Values) -> list[Any]:
    return [table.columns[name].told(value) for name, value in values.items()]


@lru_cache(maxsize=1024)
def _update_text(table: Table, source: str, varied: Names, same: Names, still: Names) -> str:
    """The key is the first column of the source, so that rows are found by their keys and by no index on others."""
    columns = table.columns
    pairs = [f"{columns[name].quoted} = given.column{position}" for position, name in enumerate(varied, 2)]
    pairs += [f"{columns[name].quoted} = {columns[name].place}" for name in same]
    key = f"{table.quoted}.{table.key.quoted}"
    joined = f" AND {key} = given.column1" if source else ""
    guards = (
        f" AND {table.quoted}.{columns[name].quoted} {columns[name].same_as} {columns[name].place}" for name in still
    )
    origin = f" FROM {source}" if source else ""
    where = f"WHERE {among(key)}{joined}{''.join(guards)}"
    return f"UPDATE {table.quoted} SET {', '.join(pairs)}{origin} {where}"  # noqa: S608


@lru_cache(maxsize=1024)
def _insert_text(table: Table, source: str, varied: Names, same: Names, ending: str) -> str:
    """Without WHERE, SQLite would take ON CONFLICT for a part of a join."""
    names = ", ".join(table.columns[name].quoted for name in (*varied, *same))
    values = [f"given.column{position}" for position in range(1, len(varied) + 1)]
    values += [table.columns[name].place for name in same]
    origin = f" FROM {source}" if source else ""
    return f"INSERT INTO {table.quoted} ({names}) SELECT {', '.join(values)}{origin} WHERE true{ending}"


def _slices(count: int) -> Iterable[slice]:
    return (slice(start, start + ROWS_PER_STATEMENT) for start in range(0, count, ROWS_PER_STATEMENT))


def _parts(rows: Sequence[Item]) -> list[Sequence[Item]]:
    return [rows[part] for part in _slices(len(rows))]
