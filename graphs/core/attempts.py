"""What is kept of an attempt that its component's own row does not tell."""

import json
from collections.abc import Mapping
from typing import Any

from graphs.core.templating import templating_of
from scheduler_project.toolkit.masking import masked

SENT_BYTES_MAX = 16 * 1024


def is_kept(number: int, state: str) -> bool:
    """Whether an attempt that has led to this state is kept: all but the first that came to a good end at once."""
    return number > 1 or state != "completed"


def sent_document(document: Mapping[str, Any], options: Any) -> dict[str, Any]:
    """What a provider was given, for people: templates filled in, secrets masked; only its size where it is long."""
    told: dict[str, Any] = masked(templating_of(options).outgoing(document))
    size_bytes = len(json.dumps(told, ensure_ascii=False).encode())
    if size_bytes <= SENT_BYTES_MAX:
        return told
    return {"omitted": f"{size_bytes} bytes are more than the {SENT_BYTES_MAX} that are kept of each attempt"}
