"""Signed envelopes: what is accepted, and every reason to refuse one."""

import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from workers.core.envelope import (
    CLOCK_SKEW_S,
    CONTROL,
    LIFE_MAX_S,
    REASONS,
    Expired,
    Forged,
    Misaddressed,
    Refusal,
    Replayed,
    Route,
    Unreadable,
    audience_of,
    fingerprint,
    read,
    seal,
    verify,
)

NOW = 1_000_000.0
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
ROUTE = Route(CONTROL, audience_of("host-a", "w1"), "receive")
BODY = '{"text":"grüße\\n"}\nsecond line'


def sealed(route: Route = ROUTE, key: Ed25519PrivateKey = KEY, life_s: float = 10, body: str = BODY) -> str:
    return seal(body, route, key, NOW, life_s, "n1")


def opened(text: str, now: float = NOW, used: frozenset[str] = frozenset()) -> str:
    envelope = read(text)
    verify(envelope, KEY.public_key(), ROUTE, now, used)
    return envelope.body


def test_what_was_sealed_for_me_opens_unchanged() -> None:
    assert opened(sealed()) == BODY


def test_every_reason_has_a_name_of_its_own() -> None:
    assert len(set(REASONS)) == len(REASONS) == len(Refusal.__subclasses__())


def test_another_key_is_forged() -> None:
    with pytest.raises(Forged):
        opened(sealed(key=OTHER))


def test_a_changed_body_is_forged() -> None:
    with pytest.raises(Forged):
        opened(sealed().replace("second", "zecond"))


@pytest.mark.parametrize("field", ["issuer", "audience", "purpose", "nonce"])
def test_a_changed_claim_is_forged(field: str) -> None:
    signature, claims, body = sealed().split("\n", 2)
    changed = json.dumps({**json.loads(claims), field: "another"})
    with pytest.raises(Forged):
        opened(f"{signature}\n{changed}\n{body}")


def test_one_who_speaks_for_another_is_forged() -> None:
    with pytest.raises(Forged, match="speaks for host-b"):
        opened(sealed(replace(ROUTE, issuer="host-b")))


@pytest.mark.parametrize("change", [{"audience": "host-b/w1"}, {"audience": "host-a/w2"}, {"purpose": "heartbeat"}])
def test_what_is_for_another_or_for_something_else_is_misaddressed(change: dict[str, str]) -> None:
    with pytest.raises(Misaddressed):
        opened(sealed(replace(ROUTE, **change)))


def test_it_expires() -> None:
    assert opened(sealed(), NOW + 9.9) == BODY
    with pytest.raises(Expired):
        opened(sealed(), NOW + 10)


def test_it_is_not_valid_long_before_it_was_issued() -> None:
    assert opened(sealed(), NOW - CLOCK_SKEW_S) == BODY
    with pytest.raises(Expired):
        opened(sealed(), NOW - CLOCK_SKEW_S - 1)


def test_no_envelope_lives_longer_than_the_limit() -> None:
    assert read(sealed(life_s=1e9)).claims.expires_at == NOW + LIFE_MAX_S


def test_a_spent_nonce_is_a_replay() -> None:
    with pytest.raises(Replayed):
        opened(sealed(), used=frozenset({"n1"}))


def test_a_part_of_an_envelope_is_unreadable_wherever_it_is_cut() -> None:
    text = sealed()
    for length in range(len(text)):
        with pytest.raises(Unreadable):
            read(text[:length])


@pytest.mark.parametrize("text", ["", "{}", "a\nb\nc", "\n\n", "é\n{}\n", "\ud800\n\n", "a\n[1]\n", "===\n" * 3])
def test_what_is_no_envelope_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable):
        read(text)


@pytest.mark.parametrize("value", [None, 7, ["a"], {"a": 1}])
def test_what_is_no_text_is_unreadable(value: object) -> None:
    with pytest.raises(Unreadable):
        read(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("body", ["\0", "a\\\0", "\\\\\0"])
def test_a_text_with_a_nul_is_unreadable(body: str) -> None:
    with pytest.raises(Unreadable):
        read(sealed(body=json.dumps([body])))


@pytest.mark.parametrize("body", ["\\u0000", "\\\\u0000", "\\0", "u0000"])
def test_a_text_that_only_spells_a_nul_is_read(body: str) -> None:
    assert json.loads(opened(sealed(body=json.dumps([body])))) == [body]


def test_a_nul_in_the_nonce_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        read(seal(BODY, ROUTE, KEY, NOW, 60, "n\0"))


def test_fingerprints_tell_keys_apart() -> None:
    names = {fingerprint(key.public_key().public_bytes_raw()) for key in (KEY, OTHER)}
    assert len(names) == 2
