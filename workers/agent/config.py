"""What the operator sets for one agent, from the environment alone."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from scheduler_project.toolkit import env
from scheduler_project.toolkit.errors import ConfigurationError
from workers.agent.core.policy import Policy
from workers.agent.core.ports import parse_pool
from workers.agent.gate import load_policy

DEFAULT_PORTS = "31000-31999"
DEFAULT_SLOTS = 64
DEFAULT_SPOOL_BYTES = 1024 * 1024 * 1024
DEFAULT_CGROUP = "/sys/fs/cgroup/scheduler"
USER_VARIABLES = ("HOME", "USER", "LOGNAME", "SHELL")
BASE_VARIABLES = ("PATH", *USER_VARIABLES, "LANG", "LC_ALL", "TZ", "TMPDIR")
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class AgentConfig:
    """One agent. `base_env` is what every process sees besides its own variables; `cwd` where it starts by default.

    `spool_max_bytes`: when so much waits to be reported, no more output is added to it.
    `cgroup` is the folder below which commands with a memory limit get cgroups of their own, where it can be used.
    """

    host: str
    state_dir: Path
    worker_id: str = ""
    address: str = ""
    heartbeat_interval_s: float = 5
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: str = DEFAULT_PORTS
    slots: int = DEFAULT_SLOTS
    base_env: Mapping[str, str] = field(default_factory=lambda: {"PATH": DEFAULT_PATH})
    cwd: str = "/"
    service_log_max_bytes: int = 10 * 1024 * 1024
    spool_max_bytes: int = DEFAULT_SPOOL_BYTES
    keep_ended_s: float = 86400
    cgroup: str = ""
    join_token: str = field(default="", repr=False)
    policy: Policy = field(default_factory=Policy)

    def at(self, address: str) -> "AgentConfig":
        """The same agent, reached at this address."""
        return replace(self, address=address)


def agent_config(host: str, environ: Mapping[str, str]) -> AgentConfig:
    """Raises ConfigurationError, naming the variable, for a value that cannot be used."""
    state_dir = environ.get("SCHEDULER_AGENT_DIR")
    ports = environ.get("SCHEDULER_AGENT_PORTS", DEFAULT_PORTS)
    try:
        parse_pool(ports)
    except ConfigurationError as error:
        raise ConfigurationError(f"SCHEDULER_AGENT_PORTS: {error}") from error
    return AgentConfig(
        host=host,
        state_dir=Path(state_dir).absolute() if state_dir else env.data_dir(environ) / "agents" / host,
        worker_id=environ.get("SCHEDULER_WORKER_ID", ""),
        address=environ.get("SCHEDULER_AGENT_ADDRESS", ""),
        heartbeat_interval_s=env.seconds("SCHEDULER_HEARTBEAT_INTERVAL_S", 5, environ),
        labels=labels(environ),
        ports=ports,
        slots=count("SCHEDULER_SLOTS", DEFAULT_SLOTS, environ),
        base_env=base_environment(environ),
        cwd=str(Path.cwd()),
        service_log_max_bytes=count("SCHEDULER_SERVICE_LOG_MAX_BYTES", 10 * 1024 * 1024, environ),
        spool_max_bytes=count("SCHEDULER_SPOOL_MAX_BYTES", DEFAULT_SPOOL_BYTES, environ),
        keep_ended_s=env.seconds("SCHEDULER_KEEP_ENDED_S", 86400, environ),
        cgroup=environ.get("SCHEDULER_CGROUP", DEFAULT_CGROUP),
        join_token=join_token(environ),
        policy=policy(environ),
    )


def policy(environ: Mapping[str, str]) -> Policy:
    """What the file `SCHEDULER_AGENT_POLICY` says; everything may run where none is named."""
    path = environ.get("SCHEDULER_AGENT_POLICY")
    return load_policy(path) if path else Policy()


def join_token(environ: Mapping[str, str]) -> str:
    """`SCHEDULER_JOIN_TOKEN`, or what the file `SCHEDULER_JOIN_TOKEN_FILE` holds; empty where there is neither."""
    path = environ.get("SCHEDULER_JOIN_TOKEN_FILE")
    if "SCHEDULER_JOIN_TOKEN" in environ or not path:
        return environ.get("SCHEDULER_JOIN_TOKEN", "").strip()
    try:
        return Path(path).read_text().strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ConfigurationError(f"SCHEDULER_JOIN_TOKEN_FILE={path!r} cannot be read: {error.strerror}") from error


def labels(environ: Mapping[str, str]) -> dict[str, str]:
    """`SCHEDULER_LABELS=zone=a,gpu=yes` as a mapping."""
    found = {}
    for word in env.words("SCHEDULER_LABELS", environ):
        key, equals, value = word.partition("=")
        if not equals or not key.strip():
            raise ConfigurationError(f"SCHEDULER_LABELS: {word!r} is no label; write key=value, with commas between")
        found[key.strip()] = value.strip()
    return found


def count(name: str, default: int, environ: Mapping[str, str]) -> int:
    """A whole number above 0."""
    word = environ.get(name, str(default))
    if not word.isdecimal() or int(word) == 0:
        raise ConfigurationError(f"{name}={word!r} is not a whole number above 0")
    return int(word)


def base_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The few variables of the agent that every process may see; none of them is the agent's configuration."""
    return {"PATH": DEFAULT_PATH} | {name: environ[name] for name in BASE_VARIABLES if name in environ}
