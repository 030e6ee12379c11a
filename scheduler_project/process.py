"""What a Celery worker process is for, told by the queue it consumes.

A worker that consumes one queue named `host-…` is a host agent: it needs the broker and nothing else, so Django is
never loaded into it. `nats` is the NATS bridge, `etcd` the etcd bridge; `http` and `celery`
carry out components that are HTTP calls and Celery tasks. Everything else is an ordinary control worker.
"""

from collections.abc import Sequence

HOST_QUEUE_PREFIX = "host-"
CONTROL_QUEUE = "control"
NATS_QUEUE = "nats"
ETCD_QUEUE = "etcd"
HTTP_QUEUE = "http"
TASKS_QUEUE = "celery"


def queues_from_argv(argv: Sequence[str]) -> list[str]:
    """The queues named by `-Q a,b`, `-Qa`, `--queues a` or `--queues=a`; empty where none is named."""
    queues: list[str] = []
    for position, word in enumerate(argv):
        following = argv[position + 1] if position + 1 < len(argv) else ""
        if word in ("-Q", "--queues"):
            queues += following.split(",")
        elif word.startswith("--queues="):
            queues += word.removeprefix("--queues=").split(",")
        elif word.startswith("-Q") and len(word) > 2:
            queues += word[2:].split(",")
    return [queue.strip() for queue in queues if queue.strip()]


def host_from_argv(argv: Sequence[str]) -> str | None:
    """The host's name when this process is a host agent, else None. A host's name is its queue's name."""
    if "worker" not in argv:
        return None
    hosts = [queue for queue in queues_from_argv(argv) if queue.startswith(HOST_QUEUE_PREFIX)]
    return hosts[0] if hosts else None
