"""When a component may start, for each trigger rule, and what becomes of it when its rule can never be met."""

import pytest

from graphs.core.draining import drain
from graphs.core.ends import Standing as Whole
from graphs.core.ends import decide_end, must_look, rules_that_start
from graphs.core.rules import AFTER_CANCEL, AFTER_ERROR, RULES, Standing, after_change, blockers, can_be_met, standing

OPEN, OVER, PASSED = Standing.OPEN, Standing.OVER, Standing.PASSED
NONE = dict.fromkeys(("waiting", "running", "completed", "errored", "cancelled", "skipped"), 0)


@pytest.mark.parametrize(
    ("rule", "dependencies", "missing"),
    [
        ("all_completed", [PASSED, OPEN, OVER], 2),
        ("all_completed", [PASSED, PASSED], 0),
        ("all_done", [PASSED, OPEN, OVER], 1),
        ("all_done", [OVER, OVER], 0),
        ("always", [OPEN, OVER], 1),
        ("any", [OPEN, OVER], 1),
        ("any", [OPEN, PASSED], 0),
        ("any", [], 0),
    ],
)
def test_what_a_rule_is_missing(rule: str, dependencies: list[Standing], missing: int) -> None:
    assert blockers(rule, dependencies) == missing


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("before", [OPEN, OVER])
@pytest.mark.parametrize("after", [OVER, PASSED])
@pytest.mark.parametrize("others", [[], [OPEN], [OVER, OPEN], [OVER, OVER]])
def test_one_change_gives_what_counting_anew_gives(
    rule: str, before: Standing, after: Standing, others: list[Standing]
) -> None:
    if after > before:
        counted = blockers(rule, [*others, after])
        assert after_change(rule, blockers(rule, [*others, before]), before, after) == counted


def test_what_is_skipped_by_hand_lets_others_go_on_and_what_the_engine_skips_does_not() -> None:
    assert standing("skipped", "ann") == PASSED
    assert standing("skipped") == OVER
    assert [standing(state) for state in ("waiting", "running", "completed", "errored")] == [OPEN, OPEN, PASSED, OVER]


@pytest.mark.parametrize(
    ("whole", "rules"),
    [
        (Whole(NONE), RULES),
        (Whole(NONE, has_rules=True), RULES),
        (Whole(NONE | {"errored": 1}, has_rules=True), AFTER_ERROR),
        (Whole(NONE | {"errored": 1}), ()),
        (Whole(NONE | {"errored": 1}, forgiven=1), RULES),
        (Whole(NONE, cancel_requested=True, has_rules=True), AFTER_CANCEL),
        (Whole(NONE, cancel_requested=True), ()),
        (Whole(NONE, paused=True), ()),
    ],
)
def test_which_rules_start_after_what(whole: Whole, rules: tuple[str, ...]) -> None:
    assert rules_that_start(whole) == rules


def test_a_failed_graph_goes_on_while_something_of_a_lasting_rule_can_start() -> None:
    whole = Whole(NONE | {"errored": 1, "waiting": 1}, has_rules=True)
    assert must_look(whole)
    assert decide_end(whole, startable=True) is None
    end = decide_end(whole, startable=False)
    assert end is not None
    assert end.state == "errored"


def test_a_paused_graph_does_not_end_while_something_waits() -> None:
    assert decide_end(Whole(NONE | {"waiting": 1}, paused=True), startable=True) is None


def test_what_is_left_of_a_cancelled_graph_after_a_retry_is_still_cancelled() -> None:
    end = decide_end(Whole(NONE | {"completed": 1, "cancelled": 2}), startable=False)
    assert end is not None
    assert (end.state, end.reason) == ("cancelled", "cancelled; 1 of 3 components were completed")


def test_a_rule_that_can_never_be_met() -> None:
    assert not can_be_met("all_completed", [OVER, OPEN])
    assert not can_be_met("any", [OVER, OVER])
    assert can_be_met("any", [OVER, OPEN])
    assert can_be_met("all_done", [OVER, OPEN])


def test_draining_skips_what_cannot_start_so_that_a_clean_up_can() -> None:
    found = drain(
        {"b": "all_completed", "c": "all_completed", "clean": "always"},
        {"b": ["a"], "c": ["b"], "clean": ["c"]},
        {"a": OVER},
        AFTER_ERROR,
    )
    assert set(found.skipped) == {"b", "c"}
    assert found.blockers == {"clean": 0}
    assert found.skipped["b"] == "the graph starts nothing more with the rule all_completed"


def test_draining_follows_what_it_skips_to_rules_that_it_makes_impossible() -> None:
    found = drain(
        {"b": "all_completed", "either": "any", "after": "any", "last": "all_done"},
        {"b": ["a"], "either": ["a", "b"], "after": ["either"], "last": ["after"]},
        {"a": OVER},
        AFTER_ERROR,
    )
    assert set(found.skipped) == {"b", "either", "after"}
    assert found.skipped["after"] == "its rule any can never be met: what it depends on has ended otherwise"
    assert found.blockers == {"last": 0}
