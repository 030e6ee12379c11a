"""Which builds an environment admits, and how stored mappings change."""

from typing import Any

import pytest

from graphs.core.environments import Refused, admitted, state_after
from graphs.core.mappings import NoSuchChange, with_change, with_component, without_component

A, B = {"_component_id": "a", "n": 1}, {"_component_id": "b"}
NEW = {"_component_id": "a", "n": 2}


@pytest.mark.parametrize("state", ["initializing", "done", "errored"])
@pytest.mark.parametrize(
    ("build_type", "following"),
    [
        ("apply", "in_progress"),
        ("destroy", "in_progress"),
        ("import", "in_progress"),
        ("sync", "syncing"),
        ("submission", "awaiting_approval"),
    ],
)
def test_a_free_environment_admits_a_build(state: str, build_type: str, following: str) -> None:
    assert admitted(state, build_type) == following


@pytest.mark.parametrize(
    ("state", "build_type", "following"),
    [
        ("awaiting_approval", "submission-accepted", "in_progress"),
        ("awaiting_approval", "submission-rejected", "done"),
        ("awaiting_resolution", "sync-rejected", "in_progress"),
        ("awaiting_resolution", "sync-accepted", "done"),
        ("awaiting_resolution", "sync-ignored", "done"),
    ],
)
def test_one_that_waits_admits_what_it_waits_for(state: str, build_type: str, following: str) -> None:
    assert admitted(state, build_type) == following


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ("in_progress", "build in progress"),
        ("syncing", "environment is syncing"),
        ("awaiting_approval", "a build is waiting for approval"),
        ("awaiting_resolution", "a sync needs to be resolved"),
    ],
)
def test_a_busy_one_refuses_in_the_known_words(state: str, text: str) -> None:
    with pytest.raises(Refused, match=f"^could not create environment build: {text}$"):
        admitted(state, "apply")


def test_what_nothing_waits_for_and_what_nobody_knows_is_refused() -> None:
    for build_type in ("submission-accepted", "dance"):
        with pytest.raises(Refused):
            admitted("done", build_type)


def test_an_end_frees_the_environment() -> None:
    assert (state_after("build.create.done"), state_after("build.create.error")) == ("done", "errored")


@pytest.mark.parametrize(
    ("edit", "before", "after"),
    [
        (with_change, {"changes": [B, A, A]}, {"changes": [B, NEW, A]}),
        (with_component, {"components": [A, B]}, {"components": [NEW, B]}),
        (with_component, {"components": [B]}, {"components": [B, NEW]}),
        (with_component, {}, {"components": [NEW]}),
        (without_component, {"components": [A, B, A]}, {"components": [B]}),
        (without_component, {"components": [B]}, {"components": [B]}),
    ],
)
def test_a_component_is_put_in_its_place(edit: Any, before: dict[str, Any], after: dict[str, Any]) -> None:
    assert edit({"id": "x", **before}, NEW) == {"id": "x", **after}


def test_a_change_that_is_not_there_cannot_be_replaced() -> None:
    with pytest.raises(NoSuchChange, match="change component not found"):
        with_change({"changes": [B]}, NEW)
