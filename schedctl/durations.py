"""Durations as operators write them: `30`, `10s`, `1m30s`, `500ms`, `2h`."""

import re

UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
PLAIN = re.compile(r"\d+(\.\d+)?")
PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
WHOLE = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+")


def parse_duration(text: str) -> float:
    """Seconds; a number without a unit is seconds. Raises ValueError with the accepted forms."""
    word = text.strip()
    if PLAIN.fullmatch(word):
        return float(word)
    if not WHOLE.fullmatch(word):
        raise ValueError(f"{text!r} is not a duration; write seconds (30) or units (500ms, 10s, 1m30s, 2h)")
    return sum(float(number) * UNIT_S[unit] for number, unit in PART.findall(word))
