"""How other apps tell, on a host's page, what of theirs is there, without the ground knowing them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workers.models import Worker


@dataclass(frozen=True)
class Told:
    """A panel of a host's page: its title, how many things it tells of, and the template that shows them.

    `subjects` are the words with which the subjects of its events start, such as `task:`.
    """

    title: str
    count: int
    template: str
    context: Mapping[str, Any]
    subjects: str


Teller = Callable[[Worker], Told]

_tellers: list[Teller] = []


def tell_of_hosts(teller: Teller) -> None:
    """Adds a panel to every host's page. Call it in the app's `ready()`."""
    _tellers.append(teller)


def told_of(worker: Worker) -> Sequence[Told]:
    """All panels on one host."""
    return [teller(worker) for teller in _tellers]
