"""What is kept of an attempt."""

import pytest

from graphs.core.attempts import SENT_BYTES_MAX, is_kept, sent_document
from scheduler_project.toolkit.masking import MASK


@pytest.mark.parametrize(
    ("number", "state", "kept"),
    [(1, "completed", False), (2, "completed", True), (1, "errored", True), (1, "waiting", True), (1, "skipped", True)],
)
def test_only_a_first_attempt_that_went_well_is_told_by_its_component(number: int, state: str, kept: bool) -> None:
    assert is_kept(number, state) is kept


def test_what_was_sent_is_shown_as_the_provider_got_it_without_secrets() -> None:
    document = {"text": "$$(as it is)", "deep": {"password": "x"}}
    extended = {"_templating": "extended"}
    assert sent_document(document, extended) == {"text": "$(as it is)", "deep": {"password": MASK}}
    assert sent_document(document, None)["text"] == "$$(as it is)"


def test_what_is_too_long_is_told_by_its_size() -> None:
    [(key, why)] = sent_document({"text": "ä" * SENT_BYTES_MAX}, None).items()
    assert (key, str(2 * SENT_BYTES_MAX)[:3] in why) == ("omitted", True)
