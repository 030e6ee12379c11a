"""Commands as orders to their agents.

Invariant: an order carries the attempt of the row as it is committed, so an agent can tell an old order from a new one.
"""

from collections.abc import Iterable, Sequence

import msgspec

from workers.models import Command
from workers.protocol import InContainer, Limits, Order, QueryUnits, RunCommand, StopUnit
from workers.store.rows import unit_of

HostOrders = dict[str, list[Order]]


def run_order(command: Command) -> RunCommand:
    """Tells an agent to run it."""
    return RunCommand(
        unit=unit_of(command),
        attempt=command.attempt,
        argv=list(command.argv),
        env=dict(command.env),
        cwd=command.cwd,
        stdin=bytes(command.stdin),
        timeout_s=command.timeout_s,
        grace_s=command.grace_s,
        output_limit_bytes=command.output_limit_bytes,
        start_by=command.start_by.timestamp() if command.start_by else 0,
        user=command.user,
        limits=Limits(memory_mb=command.memory_mb, cpu_seconds=command.cpu_seconds, open_files=command.open_files),
        priority=command.priority,
        container=msgspec.convert(command.container, InContainer) if command.container else None,
        journal=command.worker.journal if command.worker is not None else "",
    )


def stop_order(command: Command) -> StopUnit:
    """Tells an agent to stop it, with the reason of the row."""
    return StopUnit(unit=unit_of(command), attempt=command.attempt, grace_s=command.grace_s, reason=command.reason)


def by_host(orders: Iterable[tuple[Command, Order]]) -> HostOrders:
    """Orders grouped by the commands' hosts; those without one are left out. `worker` must be loaded."""
    grouped: HostOrders = {}
    for command, order in orders:
        if command.worker is not None:
            grouped.setdefault(command.worker.name, []).append(order)
    return grouped


def queries(commands: Sequence[Command]) -> HostOrders:
    """One question to each host about all of its commands."""
    units: dict[str, list[tuple[str, int]]] = {}
    for command in commands:
        if command.worker is not None:
            units.setdefault(command.worker.name, []).append((unit_of(command), command.attempt))
    return {host: [QueryUnits(units=asked)] for host, asked in units.items()}


def merged(*groups: HostOrders) -> HostOrders:
    """All orders of several groups, in their order."""
    result: HostOrders = {}
    for group in groups:
        for host, orders in group.items():
            result.setdefault(host, []).extend(orders)
    return result
