"""go-schedule's table: cells padded by one space, `|` between them, the last cell unpadded.

Invariant: one row is one line, whatever the cells hold; widths count characters, as the original's do. A
table of more than ROWS_AT_ONCE rows is printed in parts whose columns only grow, so that memory is bounded.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

PREVIEW_BYTES = 20
ROWS_AT_ONCE = 1000


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """The lines of a table; without rows only the header. An empty header is left out."""
    widths: list[int] = []
    left = lines_of(header, rows)
    while lines := list(itertools.islice(left, ROWS_AT_ONCE)):
        columns = zip(*(line[:-1] for line in lines), strict=True)
        widest = [max(map(len, column)) for column in columns]
        widths = [max(pair) for pair in zip(widest, widths or widest, strict=True)]
        for line in lines:
            padded = [f"{cell:<{width}} " for cell, width in zip(line[:-1], widths, strict=True)]
            yield "|".join([*padded, line[-1]])


def lines_of(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[list[str]]:
    """The cells of each line, the header's first."""
    if header:
        yield list(header)
    for row in rows:
        yield [safe_cell(cell) for cell in row]


def safe_cell(value: Any) -> str:
    """One line of printable text: line ends at the end are dropped, other control characters become spaces."""
    text = cell_text(value).rstrip("\r\n")
    return "".join(character if character.isprintable() else " " for character in text)


def cell_text(value: Any) -> str:
    """A JSON value for a person: nothing for null, `key=value` for mappings, words for lists."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ",".join(f"{key}={cell_text(one)}" for key, one in value.items())
    if isinstance(value, list):
        return " ".join(cell_text(one) for one in value)
    return str(value)


def preview(text: str, total_bytes: int) -> str:
    """The server's first bytes of a stream without the character that the cut has split."""
    return text.rstrip("\N{REPLACEMENT CHARACTER}") if total_bytes > PREVIEW_BYTES else text
