"""The tables that operators and their scripts read."""

import pytest

from schedctl.tables import preview, safe_cell, table


def test_a_table_has_go_schedules_layout() -> None:
    rows = [
        ["84ed11d2-ca2d-44e7-b933-56d037505fd3", "scheduled", "27ce7536", "", ""],
        ["bd197896-8266-4327-8ff3-257dde7efd74", "done", "27ce7536", "hello world this is ", ""],
    ]
    assert "\n".join(table(["id", "state", "worker", "stdout", "stderr"], rows)) == (
        "id                                   |state     |worker   |stdout               |stderr\n"
        "84ed11d2-ca2d-44e7-b933-56d037505fd3 |scheduled |27ce7536 |                     |\n"
        "bd197896-8266-4327-8ff3-257dde7efd74 |done      |27ce7536 |hello world this is  |"
    )


def test_without_rows_only_the_header_is_printed() -> None:
    assert list(table(["id", "address", "state"], [])) == ["id |address |state"]


def test_a_long_table_is_printed_in_parts_whose_columns_only_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schedctl.tables.ROWS_AT_ONCE", 2)
    rows = iter([["1", "a"], ["long", "b"], ["2", "c"], ["3", "d"]])
    assert list(table(["n", "x"], rows)) == ["n |x", "1 |a", "long |b", "2    |c", "3    |d"]


def test_the_last_cell_is_not_padded() -> None:
    assert list(table(["a", "state"], [["1", "up"], ["2", "disconnected"]])) == ["a |state", "1 |up", "2 |disconnected"]


def test_widths_count_characters_and_not_bytes() -> None:
    assert list(table(["a", "b"], [["äöü", "x"]])) == ["a   |b", "äöü |x"]


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("hi\n", "hi"),
        ("a\tb\nc\r\n", "a b c"),
        ("\x1b[31mred", " [31mred"),
        (None, ""),
        (True, "yes"),
        ({"zone": "a", "gpu": False}, "zone=a,gpu=no"),
        (["sh", "-c", "echo\nhi"], "sh -c echo hi"),
        (0, "0"),
    ],
)
def test_a_cell_is_one_line_whatever_it_holds(value: object, cell: str) -> None:
    assert safe_cell(value) == cell


def test_a_preview_does_not_end_in_half_a_character() -> None:
    cut = "€€€€€€€".encode()[:20].decode(errors="replace")
    assert preview(cut, total_bytes=21) == "€€€€€€"


def test_a_preview_keeps_what_the_command_itself_wrote() -> None:
    assert preview("odd \N{REPLACEMENT CHARACTER}", total_bytes=5) == "odd \N{REPLACEMENT CHARACTER}"
