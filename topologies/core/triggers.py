"""When a topology fires: by Quartz cron, once at an instant, or only when somebody says so.

Invariant: a trigger knows nothing of the past; `next_after` tells the first fire strictly after any moment.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from topologies.core.quartz import Quartz


@dataclass(frozen=True)
class CronTrigger:
    """Fires whenever the Quartz expression says, in its time zone."""

    expression: str
    timezone: str

    def next_after(self, moment: datetime) -> datetime | None:
        return Quartz.parse(self.expression, self.timezone).next_after(moment)

    def upcoming(self, moment: datetime, count: int) -> list[datetime]:
        """The next fires strictly after a moment, at most `count`."""
        return Quartz.parse(self.expression, self.timezone).upcoming(moment, count)

    def document(self) -> dict[str, Any]:
        return {"type": "CRON", "timeSpec": self.expression, "timezone": self.timezone}


@dataclass(frozen=True)
class AtTrigger:
    """Fires once, at an aware instant."""

    at: datetime

    def next_after(self, moment: datetime) -> datetime | None:
        return self.at if self.at > moment else None

    def upcoming(self, moment: datetime, count: int) -> list[datetime]:
        """Its one fire if that is still to come."""
        return [self.at][:count] if self.at > moment else []

    def document(self) -> dict[str, Any]:
        return {"type": "AT", "time": self.at.astimezone(UTC).isoformat().replace("+00:00", "Z")}


@dataclass(frozen=True)
class ManualTrigger:
    """Never fires by itself."""

    def next_after(self, moment: datetime) -> datetime | None:
        return None

    def upcoming(self, moment: datetime, count: int) -> list[datetime]:
        """None."""
        return []

    def document(self) -> dict[str, Any]:
        return {"type": "MANUAL"}


Trigger = CronTrigger | AtTrigger | ManualTrigger


def trigger_of(document: Mapping[str, Any]) -> Trigger:
    """The trigger that `document()` of one of the above wrote."""
    match document["type"]:
        case "CRON":
            return CronTrigger(document["timeSpec"], document["timezone"])
        case "AT":
            return AtTrigger(datetime.fromisoformat(document["time"]))
        case _:
            return ManualTrigger()
