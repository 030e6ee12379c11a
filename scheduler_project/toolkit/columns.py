"""Models' columns as statements of our own need them: names, places and types in SQL, and values as they travel.

To SQLite each value travels by itself, to PostgreSQL many rows travel as one JSON text. All this is worked out once for
each model and database.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import msgspec
from django.db import connection, models

from scheduler_project.toolkit.statements import on_sqlite

LENGTH = re.compile(r"\(\d+\)")
Model = type[models.Model]


@dataclass(frozen=True, eq=False)
class Column:
    """One column of a model's table. `type` is without the length, to which a cast would cut in silence."""

    field: Any
    quoted: str
    type: str
    sqlite: bool

    @property
    def place(self) -> str:
        """PostgreSQL takes a NULL for text where no type is said; SQLite would make a number of a date."""
        return "%s" if self.sqlite else f"CAST(%s AS {self.type})"

    @property
    def same_as(self) -> str:
        """The comparison that holds for NULLs too, and for which no index on the column is used."""
        return "IS" if self.sqlite else "IS NOT DISTINCT FROM"

    def told(self, value: Any) -> Any:
        """A value that stands in a place of its own."""
        if self.sqlite:
            return self.field.get_db_prep_save(value, connection)
        if value is not None and isinstance(self.field, models.JSONField):
            return _json(value, self.field.encoder).decode()
        return value

    def cells(self, values: Sequence[Any]) -> Sequence[Any]:
        """The column's values in a table of rows."""
        if self.sqlite:
            return [self.told(value) for value in values]
        if isinstance(self.field, models.JSONField):
            return [None if value is None else msgspec.Raw(_json(value, self.field.encoder)) for value in values]
        if isinstance(self.field, models.BinaryField):
            return [None if value is None else f"\\x{bytes(value).hex()}" for value in values]
        return values


@dataclass(frozen=True, eq=False)
class Table:
    """A model's table: its columns by the names of fields and by those of the attributes that hold their values."""

    quoted: str
    key: Column
    columns: dict[str, Column]
    stored: tuple[str, ...]
    """The names of all fields whose values are given when a row is new."""

    def attributes(self, names: Iterable[str]) -> dict[str, str]:
        """For each name of a field the attribute of an instance that holds what is stored."""
        return {name: self.columns[name].field.attname for name in names}


def rows_told(rows: Iterable[Sequence[Any]], columns: Sequence[Column]) -> tuple[str, list[Any]]:
    """Rows of cells as a table `given` with columns column1, column2 …, and what is passed for it."""
    if columns[0].sqlite:
        values = list(rows)
        return _values_text(len(columns), len(values)), [cell for row in values for cell in row]
    text, row_of = _recordset(tuple(columns))
    return text, [msgspec.json.encode([row_of(*row) for row in rows]).decode()]


@cache
def table_of(model: Model) -> Table:
    """The table of a model on the database in use."""
    quote = connection.ops.quote_name
    columns: dict[str, Column] = {}
    meta: Any = model._meta
    for field in meta.concrete_fields:
        kind = LENGTH.sub("", field.db_type(connection) or "")
        columns[field.name] = columns[field.attname] = Column(field, quote(field.column), kind, on_sqlite())
    columns["pk"] = columns[meta.pk.name]
    stored = tuple(field.name for field in meta.local_concrete_fields if not isinstance(field, models.AutoField))
    return Table(quote(meta.db_table), columns["pk"], columns, stored)


def _values_text(width: int, height: int) -> str:
    """SQLite calls the columns of VALUES column1, column2 …"""
    row = f"({', '.join(['%s'] * width)})"
    return f"(VALUES {', '.join([row] * height)}) AS given"


@lru_cache(maxsize=512)
def _recordset(columns: tuple[Column, ...]) -> tuple[str, type[msgspec.Struct]]:
    """The table's text, and what makes an object of a row's cells."""
    names = [f"column{position}" for position in range(1, len(columns) + 1)]
    types = ", ".join(f"{name} {column.type}" for name, column in zip(names, columns, strict=True))
    return f"json_to_recordset(%s) AS given({types})", msgspec.defstruct("Row", names)


def _json(value: Any, encoder: type[json.JSONEncoder] | None) -> bytes:
    return msgspec.json.encode(value) if encoder is None else json.dumps(value, cls=encoder).encode()
