"""What resuming and retrying would do, and why components are not done."""

import pytest

from graphs.core.circuit import Limits, Silence, after_failures, unanswered
from graphs.core.policy import Policy
from graphs.core.reopening import Past, resume, retry
from graphs.core.why import Cause, Known, explain
from tests.unit.graphs.test_policy import NOW, at

CHAIN = {"a": ["b"], "b": ["c"]}


def test_a_resume_resets_what_did_not_come_to_a_good_end() -> None:
    past = {
        "done": Past("completed"),
        "failed": Past("errored"),
        "stopped": Past("cancelled"),
        "hopeless": Past("skipped"),
        "unwanted": Past("skipped", by_hand=True),
        "next": Past("waiting"),
    }
    assert [(one.component_id, one.state) for one in resume(past).resets] == [
        ("failed", "waiting"),
        ("stopped", "waiting"),
        ("hopeless", "waiting"),
    ]


def test_a_resume_leaves_to_a_person_what_may_have_been_carried_out() -> None:
    past = {"a": Past("errored", 1, silent=True, resendable=False), "b": Past("cancelled", 1, silent=True)}
    assert [(one.component_id, one.state) for one in resume(past).resets] == [("a", "running"), ("b", "waiting")]


def test_a_retry_resets_a_component_and_all_that_hangs_from_it() -> None:
    past = {"a": Past("completed"), "b": Past("completed"), "c": Past("waiting"), "other": Past("errored")}
    plan = retry(past, CHAIN, "a")
    assert [(one.component_id, one.before) for one in plan.resets] == [("a", "completed"), ("b", "completed")]
    assert plan.resets[1].reason == "what it depends on is done again: a"


def test_a_retry_is_refused_while_a_part_of_it_is_in_flight() -> None:
    plan = retry({"a": Past("errored"), "b": Past("running"), "c": Past("waiting")}, CHAIN, "a")
    assert plan.refused == "b is in flight; wait for it, or mark it first"
    assert plan.resets == ()


def test_what_needs_attention_can_be_retried() -> None:
    plan = retry({"a": Past("running", needs_attention=True), "b": Past("waiting"), "c": Past("waiting")}, CHAIN, "a")
    assert [one.component_id for one in plan.resets] == ["a"]


def test_a_component_says_what_it_waits_for_and_the_cause_at_the_root() -> None:
    known = {
        "a": Known("running", note="attempt 1 has no reply"),
        "b": Known("waiting"),
        "c": Known("waiting"),
        "z": Known("completed"),
    }
    told = explain("c", known, {"c": ["b", "z"], "b": ["a"]}, "")
    assert told.summary == "it waits for b (waiting)"
    assert told.nearest == (Cause("b", "waiting", ""),)
    assert told.roots == (Cause("a", "running", "attempt 1 has no reply"),)


def test_a_component_behind_a_failure_says_that_too() -> None:
    known = {"a": Known("errored", "boom"), "b": Known("waiting")}
    told = explain("b", known, {"b": ["a"]}, "something in the graph has failed")
    assert told.summary == "it waits for a (errored); and something in the graph has failed"
    assert told.roots == (Cause("a", "errored", "boom"),)


@pytest.mark.parametrize(
    ("one", "summary"),
    [
        (Known("waiting", note="the provider aws is silent"), "the provider aws is silent"),
        (Known("waiting"), "the graph is paused"),
        (Known("running", note="waits for the approval of ann"), "waits for the approval of ann"),
        (Known("completed"), "it is completed"),
        (Known("errored", "boom"), "boom"),
    ],
)
def test_a_component_without_open_dependencies_says_what_holds_it_up(one: Known, summary: str) -> None:
    assert explain("a", {"a": one}, {}, "the graph is paused").summary == summary


def test_a_picture_that_is_cut_off_names_no_root_that_may_wait_for_something_outside() -> None:
    known = {"a": Known("waiting", held=True), "b": Known("waiting", held=True), "c": Known("waiting", held=True)}
    elsewhere = [Cause("z", "running", "")]
    told = explain("c", known, {"c": ["b"], "b": ["a"]}, "", 3, elsewhere)
    assert told.summary == "it waits for b (waiting); more than 3 components are in the way"
    assert told.roots == tuple(elsewhere)

    seen = {**known, "r": Known("errored", "boom")}
    assert explain("c", seen, {"c": ["b", "r"], "b": ["a"]}, "", 3, elsewhere).roots == (Cause("r", "errored", "boom"),)


def test_any_waits_for_nothing_more_once_one_is_completed() -> None:
    known = {"a": Known("completed"), "b": Known("running"), "c": Known("waiting", rule="any")}
    assert explain("c", known, {"c": ["a", "b"]}, "").nearest == ()


def test_after_enough_failures_in_a_row_a_provider_is_left_alone_and_longer_each_time() -> None:
    limits = Limits(3, 10, 35)
    twice = after_failures(Silence(), 2, NOW, limits)
    assert (twice.failures, twice.retry_at) == (2, None)
    opened = after_failures(twice, 1, NOW, limits)
    assert (opened.openings, opened.retry_at) == (1, at(10))
    assert after_failures(opened, 4, at(5), limits).retry_at == at(10)
    again = after_failures(opened, 1, at(10), limits)
    assert again.retry_at == at(30)
    assert after_failures(again, 1, at(30), limits).retry_at == at(65)


def test_the_breaker_can_be_turned_off() -> None:
    assert after_failures(Silence(), 100, NOW, Limits(0, 10, 60)).retry_at is None


def test_a_policy_may_be_given_the_time_for_a_reply_apart() -> None:
    assert Policy(attempts=2).within(5).timeout_s == 5


def test_only_what_was_sent_after_the_last_answer_counts_as_silence() -> None:
    sends = [at(0), at(1), at(2)]
    assert unanswered(sends, None) == 3
    assert unanswered(sends, at(1)) == 1
    assert unanswered(sends, at(5)) == 0
