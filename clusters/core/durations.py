"""Durations as people write them: `10s`, `1m30s`, `250ms`, or a plain number of seconds."""

import re

UNIT_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
WHOLE = re.compile(rf"(?:{PART.pattern})+")
LONGEST_S = 7 * 24 * 3600.0


def seconds_of(value: object) -> float | None:
    """The seconds of a duration above 0 and of at most a week, None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        found = float(value)
    elif isinstance(value, str) and WHOLE.fullmatch(value.strip()):
        found = sum(float(number) * UNIT_S[unit] for number, unit in PART.findall(value))
    else:
        return None
    return round(found, 9) if 0 < found <= LONGEST_S else None
