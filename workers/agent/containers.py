"""Commands in containers: what the supervisor runs for one, and what to remove after it.

Invariant: nothing of the order is in the runner's argv or environment; it is told on stdin.
"""

import logging
import os
import sys
from contextlib import suppress

from workers.agent.config import AgentConfig
from workers.agent.folders import Folder, Spec
from workers.agent.link import as_text, supervisor_environment
from workers.engine.client import ADDRESS_VARIABLE, Engine, EngineAway, EngineError, address_of
from workers.engine.job import AGENT_LABEL, PROCESS_LABEL, Job, container_name
from workers.engine.logins import FOLDER_VARIABLE
from workers.protocol import InContainer, RunCommand

log = logging.getLogger(__name__)

RUNNER = "workers.engine.run"
LOOK_EVERY_S = 30.0


def job_of(order: RunCommand, wanted: InContainer, agent: str) -> Job:
    """The container that an order asks for."""
    return Job(
        image=wanted.image,
        pull=wanted.pull,
        argv=order.argv,
        entrypoint=wanted.entrypoint,
        env={**order.env, "SCHEDULER_UNIT": order.unit, "SCHEDULER_ATTEMPT": str(order.attempt)},
        cwd=order.cwd,
        user=order.user,
        mounts=[(mount.source, mount.target, mount.writable) for mount in wanted.mounts],
        network=wanted.network,
        cpus=wanted.cpus,
        memory_mb=order.limits.memory_mb,
        grace_s=order.grace_s,
        agent=agent,
    )


def runner_spec(order: RunCommand, job: Job, config: AgentConfig, output_max_bytes: int) -> Spec:
    """The process that follows the container; the limits are the container's, not its own."""
    return Spec(
        unit=order.unit,
        attempt=order.attempt,
        argv=[sys.executable, "-m", RUNNER],
        env={
            **supervisor_environment(),
            ADDRESS_VARIABLE: address_of(),
            FOLDER_VARIABLE: os.environ.get(FOLDER_VARIABLE, ""),
        },
        cwd=config.cwd,
        stdin=as_text(job.encode()),
        timeout_s=order.timeout_s,
        grace_s=order.grace_s,
        output_keep_bytes=order.output_limit_bytes,
        output_max_bytes=output_max_bytes,
    )


def remove_left(folder: Folder) -> None:
    """Removes the container of a runner that was killed before it could do so itself."""
    try:
        Engine(address_of()).remove(container_name(folder.stem))
    except (EngineError, EngineAway) as error:
        log.warning("container.left_behind process=%s error=%s", folder.name, error)


def remove_all_left(agent: str) -> None:
    """Removes the containers of this agent whose runners are over; they could not, since the engine was away."""
    engine = Engine(address_of())
    if not engine.answers():
        return
    with suppress(EngineError, EngineAway):
        for name, labels in engine.labelled(AGENT_LABEL, agent).items():
            folder = Folder.at(labels[PROCESS_LABEL])
            if not folder.exists() or folder.end() is not None:
                engine.remove(name)
                log.warning("container.removed process=%s reason=its runner is over", folder.name)
