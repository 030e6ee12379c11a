"""Order and circles in a graph of dependencies, given as id → the ids it waits for.

All functions are linear in components and edges and use no recursion, so depth is not limited by Python's stack.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import chain

BITS = 4096


def levels(dependencies: Mapping[str, Set[str]]) -> list[list[str]]:
    """Components by level: those of a level need only those of earlier ones. What hangs in a circle is left out."""
    missing = {name: len(needed) for name, needed in dependencies.items()}
    dependants = dependants_of(dependencies)
    level = [name for name, count in missing.items() if count == 0]
    found: list[list[str]] = []
    while level:
        found.append(level)
        following: list[str] = []
        for name in level:
            for dependant in dependants.get(name, ()):
                missing[dependant] -= 1
                if missing[dependant] == 0:
                    following.append(dependant)
        level = following
    return found


def dependants_of(dependencies: Mapping[str, Set[str]]) -> dict[str, list[str]]:
    """The same graph turned round: id → the ids that wait for it, in the order of the given mapping."""
    found: dict[str, list[str]] = {}
    for name, needed in dependencies.items():
        for one in needed:
            found.setdefault(one, []).append(name)
    return found


def find_cycle(dependencies: Mapping[str, Set[str]]) -> list[str]:
    """One circle as a list in the order of running that ends where it begins; empty when there is none."""
    return next(iter(find_cycles(dependencies)), [])


def find_cycles(dependencies: Mapping[str, Set[str]], order: Sequence[Sequence[str]] | None = None) -> list[list[str]]:
    """A circle out of every knot, each as `find_cycle` gives it. `order` is `levels` of these, where it is known."""
    sorted_out = {name for level in (levels(dependencies) if order is None else order) for name in level}
    left = {
        name: sorted(one for one in needed if one not in sorted_out)
        for name, needed in dependencies.items()
        if name not in sorted_out
    }
    return [_circle_in(knot, left) for knot in _knots(left)]


def _circle_in(knot: Set[str], needed: Mapping[str, Sequence[str]]) -> list[str]:
    path: list[str] = []
    seen: dict[str, int] = {}
    name = min(knot)
    while name not in seen:
        seen[name] = len(path)
        path.append(name)
        name = next(one for one in needed[name] if one in knot)
    return [name, *reversed(path[seen[name] :])]


def _knots(needed: Mapping[str, Sequence[str]]) -> list[set[str]]:
    """Sets of names that all wait for each other (Tarjan's strongly connected components, without recursion)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    knots: list[set[str]] = []
    for root in needed:
        work = [] if root in number else [(root, iter(needed[root]))]
        while work:
            name, following = work[-1]
            if name not in number:
                number[name] = lowest[name] = len(number)
                stack.append(name)
                on_stack.add(name)
            for one in following:
                if one not in number:
                    work.append((one, iter(needed[one])))
                    break
                if one in on_stack:
                    lowest[name] = min(lowest[name], number[one])
            else:
                work.pop()
                if work:
                    lowest[work[-1][0]] = min(lowest[work[-1][0]], lowest[name])
                if lowest[name] == number[name]:
                    knot = _taken_down_to(name, stack)
                    on_stack -= knot
                    if len(knot) > 1 or name in needed[name]:
                        knots.append(knot)
    return knots


def _taken_down_to(name: str, stack: list[str]) -> set[str]:
    taken = {stack.pop()}
    while name not in taken:
        taken.add(stack.pop())
    return taken


def not_before(
    pairs: Iterable[tuple[str, str]], dependencies: Mapping[str, Set[str]], order: Sequence[Sequence[str]]
) -> set[tuple[str, str]]:
    """Those pairs whose first does not come before the second, directly or through others.

    `order` is `levels` of the dependencies. Sets of what comes before are kept as bits, so many firsts cost one walk.
    """
    asked = set(pairs)
    firsts = sorted({first for first, _ in asked})
    apart: set[tuple[str, str]] = set()
    for start in range(0, len(firsts), BITS):
        bits = {name: 1 << bit for bit, name in enumerate(firsts[start : start + BITS])}
        before: dict[str, int] = {}
        for name in chain.from_iterable(order):
            mask = 0
            for needed in dependencies[name]:
                mask |= before[needed] | bits.get(needed, 0)
            before[name] = mask
        apart |= {(one, two) for one, two in asked if one in bits and not before.get(two, 0) & bits[one]}
    return apart
