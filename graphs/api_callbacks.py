"""Where far ends answer later: the token in the address, made for one attempt, stands for a login.

Invariant: a token settles its attempt once; nothing else can be done with it.
"""

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema

from graphs.core.calls import callback_outcome
from graphs.core.values import parse_json
from graphs.store.calling import settle_callback
from scheduler_project.toolkit.errors import Fault, InvalidDocument

router = Router(tags=["graphs"], auth=None)
BODY_MAX_BYTES = 1024 * 1024


class CallbackOut(Schema):
    """What was settled."""

    graph: str
    component: str
    state: str


@router.post("/graphs/callbacks/{token}", response=CallbackOut, summary="Settle a component")
def call_back(request: HttpRequest, token: str) -> dict[str, str]:
    """The body is merged into the component: `_state` completed, also where it is missing, or errored, with `error`."""
    body = request.read(BODY_MAX_BYTES + 1)
    if len(body) > BODY_MAX_BYTES:
        raise InvalidDocument([Fault("", f"larger than {BODY_MAX_BYTES} bytes")])
    outcome = callback_outcome(parse_json(body) if body else {})
    return dict(settle_callback(token, outcome, timezone.now()))
