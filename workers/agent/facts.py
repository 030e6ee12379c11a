"""What the agent finds out about its host, without being told."""

import os
import shutil
import socket
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

MIB = 1024 * 1024
ANY_PORT = 9


def facts(state_dir: Path, executors: list[str], ports: str) -> dict[str, Any]:
    """Cores, memory and free disk (MiB), kernel, the executors that work here and the ports on offer."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MIB,
        "disk_mb": shutil.disk_usage(state_dir).free // MIB,
        "kernel": os.uname().release,
        "executors": executors,
        "ports": ports,
    }


def own_address(broker_url: str) -> str:
    """The address of this host on the way to the broker; its name where there is no way now."""
    broker = urlsplit(broker_url).hostname or "127.0.0.1"
    try:
        kind, protocol, _, _, address = socket.getaddrinfo(broker, ANY_PORT, type=socket.SOCK_DGRAM)[0][:5]
        with socket.socket(kind, protocol) as probe:
            probe.connect(address)
            return str(probe.getsockname()[0])
    except OSError:
        return os.uname().nodename


def version() -> str:
    """The installed version of this program; `source` when it runs from a checkout."""
    try:
        return metadata.version("scheduler-project")
    except metadata.PackageNotFoundError:
        return "source"
