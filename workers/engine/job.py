"""What a container is to be, as the agent tells its runner, and as the runner tells the engine.

Invariant: the same process of an agent always has the same container's name, so the engine itself refuses a second one.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

NO_ENTRYPOINT = [""]
MIB = 1024 * 1024
NANO_CPUS = 1_000_000_000
AGENT_LABEL, PROCESS_LABEL = "scheduler.agent", "scheduler.process"
NEVER, MISSING, ALWAYS = "never", "missing", "always"
# Not the engine's usual `json-file`, which replaces every byte that is no UTF-8.
LOG_FILES = {"Type": "local", "Config": {"max-size": "512m", "max-file": "2", "compress": "false"}}


@dataclass(frozen=True)
class Job:
    """One container. `mounts` are `(source, target, writable)`; without `argv` the image's own command runs.
    `argv` follows the `entrypoint`, None for the image's own, empty for none.

    Limits of 0 are none; `user` and `cwd` are those inside, empty for the image's own. `agent` is whose it is.
    """

    image: str
    pull: str = MISSING
    argv: list[str] = field(default_factory=list)
    entrypoint: list[str] | None = None
    env: dict[str, str] = field(default_factory=dict)
    cwd: str = ""
    user: str = ""
    mounts: list[tuple[str, str, bool]] = field(default_factory=list)
    network: str = "bridge"
    cpus: float = 0
    memory_mb: int = 0
    grace_s: float = 10
    agent: str = ""

    def encode(self) -> bytes:
        return json.dumps(asdict(self)).encode()


def decode(text: bytes) -> Job:
    """What `Job.encode` made."""
    return Job(**json.loads(text))


def container_name(process: str) -> str:
    """The container of a process, which is known by its folder on this host."""
    return f"scheduler-{hashlib.sha256(process.encode()).hexdigest()[:24]}"


def engine_document(job: Job, labels: Mapping[str, str]) -> dict[str, Any]:
    """The body of the engine's `containers/create`.

    Its first process is the engine's `init`, so that TERM ends also programs that do not think of it.
    """
    memory = job.memory_mb * MIB
    return {
        "Image": job.image,
        **({"Cmd": job.argv} if job.argv else {}),
        **({} if job.entrypoint is None else {"Entrypoint": job.entrypoint or NO_ENTRYPOINT}),
        "Env": [f"{name}={value}" for name, value in job.env.items()],
        "WorkingDir": job.cwd,
        "User": job.user,
        "Labels": dict(labels),
        "AttachStdin": False,
        "Tty": False,
        "HostConfig": {
            "Init": True,
            "NetworkMode": job.network,
            "Memory": memory,
            "MemorySwap": memory,
            "NanoCpus": round(job.cpus * NANO_CPUS),
            "LogConfig": LOG_FILES,
            "Mounts": [
                {"Type": "bind", "Source": source, "Target": target, "ReadOnly": not writable}
                for source, target, writable in job.mounts
            ],
        },
    }
