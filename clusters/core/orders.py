"""The orders to agents about tasks."""

from collections.abc import Mapping

from clusters.core.checks import resolve
from clusters.core.document import PROVIDED_PORT, TaskDefinition
from workers import protocol


def keep_order(
    unit: str, attempt: int, definition: TaskDefinition, ports: Mapping[str, int], max_attempts: int | None
) -> protocol.KeepTask:
    """Keep this task running. `max_attempts` is the service's, where it has one of its own."""
    checks = [resolve(check, ports) for check in definition.checks]
    return protocol.KeepTask(
        unit=unit,
        attempt=attempt,
        containers=[
            protocol.Container(
                name=container.name,
                executor=container.executor,
                options=container.options | mapped_ports(container.executor, definition),
                setup=container.setup,
                teardown=container.teardown,
                env=port_variables(ports) | container.env,
            )
            for container in definition.containers
        ],
        ports=dict(ports),
        checks=[
            protocol.Check(
                id=check.id,
                http=check.http,
                tcp=check.tcp,
                script=check.script,
                interval_s=check.interval_s,
                timeout_s=check.timeout_s,
            )
            for check in checks
        ],
        grace_period_s=definition.grace_period_s,
        max_attempts=max_attempts or definition.max_attempts,
    )


def port_variables(ports: Mapping[str, int]) -> dict[str, str]:
    """Each port under its name; the unnamed one also as SCHEDULED_PORT, where the oldest files look for it."""
    variables = {name: str(number) for name, number in ports.items()}
    if PROVIDED_PORT in ports:
        variables["SCHEDULED_PORT"] = variables[PROVIDED_PORT]
    return variables


def mapped_ports(executor: str, definition: TaskDefinition) -> dict[str, dict[str, int]]:
    """The port inside the container for each port's name, which docker needs to know."""
    inside = {port.name: port.container for port in definition.ports if port.container}
    return {"container_ports": inside} if executor == "docker" and inside else {}
