"""A component that cannot start says why, and never what a template brought into it."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from graphs.core.starting import CannotStart, prepared
from scheduler_project.toolkit.errors import Fault

CHANGE = {"_component": "vpc", "_component_id": "vpc::a", "_action": "create", "_provider": "aws"}
MAPPING = {"options": {"secret": "s3cret value", "name": "web"}}


def picky(provider: str, document: Mapping[str, Any], path: str) -> Sequence[Fault]:
    """Accepts nothing, and repeats what it was given."""
    return [Fault(f"{path}.{key}", f"{value!r} is bad") for key, value in document.items() if not key.startswith("_")]


def test_what_goes_out_is_filled_in_and_says_whose_it_is() -> None:
    found = prepared(CHANGE | {"name": "$(options.name)"}, "b1", MAPPING, lambda *_: ())
    assert found == CHANGE | {"name": "web", "_state": "running", "service": "b1"}


def test_a_fault_of_the_provider_is_told() -> None:
    with pytest.raises(CannotStart, match="name: 'web' is bad"):
        prepared(CHANGE | {"name": "web"}, "b1", MAPPING, picky)


@pytest.mark.parametrize("fields", [{"on": "$(options.secret)"}, {"env": {"A": ["$(options.secret)"]}}])
def test_what_a_template_brought_is_not_told(fields: dict[str, Any]) -> None:
    with pytest.raises(CannotStart) as caught:
        prepared(CHANGE | fields, "b1", MAPPING, picky)
    assert str(caught.value) == f"{next(iter(fields))}: its provider does not accept what its template gave"


def test_a_word_of_the_subject_that_a_template_broke_is_not_told() -> None:
    with pytest.raises(CannotStart) as caught:
        prepared(CHANGE | {"_provider": "$(options.secret)"}, "b1", MAPPING, picky)
    assert "s3cret" not in str(caught.value)
