"""Documents are shown without their secrets."""

import pytest

from scheduler_project.toolkit.masking import MASK, masked


@pytest.mark.parametrize(
    "key", ["password", "DB_PASSWORD", "aws_secret_access_key", "token", "apiKey", "private-key", "Authorization"]
)
def test_a_value_under_a_secrets_name_is_hidden(key: str) -> None:
    assert masked({key: "s3cret", "region": "eu"}) == {key: MASK, "region": "eu"}


def test_secrets_are_hidden_however_deep_they_stand() -> None:
    assert masked({"a": [{"token": {"value": "s3cret"}}]}) == {"a": [{"token": MASK}]}


def test_an_empty_secret_is_shown_as_empty() -> None:
    assert masked({"token": "", "secret": None}) == {"token": "", "secret": None}
