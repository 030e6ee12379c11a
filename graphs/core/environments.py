"""Environments of builds: at most one build changes one at a time, and some wait for a person.

Invariant: an environment that is busy admits no build but the one that its state waits for.
"""

from collections.abc import Mapping

FREE = frozenset({"initializing", "done", "errored"})
ADMISSION: Mapping[str, tuple[frozenset[str], str]] = {
    "apply": (FREE, "in_progress"),
    "destroy": (FREE, "in_progress"),
    "import": (FREE, "in_progress"),
    "sync": (FREE, "syncing"),
    "submission": (FREE, "awaiting_approval"),
    "submission-accepted": (frozenset({"awaiting_approval"}), "in_progress"),
    "submission-rejected": (frozenset({"awaiting_approval"}), "done"),
    "sync-rejected": (frozenset({"awaiting_resolution"}), "in_progress"),
    "sync-accepted": (frozenset({"awaiting_resolution"}), "done"),
    "sync-ignored": (frozenset({"awaiting_resolution"}), "done"),
}
STATES = ("initializing", "in_progress", "syncing", "awaiting_approval", "awaiting_resolution", "done", "errored")
REFUSALS: Mapping[str, str] = {
    "in_progress": "build in progress",
    "syncing": "environment is syncing",
    "awaiting_approval": "a build is waiting for approval",
    "awaiting_resolution": "a sync needs to be resolved",
}
PREFIX = "could not create environment build: "


class Refused(ValueError):
    """A build that its environment does not admit now; the text is the one that clients know."""


def admitted(state: str, build_type: str) -> str:
    """The environment's state once a build of this type is admitted. Raises Refused."""
    rule = ADMISSION.get(build_type)
    if rule is None:
        raise Refused(f"{PREFIX}unknown type {build_type!r}; it is one of {', '.join(ADMISSION)}")
    allowed, following = rule
    if state not in allowed:
        raise Refused(PREFIX + REFUSALS.get(state, f"nothing waits for {build_type}"))
    return following


def state_after(subject: str) -> str:
    """The state of a build and its environment after its announced end."""
    return "done" if subject.endswith(".done") else "errored"
