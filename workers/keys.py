"""Control's own key, and who its messages are for.

Invariant: the key follows from SECRET_KEY alone, so all processes of the control side sign alike; a host without a key
that counts has no address.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.db.models import OuterRef, Subquery

from workers.core.enrolment import TokenText, control_key, token_text
from workers.core.envelope import audience_of
from workers.models import Enrolment, Worker


def own_key() -> Ed25519PrivateKey:
    """What control signs with."""
    return _key_of(settings.SECRET_KEY)


def join_token(token_id: str) -> TokenText:
    """The whole of a join token."""
    return token_text(settings.SECRET_KEY, token_id)


@dataclass(frozen=True)
class Address:
    """To whom a host's messages are addressed, and the fencing token of the session that holds its name."""

    audience: str
    fence: int


def addresses(hosts: Iterable[str]) -> dict[str, Address]:
    """Those of each enrolled host whose key is not revoked."""
    fence = Worker.objects.filter(name=OuterRef("host")).values("fence")
    rows = Enrolment.objects.filter(host__in=list(hosts), revoked_at=None).order_by()
    told = rows.values_list("host", "worker_id", Subquery(fence))
    return {host: Address(audience_of(host, worker_id), fence or 0) for host, worker_id, fence in told}


@lru_cache(maxsize=4)
def _key_of(secret: str) -> Ed25519PrivateKey:
    return control_key(secret)
