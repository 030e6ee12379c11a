"""Both ends of trust for tests: control's signature and welcome for a real agent, and join tokens that work.

Invariant: the key is that of the test run's SECRET_KEY, which control processes started by tests share.
"""

import os
import time
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from workers.agent.reporter import REPORTS_EXPIRE_S
from workers.core.enrolment import control_key, token_text
from workers.core.envelope import CONTROL, Route, audience_of, read, seal
from workers.protocol import RECEIVE_TASK, Enrolled, Order, Orders, decode_enrol, encode

TOKEN_LIFE = timedelta(hours=1)
TOKEN_USES = 1000


def secret() -> str:
    """What control's key is made of."""
    return os.environ["SECRET_KEY"]


def any_token() -> str:
    """A join token for a control side that is played by the test."""
    return str(token_text(secret(), "tests"))


def join_token(host: str = "") -> str:
    """A join token that is in the test's database, for a real control process on it."""
    from django.utils import timezone

    from workers import store

    return str(store.make_token(host, TOKEN_LIFE, TOKEN_USES, timezone.now(), "tests")[1])


def body_of(text: str) -> str:
    """What an agent sent, as a control side that trusts it reads it."""
    return read(text).body


def worker_key(host: str) -> Ed25519PrivateKey:
    """The key of an agent that the test plays."""
    return control_key(f"agent of {host}")


def enrolled(host: str, worker_id: str) -> None:
    """Puts the key of a played agent into the database."""
    from django.utils import timezone

    from workers.models import Enrolment

    key = worker_key(host).public_key().public_bytes_raw().hex()
    Enrolment.objects.create(host=host, worker_id=worker_id, public_key=key, enrolled_at=timezone.now())


def sealed(host: str, task: str, body: str, now: datetime | None = None) -> str:
    """What a played agent sends."""
    at = now.timestamp() if now else time.time()
    return seal(body, Route(host, CONTROL, task), worker_key(host), at, REPORTS_EXPIRE_S, uuid.uuid4().hex)


class Signer:
    """Control's word for one host. It learns the host's worker id from the enrolment."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.worker_id = ""

    def welcome(self, text: str) -> str:
        """The answer to an enrolment request."""
        request = decode_enrol(body_of(text))
        self.worker_id = request.worker_id
        return self.orders([Enrolled(request=request.request)])

    def orders(self, orders: Sequence[Order], fence: int = 0, host: str = "") -> str:
        """Signed orders; `host` where they name another than they are addressed to."""
        body = Orders(host=host or self.host, sent_at=time.time(), orders=list(orders), fence=fence)
        return self.sign(encode(body))

    def sign(self, body: str) -> str:
        """Any body, addressed to the host."""
        route = Route(CONTROL, audience_of(self.host, self.worker_id), RECEIVE_TASK)
        return seal(body, route, control_key(secret()), time.time(), REPORTS_EXPIRE_S, uuid.uuid4().hex)
