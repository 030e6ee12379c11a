"""Ten thousand messages that should not count, in both directions: none does, and each has the reason that it must."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.bad_messages import SPENT, Badness, badnesses
from workers.core.envelope import CONTROL, Refusal, Route, audience_of, read, seal, verify

NOW = 1_800_000_000.0
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
TO_AGENT = Route(CONTROL, audience_of("host-a", "w1"), "workers.agent.receive")
TO_CONTROL = Route("host-a", CONTROL, "workers.apply_reports")
routes = st.sampled_from([TO_AGENT, TO_CONTROL])
bodies = st.text(max_size=200)


def refusal_of(text: str, route: Route) -> type[Refusal] | None:
    try:
        verify(read(text), KEY.public_key(), route, NOW, {SPENT})
    except Refusal as refusal:
        return type(refusal)
    return None


@settings(max_examples=10_000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(badness=badnesses, route=routes, body=bodies)
def test_no_bad_message_counts_and_each_is_refused_for_its_reason(badness: Badness, route: Route, body: str) -> None:
    assert refusal_of(badness.of(body, route, KEY, NOW), route) is badness.reason


@settings(max_examples=500, deadline=None, database=None)
@given(route=routes, body=bodies)
def test_a_good_message_opens_unchanged(route: Route, body: str) -> None:
    envelope = read(seal(body, route, KEY, NOW, 30, "fresh"))
    verify(envelope, KEY.public_key(), route, NOW, {SPENT})
    assert envelope.body == body
