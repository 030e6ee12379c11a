"""Order and circles in a graph of dependencies, given as id → the ids it waits for.

All functions are linear in components and edges and use no recursion, so depth is not limited by Python's stack.
"""

from collections.abc import Mapping, Set


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
    sorted_out = {name for level in levels(dependencies) for name in level}
    stuck = [name for name in dependencies if name not in sorted_out]
    if not stuck:
        return []
    path: list[str] = []
    seen: dict[str, int] = {}
    name = stuck[0]
    while name not in seen:
        seen[name] = len(path)
        path.append(name)
        name = min(needed for needed in dependencies[name] if needed not in sorted_out)
    circle = path[seen[name] :]
    return [name, *reversed(circle)]
