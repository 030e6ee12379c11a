"""HTTP calls of components: where they may go, and what an answer means."""

from typing import Any

import pytest

from graphs.core.calls import Answer, Call, Outcome, call_faults, call_of, callback_outcome, outcome_of, with_secrets
from scheduler_project.toolkit.errors import InvalidDocument

HOSTS = ["api.example.com", "*.example.org", "example.net:8443"]
URL = "https://api.example.com/x"


def faults(**document: Any) -> list[str]:
    return [str(fault) for fault in call_faults({"url": URL} | document, "c", HOSTS)]


@pytest.mark.parametrize(
    "url",
    ["https://api.example.com", "http://API.example.com/a?b=c", "https://a.example.org/", "https://example.net:8443/"],
)
def test_hosts_of_the_list_may_be_called(url: str) -> None:
    assert faults(url=url) == []


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example.com/",
        "https://example.org/",
        "https://api.example.com:8443/",
        "https://example.net/",
        "http://127.0.0.1/",
        "http://[::1]/",
        "https://api.example.com.evil.net/",
    ],
)
def test_no_other_host_is_called(url: str) -> None:
    [fault] = faults(url=url)
    assert "is not in SCHEDULER_HTTP_HOSTS" in fault


def test_without_a_list_nothing_is_called() -> None:
    [fault] = call_faults({"url": URL}, "c", [])
    assert fault.path == "c.url"


@pytest.mark.parametrize(
    ("field", "fault"),
    [
        ({"url": ""}, "c.url: is missing"),
        ({"url": "ftp://api.example.com"}, "c.url: must begin with http"),
        ({"url": "https://"}, "c.url: must begin with http"),
        ({"url": "https://api.example.com:x"}, "c.url: must begin with http"),
        ({"url": "https://me:secret@api.example.com/"}, "c.url: may not hold a login"),
        ({"url": "https://api.example.com/a\r\nX: y"}, "c.url: holds characters"),
        ({"url": 1}, "c.url: must be a string"),
        ({"method": "TRACE"}, "c.method: 'TRACE' is none of"),
        ({"timeout_s": 0}, "c.timeout_s: must be a number"),
        ({"timeout_s": 3600}, "c.timeout_s: must be a number"),
        ({"headers": []}, "c.headers: must be an object"),
        ({"headers": {"a b": "x"}}, "c.headers.a b: cannot be set"),
        ({"headers": {"Host": "x"}}, "c.headers.Host: cannot be set"),
        ({"headers": {"A": "x\r\nB: y"}}, "c.headers.A: must be a string of printable"),
        ({"expect": [99]}, "c.expect[0]: must be an HTTP status"),
        ({"verify": "no"}, "c.verify: must be true or false"),
        ({"callback": 1}, "c.callback: must be true or false"),
    ],
)
def test_every_fault_has_its_path(field: dict[str, Any], fault: str) -> None:
    [found] = faults(**field)
    assert found.startswith(fault)


def test_a_url_that_is_filled_in_later_is_judged_then() -> None:
    assert faults(url="$(options.url)") == []


def test_a_call_without_words_is_a_post_with_thirty_seconds() -> None:
    assert call_of({"url": URL}) == Call("POST", URL, timeout_s=30)


CALL = Call("POST", URL)
BAD = {"http_status": 500}


@pytest.mark.parametrize(
    ("call", "answer", "outcome"),
    [
        (CALL, Answer(200, b'{"a": 1}'), Outcome("completed", "", {"a": 1, "http_status": 200})),
        (CALL, Answer(204, b""), Outcome("completed", "", {"http_status": 204})),
        (CALL, Answer(200, b"[1]"), Outcome("completed", "", {"response": [1], "http_status": 200})),
        (CALL, Answer(200, b"plain"), Outcome("completed", "", {"response": "plain", "http_status": 200})),
        (CALL, Answer(503, b"not\nnow"), Outcome("errored", "HTTP 503: not now", {"http_status": 503})),
        (CALL, Answer(302, b""), Outcome("errored", "HTTP 302", {"http_status": 302})),
        (
            CALL,
            Answer(200, b"xy", True),
            Outcome("errored", "HTTP 200 with a body of more than 2 bytes", {"http_status": 200}),
        ),
        (Call("GET", URL, expect=(404,)), Answer(404, b""), Outcome("completed", "", {"http_status": 404})),
        (Call("GET", URL, expect=(404,)), Answer(200, b""), Outcome("errored", "HTTP 200", {"http_status": 200})),
        (Call("POST", URL, callback=True), Answer(202, b""), Outcome("awaiting")),
        (Call("POST", URL, callback=True), Answer(200, b""), Outcome("completed", "", {"http_status": 200})),
    ],
)
def test_what_an_answer_means(call: Call, answer: Answer, outcome: Outcome) -> None:
    assert outcome_of(call, answer) == outcome


def test_an_answer_that_cannot_be_kept_fails_its_component() -> None:
    assert "NUL" in outcome_of(CALL, Answer(200, b'{"a": "\\u0000"}')).reason


def test_what_a_callback_means() -> None:
    assert callback_outcome({"a": 1}) == Outcome("completed", "", {"a": 1})
    assert callback_outcome({"_state": "errored", "error": "no room"}).reason == "no room"
    wrongs: list[Any] = [[], {"_state": "running"}, {"a": "\x00"}]
    for wrong in wrongs:
        with pytest.raises(InvalidDocument):
            callback_outcome(wrong)


def test_secrets_are_named_and_filled_in_at_the_last_moment() -> None:
    assert with_secrets({"Authorization": "Bearer $secret(KEY)"}, {"KEY": "s3"}) == {"Authorization": "Bearer s3"}
    with pytest.raises(KeyError, match="OTHER"):
        with_secrets({"A": "$secret(OTHER)"}, {})
