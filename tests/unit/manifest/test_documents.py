"""Reading YAML and JSON: what is refused, and where the fault is."""

import pytest

from scheduler_project.toolkit import documents
from scheduler_project.toolkit.errors import InvalidDocument


def fault_of(text: bytes) -> str:
    with pytest.raises(InvalidDocument) as raised:
        documents.parse(text)
    return str(raised.value)


@pytest.mark.parametrize(
    "text", [b"a: [1, x]", b'{"a": [1, "x"]}', b'\xef\xbb\xbf{"a": [1, "x"]}', b"{a: [1, x]}", b"---\na:\n- 1\n- x\n"]
)
def test_yaml_and_json_are_both_read(text: bytes) -> None:
    assert documents.parse(text) == {"a": [1, "x"]}


def test_an_empty_file_is_nothing() -> None:
    assert documents.parse(b"# only a comment\n") is None


def test_json_may_be_indented_by_tabs() -> None:
    assert documents.parse(b'{\n\t"a": 1\n}') == {"a": 1}


def test_a_syntax_fault_is_told_with_line_and_column() -> None:
    assert fault_of(b"a: 1\nb: [1, 2\nc: 3\n").startswith("line 3 column 2: is not valid YAML:")


def test_a_duplicate_key_is_told_with_both_places() -> None:
    assert fault_of(b"a: 1\nb: 2\na: 3\n") == "line 3 column 1: the key 'a' is already given on line 1; keep one"
    assert fault_of(b'{"a": 1, "a": 2}') == "the key 'a' appears twice in one object; keep one"


def test_two_documents_in_one_file_are_refused() -> None:
    assert "expected a single document" in fault_of(b"a: 1\n---\nb: 2\n")


def test_a_tag_that_would_run_code_is_refused() -> None:
    assert "could not determine a constructor" in fault_of(b"a: !!python/object/apply:os.system ['true']\n")


def test_anchors_are_understood() -> None:
    assert documents.parse(b"a: &x {b: 1}\nc: {<<: *x, d: 2}\n") == {"a": {"b": 1}, "c": {"b": 1, "d": 2}}


def test_anchors_that_unfold_into_millions_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]

    assert "once its anchors are unfolded" in fault_of("\n".join(lines).encode())


def test_an_anchor_inside_itself_is_refused() -> None:
    assert "nested" in fault_of(b"a: &x [*x]\n")


@pytest.mark.parametrize("text", [b"[" * 5000 + b"]" * 5000, b"a: " + b"[" * 400 + b"]" * 400])
def test_deep_nesting_is_refused(text: bytes) -> None:
    assert "nested" in fault_of(text) or "depth" in fault_of(text)


def test_what_is_no_text_is_refused() -> None:
    assert fault_of(b"a: \xff\xfe") == "is not UTF-8 text (byte 3)"
    assert "is not valid YAML" in fault_of(b"a: \x00")


def test_a_file_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "SIZE_MAX_BYTES", 1024 * 1024)

    assert fault_of(b"x" * (1024 * 1024 + 1)) == "is larger than 1 MiB; split it"


@pytest.mark.parametrize("text", ["a: {}", '{{"a": {}}}'], ids=["yaml", "json"])
def test_a_number_too_long_to_be_one_is_a_fault(text: str) -> None:
    assert "is not what it looks like" in fault_of(text.format("1" * 5000).encode())
