"""Reads a task definition in any of its historical forms.

Units: a container's memory is in MB; a task's own memory is in bytes, as the oldest form has it, but a value too small
to be meant in bytes is taken as MB.
"""

from collections.abc import Iterator
from dataclasses import replace

from clusters.core.checks import read_check, references
from clusters.core.document import PROVIDED_PORT, Check, Container, Port, TaskDefinition
from clusters.core.executors import OPTIONS, read_options
from clusters.core.reading import Reader, shown, suggestion
from scheduler_project.toolkit.errors import Fault

MIB = 1_048_576
PORT_NAME_RULE = "must hold only letters, digits and '_', and not start with a digit"


def read_task_definition(value: object, path: str, faults: list[Fault]) -> TaskDefinition:
    """The definition as far as it can be read; it is usable only where no fault was added."""
    reader = Reader(value, path, faults)
    name, version = reader.name(), reader.required_whole("version")
    provided = read_provided_port(reader)
    parts = [read_container(one, index) for index, one in enumerate(reader.readers("containers"))]
    if not parts:
        reader.fault("containers", "is missing; a task needs at least one container")
    definition = TaskDefinition(
        name=name,
        version=version,
        containers=[part.container for part in parts],
        ports=merged_ports(provided, parts, reader),
        checks=read_checks(reader, "task") + [check for part in parts for check in part.checks],
        tags=reader.texts("tags") + [tag for part in parts for tag in part.tags],
        grace_period_s=reader.duration_s("grace_period", 60),
        max_attempts=reader.whole("max_attempts", default=10, lowest=1),
        memory_mb=task_memory_mb(reader) + sum(part.memory_mb for part in parts),
        cpu_units=reader.whole("cpu_units") + sum(part.cpu_units for part in parts),
        disk_mb=sum(part.disk_mb for part in parts),
    )
    reader.finish()
    check_unique(reader, "containers", [container.name for container in definition.containers])
    check_unique(reader, "ports", [port.name for port in definition.ports])
    check_port_references(reader, definition)
    return definition


class Part:
    """One container as read, with what it asks of the task around it."""

    def __init__(self, reader: Reader, index: int) -> None:
        fallback = f"container-{index}"
        name = reader.name() if reader.has("name") else fallback
        executor, options = executor_of(reader)
        settings, env, fixed = read_options(executor, options) if executor else ({}, {}, [])
        self.inside = container_port(reader, options)
        self.ports = list(read_ports(reader)) + fixed
        self.provided = read_provided_port(reader)
        self.checks = read_checks(reader, name)
        self.tags = reader.texts("tags")
        self.memory_mb = reader.whole("memory")
        self.cpu_units = reader.whole("cpu_units")
        self.disk_mb = reader.whole("disk_use")
        setup, teardown = reader.texts("setup"), reader.texts("teardown")
        self.container = Container(name, executor, settings, setup, teardown, env)
        reader.ignore("essential")


def read_container(reader: Reader, index: int) -> Part:
    part = Part(reader, index)
    reader.finish()
    return part


def executor_of(reader: Reader) -> tuple[str, Reader]:
    """The executor's name and its options: `type` + `executor` mapping, or `executor: bash` beside a `bash` mapping."""
    nothing = Reader({}, reader.at("executor"), reader.faults)
    named = reader.get("executor")
    kind = reader.text("type")
    key = "executor"
    if isinstance(named, str):
        kind, key = kind or named, named
    elif named is None:
        key = next((one for one in OPTIONS if reader.has(one)), "executor")
        kind = kind or (key if key in OPTIONS else "")
    if kind not in OPTIONS:
        words = ", ".join(OPTIONS)
        reader.fault("type", f"must be one of {words}, got {shown(kind)}" if kind else f"is missing; one of {words}")
        return "", nothing
    if not reader.has(key):
        reader.fault(key, "is missing")
        return "", nothing
    return kind, reader.inner(key)


def container_port(reader: Reader, options: Reader) -> int:
    return reader.whole("container_port", highest=65535) or options.whole("container_port", highest=65535)


def read_provided_port(reader: Reader) -> Port | None:
    """The one unnamed port: chosen by the scheduler where `provide_port` is set, fixed where `port` is given."""
    wanted, fixed = reader.flag("provide_port"), reader.whole("port", highest=65535)
    return Port(PROVIDED_PORT, fixed) if wanted or fixed else None


def read_ports(reader: Reader) -> Iterator[Port]:
    """Named ports: `{name, host, container}`; host 0 or absent lets the scheduler choose."""
    for one in reader.readers("ports"):
        name = one.text("name") or PROVIDED_PORT
        if not name.isidentifier() or not name.isascii():
            one.fault("name", f"{PORT_NAME_RULE}; got {shown(name)}")
        yield Port(name, one.whole("host", highest=65535), one.whole("container", highest=65535))
        one.finish()


def merged_ports(provided: Port | None, parts: list[Part], reader: Reader) -> list[Port]:
    """All ports of the task. The provided one leads to the first container that names a port of its own."""
    inside = next((part.inside for part in parts if part.inside), 0)
    unnamed = [port for port in [provided, *(part.provided for part in parts)] if port is not None]
    if len(unnamed) > 1:
        reader.fault("provide_port", "is given more than once; name the ports under the containers' ports instead")
    if not unnamed and inside:
        unnamed = [Port(PROVIDED_PORT)]
    return [replace(port, container=inside) for port in unnamed[:1]] + [port for part in parts for port in part.ports]


def read_checks(reader: Reader, owner: str) -> list[Check]:
    return [read_check(one, f"{owner}-{index}") for index, one in enumerate(reader.readers("checks"))]


def task_memory_mb(reader: Reader) -> int:
    given = reader.whole("memory", highest=2**63 - 1)
    return given if given < MIB else -(-given // MIB)


def check_unique(reader: Reader, key: str, names: list[str]) -> None:
    for name in sorted({one for one in names if names.count(one) > 1}):
        reader.fault(key, f"the name {name} appears twice; names must differ within a task")


def check_port_references(reader: Reader, definition: TaskDefinition) -> None:
    known = [port.name for port in definition.ports]
    for check in definition.checks:
        for name in references(check):
            if name not in known:
                hint = suggestion(name, known) if known else "the task has no port; set provide_port: true"
                reader.fault("checks", f"check {check.id} speaks of ${name}, which is no port of the task; {hint}")
