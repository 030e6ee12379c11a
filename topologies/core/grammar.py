"""Reads a topology from a user's document.

Invariant: a specification without faults is a graph that `graphs` accepts, whenever it is run.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from typing import Any

from graphs.core.document import ProviderFaults, parse
from graphs.core.order import find_cycle
from scheduler_project.toolkit.errors import Fault, InvalidDocument
from topologies.core.errors import BadCron, BadTimezone
from topologies.core.fire import OVERLAPS
from topologies.core.quartz import Quartz, zone_named
from topologies.core.reading import Reader, kind_of
from topologies.core.template import graph_document
from topologies.core.triggers import AtTrigger, CronTrigger, ManualTrigger, Trigger

NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
NAME_RULE = "use 1 to 255 letters, digits, '-' and '_'"
COMPONENT_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")
COMPONENT_NAME_RULE = "use 1 to 100 letters, digits, '-' and '_'"
TOPOLOGY_KEYS = ("name", "trigger", "overlap", "graph")
TRIGGER_KEYS = {"CRON": ("type", "timeSpec", "timezone"), "AT": ("type", "time", "timezone"), "MANUAL": ("type",)}
ALL_TRIGGER_KEYS = ("type", "timeSpec", "time", "timezone")
COMMAND_KEYS = ("command", "argv", "on", "env", "cwd", "timeout_s")
COMPONENT_KEYS = ("name", "after", *COMMAND_KEYS)
PLACE_IN_GRAPH = re.compile(r"changes\[(?P<index>\d+)\]")


@dataclass(frozen=True)
class TopologySpec:
    """What a user asked for. `components` are mappings with the keys of `COMPONENT_KEYS`, `after` always a list."""

    name: str
    trigger: Trigger
    overlap: str
    components: tuple[Mapping[str, Any], ...]

    def document(self) -> dict[str, Any]:
        """The one way in which this specification is stored and compared."""
        return {
            "name": self.name,
            "trigger": self.trigger.document(),
            "overlap": self.overlap,
            "graph": {"components": [dict(component) for component in self.components]},
        }


def read_topology(value: object, path: str, provider_faults: ProviderFaults, faults: list[Fault]) -> TopologySpec:
    """The topology at `path` of a document; usable only where `faults` stays empty."""
    reader = Reader(value, path, faults)
    known = len(faults)
    reader.only(TOPOLOGY_KEYS)
    name = reader.text("name")
    if not NAME.fullmatch(name):
        reader.fault("name", f"{name!r} cannot be a name; {NAME_RULE}" if name else f"is missing; {NAME_RULE}")
    spec = TopologySpec(
        name=name,
        trigger=read_trigger(reader),
        overlap=reader.word("overlap", OVERLAPS, OVERLAPS[0]),
        components=read_components(reader),
    )
    if len(faults) == known:
        faults += graph_faults(spec, reader.at("graph.components"), provider_faults)
    return spec


def read_trigger(topology: Reader) -> Trigger:
    """No trigger at all means that the topology is only run by hand."""
    if topology.value.get("trigger") is None:
        return ManualTrigger()
    reader = Reader(topology.value["trigger"], topology.at("trigger"), topology.faults)
    if not reader.usable:
        return ManualTrigger()
    implied = "CRON" if "timeSpec" in reader.value else "AT" if "time" in reader.value else ""
    kind = reader.word("type", tuple(TRIGGER_KEYS), implied)
    reader.only(TRIGGER_KEYS.get(kind, ALL_TRIGGER_KEYS))
    zone = read_zone(reader)
    if kind == "CRON":
        return read_cron(reader)
    return read_at(reader, zone) if kind == "AT" else ManualTrigger()


def read_zone(reader: Reader) -> tzinfo:
    try:
        return zone_named(reader.text("timezone", "UTC"))
    except BadTimezone as error:
        reader.fault("timezone", str(error))
        return UTC


def read_cron(reader: Reader) -> Trigger:
    expression, timezone = reader.text("timeSpec"), reader.text("timezone", "UTC")
    try:
        return CronTrigger(Quartz.parse(expression, "UTC").expression, timezone)
    except BadCron as error:
        reader.fault("timeSpec", str(error))
        return ManualTrigger()


def read_at(reader: Reader, zone: tzinfo) -> Trigger:
    """`time` is milliseconds since 1970 or an ISO instant; one without an offset is in the trigger's time zone."""
    value = reader.value.get("time")
    instant = instant_of(value, zone)
    if instant is not None:
        return AtTrigger(instant)
    shown = repr(value) if isinstance(value, str | int | float) else kind_of(value)
    reader.fault("time", f"{shown} is no time; write such as 2030-01-31T08:00:00Z, or milliseconds since 1970")
    return ManualTrigger()


def instant_of(value: object, zone: tzinfo) -> datetime | None:
    """The instant that a number, a text or YAML's own date stands for; None for anything else."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000, UTC)
        if not isinstance(value, str | date):
            return None
        moment = datetime.fromisoformat(value if isinstance(value, str) else value.isoformat())
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None


def read_components(topology: Reader) -> tuple[Mapping[str, Any], ...]:
    graph = Reader(topology.value.get("graph"), topology.at("graph"), topology.faults if topology.usable else [])
    graph.only(("components",))
    path = graph.at("components")
    readers = [
        Reader(item, f"{path}[{index}]", topology.faults) for index, item in enumerate(graph.items("components"))
    ]
    names = [reader.text("name") for reader in readers]
    components = [read_component(reader, names, index) for index, reader in enumerate(readers)]
    cycle = find_cycle({one["name"]: set(one["after"]) & set(names) for one in components})
    if cycle:
        topology.fault("graph.components", "these wait for each other in a circle: " + " → ".join(cycle))
    return tuple(components)


def read_component(reader: Reader, names: list[str], index: int) -> dict[str, Any]:
    """The keys that are given; what a command may be is left to its provider."""
    reader.only(COMPONENT_KEYS)
    name = names[index]
    if not COMPONENT_NAME.fullmatch(name):
        problem = f"{name!r} cannot be a name" if name else "is missing"
        reader.fault("name", f"{problem}; {COMPONENT_NAME_RULE}")
    elif name in names[:index]:
        reader.fault("name", f"{name!r} is also the name of component {names.index(name)}; give each its own")
    after = list(dict.fromkeys(reader.texts("after")))
    for unknown in [one for one in after if one not in names]:
        reader.fault("after", f"there is no component {unknown!r}; known are {', '.join(filter(None, names))}")
    given = {key: reader.value[key] for key in COMMAND_KEYS if reader.value.get(key) is not None}
    return {"name": name, "after": after, **given}


def graph_faults(spec: TopologySpec, path: str, provider_faults: ProviderFaults) -> list[Fault]:
    """What `graphs` and the provider have to say, told with paths of the user's own document."""
    try:
        parse(graph_document(spec.document(), "plan"), "", provider_faults)
    except InvalidDocument as error:
        return [
            Fault(PLACE_IN_GRAPH.sub(lambda place: f"{path}[{place['index']}]", fault.path, count=1), fault.message)
            for fault in error.faults
        ]
    return []
