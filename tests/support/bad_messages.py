"""Messages that must have no effect, and the reason for which each is refused."""

from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import strategies as st

from workers.core.envelope import (
    Expired,
    Forged,
    Misaddressed,
    Refusal,
    Replayed,
    Route,
    Unreadable,
    seal,
)

STRANGER = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
SPENT = "spent"
REFUSED_AS: dict[str, type[Refusal]] = {
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
NAMED = ("misaddressed", "repurposed", "impostor")


@dataclass(frozen=True)
class Badness:
    """What is wrong with a message. `at` is between 0 and 1 and chooses where or how much; `name` is any text."""

    kind: str
    name: str
    at: float

    @property
    def reason(self) -> type[Refusal]:
        """What it is refused as. A name with a NUL is found out before who speaks and to whom is looked at."""
        return Unreadable if self.kind in NAMED and "\0" in self.name else REFUSED_AS[self.kind]

    def of(self, body: str, route: Route, key: Ed25519PrivateKey, now: float) -> str:
        """The text of such a message; the nonce `SPENT` must have been taken before."""
        if self.kind == "noise":
            return self.name
        issued_at = now - 60 - self.at * 1e6 if self.kind == "expired" else now - self.at
        nonce = SPENT if self.kind == "replayed" else f"fresh {self.at}"
        text = seal(body, self._route(route), STRANGER if self.kind == "forged" else key, issued_at, 30, nonce)
        if self.kind == "truncated":
            return text[: int(self.at * len(text) * 0.999)]
        if self.kind == "changed":
            return text.replace('"purpose"', '"purpose" ', 1)
        return text

    def _route(self, route: Route) -> Route:
        if self.kind == "misaddressed":
            return replace(route, audience=f"{route.audience}{self.name}")
        if self.kind == "repurposed":
            return replace(route, purpose=f"{route.purpose}{self.name}")
        return replace(route, issuer=f"{route.issuer}{self.name}") if self.kind == "impostor" else route


badnesses = st.builds(
    Badness,
    kind=st.sampled_from(sorted(REFUSED_AS)),
    name=st.text(min_size=1, max_size=12),
    at=st.floats(0, 1, exclude_max=True),
)
