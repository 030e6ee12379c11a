"""Whom the agent trusts, and how it proves who it is: its key, control's key, and what it refuses.

Two files of the agent's folder, readable by their owner alone, hold the key and the enrolment. Invariant: the agent
takes orders only from the control that it enrolled with, or whose join token it was given; control is told what was
refused, by reason.
"""

import json
import logging
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from scheduler_project.toolkit.errors import ConfigurationError
from scheduler_project.toolkit.files import write_private
from workers.agent.config import AgentConfig
from workers.agent.journal import Journal
from workers.core.enrolment import TokenText, proof
from workers.core.envelope import (
    CONTROL,
    Misaddressed,
    Refusal,
    Route,
    Sealed,
    audience_of,
    fingerprint,
    read,
    seal,
    verify,
)
from workers.protocol import ENROL_TASK, RECEIVE_TASK, Enrol, encode

log = logging.getLogger(__name__)

KEY_FILE, ENROLMENT_FILE = "agent.key", "enrolment.json"
Kept = TypeVar("Kept")
REFUSED_KEY = "refused"
REQUEST_LIFE_S = 60.0
HOW_TO_JOIN = (
    "make a join token (`schedctl workers join-token`) and start the agent with SCHEDULER_JOIN_TOKEN set to it"
)


@dataclass(frozen=True)
class Enrolment:
    """With which control this agent enrolled, and as whom. The key is hexadecimal."""

    host: str
    worker_id: str
    control_key: str


class Trust:
    """May be used from any thread. Raises ConfigurationError when the agent cannot prove who it is."""

    def __init__(self, config: AgentConfig, worker_id: str, journal: Journal) -> None:
        self._folder = config.state_dir
        self._host = config.host
        self._worker_id = worker_id
        self._journal = journal
        self._token = _token(config.join_token)
        self._key = _load_or_make_key(self._folder / KEY_FILE)
        enrolment = _load_enrolment(self._folder / ENROLMENT_FILE)
        self.enrolled = self._is_current(enrolment)
        self._control = self._choose_control(enrolment)
        self._request = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._refused = Counter(json.loads(journal.remembered(REFUSED_KEY, "{}")))
        self._kept = self._refused.total()

    def sign(self, purpose: str, body: str, life_s: float) -> str:
        """The text to send; new at each call, so that what is sent again is no replay."""
        route = Route(self._host, CONTROL, purpose)
        return seal(body, route, self._key, time.time(), life_s, uuid.uuid4().hex)

    def open(self, text: str) -> Sealed:
        """Orders of the trusted control for this worker; their nonce is still to be spent. Raises Refusal."""
        sealed = read(text)
        route = Route(CONTROL, audience_of(self._host, self._worker_id), RECEIVE_TASK)
        verify(sealed, Ed25519PublicKey.from_public_bytes(self._control), route, time.time())
        return sealed

    def overhear(self, text: str) -> Sealed:
        """What the trusted control said, at any time, to whoever holds this host's name; not to be carried out.

        Raises Refusal.
        """
        sealed = read(text)
        audience = sealed.claims.audience
        if audience.partition("/")[0] != self._host:
            raise Misaddressed(f"it is for {audience}")
        route = Route(CONTROL, audience, RECEIVE_TASK)
        verify(sealed, Ed25519PublicKey.from_public_bytes(self._control), route, sealed.claims.issued_at)
        return sealed

    def count(self, refusal: Refusal) -> None:
        """One more message without effect."""
        with self._lock:
            self._refused[refusal.reason] += 1
        log.warning("orders.refused host=%s reason=%s %s", self._host, refusal.reason, refusal)

    def refused(self) -> dict[str, int]:
        """The counters since the journal began, which are kept from here on."""
        with self._lock:
            counted = dict(self._refused)
        if sum(counted.values()) != self._kept:
            self._kept = sum(counted.values())
            self._journal.remember(REFUSED_KEY, json.dumps(counted))
        return counted

    def request(self) -> str:
        """The text with which the agent asks control to accept its key."""
        if self._token is None:
            raise ConfigurationError(f"{self._host} has no join token; {HOW_TO_JOIN}")
        request = Enrol(
            host=self._host,
            worker_id=self._worker_id,
            public_key=self._key.public_key().public_bytes_raw(),
            token=self._token.id,
            request=self._request,
        )
        proven = msgspec.structs.replace(request, proof=proof(self._token.secret, request))
        return self.sign(ENROL_TASK, encode(proven), REQUEST_LIFE_S)

    def accept(self, request: str) -> bool:
        """Control has accepted the key. False when that was known, or answers another request."""
        if self.enrolled or request != self._request:
            return False
        enrolment = Enrolment(self._host, self._worker_id, self._control.hex())
        write_private(self._folder / ENROLMENT_FILE, json.dumps(asdict(enrolment)))
        self.enrolled = True
        log.info("agent.enrolled host=%s key=%s control=%s", self._host, self.fingerprint, fingerprint(self._control))
        return True

    def reject(self, reason: str, request: str) -> bool:
        """Control does not accept the key. True when nothing but the operator can help."""
        if not self.enrolled:
            final = request == self._request
        else:
            self.enrolled = False
            self._request = uuid.uuid4().hex
            final = self._token is None
        if final:
            log.critical("agent.not_enrolled host=%s %s; %s", self._host, reason, HOW_TO_JOIN)
        elif not request:
            log.warning("agent.enrols_anew host=%s %s", self._host, reason)
        return final

    @property
    def fingerprint(self) -> str:
        return fingerprint(self._key.public_key().public_bytes_raw())

    def _is_current(self, enrolment: Enrolment | None) -> bool:
        if enrolment is None or (enrolment.host, enrolment.worker_id) != (self._host, self._worker_id):
            return False
        return self._token is None or self._token.control_key.hex() == enrolment.control_key

    def _choose_control(self, enrolment: Enrolment | None) -> bytes:
        if self.enrolled and enrolment is not None:
            return bytes.fromhex(enrolment.control_key)
        if self._token is None:
            raise ConfigurationError(f"{self._host} has not enrolled; {HOW_TO_JOIN}")
        if enrolment is not None and enrolment.control_key != self._token.control_key.hex():
            log.warning(
                "control.key_changed host=%s from=%s to=%s: the agent enrols anew with its join token",
                self._host,
                fingerprint(bytes.fromhex(enrolment.control_key)),
                fingerprint(self._token.control_key),
            )
        return self._token.control_key


def _token(text: str) -> TokenText | None:
    try:
        return TokenText.parse(text) if text else None
    except ConfigurationError as error:
        raise ConfigurationError(f"SCHEDULER_JOIN_TOKEN: {error}") from error


def _load_or_make_key(path: Path) -> Ed25519PrivateKey:
    def load(text: str) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(text))

    known = _load(path, load)
    if known is None:
        known = Ed25519PrivateKey.generate()
        write_private(path, known.private_bytes_raw().hex())
    return known


def _load_enrolment(path: Path) -> Enrolment | None:
    return _load(path, lambda text: Enrolment(**json.loads(text)))


def _load(path: Path, parse: Callable[[str], Kept]) -> Kept | None:
    """What a file holds; None where there is none. Raises ConfigurationError for one that cannot be used."""
    try:
        return parse(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise ConfigurationError(f"{path} cannot be used ({error}); remove it and {HOW_TO_JOIN}") from error
