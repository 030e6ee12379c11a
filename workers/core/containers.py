"""What makes a container unacceptable before any host is asked.

Invariant: one without faults can be told to an engine as it stands; whether its host allows it is for the host to say.
"""

import math
import re
from collections.abc import Iterator

from workers.protocol import InContainer

EXECUTOR = "docker"
PULLS = ("missing", "always", "never")
IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._:/@-]{0,511}", re.ASCII)
NETWORK = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}", re.ASCII)
USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,62})?", re.ASCII)
CPUS_MAX = 4096


def container_faults(container: InContainer, user: str, cwd: str) -> Iterator[tuple[str, str]]:
    """Every fault: the field, and what is wrong with it. `user` and `cwd` are those inside."""
    if not IMAGE.fullmatch(container.image):
        yield "image", "is no image's name, such as `alpine:3.20` or `registry.example.com/tools/sync@sha256:…`"
    if container.pull not in PULLS:
        yield "pull", f"must be one of {', '.join(PULLS)}"
    if not NETWORK.fullmatch(container.network):
        yield "network", "is no network's name; `none` and `bridge` are always there"
    if not math.isfinite(container.cpus) or not 0 <= container.cpus <= CPUS_MAX:
        yield "cpus", f"is not a number from 0 to {CPUS_MAX}"
    if user and not USER.fullmatch(user):
        yield "user", "is no user's name or number, alone or with `:` and a group's"
    if cwd and not is_path(cwd):
        yield "cwd", "is no absolute path; it is one inside the container"
    for position, mount in enumerate(container.mounts):
        for end in ("source", "target"):
            if not is_path(getattr(mount, end)):
                yield f"mounts[{position}].{end}", "is no absolute path"


def is_path(text: str) -> bool:
    return text.startswith("/") and "\0" not in text
