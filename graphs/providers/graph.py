"""Components that are graphs themselves: a mapping inside the mapping, run as a graph of its own, linked to its parent.

Invariant: one attempt has at most one child graph, whose id follows from the parent, the component and the attempt.
A parent's transaction may lock its children, never the other way round, so the two cannot wait for each other.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from graphs.core.advance import Report
from graphs.core.cancelling import Told
from graphs.core.document import parse
from graphs.core.nesting import INPUTS_KEY, MAPPING_KEY
from graphs.core.replies import Reply
from graphs.core.templating import OPENING
from graphs.models import Component
from graphs.providers import component_faults
from graphs.providers.base import InFlight, Provider, Send
from graphs.store import family
from graphs.store.submitting import Inside, submit
from scheduler_project.toolkit.errors import Fault, InvalidDocument

NAMESPACE = uuid.UUID("3c0f2c3e-3f4e-5a0e-9b55-6c1f4b1d7a22")
DEPTH_MAX = 8
SOURCE = "graph"


class GraphProvider(Provider):
    """`mapping` (a graph's, without an id) and `inputs`, an object that its templates read as `$(inputs.…)`.

    Completed, errored and cancelled as that graph is; what it made exist comes back as `components`.
    """

    supports_transaction = True
    supports_cancel = True
    takes_up_again = True

    def faults(self, document: Mapping[str, Any], path: str) -> Sequence[Fault]:
        inputs, mapping = document.get(INPUTS_KEY, {}), document.get(MAPPING_KEY)
        faults = [] if isinstance(inputs, Mapping) else [Fault(f"{path}.{INPUTS_KEY}", "must be an object")]
        if not isinstance(mapping, Mapping):
            return [*faults, Fault(f"{path}.{MAPPING_KEY}", "must be the mapping of a graph")]
        if path.count(f".{MAPPING_KEY}") >= DEPTH_MAX:
            return [*faults, Fault(f"{path}.{MAPPING_KEY}", f"more than {DEPTH_MAX} graphs inside each other")]

        def nested(provider_token: str, inner: Mapping[str, Any], where: str) -> Sequence[Fault]:
            return component_faults(provider_token, inner, f"{path}.{MAPPING_KEY}.{where}")

        try:
            parse({**mapping, INPUTS_KEY: _as_if_filled_in(inputs)}, "new", nested)
        except InvalidDocument as error:
            faults += [_below(f"{path}.{MAPPING_KEY}", fault) for fault in error.faults]
        return faults

    def start(self, sends: Sequence[Send], now: datetime) -> Mapping[int, str]:
        depths = dict(Component.objects.filter(pk__in=[send.pk for send in sends]).values_list("pk", "graph__depth"))
        return {send.pk: self._start(send, depths[send.pk] + 1, now) for send in sends}

    def _start(self, send: Send, depth: int, now: datetime) -> str:
        if send.previous_handle and family.take_up_again(send.previous_handle, now):
            return send.previous_handle
        child = child_id(send)
        document = {**send.document[MAPPING_KEY], "id": child, INPUTS_KEY: send.document.get(INPUTS_KEY) or {}}
        try:
            submit(document, now, source=SOURCE, inside=Inside(send.pk, depth))
        except InvalidDocument as error:
            report = Report(send.component_id, "errored", f"its graph was refused: {error}", send.attempt, final=True)
            transaction.on_commit(lambda: family.settle_child([Reply(send.graph_id, report, {})], now), robust=True)
        return child

    def cancel(self, unwanted: Sequence[InFlight], now: datetime, actor: str, told: Told) -> None:
        children = [one.handle for one in unwanted]
        transaction.on_commit(lambda: family.cancel_children(children, now, actor, told), robust=True)

    def look_after(self, now: datetime) -> None:
        family.look_after_children(self.alias, now)


def child_id(send: Send) -> str:
    """The id of the graph that carries out an attempt."""
    return str(uuid.uuid5(NAMESPACE, json.dumps([send.graph_id, send.component_id, send.attempt])))


def _as_if_filled_in(value: Any) -> Any:
    """Inputs with some text in the place of templates, which the outer graph fills in before the inner one starts."""
    if isinstance(value, Mapping):
        return {key: _as_if_filled_in(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_as_if_filled_in(inner) for inner in value]
    return "filled in later" if isinstance(value, str) and OPENING in value else value


def _below(path: str, fault: Fault) -> Fault:
    if fault.path.startswith(path):
        return fault
    return Fault(f"{path}.{fault.path}" if fault.path else path, fault.message)
