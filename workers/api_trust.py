"""The HTTP API of trust: join tokens and the revocation of keys. Admins only.

Invariant: a token's text is in the answer that made it, and nowhere else.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema, Status
from pydantic import Field

from scheduler_project.toolkit.access import Role, require
from workers import store
from workers.models import JoinToken

router = Router()


class JoinTokenIn(Schema):
    """What a join token is to be good for."""

    host: str = Field(
        "", description="the one host that may use it; empty for any that has no key", examples=["host-a"]
    )
    ttl_s: float = Field(3600, gt=0, le=3650 * 86400, description="how long it may be used")
    uses: int = Field(1, ge=1, description="how many agents may use it")


class JoinTokenOut(Schema):
    """A join token without its secret."""

    id: str
    host: str
    uses_left: int
    expires_at: datetime
    created_at: datetime
    made_by: str


class NewJoinTokenOut(JoinTokenOut):
    """A join token, with the text that an agent needs; it is not shown again."""

    token: str


class JoinTokenList(Schema):
    """All join tokens that have not expired."""

    items: list[JoinTokenOut]


@router.post("/join-tokens", response={201: NewJoinTokenOut}, tags=["hosts"])
def make_join_token(request: HttpRequest, wanted: JoinTokenIn) -> Status:
    """A token with which an agent enrols."""
    require(request, Role.ADMIN)
    ttl = timedelta(seconds=wanted.ttl_s)
    row, text = store.make_token(wanted.host, ttl, wanted.uses, timezone.now(), request.user.get_username())
    return Status(201, NewJoinTokenOut(**JoinTokenOut.from_orm(row).dict(), token=str(text)))


@router.get("/join-tokens", response=JoinTokenList, tags=["hosts"])
def list_join_tokens(request: HttpRequest) -> dict[str, Sequence[JoinToken]]:
    """The tokens that may still be used."""
    require(request, Role.ADMIN)
    return {"items": list(JoinToken.objects.filter(expires_at__gt=timezone.now(), uses_left__gt=0))}


@router.delete("/join-tokens/{token_id}", response={204: None}, tags=["hosts"])
def withdraw_join_token(request: HttpRequest, token_id: str) -> Status:
    """Makes a token useless; hosts that joined with it stay."""
    require(request, Role.ADMIN)
    store.withdraw_token(token_id, timezone.now(), request.user.get_username())
    return Status(204, None)


@router.post("/hosts/{name}/revoke", response={204: None}, tags=["hosts"])
def revoke_host(request: HttpRequest, name: str) -> Status:
    """Takes nothing from the host's key and sends nothing to it from now on."""
    require(request, Role.ADMIN)
    store.revoke(name, timezone.now(), request.user.get_username())
    return Status(204, None)
