"""Reads connectors' replies: which component of which graph, how it went, and why.

The payload's `_state` decides, but a subject that contradicts it makes the reply an error: nothing goes on as completed
on the word of a connector that says two things.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from graphs.core import words
from graphs.core.advance import PROGRESS, Report
from graphs.core.merge import reply_problem
from graphs.core.values import parse_json
from scheduler_project.toolkit.errors import InvalidDocument

REASON_LENGTH_MAX = 2000


class Reply(Struct, frozen=True):
    """A report with the document that came with it."""

    graph_id: str
    report: Report
    document: Mapping[str, Any]


class UnreadableReply(ValueError):
    """A message that tells of no component of any graph."""


def read_reply(subject: str, data: bytes, attempt: int | None = None) -> Reply:
    """The reply in a message on `….done` or `….error`. Raises UnreadableReply."""
    try:
        body = parse_json(data)
    except InvalidDocument as error:
        raise UnreadableReply(str(error)) from error
    if not isinstance(body, dict):
        raise UnreadableReply("the body is no JSON object")
    component_id, graph_id = body.get(words.ID_KEY), body.get(words.GRAPH_KEY)
    for key, value in ((words.ID_KEY, component_id), (words.GRAPH_KEY, graph_id)):
        if not isinstance(value, str) or not 0 < len(value) <= words.ID_LENGTH_MAX or not value.isprintable():
            raise UnreadableReply(f"{key} is not a usable text")
    outcome, reason = _outcome(subject, body)
    problem = reply_problem(body)
    if problem:
        outcome, reason, body = "errored", f"the reply cannot be kept: {problem}", {}
    report = Report(str(component_id), outcome, reason[:REASON_LENGTH_MAX], attempt)
    return Reply(str(graph_id), report, body)


def _outcome(subject: str, body: Mapping[str, Any]) -> tuple[str, str]:
    """How it went and, where it failed, why."""
    if subject.endswith(words.PROGRESS_ENDING):
        return PROGRESS, ""
    state = body.get(words.STATE_KEY)
    succeeded = subject.endswith(".done")
    if succeeded and state in ("completed", None, ""):
        return "completed", ""
    told = body.get(words.ERROR_KEY)
    text = told if isinstance(told, str) and told else ""
    if state in ("errored", None, "") and not succeeded:
        return "errored", text or f"the provider answered on {subject} without saying why"
    if state == "errored":
        return "errored", text or f"the provider answered _state errored on {subject} without saying why"
    contradiction = f"the provider answered on {subject} with _state {state!r}, which contradict each other"
    return "errored", f"{contradiction}: {text}" if text else contradiction
