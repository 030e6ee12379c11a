"""Celery tasks of components: which may be run, and what their end means."""

from typing import Any

import pytest

from graphs.core.tasks import TaskEnd, end_with_result, end_with_state, task_call, task_faults

ALLOWED = ["shop.*", "reports.daily"]


def faults(**document: Any) -> list[str]:
    return [str(fault) for fault in task_faults({"task": "shop.pack"} | document, "c", ALLOWED)]


@pytest.mark.parametrize("task", ["shop.pack", "reports.daily", "$(options.task)"])
def test_tasks_of_the_list_may_be_run(task: str) -> None:
    assert faults(task=task) == []


@pytest.mark.parametrize("task", ["reports.weekly", "shop", "graphs.sweep", "celery.backend_cleanup"])
def test_no_other_task_is_run(task: str) -> None:
    [fault] = faults(task=task)
    assert "is not in SCHEDULER_CELERY_TASKS" in fault


def test_our_own_tasks_are_not_run_even_where_everything_is_allowed() -> None:
    assert task_faults({"task": "workers.sweep"}, "c", ["*"])


@pytest.mark.parametrize(
    ("field", "fault"),
    [
        ({"task": ""}, "c.task: is missing"),
        ({"task": 1}, "c.task: must be a string"),
        ({"args": {}}, "c.args: must be a list"),
        ({"kwargs": []}, "c.kwargs: must be an object"),
        ({"queue": "control"}, "c.queue: 'control' is a queue of the scheduler itself"),
        ({"queue": "host-a"}, "c.queue: 'host-a' is a queue of the scheduler itself"),
        ({"time_limit_s": 0}, "c.time_limit_s: must be a whole number"),
        ({"time_limit_s": 100_000}, "c.time_limit_s: must be a whole number"),
    ],
)
def test_every_fault_has_its_path(field: dict[str, Any], fault: str) -> None:
    [found] = faults(**field)
    assert found.startswith(fault)


def test_a_task_goes_to_the_queue_celery_unless_it_says_otherwise() -> None:
    assert task_call({"task": "shop.pack"}).queue == "celery"


@pytest.mark.parametrize(
    ("result", "end"),
    [
        ({"a": 1}, TaskEnd("completed", "", {"a": 1})),
        (None, TaskEnd("completed")),
        (3, TaskEnd("completed", "", {"result": 3})),
    ],
)
def test_what_a_result_means(result: Any, end: TaskEnd) -> None:
    assert end_with_result(result) == end


def test_a_result_that_cannot_be_kept_fails_its_component() -> None:
    assert "NUL" in end_with_result("\x00").reason
    assert "bytes" in end_with_result("x" * 2_000_000).reason


def test_what_the_result_backend_tells() -> None:
    assert end_with_state("PENDING", None) is None
    assert end_with_state("SUCCESS", {"a": 1}) == TaskEnd("completed", "", {"a": 1})
    assert end_with_state("FAILURE", ValueError("no")) == TaskEnd("errored", "ValueError: no")
    assert end_with_state("REVOKED", None) == TaskEnd("cancelled", "its task was revoked")
