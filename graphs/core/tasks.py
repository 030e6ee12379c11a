"""Celery tasks that components ask for: what is wrong with one, and what its end means.

Invariant: a component without faults names a task that was allowed, never one of our own or of Celery.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from graphs.core.merge import reply_problem
from graphs.core.templating import is_template
from scheduler_project.toolkit.errors import Fault

OURS = ("graphs.*", "workers.*", "clusters.*", "topologies.*", "scheduler.*", "celery.*")
OUR_QUEUES = ("control", "nats", "etcd", "http", "host-*")
DEFAULT_QUEUE = "celery"
TIME_LIMIT_MAX_S = 840
RESULT_MAX_BYTES = 1024 * 1024
KINDS: Mapping[str, tuple[Any, str]] = {
    "task": (str, "a string"),
    "args": (list, "a list"),
    "kwargs": (dict, "an object"),
    "queue": (str, "a string"),
}


@dataclass(frozen=True)
class TaskCall:
    """One call of a task; `time_limit_s` 0 is Celery's own limit."""

    task: str
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    queue: str = DEFAULT_QUEUE
    time_limit_s: int = 0


@dataclass(frozen=True)
class TaskEnd:
    """How a task ended, for its component."""

    state: str
    reason: str = ""
    document: Mapping[str, Any] = field(default_factory=dict)


def task_call(document: Mapping[str, Any]) -> TaskCall:
    """The call in a component without faults."""
    return TaskCall(
        task=document["task"],
        args=tuple(document.get("args", ())),
        kwargs=document.get("kwargs", {}),
        queue=document.get("queue", DEFAULT_QUEUE),
        time_limit_s=document.get("time_limit_s", 0),
    )


def task_faults(document: Mapping[str, Any], path: str, allowed: Sequence[str]) -> list[Fault]:
    """Everything wrong with a component's task, `allowed` being patterns of names."""
    faults = [
        Fault(f"{path}.{key}", f"must be {words}")
        for key, (kind, words) in KINDS.items()
        if key in document and not isinstance(document[key], kind)
    ]
    limit_s = document.get("time_limit_s", 1)
    if isinstance(limit_s, bool) or not isinstance(limit_s, int) or not 0 < limit_s <= TIME_LIMIT_MAX_S:
        faults.append(Fault(f"{path}.time_limit_s", f"must be a whole number of seconds from 1 to {TIME_LIMIT_MAX_S}"))
    if faults:
        return faults
    task, queue = document.get("task", ""), document.get("queue", DEFAULT_QUEUE)
    if not task:
        faults.append(Fault(f"{path}.task", "is missing"))
    elif not is_template(task) and not is_allowed(task, allowed):
        faults.append(Fault(f"{path}.task", f"{task!r} is not in SCHEDULER_CELERY_TASKS, so it is not run"))
    if any(fnmatchcase(queue, pattern) for pattern in OUR_QUEUES) or not queue:
        faults.append(Fault(f"{path}.queue", f"{queue!r} is a queue of the scheduler itself; choose another"))
    return faults


def is_allowed(task: str, allowed: Sequence[str]) -> bool:
    """Whether a name matches a pattern of the list and is none of our own."""
    if any(fnmatchcase(task, pattern) for pattern in OURS):
        return False
    return any(fnmatchcase(task, pattern) for pattern in allowed)


def end_with_result(result: Any) -> TaskEnd:
    """A task that returned: an object is merged into its component, anything else becomes its `result`."""
    document = result if isinstance(result, dict) else {} if result is None else {"result": result}
    problem = reply_problem(document)
    if problem:
        return TaskEnd("errored", f"the result cannot be kept: {problem}")
    size_bytes = len(json.dumps(document))
    if size_bytes > RESULT_MAX_BYTES:
        return TaskEnd("errored", f"the result has {size_bytes} bytes; at most {RESULT_MAX_BYTES} are kept")
    return TaskEnd("completed", "", document)


def end_with_state(state: str, result: Any) -> TaskEnd | None:
    """What a state in the result backend means; None for a task that is not over, or not known there."""
    if state == "SUCCESS":
        return end_with_result(result)
    if state == "REVOKED":
        return TaskEnd("cancelled", "its task was revoked")
    if state == "FAILURE":
        return TaskEnd("errored", failure(result))
    return None


def failure(error: Any) -> str:
    """The reason in an exception of a task."""
    text = f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else str(error)
    return text[:2000] or "its task failed without saying why"
