"""The ports that a host offers: written as `31000-31999,8080`, and as a task's processes see theirs."""

import re
from collections.abc import Mapping

from scheduler_project.toolkit.errors import ConfigurationError

PORT_MAX = 65535
PROVIDED = "PROVIDED_PORT"


def parse_pool(text: str) -> list[tuple[int, int]]:
    """First and last port of each range. Raises ConfigurationError for anything else."""
    ranges = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        found = re.fullmatch(r"(\d+)(?:\s*-\s*(\d+))?", word)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not 1 <= first <= last <= PORT_MAX:
            raise ConfigurationError(f"{word!r} is no port range; write for example 31000-31999")
        ranges.append((first, last))
    return ranges


def port_variables(ports: Mapping[str, int]) -> dict[str, str]:
    """`PORT_<NAME>` and, where the name can be a variable's, `<NAME>`; the provided port also as `SCHEDULED_PORT`."""
    variables = {}
    for name, port in ports.items():
        variables[f"PORT_{re.sub(r'[^A-Za-z0-9]', '_', name).upper()}"] = str(port)
        if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            variables[name] = str(port)
        if name == PROVIDED:
            variables["SCHEDULED_PORT"] = str(port)
    return variables
