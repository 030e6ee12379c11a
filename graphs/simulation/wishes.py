"""What an operator may want in a simulated history. A wish at the wrong time is refused, and that is fine."""

from collections.abc import Callable, Sequence
from datetime import datetime
from random import Random

from graphs import store
from graphs.models import Component

ACTOR = "operator"
VERBS = ("skip", "complete", "fail")
Wish = Callable[[str, datetime, Random], object]


def cancel(graph_id: str, now: datetime, random: Random) -> None:
    """Give the graph up, and at a second time also what is in flight."""
    store.cancel(graph_id, now, ACTOR)


def cancel_quietly(graph_id: str, now: datetime, random: Random) -> None:
    """Give the graph up and let providers finish what they have."""
    store.cancel(graph_id, now, ACTOR, store.Told.NOBODY)


def pause(graph_id: str, now: datetime, random: Random) -> None:
    """Start nothing new for now."""
    store.pause(graph_id, now, ACTOR)


def unpause(graph_id: str, now: datetime, random: Random) -> None:
    """Go on."""
    store.unpause(graph_id, now, ACTOR)


def resume(graph_id: str, now: datetime, random: Random) -> None:
    """Do what failed or was cancelled after all."""
    store.resume_graph(graph_id, now, ACTOR)


def retry(graph_id: str, now: datetime, random: Random) -> None:
    """Do one component and what hangs from it again."""
    store.retry_component(graph_id, random.choice(_names(graph_id)), now, ACTOR)


def mark(graph_id: str, now: datetime, random: Random) -> None:
    """Give one component its state by hand."""
    store.mark(graph_id, random.choice(_names(graph_id)), random.choice(VERBS), now, ACTOR)


def attend(graph_id: str, now: datetime, random: Random) -> None:
    """Decide about whatever nobody else can decide about."""
    store.unpause(graph_id, now, ACTOR)
    needed = Component.objects.changes().filter(graph_id=graph_id, needs_attention=True).order_by("id")
    for name in needed.values_list("component_id", flat=True):
        store.mark(graph_id, name, random.choice(VERBS), now, ACTOR)


WISHES: Sequence[Wish] = (cancel, cancel_quietly, pause, unpause, resume, resume, retry, retry, mark, mark)


def _names(graph_id: str) -> Sequence[str]:
    """The graph's changes; a name of none where the graph is not there yet."""
    found = Component.objects.changes().filter(graph_id=graph_id).order_by("id")
    return list(found.values_list("component_id", flat=True)) or ["nothing"]
