"""Writes many rows in one statement, on SQLite and PostgreSQL, at a fraction of what Django's own ways cost.

`bulk_update` makes a CASE per field and row, `bulk_create` a place per field and row. Here what is the same in all
rows travels once, and to PostgreSQL the rest travels as one JSON text. Invariant: the caller of `update_rows` holds the
rows' locks, or is the only writer of these fields.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from django.db import connection, models

from scheduler_project.toolkit.statements import Statement, among, several, together

ROWS_PER_STATEMENT = 500
LENGTH = re.compile(r"\(\d+\)")
Row = TypeVar("Row", bound=models.Model)
Item = TypeVar("Item")
_Columns = dict[Any, Sequence[Any]]


def update_rows(
    rows: Sequence[Row],
    fields: Sequence[str],
    values: Mapping[str, Any] | None = None,
    still: Mapping[str, Any] | None = None,
) -> int:
    """Saves the named fields of all rows, which are of one model, and `values` into each. Returns how many it wrote.

    With `still`, only rows that have these values in the database are written. Fields with `auto_now` are left as they
    are.
    """
    return sum(one.count for part in _parts(rows) for one in together(updates(part, fields, values, still)))


def updates(
    rows: Sequence[Row],
    fields: Sequence[str],
    values: Mapping[str, Any] | None = None,
    still: Mapping[str, Any] | None = None,
) -> list[Statement]:
    """The statements of `update_rows`; with `still` each must write all of its rows."""
    if not rows:
        return []
    meta: Any = rows[0]._meta
    quote = connection.ops.quote_name
    chosen = [meta.get_field(name) for name in fields]
    same = {meta.get_field(name): value for name, value in (values or {}).items()}
    expected = {meta.get_field(name): value for name, value in (still or {}).items()}
    table = quote(meta.db_table)
    # so that the rows are found by their keys, and by no index on these columns
    same_as = "IS" if connection.vendor == "sqlite" else "IS NOT DISTINCT FROM"
    statements: list[Statement] = []
    for part in _parts(rows):
        columns = _columns(part, [meta.pk, *chosen]) | {field: [value] * len(part) for field, value in same.items()}
        given = _give(columns)
        pairs = ", ".join(f"{quote(field.column)} = {given.columns[field.name]}" for field in (*chosen, *same))
        where = f"{table}.{quote(meta.pk.column)} = {given.columns[meta.pk.name]}"
        guard = "".join(f" AND {table}.{quote(field.column)} {same_as} {_place(field)}" for field in expected)
        keys = f"{among(f'{table}.{quote(meta.pk.column)}')}"
        sql = f"UPDATE {table} SET {pairs} FROM {given.source} WHERE {keys} AND {where}{guard}"  # noqa: S608
        told = [several(columns[meta.pk]), *(_prepared(field, value) for field, value in expected.items())]
        statements.append(Statement(sql, [*given.values, *told], writes=len(part) if still else None))
    return statements


def insert_rows(rows: Sequence[Row]) -> None:
    """Stores new rows of one model, in their order. Numbers that the database gives as keys are not learnt."""
    for part in _parts(rows):
        together(inserts(part))


def inserts(rows: Sequence[Row]) -> list[Statement]:
    """The statements of `insert_rows`."""
    return _inserts(rows, "")


def insert_missing_rows(rows: Sequence[Row]) -> int:
    """As `insert_rows`, without those that a unique constraint refuses. Returns how many were stored."""
    ending = " ON CONFLICT DO NOTHING RETURNING 1"
    return sum(len(one.rows) for part in _parts(rows) for one in together(_inserts(part, ending)))


def insert_values(
    model: type[models.Model], rows: Sequence[Mapping[str, Any]], returning: Sequence[str] = ()
) -> list[tuple[Any, ...]]:
    """Stores new rows given as values by the names of fields, in their order; what none of them names gets its default.

    For so many rows that instances of the model would cost more than the database. All rows name the same fields.
    Returns the fields `returning` of what was stored, in no particular order.
    """
    meta: Any = model._meta
    wanted = ", ".join(connection.ops.quote_name(meta.get_field(name).column) for name in returning)
    ending = f" RETURNING {wanted}" if wanted else ""
    return [row for part in _parts(rows) for one in together(inserts_of(model, part, ending)) for row in one.rows]


def inserts_of(model: type[models.Model], rows: Sequence[Mapping[str, Any]], ending: str = "") -> list[Statement]:
    """The statements of `insert_values`."""
    meta: Any = model._meta
    statements: list[Statement] = []
    for part in _parts(rows):
        columns: _Columns = {meta.get_field(name): [row[name] for row in part] for name in part[0]}
        columns |= {field: [field.get_default()] * len(part) for field in _stored_fields(meta) if field not in columns}
        statements.append(_insert(meta, columns, ending))
    return statements


@dataclass(frozen=True)
class _Given:
    """Rows as the table `given` of a statement: each field's column, where the table comes from, what is passed."""

    columns: dict[str, str]
    source: str
    values: list[Any]


def _inserts(rows: Sequence[Row], ending: str) -> list[Statement]:
    if not rows:
        return []
    meta: Any = rows[0]._meta
    fields = _stored_fields(meta)
    for row in rows:
        row._state.adding, row._state.db = False, connection.alias
    return [_insert(meta, _columns(part, fields), ending) for part in _parts(rows)]


def _insert(meta: Any, columns: _Columns, ending: str) -> Statement:
    quote = connection.ops.quote_name
    given = _give(columns)
    names = ", ".join(quote(field.column) for field in columns)
    values = ", ".join(given.columns[field.name] for field in columns)
    # without WHERE, SQLite would take ON CONFLICT for a part of a join
    select = f"SELECT {values} FROM {given.source} WHERE true"  # noqa: S608
    sql = f"INSERT INTO {quote(meta.db_table)} ({names}) {select}{ending}"
    return Statement(sql, given.values, returns="RETURNING" in ending)


def _stored_fields(meta: Any) -> list[Any]:
    return [field for field in meta.local_concrete_fields if not isinstance(field, models.AutoField)]


def _columns(rows: Sequence[models.Model], fields: Sequence[Any]) -> _Columns:
    return {field: [getattr(row, field.attname) for row in rows] for field in fields}


def _give(columns: _Columns) -> _Given:
    """What differs between the rows makes the table, and all of a single row; the rest are values beside it."""
    vendor = connection.vendor
    cells = {field: _cells(values, field, vendor) for field, values in columns.items()}
    varied = [field for field, given in cells.items() if given.count(given[0]) < len(given)] or [next(iter(columns))]
    if len(cells[varied[0]]) == 1:
        varied = list(columns)
    source, values = table_of(varied, list(zip(*(cells[field] for field in varied), strict=True)))
    names = {field.name: f"given.column{position}" for position, field in enumerate(varied, 1)}
    constants = []
    for field in columns:
        if field.name not in names:
            names[field.name] = _place(field)
            constants.append(_prepared(field, columns[field][0]))
    return _Given(names, source, [*constants, *values])


def table_of(fields: Sequence[Any], rows: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
    """A table `given` with columns column1, column2 … of the types of these fields, and what is passed for it."""
    return _as_values(fields, rows) if connection.vendor == "sqlite" else _as_json(fields, rows)


def _as_values(fields: Sequence[Any], rows: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
    """SQLite calls the columns of VALUES column1, column2 …"""
    places = ", ".join([f"({', '.join(['%s'] * len(fields))})"] * len(rows))
    return f"(VALUES {places}) AS given", [value for row in rows for value in row]


def _as_json(fields: Sequence[Any], rows: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
    names = [f"column{position}" for position in range(1, len(fields) + 1)]
    types = ", ".join(f"{name} {_type(field)}" for name, field in zip(names, fields, strict=True))
    text = msgspec.json.encode([dict(zip(names, row, strict=True)) for row in rows]).decode()
    return f"json_to_recordset(%s) AS given({types})", [text]


def _cells(values: Sequence[Any], field: Any, vendor: str) -> list[Any]:
    """A field's value in each row, as it travels."""
    if vendor == "sqlite":
        return [_prepared(field, value) for value in values]
    if isinstance(field, models.JSONField):
        return [None if value is None else msgspec.Raw(_json(value, field.encoder)) for value in values]
    if isinstance(field, models.BinaryField):
        return [None if value is None else f"\\x{bytes(value).hex()}" for value in values]
    return list(values)


def _json(value: Any, encoder: type[json.JSONEncoder] | None) -> bytes:
    return msgspec.json.encode(value) if encoder is None else json.dumps(value, cls=encoder).encode()


def _prepared(field: Any, value: Any) -> Any:
    return field.get_db_prep_save(value, connection)


def _place(field: Any) -> str:
    """PostgreSQL takes a NULL for text where no type is said; SQLite would make a number of a date."""
    return "%s" if connection.vendor == "sqlite" else f"CAST(%s AS {_type(field)})"


@lru_cache(maxsize=256)
def _type(field: Any) -> str:
    """Without the length, to which a cast would cut in silence."""
    return LENGTH.sub("", field.db_type(connection))


def _parts(rows: Sequence[Item]) -> list[Sequence[Item]]:
    return [rows[start : start + ROWS_PER_STATEMENT] for start in range(0, len(rows), ROWS_PER_STATEMENT)]
