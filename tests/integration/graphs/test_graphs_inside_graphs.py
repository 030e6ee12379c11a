"""Components that are graphs themselves."""

from typing import Any

import pytest

from graphs import store
from graphs.holding import why
from graphs.models import Component, Graph
from scheduler_project.toolkit.errors import InvalidDocument
from tests.integration.graphs.mappings import change, mapping
from tests.integration.graphs.test_bridge_on_loopback import NOW, Nats

pytestmark = pytest.mark.django_db


@pytest.fixture
def nats(django_capture_on_commit_callbacks: Any) -> Nats:
    return Nats()


def inner() -> dict[str, Any]:
    document = mapping({"net::a": [], "vm::a": ["net::a"]})
    del document["id"]
    document["changes"][0]["vpc"] = "$(inputs.vpc)"
    document["changes"][1]["net"] = '$(components.#[_component_id="net::a"].arn)'
    return document


def outer(**wishes: Any) -> Graph:
    document = mapping({"vpc::a": [], "app::a": ["vpc::a"], "dns::a": ["app::a"]})
    document["changes"][1] |= {
        "_provider": "graph",
        "mapping": inner(),
        "inputs": {"vpc": '$(components.#[_component_id="vpc::a"].arn)'},
    } | wishes
    return store.submit(document, NOW, source="http")


def child() -> Graph:
    return Graph.objects.get(source="graph")


def reply(nats: Nats, component_id: str, state: str = "completed", graph: str = "b1") -> None:
    kind = component_id.partition("::")[0]
    ending = "done" if state == "completed" else "error"
    nats.reply(f"{kind}.create.demo.{ending}", component_id, state, service=graph, arn=f"arn:{component_id}")
    store.sweep(NOW)
    nats.work()


def test_a_graph_inside_a_graph_runs_with_its_inputs_and_brings_back_what_exists(nats: Nats) -> None:
    outer()
    nats.work()
    reply(nats, "vpc::a")
    assert nats.server.bodies("net.create.demo")[0]["vpc"] == "arn:vpc::a"
    parent = Component.objects.changes().get(component_id="app::a")
    assert (child().parent, child().depth, parent.handle) == (parent, 1, child().pk)

    reply(nats, "net::a", graph=child().pk)
    assert nats.server.bodies("vm.create.demo")[0]["net"] == "arn:net::a"
    reply(nats, "vm::a", graph=child().pk)
    parent.refresh_from_db()
    assert parent.state == "completed"
    assert {one["_component_id"] for one in parent.document["components"]} == {"net::a", "vm::a"}
    reply(nats, "dns::a")
    assert Graph.objects.get(pk="b1").state == "completed"
    assert nats.server.subjects("build.*.*") == ["build.create.done"]


def test_a_failure_inside_fails_the_component_and_a_resume_goes_on_inside(nats: Nats) -> None:
    outer()
    nats.work()
    reply(nats, "vpc::a")
    reply(nats, "net::a", graph=child().pk)
    reply(nats, "vm::a", "errored", graph=child().pk)
    assert (child().state, Graph.objects.get(pk="b1").state) == ("errored", "errored")
    assert child().pk in Component.objects.changes().get(component_id="app::a").reason

    store.resume_graph("b1", NOW, "ann")
    store.sweep(NOW)
    nats.work()
    assert (child().state, child().run) == ("running", 2)
    reply(nats, "vm::a", graph=child().pk)
    assert len(nats.server.bodies("net.create.demo")) == 1
    assert Component.objects.changes().get(component_id="app::a").state == "completed"


def test_a_retry_makes_a_new_graph(nats: Nats) -> None:
    outer()
    nats.work()
    reply(nats, "vpc::a")
    first = child()
    reply(nats, "net::a", "errored", graph=first.pk)
    store.retry_component("b1", "app::a", NOW, "ann")
    store.sweep(NOW)
    nats.work()
    assert Graph.objects.filter(source="graph").count() == 2
    assert Component.objects.changes().get(graph="b1", component_id="app::a").handle != first.pk


def test_cancelling_goes_down(nats: Nats) -> None:
    outer()
    nats.work()
    reply(nats, "vpc::a")
    store.cancel("b1", NOW, "ann")
    store.sweep(NOW)
    assert child().cancel_requested_at == NOW
    reply(nats, "net::a", graph=child().pk)
    assert (child().state, Graph.objects.get(pk="b1").state) == ("cancelled", "cancelled")


def paused(graph: Graph) -> bool:
    graph.refresh_from_db()
    return graph.paused_at is not None


def test_a_pause_reaches_what_the_graph_carries_out_and_so_does_its_end(nats: Nats) -> None:
    outer()
    nats.work()
    reply(nats, "vpc::a")
    store.pause("b1", NOW, "ann")
    assert child().reason == "paused by ann, with the graph that it is inside of"
    reply(nats, "net::a", graph=child().pk)
    assert nats.server.bodies("vm.create.demo") == []

    store.unpause("b1", NOW, "ann")
    nats.work()
    reply(nats, "vm::a", graph=child().pk)
    assert Component.objects.changes().get(component_id="app::a").state == "completed"


def test_what_a_person_has_paused_inside_stays_paused(nats: Nats) -> None:
    outer()
    nats.work()
    reply(nats, "vpc::a")
    store.pause(child().pk, NOW, "bob")
    store.pause("b1", NOW, "ann")
    store.unpause("b1", NOW, "ann")
    assert paused(child())
    store.unpause(child().pk, NOW, "bob")
    assert not paused(child())


def test_a_pause_from_above_becomes_a_persons_who_asks_for_it(nats: Nats) -> None:
    outer()
    nats.work()
    reply(nats, "vpc::a")
    store.pause("b1", NOW, "ann")
    store.pause(child().pk, NOW, "bob")
    store.unpause("b1", NOW, "ann")
    assert paused(child())


def test_a_person_may_let_a_graph_inside_of_a_paused_one_go_on(nats: Nats) -> None:
    outer()
    nats.work()
    reply(nats, "vpc::a")
    store.pause("b1", NOW, "ann")
    store.unpause(child().pk, NOW, "bob")
    store.sweep(NOW)
    assert not paused(child())
    reply(nats, "net::a", graph=child().pk)
    assert len(nats.server.bodies("vm.create.demo")) == 1


def test_a_pause_reaches_every_depth_and_what_is_over_is_left_alone(nats: Nats) -> None:
    document = mapping({"app::a": [], "other::a": []})
    deepest, between = mapping({"vm::a": []}), mapping({"mid::a": []})
    between["changes"][0] |= {"_provider": "graph", "mapping": deepest}
    document["changes"][0] |= {"_provider": "graph", "mapping": between}
    document["changes"][1] |= {"_provider": "graph", "mapping": mapping({"net::a": []})}
    for one in (deepest, between, document["changes"][1]["mapping"]):
        del one["id"]
    store.submit(document, NOW, source="http")
    for _ in range(3):
        store.sweep(NOW)
        nats.work()
    over = Graph.objects.get(parent__component_id="other::a")
    nats.reply("net.create.demo.done", "net::a", service=over.pk)
    store.pause("b1", NOW, "ann")

    assert [paused(graph) for graph in Graph.objects.filter(source="graph").exclude(pk=over.pk)] == [True, True]
    assert not paused(over)
    store.unpause("b1", NOW, "ann")
    assert not any(paused(graph) for graph in Graph.objects.all())


def test_why_tells_that_a_pause_came_from_above(nats: Nats) -> None:
    outer()
    nats.work()
    reply(nats, "vpc::a")
    store.pause("b1", NOW, "ann")
    reply(nats, "net::a", graph=child().pk)
    assert "with the graph that it is inside of" in why(child(), "vm::a").summary


def test_a_mapping_inside_is_checked_with_the_outer_one() -> None:
    document = mapping({"app::a": []})
    document["changes"][0] |= {"_provider": "graph", "mapping": {"changes": [change("vm::a", _provider="")]}}
    with pytest.raises(InvalidDocument) as caught:
        store.submit(document, NOW, source="http")
    assert "changes[0].mapping.changes[0]._provider" in {fault.path for fault in caught.value.faults}


def test_graphs_are_inside_each_other_to_a_bounded_depth() -> None:
    document = mapping({"app::a": []})
    inside = document
    for _ in range(9):
        deeper = mapping({"app::a": []})
        inside["changes"][0] |= {"_provider": "graph", "mapping": deeper}
        inside = deeper
    with pytest.raises(InvalidDocument, match="more than 8 graphs inside each other"):
        store.submit(document, NOW, source="http")
