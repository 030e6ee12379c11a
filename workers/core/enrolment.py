"""How an agent gets its key accepted: join tokens, the proof of having one, and who may enrol.

A token's secret is derived from the control side's own secret and the token's id, so nothing that is stored can be used
to enrol. Invariant: a key that was revoked never comes back, and a name in use passes to another key only by a token
that was made for that name.
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from scheduler_project.toolkit.errors import ConfigurationError
from workers.core.envelope import Forged, NotEnrolled, Revoked
from workers.protocol import Enrol

PREFIX = "sjt1"
HOST_PREFIX = "host-"
HOST_LENGTH_MAX = 100
KEY_BYTES = 32


def control_key(secret_key: str) -> Ed25519PrivateKey:
    """Control's signing key: the same in every process that has the secret, and another for another secret."""
    return Ed25519PrivateKey.from_private_bytes(_derived(secret_key, "scheduler control key 1"))


def token_secret(secret_key: str, token_id: str) -> bytes:
    """The secret part of a join token."""
    return _derived(secret_key, f"scheduler join token 1 {token_id}")


@dataclass(frozen=True)
class TokenText:
    """A join token as it is handed to an agent: it also tells which control to trust."""

    id: str
    secret: bytes
    control_key: bytes

    def __str__(self) -> str:
        return ".".join((PREFIX, self.id, _encoded(self.secret), _encoded(self.control_key)))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ConfigurationError."""
        try:
            prefix, token_id, secret, key = text.strip().split(".")
            token = cls(token_id, _decoded(secret), _decoded(key))
        except (ValueError, binascii.Error) as error:
            raise ConfigurationError("it is no join token; `schedctl workers join-token` makes one") from error
        if prefix != PREFIX or not token_id or {len(token.secret), len(token.control_key)} != {KEY_BYTES}:
            raise ConfigurationError("it is no whole join token; was it cut when it was copied?")
        return token


def token_text(secret_key: str, token_id: str) -> TokenText:
    """The token of this id that control accepts."""
    key = control_key(secret_key).public_key().public_bytes_raw()
    return TokenText(token_id, token_secret(secret_key, token_id), key)


def proof(secret: bytes, request: Enrol) -> str:
    """Shows that who asks has the token's secret, for this host, worker and key alone."""
    parts = (request.host, request.worker_id, request.public_key.hex(), request.token, request.request)
    message = b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)
    return hmac.new(secret, message, hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Offer:
    """A join token as it is known to control. `host` is empty for any."""

    host: str
    uses_left: int
    expires_at: datetime


@dataclass(frozen=True)
class Known:
    """The key that a host's name has now."""

    public_key: bytes
    revoked: bool


def check_proof(request: Enrol, secret: bytes) -> None:
    """Raises Forged for who has no such token."""
    if not hmac.compare_digest(request.proof, proof(secret, request)):
        raise Forged("the proof is not of that join token")


def spends_token(request: Enrol, offer: Offer | None, known: Known | None, now: datetime) -> bool:
    """Whether the request enrols a key (True) or repeats what was granted (False).

    Raises NotEnrolled or Revoked, with what to do.
    """
    if not request.host.startswith(HOST_PREFIX) or len(request.host) > HOST_LENGTH_MAX:
        raise NotEnrolled(f"{request.host[:HOST_LENGTH_MAX]!r} is no name of a host; queues of hosts begin with host-")
    if known is not None and known.public_key == request.public_key:
        if known.revoked:
            raise Revoked("this key was revoked; remove agent.key and join with a token made for this host")
        return False
    if offer is None or offer.uses_left == 0 or offer.expires_at <= now:
        raise NotEnrolled("the join token was used, has expired or was withdrawn; make another")
    if offer.host not in ("", request.host):
        raise NotEnrolled(f"the join token is for {offer.host}; make one for {request.host}")
    if known is not None and offer.host != request.host:
        raise NotEnrolled(f"{request.host} has another key; a token made for {request.host} replaces it")
    return True


def _derived(secret_key: str, info: str) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=info.encode()).derive(secret_key.encode())


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
