"""Makes a component ready to go out: templates filled in, its subject checked, `service` and `_state` set."""

import json
import re
from collections.abc import Mapping
from typing import Any

from graphs.core import words
from graphs.core.document import ProviderFaults, token_problem
from graphs.core.nesting import own_part
from graphs.core.templating import Unresolved, may_hold_template, templating_of
from scheduler_project.toolkit.errors import Fault, SchedulerError


class CannotStart(SchedulerError):
    """The component cannot be sent as it stands."""


def prepared(
    document: Mapping[str, Any], graph_id: str, mapping: Mapping[str, Any], provider_faults: ProviderFaults
) -> dict[str, Any]:
    """The document as its provider gets it. Raises CannotStart with the reason."""
    try:
        result: dict[str, Any] = templating_of(mapping.get("options")).resolve(own_part(document), mapping)
    except Unresolved as error:
        raise CannotStart(str(error)) from error
    result = {**document, **result}
    for key in (words.TYPE_KEY, words.VERB_KEY, words.PROVIDER_KEY):
        problem = token_problem(result.get(key))
        if problem:
            raise CannotStart(f"{key}, its template filled in, cannot be a part of a subject")
    faults = provider_faults(result[words.PROVIDER_KEY], result, "")
    if faults:
        raise CannotStart("; ".join(_told(fault, document) for fault in faults))
    return result | {words.STATE_KEY: "running", words.GRAPH_KEY: graph_id}


def _told(fault: Fault, document: Mapping[str, Any]) -> str:
    """A provider's fault, without its words where a template may have brought a secret into them."""
    key = re.split(r"[.\[]", fault.path.lstrip("."))[0]
    if may_hold_template(json.dumps(document.get(key))):
        return f"{key}: its provider does not accept what its template gave"
    return str(fault)
