"""What the bridge says on NATS: components, answers to start messages, ends of graphs."""

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from graphs.core import words
from graphs.core.values import shown
from graphs.models import Component
from graphs.providers.base import Send
from scheduler_project.toolkit.errors import InvalidDocument, SchedulerError
from workers.links.backlog import Message

ATTEMPT_HEADER = "Scheduler-Attempt"
MESSAGE_ID_HEADER = "Nats-Msg-Id"
SHORTEST = ("id", "name", "user_id", "username", "action", words.ERROR_KEY)
FAULTS_MAX = 100
IDS = uuid.UUID("0f5b9c4e-3a0d-5a57-8d0e-0b6f5a1e7c42")


def body(value: Mapping[str, Any]) -> bytes:
    """JSON in UTF-8, without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def component_message(send: Send) -> Message:
    """`<_component>.<_action>.<_provider>`; a connector that sends the header back has its attempt checked."""
    headers = {ATTEMPT_HEADER: str(send.attempt)}
    return Message(f"{send.type}.{send.verb}.{send.provider}", body(send.document), headers=headers)


def cancel_message(row: Component, attempt: int) -> Message:
    """`<_component>.<_action>.<_provider>.cancel`: whose attempt, in the header, is not wanted any more; no secrets."""
    told = {
        words.TYPE_KEY: row.type,
        words.ID_KEY: row.component_id,
        words.VERB_KEY: row.verb,
        words.PROVIDER_KEY: row.provider,
        words.GRAPH_KEY: row.graph_id,
    }
    subject = f"{row.type}.{row.verb}.{row.provider}{words.CANCEL_ENDING}"
    return Message(subject, body(told), headers={ATTEMPT_HEADER: str(attempt)})


def attempt_of(message: Message) -> int | None:
    """The attempt that a reply speaks of; None where the connector does not say."""
    text = message.headers.get(ATTEMPT_HEADER, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def start_document(start: Message, document: Any) -> Any:
    """A start message's mapping: the subject is its action. One without an id gets the same one at each delivery."""
    if not isinstance(document, dict):
        return document
    named = {"id": str(uuid.uuid5(IDS, start.identity))} if start.identity and not document.get("id") else {}
    return {**document, "action": start.subject} | named


def end_message(mapping: Mapping[str, Any], state: str, max_payload: int) -> Message:
    """`build.<verb>.done` or `.error` with the whole mapping; with less of it where the server would not take that."""
    message = _end(mapping, state)
    return message if len(message.data) <= max_payload else short_end_message(mapping, state, max_payload)


def short_end_message(mapping: Mapping[str, Any], state: str, max_payload: int) -> Message:
    """The same without lists; without all that is not ours where even that is too large."""
    kept = {key: value for key, value in mapping.items() if key not in ("components", "changes", "edges")}
    omitted = "components, changes and edges: they are more bytes than the server takes"
    message = _end({**kept, "components": [], "omitted": omitted}, state)
    if len(message.data) <= max_payload:
        return message
    told = {key: mapping[key] for key in SHORTEST if key in mapping}
    return _end({**told, "components": [], "omitted": "all but these: it is more bytes than the server takes"}, state)


def _end(mapping: Mapping[str, Any], state: str) -> Message:
    subject = f"{mapping['action']}.{'done' if state == 'completed' else 'error'}"
    if state == "cancelled":
        mapping = {**mapping, words.ERROR_KEY: "the graph was cancelled"}
    return Message(subject, body(mapping))


def refusals(start: Message, document: Any, error: SchedulerError) -> list[Message]:
    """What tells that a start message is refused: on `<subject>.error`, and to the sender where it awaits an answer."""
    faults = error.faults if isinstance(error, InvalidDocument) else ()
    answer: dict[str, Any] = {
        "action": start.subject,
        "error": str(error)[:2000],
        "errors": [{"path": fault.path, "message": fault.message} for fault in faults[:FAULTS_MAX]],
    }
    if isinstance(document, dict) and isinstance(document.get("id"), str):
        answer["id"] = shown(document["id"])
    return [Message(subject, body(answer)) for subject in (f"{start.subject}.error", start.reply) if subject]


def acceptance(start: Message, graph_id: str | None, state: str) -> Sequence[Message]:
    """The answer to a start message whose sender awaits one."""
    return [Message(start.reply, body({"id": graph_id, "state": state}))] if start.reply else []
