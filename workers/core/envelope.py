"""Signed envelopes: how control and an agent know whose word a message is, and why one is refused.

An envelope's text has three lines: the signature, the claims as JSON, the body. The Ed25519 signature covers claims and
body as they were sent. Invariant: nothing of a message counts before `verify` has returned, and what a refused message
claims is never taken for true.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Container
from dataclasses import dataclass
from typing import Annotated, ClassVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

CONTROL = "control"
DOMAIN = b"scheduler envelope 1\n"
LIFE_MAX_S = 3600.0
CLOCK_SKEW_S = 60.0
NONCE_LENGTH_MAX = 64
NUL = rb"\u0000"
ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class Refusal(Exception):
    """A message that has no effect. `reason` is what it is counted under."""

    reason: ClassVar[str] = ""


class Unreadable(Refusal):
    """It is no envelope, or a part of one."""

    reason = "unreadable"


class NotEnrolled(Refusal):
    """Its issuer has no key here."""

    reason = "not_enrolled"


class Revoked(Refusal):
    """Its issuer's key was revoked."""

    reason = "revoked"


class Forged(Refusal):
    """Its signature is not its issuer's, or it speaks for another."""

    reason = "forged"


class Misaddressed(Refusal):
    """It was meant for another, or for something else."""

    reason = "misaddressed"


class Expired(Refusal):
    """Its time is over, or has not come."""

    reason = "expired"


class Replayed(Refusal):
    """It was taken before."""

    reason = "replayed"


REASONS = tuple(kind.reason for kind in (Unreadable, NotEnrolled, Revoked, Forged, Misaddressed, Expired, Replayed))


class Claims(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What the signature vouches for besides the body. Times are Unix seconds, `size` is the body's in bytes.

    `purpose` is the Celery task that takes the body, so that no body can be passed off as one of another kind.
    """

    issuer: str
    audience: str
    purpose: str
    issued_at: float
    expires_at: float
    nonce: Annotated[str, msgspec.Meta(min_length=1, max_length=NONCE_LENGTH_MAX)]
    size: int


@dataclass(frozen=True)
class Sealed:
    """An envelope that could be read; nothing is verified yet."""

    claims: Claims
    body: str
    signature: bytes
    signed: bytes


@dataclass(frozen=True)
class Route:
    """Who speaks to whom for what. A worker's audience is `audience_of`; control's is `CONTROL`."""

    issuer: str
    audience: str
    purpose: str


def audience_of(host: str, worker_id: str) -> str:
    """One worker: a host's name, and the id of the worker that holds it."""
    return f"{host}/{worker_id}"


def seal(body: str, route: Route, key: Ed25519PrivateKey, now: float, life_s: float, nonce: str) -> str:
    """The text of a signed envelope that is valid for `life_s`, but never longer than `LIFE_MAX_S`."""
    payload = body.encode()
    claims = Claims(
        issuer=route.issuer,
        audience=route.audience,
        purpose=route.purpose,
        issued_at=now,
        expires_at=now + min(life_s, LIFE_MAX_S),
        nonce=nonce,
        size=len(payload),
    )
    signed = msgspec.json.encode(claims) + b"\n" + payload
    signature = base64.urlsafe_b64encode(key.sign(DOMAIN + signed))
    return (signature + b"\n" + signed).decode()


def read(text: str) -> Sealed:
    """Takes an envelope apart. Raises Unreadable, also for one of which the end is missing.

    A text with a NUL is none of this protocol: PostgreSQL keeps no such text, so it could not be applied.
    """
    try:
        signature, claims_line, payload = text.encode().split(b"\n", 2)
        claims = msgspec.json.decode(claims_line, type=Claims)
        decoded = base64.b64decode(signature, altchars=b"-_", validate=True)
    except (ValueError, binascii.Error, msgspec.DecodeError, AttributeError) as error:
        raise Unreadable(f"it is no envelope: {error}") from error
    if len(payload) != claims.size:
        raise Unreadable(f"{len(payload)} of {claims.size} bytes have arrived")
    signed = claims_line + b"\n" + payload
    if NUL in signed and ESCAPED_NUL.search(signed):
        raise Unreadable("there is a NUL in one of its texts")
    return Sealed(claims, payload.decode(), decoded, signed)


def verify(sealed: Sealed, key: Ed25519PublicKey, route: Route, now: float, used: Container[str] = frozenset()) -> None:
    """Raises the Refusal that applies. `used` holds the nonces that this issuer has spent."""
    claims = sealed.claims
    try:
        key.verify(sealed.signature, DOMAIN + sealed.signed)
    except InvalidSignature as error:
        raise Forged(f"the signature is not {route.issuer}'s") from error
    if claims.issuer != route.issuer:
        raise Forged(f"{route.issuer} speaks for {claims.issuer}")
    if (claims.audience, claims.purpose) != (route.audience, route.purpose):
        raise Misaddressed(f"it is {claims.purpose} for {claims.audience}")
    if claims.expires_at <= now:
        raise Expired(f"it ended {now - claims.expires_at:.1f} s ago")
    if claims.issued_at > now + CLOCK_SKEW_S or claims.expires_at - claims.issued_at > LIFE_MAX_S:
        raise Expired("its times are not believable; do the clocks of both machines agree?")
    if claims.nonce in used:
        raise Replayed(f"{claims.nonce} was taken before")


def fingerprint(public_key: bytes) -> str:
    """A short name of a key, for people to compare."""
    return hashlib.sha256(public_key).hexdigest()[:32]
