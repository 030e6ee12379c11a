"""The options of each executor, brought from their historical forms to one."""

import re
import shlex
from collections.abc import Callable
from typing import Any

from clusters.core.document import Port
from clusters.core.reading import Reader, shown

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)


def read_options(executor: str, reader: Reader) -> tuple[dict[str, Any], dict[str, str], list[Port]]:
    """The executor's own options, its environment and the fixed ports that it names."""
    options, ports = OPTIONS[executor](reader)
    reader.ignore("name")
    env = read_env(reader)
    reader.finish()
    return options, env, ports


def bash_options(reader: Reader) -> tuple[dict[str, Any], list[Port]]:
    """`start` and `stop`: lists of shell commands. `cmd`, `args` and `kill` are their oldest names."""
    start, stop = reader.texts("start"), reader.texts("stop")
    command, arguments, kill = reader.text("cmd"), reader.texts("args"), reader.texts("kill")
    if not start and command:
        start = [f"{command} {shlex.join(arguments)}".strip()]
    if not start:
        reader.fault("start", "is missing; give the command to run")
    if reader.has("artifact"):
        reader.fault("artifact", "downloads are not available yet; fetch it in the container's setup")
    reader.ignore("download_dir")
    ports = [Port(f"PORT_{number}", number) for number in read_numbers(reader)]
    return {"start": start, "stop": stop or kill}, ports


def docker_options(reader: Reader) -> tuple[dict[str, Any], list[Port]]:
    """What `docker run` is told."""
    if not reader.text("image"):
        reader.fault("image", "is missing")
    options: dict[str, Any] = {
        "image": reader.text("image"),
        "cmd": reader.texts("cmd"),
        "entry": reader.text("entry"),
        "work_dir": reader.text("work_dir"),
        "volumes": reader.texts("volumes"),
        "flags": reader.texts("flags"),
        "net": reader.text("net"),
        "net_alias": reader.text("net_alias"),
        "volume_driver": reader.text("volume_driver"),
    }
    reader.get("container_port")
    return {key: value for key, value in options.items() if value}, read_mappings(reader)


OPTIONS: dict[str, Callable[[Reader], tuple[dict[str, Any], list[Port]]]] = {
    "bash": bash_options,
    "docker": docker_options,
}


def read_env(reader: Reader) -> dict[str, str]:
    """`env` as a list of `NAME=value`, a list of mappings, or one mapping."""
    env: dict[str, str] = {}
    for path, one in reader.elements("env"):
        if isinstance(one, dict):
            env |= {str(name): str(value) for name, value in one.items()}
        elif isinstance(one, str) and VARIABLE.fullmatch(one):
            name, _, value = one.partition("=")
            env[name] = value
        else:
            reader.fault(path.removeprefix(f"{reader.path}."), f"must be NAME=value, got {shown(one)}")
    return env


def read_numbers(reader: Reader) -> list[int]:
    """`ports` of bash: the numbers that its commands listen on."""
    found = []
    for path, one in reader.elements("ports"):
        if isinstance(one, int) and not isinstance(one, bool) and 0 < one < 65536:
            found.append(one)
        else:
            reader.fault(path.removeprefix(f"{reader.path}."), f"must be a port from 1 to 65535, got {shown(one)}")
    return found


def read_mappings(reader: Reader) -> list[Port]:
    """`ports` of docker: texts `host:container`."""
    found = []
    for path, one in reader.elements("ports"):
        match = re.fullmatch(r"(\d{1,5}):(\d{1,5})", one) if isinstance(one, str) else None
        if match is None or not all(0 < int(part) < 65536 for part in match.groups()):
            reader.fault(path.removeprefix(f"{reader.path}."), f"must be HOST:CONTAINER, got {shown(one)}")
        else:
            found.append(Port(f"PORT_{match[1]}", int(match[1]), int(match[2])))
    return found
