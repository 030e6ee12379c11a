"""What the operator reads on the pages, in every state of the system."""

from datetime import timedelta

import pytest
from django.test import Client
from pytest_django.fixtures import DjangoAssertNumQueries

from clusters.models import Cluster, Service, Task, TaskDefinition
from graphs.models import Circuit, Component, Graph
from scheduler_project.overview import overview
from scheduler_project.toolkit.events import NewEvent, record
from tests.integration.pages.conftest import NOW
from workers.models import Command, Worker

HOME_QUERIES = 10


def text_of(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def test_an_empty_system_says_what_to_do_next(viewer: Client) -> None:
    page = text_of(viewer, "/")

    assert "manage.py apply examples/cluster.yml" in page
    assert "schedctl graphs submit examples/graph.json" in page
    assert "celery -A scheduler_project worker -Q host-a" in page
    assert "Nothing has failed" in page


def test_home_tells_of_hosts(viewer: Client, worker: Worker) -> None:
    Worker.objects.update(state="disconnected", reason="silent for 15 s", draining=True)

    page = text_of(viewer, "/")

    assert 'href="/hosts/host-a"' in page
    assert "silent for 15 s" in page
    assert 'data-state="draining"' in page
    assert "3 / 8" in page


def test_home_tells_desired_issued_and_actual_of_a_service(viewer: Client, worker: Worker) -> None:
    cluster = Cluster.objects.create(name="default", created_at=NOW, changed_at=NOW)
    definition = TaskDefinition.objects.create(name="web", version=4, document={}, created_at=NOW)
    service = Service.objects.create(
        name="shop",
        cluster=cluster,
        definition=definition,
        desired=7,
        min=1,
        max=8,
        reason="waits for health",
        created_at=NOW,
        changed_at=NOW,
    )
    for instance, state in enumerate(["running", "running", "starting"]):
        Task.objects.create(
            id=str(instance),
            name="t",
            cluster=cluster,
            service=service,
            definition=definition,
            instance=instance,
            host=worker,
            state=state,
            issued_at=NOW,
        )

    page = text_of(viewer, "/")

    assert "waits for health" in page
    cells = [cell.partition("</td>")[0].rpartition(">")[2] for cell in page.split('<td class="number')[1:4]]
    assert cells == ["7", "3", "2"]


def test_home_tells_the_last_failures_with_reason_and_link(viewer: Client, graph: Graph) -> None:
    record([NewEvent("graph.errored", "graph:b1", "quota <exceeded>", "error")], NOW)

    page = text_of(viewer, "/")

    assert "quota &lt;exceeded&gt;" in page
    assert '<a href="/graphs/b1">graph <code>b1</code></a>' in page


def test_home_asks_the_same_number_of_questions_however_much_there_is(
    graph: Graph, command: Command, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    Graph.objects.create(id="b2", serial="2", action="build.create", source="http", digest="d", created_at=NOW)
    record([NewEvent("graph.errored", "graph:b1", "", "error")] * 3, NOW)

    with django_assert_num_queries(HOME_QUERIES):
        overview(NOW + timedelta(hours=1))


def test_graphs_are_listed_and_narrowed_by_state(viewer: Client, graph: Graph) -> None:
    assert "shop" in text_of(viewer, "/graphs/?state=running")
    assert "shop" not in text_of(viewer, "/graphs/?state=errored")
    assert "1 running, 1 completed" in text_of(viewer, "/graphs/")


def test_graphs_are_found_by_name_source_and_need_of_attention(viewer: Client, graph: Graph) -> None:
    assert "shop" in text_of(viewer, "/graphs/?words=SHO&source=http")
    assert "shop" not in text_of(viewer, "/graphs/?words=other")
    assert "shop" not in text_of(viewer, "/graphs/?source=nats")
    assert "shop" not in text_of(viewer, "/graphs/?attention=yes")

    Graph.objects.update(needs_attention=1)
    assert "shop" in text_of(viewer, "/graphs/?attention=yes")
    assert "1 needs attention" in text_of(viewer, "/graphs/")
    assert "1 needs attention" in text_of(viewer, "/")


def test_a_long_list_of_graphs_is_turned_over(viewer: Client, graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphs.views.GRAPHS_SHOWN", 1)
    Graph.objects.create(id="b2", serial="2", name="later", action="build.create", source="http", created_at=NOW)

    page = text_of(viewer, "/graphs/")

    assert "later" in page
    assert "shop" not in page
    assert "?before=2" in page
    assert "shop" in text_of(viewer, "/graphs/?before=2")


def test_a_graph_inside_another_links_to_what_it_carries_out(viewer: Client, graph: Graph) -> None:
    outer = Component.objects.get(component_id="instance::web")
    Graph.objects.create(
        id="inner", serial="2", action="build.create", source="graph", created_at=NOW, parent=outer, depth=1
    )
    Component.objects.filter(pk=outer.pk).update(backend="graph", handle="inner")

    assert "/graphs/b1?component=instance%3A%3Aweb" in text_of(viewer, "/graphs/")
    assert "/graphs/b1?component=instance%3A%3Aweb" in text_of(viewer, "/graphs/inner")
    assert 'href="/graphs/inner"' in text_of(viewer, "/graphs/b1/component?id=instance::web")


def test_a_silent_provider_is_told_and_operators_may_send_to_it_again(
    viewer: Client, operator: Client, graph: Graph
) -> None:
    Circuit.objects.create(provider="aws", failures=5, reason="no answer", failed_at=NOW, opened_at=NOW, retry_at=NOW)

    assert "5 attempts in a row without an answer: no answer" in text_of(viewer, "/graphs/")
    assert "/graph-providers/aws/reset" not in text_of(viewer, "/graphs/")
    assert "/graph-providers/aws/reset" in text_of(operator, "/graphs/")


def test_only_operators_are_offered_to_cancel_a_graph(viewer: Client, operator: Client, graph: Graph) -> None:
    assert "/api/v1/graphs/b1/cancel" not in text_of(viewer, "/graphs/b1")
    assert "/api/v1/graphs/b1/cancel" in text_of(operator, "/graphs/b1")


def test_an_ended_graph_cannot_be_cancelled(operator: Client, graph: Graph) -> None:
    Graph.objects.update(state="completed", ended_at=NOW)

    assert 'data-act="the graph is being cancelled" hidden' in text_of(operator, "/graphs/b1")


def test_a_drawing_holds_what_is_to_be_done_and_what_that_waits_for(viewer: Client, graph: Graph) -> None:
    drawing = viewer.get("/graphs/b1/drawing.json").json()

    assert {one["id"]: one["state"] for one in drawing["components"]} == {
        "network::web": "completed",
        "instance::web": "running",
        "vpc::main": "exists",
    }
    assert drawing["edges"] == [["network::web", "instance::web"], ["vpc::main", "instance::web"]]
    assert drawing["graph"]["state"] == "running"


def test_a_drawing_tells_the_number_of_the_last_event_that_it_holds(viewer: Client, graph: Graph) -> None:
    Graph.objects.update(events=7)

    assert viewer.get("/graphs/b1/drawing.json").json()["number"] == 7


def test_a_drawing_tells_the_groups_of_the_mapping(viewer: Client, graph: Graph) -> None:
    Component.objects.filter(component_id="instance::web").update(document={"_group": "web"})
    Component.objects.filter(component_id="network::web").update(document={"tags": {"ernest.instance_group": "net"}})

    drawing = viewer.get("/graphs/b1/drawing.json").json()

    assert {one["id"]: one.get("group") for one in drawing["components"]} == {
        "network::web": "net",
        "instance::web": "web",
        "vpc::main": None,
    }


def test_a_component_is_told_with_its_neighbours_and_without_its_secrets(viewer: Client, graph: Graph) -> None:
    Component.objects.filter(component_id="instance::web").update(reason="waits for a reply")

    page = text_of(viewer, "/graphs/b1/component?id=instance::web")

    assert "waits for a reply" in page
    assert 'data-go="network::web"' in page
    assert "s3cret" not in page


@pytest.mark.parametrize("address", ["/graphs/none", "/graphs/b1/component?id=none", "/hosts/none", "/commands/none"])
def test_what_is_not_there_is_said_to_be_missing(viewer: Client, graph: Graph, address: str) -> None:
    answer = viewer.get(address)

    assert answer.status_code == 404
    assert "There is no such page" in answer.content.decode()


def test_pages_may_load_nothing_from_elsewhere_and_run_no_inline_script(viewer: Client) -> None:
    policy = viewer.get("/").headers["Content-Security-Policy"]

    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
