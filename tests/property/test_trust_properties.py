"""Ten thousand messages that should not count, in both directions: none does, and each has the reason that it must."""

from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workers.core.envelope import (
    CONTROL,
    Expired,
    Forged,
    Misaddressed,
    Refusal,
    Replayed,
    Route,
    Unreadable,
    audience_of,
    read,
    seal,
    verify,
)

NOW = 1_800_000_000.0
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
STRANGER = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
TO_AGENT = Route(CONTROL, audience_of("host-a", "w1"), "workers.agent.receive")
TO_CONTROL = Route("host-a", CONTROL, "workers.apply_reports")
SPENT = "spent"
EXPECTED = {
    "forged": Forged,
    "changed": Forged,
    "impostor": Forged,
    "misaddressed": Misaddressed,
    "repurposed": Misaddressed,
    "expired": Expired,
    "replayed": Replayed,
    "truncated": Unreadable,
    "noise": Unreadable,
}
names = st.text(min_size=1, max_size=12)
bodies = st.text(max_size=200)


def bad_message(kind: str, route: Route, body: str, name: str, at: float) -> str:
    """A message of one kind of badness. `at` is between 0 and 1 and chooses where or how much."""
    if kind == "noise":
        return name
    key = STRANGER if kind == "forged" else KEY
    if kind == "misaddressed":
        route = replace(route, audience=f"{route.audience}{name}")
    if kind == "repurposed":
        route = replace(route, purpose=f"{route.purpose}{name}")
    if kind == "impostor":
        route = replace(route, issuer=f"{route.issuer}{name}")
    issued_at = NOW - 60 - at * 1e6 if kind == "expired" else NOW - at
    text = seal(body, route, key, issued_at, 30, SPENT if kind == "replayed" else f"fresh {at}")
    if kind == "truncated":
        return text[: int(at * len(text) * 0.999)]
    if kind == "changed":
        return text.replace('"purpose"', '"purpose" ', 1)
    return text


def refusal_of(text: str, route: Route) -> type[Refusal] | None:
    try:
        verify(read(text), KEY.public_key(), route, NOW, {SPENT})
    except Refusal as refusal:
        return type(refusal)
    return None


@settings(max_examples=10_000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(
    kind=st.sampled_from(sorted(EXPECTED)),
    route=st.sampled_from([TO_AGENT, TO_CONTROL]),
    body=bodies,
    name=names,
    at=st.floats(0, 1, exclude_max=True),
)
def test_no_bad_message_counts_and_each_is_refused_for_its_reason(
    kind: str, route: Route, body: str, name: str, at: float
) -> None:
    assert refusal_of(bad_message(kind, route, body, name, at), route) is EXPECTED[kind]


@settings(max_examples=500, deadline=None, database=None)
@given(route=st.sampled_from([TO_AGENT, TO_CONTROL]), body=bodies)
def test_a_good_message_opens_unchanged(route: Route, body: str) -> None:
    envelope = read(seal(body, route, KEY, NOW, 30, "fresh"))
    verify(envelope, KEY.public_key(), route, NOW, {SPENT})
    assert envelope.body == body
