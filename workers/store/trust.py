"""Whose messages count: opens what agents sent, enrols their keys, revokes them, and counts what was refused.

Invariant: a message's nonce is spent in the transaction that applies the message, so it is applied once or not at all;
a refused message changes nothing but its counter.
"""

import logging
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.db import IntegrityError, transaction
from django.db.models import F

from scheduler_project.toolkit import events
from scheduler_project.toolkit.bulk import insert_missing_rows, insert_rows
from scheduler_project.toolkit.errors import Conflict, NotFound
from workers import dispatch, keys
from workers.core.enrolment import HOST_PREFIX, Known, Offer, TokenText, check_proof, spends_token
from workers.core.envelope import (
    CONTROL,
    Forged,
    NotEnrolled,
    Refusal,
    Replayed,
    Revoked,
    Route,
    Sealed,
    Unreadable,
    audience_of,
    fingerprint,
    read,
    verify,
)
from workers.models import Enrolment, JoinToken, RefusedMessages, SpentNonce
from workers.protocol import (
    ENROL_TASK,
    HEARTBEAT_TASK,
    REPORTS_TASK,
    Enrol,
    Enrolled,
    Heartbeat,
    Order,
    Rejected,
    UnreadableEnvelope,
    decode_enrol,
    decode_heartbeat,
    decode_reports,
)
from workers.store.registry import apply_heartbeats, expel
from workers.store.reports import apply_reports

logger = logging.getLogger(__name__)
Message = TypeVar("Message")
KEPT_LONGER = timedelta(minutes=10)
TOKEN_USES_MAX = 1_000_000


def receive_reports(text: str, now: datetime) -> None:
    """Applies an agent's reports if they are its own and come for the first time."""
    try:
        with transaction.atomic():
            sealed = _admit(text, REPORTS_TASK, now)
            reports = _decoded(decode_reports, sealed)
            _check_speaker(sealed, reports.host)
            apply_reports(reports, now)
    except Refusal as refusal:
        count_refused([refusal], REPORTS_TASK)


def receive_heartbeats(texts: Sequence[str], now: datetime) -> None:
    """Notes that agents live if they say so themselves; tells those whose keys do not count."""
    refusals: list[Refusal] = []
    with transaction.atomic():
        opened = _opened_heartbeats(texts, refusals, now)
        apply_heartbeats([heartbeat for _, heartbeat in _first_ones(opened, refusals)], now)
    count_refused(refusals, HEARTBEAT_TASK)


def enrol(text: str, now: datetime) -> None:
    """Accepts an agent's key where its join token allows it, and answers."""
    try:
        request = _opened_request(text, now)
    except Refusal as refusal:
        count_refused([refusal], ENROL_TASK)
        return
    answer: Order = Enrolled(request=request.request)
    try:
        with transaction.atomic():
            _enrol(request, now)
    except (NotEnrolled, Revoked) as refusal:
        count_refused([refusal], ENROL_TASK)
        answer = Rejected(reason=str(refusal), request=request.request)
    dispatch.tell_after_commit(audience_of(request.host, request.worker_id), answer)


def make_token(host: str, ttl: timedelta, uses: int, now: datetime, made_by: str) -> tuple[JoinToken, TokenText]:
    """A new join token and its text, which is shown once. Raises Conflict for what makes no sense."""
    if host and not host.startswith(HOST_PREFIX):
        raise Conflict(f"{host!r} is no host's name; it begins with {HOST_PREFIX}")
    if not 1 <= uses <= TOKEN_USES_MAX or ttl <= timedelta(0):
        raise Conflict(f"a join token is for 1 to {TOKEN_USES_MAX} agents and for a time above 0")
    with transaction.atomic():
        row = JoinToken.objects.create(
            id=secrets.token_hex(8), host=host, uses_left=uses, created_at=now, expires_at=now + ttl, made_by=made_by
        )
        data = {"token": row.id, "host": host, "uses": uses}
        events.record([events.NewEvent("join_token.made", f"join_token:{row.id}", data=data, actor=made_by)], now)
    return row, keys.join_token(row.id)


def withdraw_token(token_id: str, now: datetime, actor: str) -> None:
    """Makes a join token useless; agents that enrolled with it stay. Raises NotFound."""
    with transaction.atomic():
        if not JoinToken.objects.filter(id=token_id).delete()[0]:
            raise NotFound(f"there is no join token {token_id}")
        events.record([events.NewEvent("join_token.withdrawn", f"join_token:{token_id}", actor=actor)], now)


def revoke(host: str, now: datetime, actor: str) -> None:
    """Takes nothing from a host's key and sends nothing to it from now on. Raises NotFound."""
    with transaction.atomic():
        if not Enrolment.objects.filter(host=host).exists():
            raise NotFound(f"{host} has not enrolled; there is no key to revoke")
        if not Enrolment.objects.filter(host=host, revoked_at=None).update(revoked_at=now):
            return
        expel(host, f"its key was revoked by {actor or 'an admin'}", now)
        events.record([events.NewEvent("worker.revoked", f"worker:{host}", level="warning", actor=actor)], now)


def prune(now: datetime) -> None:
    """Forgets what can have no effect any more."""
    past = now - KEPT_LONGER
    for rows in (SpentNonce.objects.filter(expires_at__lte=past), JoinToken.objects.filter(expires_at__lte=past)):
        if rows.exists():
            rows.delete()


def count_refused(refusals: Sequence[Refusal], purpose: str) -> None:
    """So many more messages without effect."""
    for refusal in refusals:
        logger.warning("message.refused purpose=%s reason=%s %s", purpose, refusal.reason, refusal)
    _count(Counter(refusal.reason for refusal in refusals))


def count_unreadable(count: int) -> None:
    """So many more messages that Celery refused before anything of them was read, and has told of."""
    _count({Unreadable.reason: count})


def _count(by_reason: Mapping[str, int]) -> None:
    for reason, count in by_reason.items():
        more = {"count": F("count") + count}
        if not RefusedMessages.objects.filter(reason=reason).update(**more):
            RefusedMessages.objects.get_or_create(reason=reason)
            RefusedMessages.objects.filter(reason=reason).update(**more)


def _admit(text: str, purpose: str, now: datetime) -> Sealed:
    """Verifies an agent's message and spends its nonce. Raises Refusal, which must undo the transaction."""
    sealed = read(text)
    issuer = sealed.claims.issuer
    _verify(sealed, _known([issuer]).get(issuer), purpose, now)
    _spend(sealed)
    return sealed


def _known(issuers: Iterable[str]) -> dict[str, Enrolment]:
    """The keys of those that have one."""
    return Enrolment.objects.in_bulk(set(issuers))


def _verify(sealed: Sealed, known: Enrolment | None, purpose: str, now: datetime) -> None:
    if known is None:
        raise NotEnrolled(f"{sealed.claims.issuer[:100]!r} has no key here")
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(known.public_key))
    verify(sealed, key, Route(known.host, CONTROL, purpose), now.timestamp())
    if known.revoked_at is not None:
        raise Revoked(f"the key of {known.host} was revoked")


def _nonce(sealed: Sealed) -> SpentNonce:
    claims = sealed.claims
    expires_at = datetime.fromtimestamp(claims.expires_at, UTC)
    return SpentNonce(id=f"{claims.issuer}/{claims.nonce}", expires_at=expires_at)


def _spend(sealed: Sealed) -> None:
    if not insert_missing_rows([_nonce(sealed)]):
        raise Replayed(f"{sealed.claims.nonce} of {sealed.claims.issuer} was taken before")


def _first_ones(opened: list[tuple[Sealed, Heartbeat]], refusals: list[Refusal]) -> list[tuple[Sealed, Heartbeat]]:
    """Those that come for the first time; one statement where all do."""
    try:
        with transaction.atomic():
            insert_rows([_nonce(sealed) for sealed, _ in opened])
    except IntegrityError:
        return [one for one in opened if _spends(one[0], refusals)]
    return opened


def _spends(sealed: Sealed, refusals: list[Refusal]) -> bool:
    try:
        _spend(sealed)
    except Replayed as refusal:
        refusals.append(refusal)
        return False
    return True


def _decoded(decode: Callable[[str], Message], sealed: Sealed) -> Message:
    try:
        return decode(sealed.body)
    except UnreadableEnvelope as error:
        raise Unreadable(str(error)) from error


def _opened_heartbeats(texts: Sequence[str], refusals: list[Refusal], now: datetime) -> list[tuple[Sealed, Heartbeat]]:
    """The heartbeats that are their senders' own; the others' refusals are added."""
    read_ones: list[tuple[Sealed, Heartbeat]] = []
    for text in texts:
        try:
            sealed = read(text)
            read_ones.append((sealed, _decoded(decode_heartbeat, sealed)))
        except Unreadable as refusal:
            refusals.append(refusal)
    known = _known(sealed.claims.issuer for sealed, _ in read_ones)
    return [one for one in read_ones if _is_own(*one, known.get(one[0].claims.issuer), refusals, now)]


def _is_own(
    sealed: Sealed, heartbeat: Heartbeat, known: Enrolment | None, refusals: list[Refusal], now: datetime
) -> bool:
    try:
        _verify(sealed, known, HEARTBEAT_TASK, now)
        _check_speaker(sealed, heartbeat.host)
        if known is not None and heartbeat.worker_id != known.worker_id:
            raise Forged(f"{known.host} did not enrol as {heartbeat.worker_id}")
    except Refusal as refusal:
        refusals.append(refusal)
        if isinstance(refusal, NotEnrolled | Revoked):
            _tell_rejected(heartbeat, refusal)
        return False
    return True


def _tell_rejected(heartbeat: Heartbeat, refusal: Refusal) -> None:
    """What such a message says is not believed; only an agent of exactly that name and id will hear the answer."""
    if heartbeat.host.startswith(HOST_PREFIX):
        dispatch.tell_after_commit(audience_of(heartbeat.host, heartbeat.worker_id), Rejected(reason=str(refusal)))


def _check_speaker(sealed: Sealed, host: str) -> None:
    """A worker reports on itself alone."""
    if host != sealed.claims.issuer:
        raise Forged(f"{sealed.claims.issuer} speaks for {host}")


def _opened_request(text: str, now: datetime) -> Enrol:
    """An enrolment is signed with the key that it asks for, and proves that its sender has the token."""
    sealed = read(text)
    request = _decoded(decode_enrol, sealed)
    try:
        key = Ed25519PublicKey.from_public_bytes(request.public_key)
    except ValueError as error:
        raise Unreadable("it holds no Ed25519 key") from error
    verify(sealed, key, Route(request.host, CONTROL, ENROL_TASK), now.timestamp())
    check_proof(request, keys.join_token(request.token).secret)
    return request


def _enrol(request: Enrol, now: datetime) -> None:
    found = Enrolment.objects.filter(host=request.host).first()
    known = Known(bytes.fromhex(found.public_key), found.revoked_at is not None) if found else None
    token = JoinToken.objects.filter(id=request.token).first()
    offer = Offer(token.host, token.uses_left, token.expires_at) if token else None
    if not spends_token(request, offer, known, now):
        Enrolment.objects.filter(host=request.host).update(worker_id=request.worker_id)
        return
    if not JoinToken.objects.filter(id=request.token, uses_left__gt=0).update(uses_left=F("uses_left") - 1):
        raise NotEnrolled("the join token was used by another agent; make another")
    fields: dict[str, Any] = {
        "worker_id": request.worker_id,
        "public_key": request.public_key.hex(),
        "enrolled_at": now,
        "revoked_at": None,
    }
    Enrolment.objects.update_or_create(host=request.host, defaults=fields)
    data = {"fingerprint": fingerprint(request.public_key), "token": request.token, "replaced": found is not None}
    events.record([events.NewEvent("worker.enrolled", f"worker:{request.host}", data=data)], now)
