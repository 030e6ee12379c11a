"""Control's own key, and who its messages are for.

Invariant: the key follows from SECRET_KEY alone, so all processes of the control side sign alike; a host without a key
that counts has no address.
"""

from collections.abc import Iterable
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

from workers.core.enrolment import TokenText, control_key, token_text
from workers.core.envelope import audience_of
from workers.models import Enrolment


def own_key() -> Ed25519PrivateKey:
    """What control signs with."""
    return _key_of(settings.SECRET_KEY)


def join_token(token_id: str) -> TokenText:
    """The whole of a join token."""
    return token_text(settings.SECRET_KEY, token_id)


def audiences(hosts: Iterable[str]) -> dict[str, str]:
    """For each enrolled host whose key is not revoked, to whom messages are addressed."""
    rows = Enrolment.objects.filter(host__in=list(hosts), revoked_at=None).values_list("host", "worker_id")
    return {host: audience_of(host, worker_id) for host, worker_id in rows}


@lru_cache(maxsize=4)
def _key_of(secret: str) -> Ed25519PrivateKey:
    return control_key(secret)
