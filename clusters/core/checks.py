"""Health checks: reading them, and putting a task's ports into them."""

import re
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from clusters.core.document import PROVIDED_PORT, Check
from clusters.core.reading import Reader

REFERENCE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def read_check(reader: Reader, identity: str) -> Check:
    """One check; `add_provided_port` becomes a reference to the provided port in its address."""
    name = reader.text("id") or reader.text("name")
    reader.get("name")
    found = {kind: reader.text(kind) for kind in ("http", "tcp", "script")}
    kinds = [kind for kind, value in found.items() if value]
    if reader.has("docker"):
        reader.fault("docker", "checks inside a container are not available yet; use http, tcp or script")
    elif len(kinds) != 1:
        given = f"has {' and '.join(kinds)}" if kinds else "has none of http, tcp and script"
        reader.fault_here(f"{given}; a check needs exactly one")
    if reader.flag("add_provided_port"):
        found["http"], found["tcp"] = with_port_in_url(found["http"]), with_port(found["tcp"])
    check = Check(
        id=f"{identity}-{name}" if name else identity,
        interval_s=reader.duration_s("interval", 30),
        timeout_s=reader.duration_s("timeout", 5),
        **found,
    )
    reader.ignore("ttl")
    reader.finish()
    return check


def with_port(address: str) -> str:
    return f"{address}:${PROVIDED_PORT}" if address else ""


def with_port_in_url(url: str) -> str:
    """Adds the port to the host's part of a URL, before its path."""
    parts = urlsplit(url)
    if not parts.netloc:
        return with_port(url)
    return parts._replace(netloc=with_port(parts.netloc)).geturl()


def references(check: Check) -> list[str]:
    """The port names that the check's address speaks of. A script gets ports from its environment instead."""
    return [braced or plain for braced, plain in REFERENCE.findall(check.http + check.tcp)]


def resolve(check: Check, ports: Mapping[str, int]) -> Check:
    """The check with the numbers of a task's ports; whole names only, so `$main` leaves `$mainframe` alone."""

    def number(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        return str(ports[name]) if name in ports else match[0]

    return replace(check, http=REFERENCE.sub(number, check.http), tcp=REFERENCE.sub(number, check.tcp))
