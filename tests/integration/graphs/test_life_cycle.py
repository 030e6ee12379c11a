"""A graph's life with people in it: paused, resumed, retried, decided by hand; each run ends once."""

from datetime import timedelta
from typing import Any

import pytest

from graphs import store
from graphs.models import Attempt, Circuit, Component, Graph
from scheduler_project.models import Event
from scheduler_project.toolkit.access import Role
from scheduler_project.toolkit.errors import Conflict, Denied, NotFound
from tests.integration.graphs.mappings import mapping
from tests.integration.graphs.test_bridge_on_loopback import NOW, Nats

pytestmark = pytest.mark.django_db


@pytest.fixture
def nats() -> Nats:
    return Nats()


def submit(dependencies: dict[str, list[str]], wishes: dict[str, dict[str, Any]] | None = None, **fields: Any) -> Graph:
    document = mapping(dependencies, **fields)
    for change in document["changes"]:
        change |= (wishes or {}).get(change["_component_id"], {})
    return store.submit(document, NOW, source="http")


def states() -> dict[str, str]:
    return dict(Component.objects.changes().order_by("id").values_list("component_id", "state"))


def row(component_id: str) -> Component:
    return Component.objects.changes().get(component_id=component_id)


def done(nats: Nats, component_id: str, state: str = "completed", **fields: Any) -> None:
    kind = component_id.partition("::")[0]
    nats.reply(f"{kind}.create.demo.{'done' if state == 'completed' else 'error'}", component_id, state, **fields)


def sent(nats: Nats) -> list[str]:
    return [one["_component_id"] for one in nats.server.bodies("*.create.demo")]


def assert_log_is_whole() -> None:
    """The events of every graph are numbered without gaps in the order in which they stand in the log."""
    for graph in Graph.objects.all():
        numbers = [
            one["number"] for one in Event.objects.filter(subject=f"graph:{graph.pk}").values_list("data", flat=True)
        ]
        assert numbers == list(range(1, graph.events + 1))


def test_the_log_of_a_graph_has_no_gaps_and_is_in_order(nats: Nats) -> None:
    submit({"vpc::a": [], "net::a": ["vpc::a"], "vm::a": ["net::a"]})
    nats.work()
    done(nats, "vpc::a")
    done(nats, "vpc::a")
    done(nats, "net::a", "errored", error="boom")
    store.resume_graph("b1", NOW, "ann")
    nats.work()
    done(nats, "net::a")
    done(nats, "vm::a")
    assert Graph.objects.get().state == "completed"
    assert_log_is_whole()
    names = list(Event.objects.filter(subject="graph:b1").order_by("id").values_list("name", flat=True))
    assert names.count("component.report_ignored") == 1
    assert [name for name in names if name.startswith("graph.")] == [
        "graph.submitted",
        "graph.running",
        "graph.errored",
        "graph.resumed",
        "graph.completed",
    ]


def test_a_paused_graph_starts_nothing_and_takes_replies(nats: Nats) -> None:
    submit({"vpc::a": [], "net::a": ["vpc::a"]})
    nats.work()
    store.pause("b1", NOW, "ann")
    assert store.pause("b1", NOW, "bob").reason == "paused by ann"
    done(nats, "vpc::a")
    store.sweep(NOW)
    nats.work()
    assert states() == {"vpc::a": "completed", "net::a": "waiting"}

    store.unpause("b1", NOW, "ann")
    nats.work()
    done(nats, "net::a")
    assert Graph.objects.get().state == "completed"
    with pytest.raises(Conflict, match="already completed"):
        store.pause("b1", NOW, "ann")


def test_a_resume_sends_only_what_is_not_completed_and_the_end_is_announced_once_per_run(nats: Nats) -> None:
    submit({"vpc::a": [], "net::a": ["vpc::a"], "vm::a": ["net::a"]})
    nats.work()
    done(nats, "vpc::a")
    done(nats, "net::a", "errored", error="boom")
    nats.work()
    assert nats.server.subjects("build.*.*") == ["build.create.error"]

    graph = store.resume_graph("b1", NOW, "ann")
    assert (graph.state, graph.run) == ("running", 2)
    nats.work()
    done(nats, "net::a")
    done(nats, "vm::a")
    nats.work()
    assert sent(nats) == ["vpc::a", "net::a", "net::a", "vm::a"]
    ends = [message for message in nats.server.published if message.subject.startswith("build.")]
    assert [message.subject for message in ends] == ["build.create.error", "build.create.done"]
    assert [message.headers["Nats-Msg-Id"] for message in ends] == ["b1.1.errored", "b1.2.completed"]
    assert "error" not in nats.server.bodies("net.create.demo")[1]


def test_a_graph_that_was_paused_when_it_was_cancelled_goes_on_when_it_is_resumed(nats: Nats) -> None:
    submit({"vpc::a": []})
    store.pause("b1", NOW, "ann")
    store.cancel("b1", NOW, "ann")
    store.resume_graph("b1", NOW, "ann")
    nats.work()
    assert sent(nats) == ["vpc::a"]


@pytest.mark.parametrize("state", ["running", "completed"])
def test_a_graph_that_did_not_fail_is_not_resumed(nats: Nats, state: str) -> None:
    submit({"vpc::a": []})
    nats.work()
    if state == "completed":
        done(nats, "vpc::a")
    with pytest.raises(Conflict, match=f"is {state}"):
        store.resume_graph("b1", NOW, "ann")


def test_what_was_given_up_on_is_left_to_a_person_when_its_verb_is_not_safe(nats: Nats) -> None:
    submit({"vpc::a": [], "net::a": []}, {"net::a": {"_resend": "always"}})
    nats.work()
    store.cancel("b1", NOW, "ann")
    store.cancel("b1", NOW, "ann")
    assert Graph.objects.get().state == "cancelled"

    graph = store.resume_graph("b1", NOW, "ann")
    assert (graph.needs_attention, graph.running) == (1, 1)
    nats.work()
    assert sent(nats) == ["vpc::a", "net::a", "net::a"]
    done(nats, "vpc::a")
    done(nats, "net::a")
    graph.refresh_from_db()
    assert (graph.state, graph.needs_attention) == ("completed", 0)


def test_a_send_that_may_have_happened_needs_a_person_unless_its_verb_is_safe(nats: Nats) -> None:
    submit({"vpc::a": [], "net::a": []}, {"net::a": {"_action": "update"}})
    store.claim_any(["nats"], NOW)
    store.sweep(NOW + timedelta(seconds=11))
    assert states() == {"vpc::a": "running", "net::a": "waiting"}
    assert (row("vpc::a").needs_attention, Graph.objects.get().needs_attention) == (True, 1)

    store.retry_component("b1", "vpc::a", NOW, "ann")
    nats.work()
    assert sorted(nats.server.subjects("*.*.demo")) == ["net.update.demo", "vpc.create.demo"]
    assert Graph.objects.get().needs_attention == 0


def test_a_retry_does_a_component_and_what_hangs_from_it_again(nats: Nats) -> None:
    template = '$(components.#[_component_id="vpc::a"].arn)'
    submit({"vpc::a": [], "net::a": ["vpc::a"], "vm::a": []}, {"net::a": {"vpc": template}})
    nats.work()
    for name in ("vpc::a", "vm::a", "net::a"):
        done(nats, name, arn=f"{name}-1")
    assert Graph.objects.get().state == "completed"

    plan = store.plan_retry("b1", "vpc::a")
    assert [(one.component_id, one.before, one.state) for one in plan.resets] == [
        ("vpc::a", "completed", "waiting"),
        ("net::a", "completed", "waiting"),
    ]
    assert Graph.objects.get().state == "completed"
    assert store.retry_component("b1", "vpc::a", NOW, "ann").run == 2
    nats.work()
    done(nats, "vpc::a", arn="vpc::a-2")
    done(nats, "net::a")
    assert [one["vpc"] for one in nats.server.bodies("net.create.demo")] == ["vpc::a-1", "vpc::a-2"]
    assert Graph.objects.get().state == "completed"
    assert row("vpc::a").attempt == 2


def test_a_retry_of_one_failure_goes_on_although_another_is_left(nats: Nats) -> None:
    submit({"vpc::a": [], "net::a": ["vpc::a"], "vpc::b": [], "net::b": ["vpc::b"]})
    nats.work()
    done(nats, "vpc::a", "errored")
    done(nats, "vpc::b", "errored")
    assert store.retry_component("b1", "vpc::a", NOW, "ann").forgiven == 1
    nats.work()
    done(nats, "vpc::a")
    done(nats, "net::a")
    graph = Graph.objects.get()
    assert (graph.state, graph.reason) == ("errored", "1 of 4 components failed, 1 not started")


def test_what_is_in_flight_is_not_retried(nats: Nats) -> None:
    submit({"vpc::a": []})
    nats.work()
    assert store.plan_retry("b1", "vpc::a").refused
    with pytest.raises(Conflict, match="vpc::a is in flight"):
        store.retry_component("b1", "vpc::a", NOW, "ann")
    with pytest.raises(NotFound):
        store.retry_component("b1", "vpc::none", NOW, "ann")


def test_a_component_that_is_skipped_by_hand_lets_the_others_go_on(nats: Nats) -> None:
    submit({"vpc::a": [], "net::a": ["vpc::a"]})
    nats.work()
    skipped = store.mark("b1", "vpc::a", "skip", NOW, "ann", "it is there already")
    assert (skipped.state, skipped.decided_by) == ("skipped", "ann")
    assert skipped.reason == "skipped by hand, by ann: it is there already"
    nats.work()
    done(nats, "net::a")
    assert Graph.objects.get().state == "completed"
    assert Event.objects.get(name="component.skipped").actor == "ann"
    assert store.mark("b1", "vpc::a", "skip", NOW, "bob").decided_by == "ann"


def test_a_component_that_is_completed_by_hand_exists(nats: Nats) -> None:
    submit({"vpc::a": [], "net::a": ["vpc::a"]})
    nats.work()
    store.mark("b1", "vpc::a", "complete", NOW, "ann")
    assert list(Component.objects.existing().values_list("component_id", flat=True)) == ["vpc::a"]
    with pytest.raises(Conflict, match="the component is completed"):
        store.mark("b1", "vpc::a", "fail", NOW, "ann")


def test_a_failure_marked_as_completed_lets_a_running_graph_go_on(nats: Nats) -> None:
    submit({"vpc::a": [], "net::a": ["vpc::a"], "vm::slow": []})
    nats.work()
    done(nats, "vpc::a", "errored")
    store.mark("b1", "vpc::a", "complete", NOW, "ann")
    nats.work()
    assert states()["net::a"] == "running"


def test_a_clean_up_runs_after_a_failure_and_what_cannot_run_any_more_is_skipped(nats: Nats) -> None:
    submit({"vpc::a": [], "net::a": ["vpc::a"], "clean::a": ["net::a"]}, {"clean::a": {"_rule": "always"}})
    nats.work()
    done(nats, "vpc::a", "errored", error="boom")
    nats.work()
    assert states() == {"vpc::a": "errored", "net::a": "skipped", "clean::a": "running"}
    done(nats, "clean::a")
    assert Graph.objects.get().state == "errored"
    assert_log_is_whole()


def test_a_clean_up_runs_after_a_cancel_and_a_second_wish_gives_up_on_it(nats: Nats) -> None:
    submit({"vpc::a": [], "net::a": ["vpc::a"], "clean::a": ["net::a"]}, {"clean::a": {"_rule": "always"}})
    nats.work()
    store.cancel("b1", NOW, "ann")
    done(nats, "vpc::a")
    nats.work()
    assert states() == {"vpc::a": "completed", "net::a": "cancelled", "clean::a": "running"}
    assert store.cancel("b1", NOW, "ann").state == "cancelled"


def test_what_a_clean_up_had_waited_for_may_be_done_after_all(nats: Nats) -> None:
    submit({"vpc::a": [], "net::a": ["vpc::a"], "vm::a": ["net::a"]}, {"vm::a": {"_rule": "always"}})
    nats.work()
    store.cancel("b1", NOW, "ann")
    done(nats, "vpc::a")
    done(nats, "vm::a")
    store.resume_graph("b1", NOW, "ann")
    nats.work()
    done(nats, "net::a")
    assert (states(), Graph.objects.get().state) == (dict.fromkeys(states(), "completed"), "completed")


@pytest.mark.parametrize(("first", "second"), [("completed", "running"), ("errored", "completed")])
def test_any_starts_after_the_first_that_is_completed(nats: Nats, first: str, second: str) -> None:
    submit({"vpc::a": [], "vpc::b": [], "net::a": ["vpc::a", "vpc::b"]}, {"net::a": {"_rule": "any"}})
    nats.work()
    done(nats, "vpc::a", first)
    if second == "completed":
        done(nats, "vpc::b")
    nats.work()
    assert states()["net::a"] == "running"


def test_a_failed_attempt_is_made_again_after_its_delay_and_kept(nats: Nats) -> None:
    submit({"vpc::a": []}, {"vpc::a": {"_attempts": 2, "_retry_delay_s": 10}})
    nats.work()
    done(nats, "vpc::a", "errored", error="boom", password="x")
    nats.now = NOW + timedelta(seconds=4)
    store.sweep(nats.now)
    nats.work()
    assert len(sent(nats)) == 1
    nats.now = NOW + timedelta(seconds=11)
    store.sweep(nats.now)
    nats.work()
    done(nats, "vpc::a")
    assert Graph.objects.get().state == "completed"
    first, second = Attempt.objects.order_by("number")
    assert (first.outcome, first.reason, second.outcome) == ("errored", "boom", "completed")
    assert '"password": "x"' not in first.reply


def test_a_doubled_reply_finds_what_hangs_from_it_due_to_be_sent_again(nats: Nats) -> None:
    submit({"vpc::a": [], "net::a": ["vpc::a"]}, {"net::a": {"_attempts": 2, "_retry_delay_s": 10}})
    nats.work()
    done(nats, "vpc::a")
    done(nats, "net::a", "errored", error="boom")
    nats.now = NOW + timedelta(seconds=11)
    done(nats, "vpc::a")
    nats.work()
    assert sent(nats) == ["vpc::a", "net::a", "net::a"]
    assert (row("net::a").state, row("net::a").attempt, row("net::a").retry_at) == ("running", 2, None)
    done(nats, "net::a")
    assert Graph.objects.get().state == "completed"
    assert_log_is_whole()


def test_a_component_that_goes_well_at_once_keeps_no_attempts(nats: Nats) -> None:
    submit({"vpc::a": []})
    nats.work()
    done(nats, "vpc::a")
    assert not Attempt.objects.exists()


def test_what_is_ready_for_too_long_fails(nats: Nats) -> None:
    submit({"vpc::a": [], "net::a": ["vpc::a"]}, {"net::a": {"_queue_timeout_s": 5}}, options={"_parallel": 1})
    nats.work()
    store.mark("b1", "vpc::a", "complete", NOW, "ann")
    store.sweep(NOW + timedelta(seconds=6))
    assert row("net::a").reason == "was ready and not started within 5 s"


def test_a_graph_runs_no_more_at_once_than_it_allows(nats: Nats) -> None:
    submit({f"vpc::{n}": [] for n in range(5)}, options={"_parallel": 2})
    nats.work()
    assert sent(nats) == ["vpc::0", "vpc::1"]
    done(nats, "vpc::0")
    assert sent(nats) == ["vpc::0", "vpc::1", "vpc::2"]


def test_a_silent_provider_is_left_alone_then_tried_with_one_component(nats: Nats, settings: Any) -> None:
    settings.GRAPH_BREAKER_FAILURES = 2
    wishes = {
        f"vpc::{n}": {"_timeout_s": 5, "_resend": "always", "_attempts": 9, "_retry_delay_s": 0.1} for n in range(4)
    }
    submit({f"vpc::{n}": [] for n in range(4)}, wishes)
    nats.work()
    nats.now = NOW + timedelta(seconds=6)
    store.sweep(nats.now)
    circuit = Circuit.objects.get()
    assert (circuit.provider, circuit.failures) == ("demo", 4)
    nats.now += timedelta(seconds=1)
    store.sweep(nats.now)
    nats.work()
    assert len(sent(nats)) == 4

    nats.now += timedelta(seconds=10)
    store.sweep(nats.now)
    nats.work()
    assert len(sent(nats)) == 5
    done(nats, sent(nats)[-1])
    nats.work()
    assert not Circuit.objects.exists()
    assert len(sent(nats)) == 8
    assert list(Event.objects.filter(subject="provider:demo").values_list("name", flat=True)) == [
        "provider.silent",
        "provider.answers",
    ]


def late(count: int) -> dict[str, dict[str, Any]]:
    """Components whose replies are awaited for a minute, and sent again however that ends."""
    return {f"vpc::{n}": {"_timeout_s": 60, "_resend": "always", "_attempts": 9} for n in range(count)}


@pytest.mark.parametrize("state", ["completed", "errored"])
def test_attempts_sent_before_an_answer_do_not_tell_that_a_provider_is_silent(nats: Nats, state: str) -> None:
    submit({f"vpc::{n}": [] for n in range(5)}, late(5))
    submit({"net::a": []}, {"net::a": {"_attempts": 2}}, graph_id="b2")
    nats.work()
    nats.now = NOW + timedelta(seconds=30)
    done(nats, "net::a", state, service="b2")
    nats.now = NOW + timedelta(seconds=61)
    store.sweep(nats.now)
    assert set(states().values()) >= {"waiting"}
    assert not Circuit.objects.exists()


@pytest.mark.parametrize("other", ["another provider", "before the sends", "by hand"])
def test_what_is_no_answer_of_the_provider_since_then_does_not_excuse_it(nats: Nats, other: str) -> None:
    submit({"net::a": []}, {"net::a": {"_provider": "aws"} if other == "another provider" else {}}, graph_id="b2")
    nats.work()
    if other == "before the sends":
        done(nats, "net::a", service="b2")
        nats.now += timedelta(seconds=1)
    submit({f"vpc::{n}": [] for n in range(5)}, late(5))
    nats.work()
    nats.now += timedelta(seconds=30)
    if other == "another provider":
        nats.reply("net.create.aws.done", "net::a", service="b2")
    elif other == "by hand":
        store.mark("b2", "net::a", "complete", nats.now, "ann")
    nats.now += timedelta(seconds=31)
    store.sweep(nats.now)
    circuit = Circuit.objects.get()
    assert (circuit.failures, circuit.opened_at) == (5, nats.now)


def test_an_operator_may_send_to_a_silent_provider_again_at_once(nats: Nats) -> None:
    Circuit.objects.create(provider="demo", failures=9, failed_at=NOW, retry_at=NOW + timedelta(hours=1))
    submit({"vpc::a": []})
    nats.work()
    assert sent(nats) == []
    store.reset_circuit("demo", NOW, "ann")
    nats.work()
    assert sent(nats) == ["vpc::a"]
    with pytest.raises(NotFound):
        store.reset_circuit("demo", NOW, "ann")


def test_a_provider_that_reports_progress_is_awaited_and_one_that_falls_silent_is_not(nats: Nats) -> None:
    submit({"vpc::a": []}, {"vpc::a": {"_start_timeout_s": 5, "_heartbeat_timeout_s": 10}})
    nats.work()
    for seconds in (4, 13, 22):
        nats.now = NOW + timedelta(seconds=seconds)
        nats.reply("vpc.create.demo.progress", "vpc::a", "running")
        store.sweep(nats.now)
    assert states() == {"vpc::a": "running"}
    store.sweep(NOW + timedelta(seconds=33))
    assert row("vpc::a").reason == "attempt 1 gave no sign of life by 2026-01-02T03:04:37+00:00"


def test_a_component_that_is_not_begun_in_time_has_failed(nats: Nats) -> None:
    submit({"vpc::a": []}, {"vpc::a": {"_start_timeout_s": 5, "_heartbeat_timeout_s": 10}})
    nats.work()
    store.sweep(NOW + timedelta(seconds=6))
    assert row("vpc::a").reason == "attempt 1 was not begun by 2026-01-02T03:04:10+00:00"


APPROVAL = {"_provider": "approval", "_action": "approve"}


def test_a_component_that_waits_for_a_person(nats: Nats) -> None:
    submit({"ask::a": [], "vpc::a": ["ask::a"]}, {"ask::a": APPROVAL | {"users": ["ann"]}})
    store.advance(["b1"], NOW)
    assert states() == {"ask::a": "running", "vpc::a": "waiting"}
    with pytest.raises(Denied, match="decided by ann"):
        store.approve("b1", "ask::a", NOW, "bob", Role.ADMIN)
    store.approve("b1", "ask::a", NOW, "ann", Role.OPERATOR, "go")
    assert store.approve("b1", "ask::a", NOW, "ann", Role.OPERATOR).state == "completed"
    nats.work()
    assert (row("ask::a").document["comment"], states()["vpc::a"]) == ("go", "running")
    with pytest.raises(Conflict, match="needs no approval"):
        store.approve("b1", "vpc::a", NOW, "ann", Role.OPERATOR)
    with pytest.raises(Conflict, match="is completed"):
        store.reject("b1", "ask::a", NOW, "ann", Role.OPERATOR)


def test_a_rejection_fails_the_graph_with_who_and_why() -> None:
    submit({"ask::a": []}, {"ask::a": APPROVAL})
    store.advance(["b1"], NOW)
    store.reject("b1", "ask::a", NOW, "ann", Role.OPERATOR, "too dear")
    assert (row("ask::a").reason, Graph.objects.get().state) == ("rejected by ann: too dear", "errored")


@pytest.mark.parametrize(("lapse", "state"), [({}, "errored"), ({"on_timeout": "approve"}, "completed")])
def test_an_approval_that_nobody_gives_in_time_ends_as_it_says(lapse: dict[str, str], state: str) -> None:
    submit({"ask::a": []}, {"ask::a": APPROVAL | {"_timeout_s": 60} | lapse})
    store.advance(["b1"], NOW)
    store.sweep(NOW + timedelta(seconds=61))
    assert states() == {"ask::a": state}


def test_a_cancelled_graph_does_not_wait_for_an_approval() -> None:
    submit({"ask::a": []}, {"ask::a": APPROVAL})
    store.advance(["b1"], NOW)
    assert store.cancel("b1", NOW, "ann").state == "cancelled"
