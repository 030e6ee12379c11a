"""Which processes `up` runs and with which addresses: a pure description, decided before anything starts."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scheduler_project.process import CONTROL_QUEUE, ETCD_QUEUE, HTTP_QUEUE, NATS_QUEUE, TASKS_QUEUE
from scheduler_project.up.ports import LOOPBACK
from scheduler_project.up.processes import ProcessSpec
from scheduler_project.up.servers import NATS_USER

PYTHON = sys.executable
AGENT_PORTS_FIRST = 31_000
AGENT_PORTS_EACH = 500
WORKER_READY = " ready."
CLOCK_READY = "beat: Starting"
ETCD_VARIABLES = (
    "ETCD_ENDPOINTS",
    "ETCD_PREFIX",
    "ETCD_CACERT",
    "ETCD_CERT",
    "ETCD_KEY",
    "ETCD_USER",
    "ETCD_PASSWORD",
)
CALLS_VARIABLES = ("SCHEDULER_HTTP_HOSTS", "SCHEDULER_CELERY_TASKS")
SECRET_PREFIX = "SCHEDULER_SECRET_"  # noqa: S105
NOT_FOR_AGENTS = ("DATABASE_URL", "SECRET_KEY", "NATS_URI", *ETCD_VARIABLES)
WAVE_FACES, WAVE_AGENTS, WAVE_CONTROL, WAVE_SERVERS = range(4)


@dataclass(frozen=True)
class Ports:
    web: int
    broker: int
    nats: int
    flower: int


@dataclass(frozen=True)
class Options:
    """What the user asked of `up`."""

    hosts: tuple[str, ...]
    address: str
    web_port: int
    demo: bool


def embedded_broker_url(port: int, password: str) -> str:
    return f"redis://:{password}@{LOOPBACK}:{port}/0"


def embedded_nats_uri(port: int, password: str) -> str:
    return f"nats://{NATS_USER}:{password}@{LOOPBACK}:{port}"


def shared_environment(
    environ: Mapping[str, str], ports: Ports, broker_password: str, database_url: str, secret_key: str, data_dir: Path
) -> dict[str, str]:
    """What every process must agree on: given addresses first, else those of the embedded servers."""
    nats_uri = environ.get("NATS_URI") or environ.get("NATS_URL")
    return {
        "BROKER_URL": environ.get("BROKER_URL") or embedded_broker_url(ports.broker, broker_password),
        "NATS_URI": nats_uri or embedded_nats_uri(ports.nats, broker_password),
        "DATABASE_URL": database_url,
        "SECRET_KEY": environ.get("SECRET_KEY") or secret_key,
        "SCHEDULER_DATA_DIR": str(data_dir),
        **{name: environ[name] for name in (*ETCD_VARIABLES, *CALLS_VARIABLES) if environ.get(name)},
        **{name: value for name, value in environ.items() if name.startswith(SECRET_PREFIX)},
    }


def celery_worker(name: str, queue: str, env: Mapping[str, str], wave: int, *words: str) -> ProcessSpec:
    """A Celery worker on one queue; it is up when it says so."""
    argv = celery("worker", "-Q", queue, "--loglevel", "INFO", *words)
    return ProcessSpec(name, argv, env, ready_text=WORKER_READY, stop_wave=wave)


def celery(*words: str) -> tuple[str, ...]:
    return (PYTHON, "-m", "celery", "-A", "scheduler_project", *words)


def server_specs(
    environ: Mapping[str, str], ports: Ports, valkey: Sequence[str], nats: Sequence[str]
) -> list[ProcessSpec]:
    """The embedded servers that no address in the environment replaces."""
    specs = []
    if "BROKER_URL" not in environ:
        specs.append(ProcessSpec("valkey", tuple(valkey), port=ports.broker, stop_wave=WAVE_SERVERS))
    if not (environ.get("NATS_URI") or environ.get("NATS_URL")):
        specs.append(ProcessSpec("nats", tuple(nats), port=ports.nats, stop_wave=WAVE_SERVERS))
    return specs


def application_specs(
    options: Options,
    ports: Ports,
    shared: Mapping[str, str],
    flower_login: str,
    join_tokens: Mapping[str, str],
) -> list[ProcessSpec]:
    """Our own processes, in the order in which they are started. `shared` is the environment that all get."""
    web = (PYTHON, "-m", "uvicorn", "scheduler_project.asgi:application", "--host", options.address)
    web_options = ("--port", str(options.web_port), "--no-access-log", "--timeout-graceful-shutdown", "3")
    flower = celery("flower", f"--address={LOOPBACK}", f"--port={ports.flower}")
    specs = [
        celery_worker("control", CONTROL_QUEUE, shared, WAVE_CONTROL, "--concurrency", "4"),
        ProcessSpec("web", web + web_options, shared, port=options.web_port),
        ProcessSpec("clock", celery("beat", "--loglevel", "INFO"), shared, ready_text=CLOCK_READY),
        celery_worker("nats-bridge", NATS_QUEUE, shared, WAVE_FACES, "--concurrency", "2"),
    ]
    if "ETCD_ENDPOINTS" in shared:
        specs.append(celery_worker("etcd-bridge", ETCD_QUEUE, shared, WAVE_FACES, "--concurrency", "1"))
    if any(name in shared for name in CALLS_VARIABLES):
        specs.append(calls_spec(shared))
    specs += [agent_spec(host, position, shared, join_tokens[host]) for position, host in enumerate(options.hosts)]
    if options.demo:
        specs.append(ProcessSpec("demo-connector", (PYTHON, "examples/demo_connector.py"), shared))
    specs.append(ProcessSpec("flower", flower, {**shared, "FLOWER_BASIC_AUTH": flower_login}, port=ports.flower))
    return specs


def calls_spec(shared: Mapping[str, str]) -> ProcessSpec:
    """The worker of components that are HTTP calls or Celery tasks; processes, so that time limits hold.

    `processes` is the pool that Celery also calls `prefork`; by that name it gives way to the setting `worker_pool`.
    """
    queues = f"{HTTP_QUEUE},{TASKS_QUEUE}"
    return celery_worker("calls", queues, shared, WAVE_CONTROL, "--pool", "processes", "--concurrency", "4")


def agent_spec(host: str, position: int, shared: Mapping[str, str], join_token: str) -> ProcessSpec:
    """A host agent. Agents of one machine share its ports, so each gets a range of its own."""
    first = AGENT_PORTS_FIRST + position * AGENT_PORTS_EACH
    secrets = [name for name in shared if name.startswith(SECRET_PREFIX)]
    env = {**shared, **dict.fromkeys((*NOT_FOR_AGENTS, *secrets), "")}
    env["SCHEDULER_AGENT_PORTS"] = f"{first}-{first + AGENT_PORTS_EACH - 1}"
    env["SCHEDULER_JOIN_TOKEN"] = join_token
    return celery_worker(host, host, env, WAVE_AGENTS)
