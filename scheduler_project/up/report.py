"""What `up` tells: addresses, the login and a line per change, as text for people or as JSON lines for machines."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol, TextIO

SYMBOLS = {"starting": "…", "up": "✓", "died": "✗", "stopped": "■", "waiting": "…", "done": "✓", "failed": "✗"}


class Report(Protocol):
    """Where the news of `up` goes."""

    def addresses(self, rows: Sequence[tuple[str, str]]) -> None: ...

    def change(self, name: str, state: str, detail: str) -> None: ...

    def ready(self, seconds: float) -> None: ...


class TextReport:
    """For a terminal."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self.out = out

    def addresses(self, rows: Sequence[tuple[str, str]]) -> None:
        width = max(len(name) for name, _ in rows)
        body = "\n".join(f"  {name:<{width}}  {value}" for name, value in rows)
        print(f"\n{body}\n", file=self.out, flush=True)

    def change(self, name: str, state: str, detail: str) -> None:
        clock = datetime.now().astimezone().strftime("%H:%M:%S")
        print(f"{clock} {SYMBOLS.get(state, ' ')} {name:<15} {state:<9} {detail}".rstrip(), file=self.out, flush=True)

    def ready(self, seconds: float) -> None:
        print(f"\nready after {seconds:.0f} s. Ctrl-C stops everything.\n", file=self.out, flush=True)


class JsonReport:
    """One JSON object a line: {"event": "addresses" | "change" | "ready", …}."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self.out = out

    def _line(self, event: str, **fields: object) -> None:
        line: Mapping[str, object] = {"event": event, "at": datetime.now(UTC).isoformat(), **fields}
        print(json.dumps(line), file=self.out, flush=True)

    def addresses(self, rows: Sequence[tuple[str, str]]) -> None:
        self._line("addresses", addresses=dict(rows))

    def change(self, name: str, state: str, detail: str) -> None:
        self._line("change", process=name, state=state, detail=detail)

    def ready(self, seconds: float) -> None:
        self._line("ready", seconds=round(seconds, 1))
