"""What is told of one component: why it stands as it does, its attempts, what went in and out, and what can be done."""

from datetime import timedelta

import pytest
from django.utils import timezone

from graphs import store
from graphs.models import Attempt, Component, Graph
from graphs.panel import panel
from graphs.queries import component_in_full
from scheduler_project.toolkit.masking import MASK
from tests.integration.graphs.mappings import mapping
from tests.integration.graphs.test_bridge_on_loopback import NOW, Nats
from workers.models import Command, CommandOutput

pytestmark = pytest.mark.django_db


@pytest.fixture
def graph() -> Graph:
    return store.submit(mapping({"vpc::a": [], "net::a": ["vpc::a"], "vm::a": ["net::a"]}), NOW, source="http")


def told(graph: Graph, component_id: str) -> dict[str, object]:
    graph.refresh_from_db()
    return panel(graph, Component.objects.changes().get(component_id=component_id))


def test_what_waits_names_the_cause_at_the_root(graph: Graph) -> None:
    why = told(graph, "vm::a")["why"]

    assert "net::a" in why.summary  # type: ignore[attr-defined]
    assert [cause.component_id for cause in why.roots] == ["vpc::a"]  # type: ignore[attr-defined]


def test_what_failed_tells_its_attempts_and_can_be_retried_or_decided(graph: Graph) -> None:
    nats = Nats()
    nats.work()
    nats.reply("vpc.create.demo.error", "vpc::a", "errored", error="quota", token="s3cret")

    shown = told(graph, "vpc::a")

    assert [(one["number"], one["outcome"]) for one in shown["attempts"]] == [(1, "errored")]  # type: ignore[attr-defined]
    assert "s3cret" not in str(shown)
    assert shown["may_retry"]
    assert shown["decisions"] == ["skip", "complete"]
    assert shown["why"] is None


def with_secret(**wishes: object) -> Graph:
    document = mapping({"vpc::a": []}, "g3")
    document["credentials"] = {"word": "s3cret"}
    document["changes"][0] |= {"api_key": "$(credentials.word)", "size": "$(name)", "_attempts": 2} | wishes
    return store.submit({**document, "name": "large"}, NOW, source="http")


def test_what_was_sent_is_kept_of_an_attempt_that_failed_and_of_the_one_after(graph: Graph) -> None:
    asked = with_secret()
    nats = Nats()
    nats.work()
    nats.reply("vpc.create.demo.error", "vpc::a", "errored", service="g3", error="quota", id="v-1")
    nats.now += timedelta(hours=1)
    store.sweep(nats.now)
    nats.work()
    nats.reply("vpc.create.demo.done", "vpc::a", service="g3", id="v-2")

    first, second = component_in_full(asked, "vpc::a")["attempts"]
    assert (first["outcome"], second["outcome"]) == ("errored", "completed")
    assert first["sent"] == second["sent"]
    assert (first["sent"]["size"], first["sent"]["api_key"]) == ("large", MASK)
    assert "id" not in first["sent"]
    shown = panel(asked, Component.objects.changes().get(graph=asked))
    assert "s3cret" not in str(shown)
    assert '"size": "large"' in shown["attempts"][0]["sent"]


def test_a_component_completed_at_its_first_attempt_costs_no_row_of_history(graph: Graph) -> None:
    asked = with_secret()
    nats = Nats()
    nats.work()
    nats.reply("vpc.create.demo.done", "vpc::a", service="g3")
    [only] = component_in_full(asked, "vpc::a")["attempts"]
    assert (only["outcome"], only["sent"], Attempt.objects.count()) == ("completed", None, 0)


def test_the_attempt_that_runs_tells_what_was_sent(graph: Graph) -> None:
    asked = with_secret()
    Nats().work()
    [only] = component_in_full(asked, "vpc::a")["attempts"]
    assert (only["outcome"], only["sent"]["size"], only["sent"]["api_key"]) == ("running", "large", MASK)


def test_of_what_was_given_up_on_it_is_kept_what_was_sent(graph: Graph) -> None:
    asked = with_secret()
    Nats().work()
    store.cancel("g3", NOW, "ann")
    store.cancel("g3", NOW, "ann")
    [only] = component_in_full(asked, "vpc::a")["attempts"]
    assert (only["outcome"], only["sent"]["size"]) == ("unknown", "large")


def test_an_approval_asks_people(graph: Graph) -> None:
    document = mapping({"ok::a": []}, "g2")
    document["changes"][0] |= {"_provider": "approval"}
    asked = store.submit(document, timezone.now(), source="http")
    store.advance([asked.pk], timezone.now())

    assert told(asked, "ok::a")["asks_people"]
    assert not told(graph, "vpc::a")["asks_people"]


def test_the_end_of_a_commands_output_is_shown_with_it(graph: Graph) -> None:
    row = Component.objects.changes().get(component_id="vpc::a")
    command = Command.objects.create(id="c1", argv=["x"], state="running", attempt=1, created_at=NOW, started_at=NOW)
    for number, data in enumerate([b"a" * 2000, b"b" * 2000]):
        CommandOutput.objects.create(command=command, attempt=1, stream="stdout", offset=2000 * number, data=data)
    Component.objects.filter(pk=row.pk).update(handle="c1", state="running")

    assert told(graph, "vpc::a")["tails"] == [("stdout", "a" * 48 + "b" * 2000)]


def test_what_exists_has_no_life_to_tell_of(graph: Graph) -> None:
    row = Component(graph=graph, part="components", component_id="vpc::b", document={"password": "s3cret"})
    row.save()

    assert "attempts" not in panel(graph, row)
    assert "s3cret" not in panel(graph, row)["document"]
