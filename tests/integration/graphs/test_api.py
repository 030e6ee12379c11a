"""Graphs over HTTP."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from graphs import store
from graphs.models import Component, Graph
from graphs.timeline import timeline
from tests.integration.graphs.mappings import mapping
from tests.support.clients import client_of

EXAMPLE = Path(__file__).parents[3] / "examples" / "graph.json"
JSON = "application/json"
pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> Client:
    return client_of("operator")


@pytest.fixture
def viewer() -> Client:
    return client_of("viewer")


def post(client: Client, path: str, body: Any = b"", **headers: str) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post(f"/api/v1/graphs{path}", data, content_type=JSON, headers=headers)


def get(client: Client, path: str) -> Any:
    return client.get(f"/api/v1/graphs{path}")


def test_a_mapping_is_submitted_and_read_back(operator: Client) -> None:
    answer = post(operator, "", EXAMPLE.read_bytes())
    assert answer.status_code == 201
    graph = answer.json()
    assert (graph["id"], graph["source"], graph["state"]) == ("shop-1", "http", "pending")
    assert graph["counts"]["waiting"] == 12
    assert get(operator, "/shop-1").json() == graph
    given, read = json.loads(EXAMPLE.read_bytes()), get(operator, "/shop-1/mapping").json()
    assert read["edges"] == given["edges"]
    assert read["changes"] == [{**change, "service": "shop-1"} for change in given["changes"]]
    assert read["components"] == given["components"]


def test_components_tell_what_they_depend_on(operator: Client) -> None:
    post(operator, "", mapping({"vpc::a": [], "network::a": ["vpc::a"]}))
    found = get(operator, "/b1/components").json()
    assert [(one["component_id"], one["depends_on"]) for one in found] == [("vpc::a", []), ("network::a", ["vpc::a"])]
    assert (found[0]["action"], found[0]["provider"], found[0]["state"]) == ("create", "demo", "waiting")


def test_a_plan_stores_nothing(operator: Client, viewer: Client) -> None:
    plan = post(viewer, "/plan", mapping({"vpc::a": [], "network::a": ["vpc::a"]}))
    assert plan.json() == {
        "counts_by_verb": {"create": 2},
        "done": 0,
        "in_flight": 0,
        "levels": [["vpc::a"], ["network::a"]],
        "critical_path": {"components": ["vpc::a", "network::a"], "duration_s": None},
        "templates": [],
    }
    assert not Graph.objects.exists()


def test_the_drawing_is_graphviz(operator: Client) -> None:
    post(operator, "", mapping({"vpc::a": []}))
    assert get(operator, "/b1/dot").content == b'digraph G {\n  "start" -> "vpc::a" [label="create"]\n}'


def test_the_drawing_may_be_coloured(operator: Client) -> None:
    post(operator, "", mapping({"vpc::a": []}, components=[{"_component_id": "unused::x"}]))
    drawn = get(operator, "/b1/dot?colour=1").content.decode()
    assert '"vpc::a" [label="vpc::a\\nwaiting"' in drawn
    assert '"start" [shape=plaintext' in drawn
    assert "unused::x" not in drawn


def test_the_timeline_tells_attempts_and_the_chain_that_took_until_the_end(operator: Client) -> None:
    post(operator, "", mapping({"vpc::a": [], "net::a": ["vpc::a"], "vm::a": []}))
    now = timezone.now()
    for name, start_s, end_s in (("vpc::a", 0, 4), ("net::a", 5, 9), ("vm::a", 0, 8)):
        moments = {"started_at": now + timedelta(seconds=start_s), "ended_at": now + timedelta(seconds=end_s)}
        Component.objects.filter(component_id=name).update(attempt=1, state="completed", **moments)
    told = get(operator, "/b1/timeline").json()
    assert told["critical_path"] == ["vpc::a", "net::a"]
    row = {one["component_id"]: one for one in told["components"]}["net::a"]
    assert (
        row["ready_at"] == {one["component_id"]: one for one in told["components"]}["vpc::a"]["attempts"][0]["ended_at"]
    )
    assert [(one["number"], one["outcome"]) for one in row["attempts"]] == [(1, "completed")]


@pytest.mark.parametrize("size", [3, 30])
def test_a_timeline_costs_the_same_queries_whatever_the_size(
    operator: Client, size: int, django_assert_num_queries: Any
) -> None:
    post(operator, "", mapping({f"vm::{n}": [] for n in range(size)}))
    graph = Graph.objects.get()
    with django_assert_num_queries(3):
        timeline(graph, timezone.now())


def test_the_list_is_newest_first_in_pages(viewer: Client) -> None:
    for number in range(5):
        store.submit(mapping({"vpc::a": []}, f"b{number}"), timezone.now(), source="http")
    first = get(viewer, "?limit=3").json()
    assert [graph["id"] for graph in first["items"]] == ["b4", "b3", "b2"]
    following = get(viewer, f"?limit=3&cursor={first['next']}").json()
    assert ([graph["id"] for graph in following["items"]], following["next"]) == (["b1", "b0"], "")
    assert get(viewer, "?state=completed").json()["items"] == []


def test_the_list_is_narrowed_by_name_source_and_need_of_attention(viewer: Client) -> None:
    store.submit(mapping({"vpc::a": []}, "b1", name="Shop"), timezone.now(), source="http")
    store.submit(mapping({"vpc::a": []}, "b2", name="bank"), timezone.now(), source="nats")
    Graph.objects.filter(pk="b2").update(needs_attention=1)
    for query, found in (("name=shop", "b1"), ("name=B2", "b2"), ("source=nats", "b2"), ("attention=true", "b2")):
        assert [graph["id"] for graph in get(viewer, f"?{query}").json()["items"]] == [found]


def test_the_same_submit_is_the_same_graph_and_another_one_is_a_conflict(operator: Client) -> None:
    for _ in range(2):
        assert post(operator, "", mapping({"vpc::a": []})).status_code == 201
    assert post(operator, "", mapping({"vpc::b": []})).status_code == 409
    assert Graph.objects.count() == 1


def test_an_idempotency_key_makes_a_mapping_without_id_one_graph(operator: Client) -> None:
    body = mapping({"vpc::a": []}, "")
    ids = {post(operator, "", body, **{"Idempotency-Key": "k"}).json()["id"] for _ in range(2)}
    assert len(ids) == 1
    assert post(operator, "", mapping({"vpc::b": []}, ""), **{"Idempotency-Key": "k"}).status_code == 409


def test_cancelling_is_for_what_still_runs(operator: Client) -> None:
    post(operator, "", mapping({"vpc::a": []}))
    assert post(operator, "/b1/cancel").json()["state"] == "cancelled"
    assert post(operator, "/b1/cancel").status_code == 409
    assert post(operator, "/nope/cancel").status_code == 404


def test_a_viewer_looks_and_does_not_touch(viewer: Client) -> None:
    assert post(viewer, "", mapping({"vpc::a": []})).status_code == 403
    assert post(viewer, "/b1/cancel").status_code == 403
    assert get(viewer, "").status_code == 200
    assert Client().get("/api/v1/graphs").status_code == 401


@pytest.mark.parametrize("path", ["/nope", "/nope/mapping", "/nope/components", "/nope/dot"])
def test_a_graph_that_is_not_there_is_not_found(viewer: Client, path: str) -> None:
    assert get(viewer, path).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"7",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"id": "\\ud800"}',
        b"9" * 5000,
    ],
)
@pytest.mark.parametrize("path", ["", "/plan"])
def test_a_body_that_is_no_mapping_is_a_problem_and_never_a_crash(operator: Client, path: str, body: bytes) -> None:
    answer = post(operator, path, body)
    assert answer.status_code == 422
    assert answer["Content-Type"] == "application/problem+json"


def test_every_fault_is_told_with_its_path(operator: Client) -> None:
    document = mapping({"vpc::a": ["vpc::b"], "vpc::b": ["vpc::a"]}, user_id="x")
    errors = post(operator, "", document).json()["errors"]
    assert {fault["path"] for fault in errors} == {"user_id", "edges"}


def test_a_body_beyond_the_limit_is_refused_with_the_limit(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphs.api.BODY_MAX_BYTES", 100)
    answer = post(operator, "", b" " * 101)
    assert (answer.status_code, "larger than 100 bytes" in answer.json()["detail"]) == (422, True)


def test_a_mapping_of_many_megabytes_is_taken(operator: Client) -> None:
    assert post(operator, "", mapping({"vpc::a": []}, text="x" * 5_000_000)).status_code == 201


def sized(size: int, *names: str) -> dict[str, Any]:
    components = [{"_component": "x", "_component_id": one, "_provider": "demo", "size": size} for one in names]
    return {"id": "b1", "components": components}


def test_a_wanted_mapping_is_compared_with_another_and_nothing_is_stored(viewer: Client) -> None:
    answer = post(viewer, "/diff", {"wanted": sized(2, "a", "b"), "against": sized(1, "a", "c")})
    found = answer.json()
    assert (answer.status_code, found["unchanged"]) == (200, 0)
    assert found["counts_by_verb"] == {"create": 1, "delete": 1, "update": 1}
    assert found["changelog"][0] == {"type": "update", "path": ["a", "size"], "from": 1, "to": 2}
    assert [one["_component_id"] for one in found["mapping"]["changes"]] == ["a", "b", "c"]
    assert not Graph.objects.exists()


def test_what_a_graph_left_behind_is_what_exists(operator: Client) -> None:
    post(operator, "", sized(1, "a", "b") | {"id": "b0", "changes": []})
    found = post(operator, "/diff", {"wanted": sized(1, "a"), "against": "b0"}).json()
    assert found["counts_by_verb"] == {"delete": 1}
    assert post(operator, "", found["mapping"]).json()["counts"]["waiting"] == 1


def test_a_graph_that_still_runs_or_is_unknown_cannot_be_compared_with(operator: Client) -> None:
    post(operator, "", mapping({"vpc::a": []}))
    assert post(operator, "/diff", {"wanted": {}, "against": "b1"}).status_code == 409
    assert post(operator, "/diff", {"wanted": {}, "against": "nobody"}).status_code == 404


def test_immutable_fields_are_replaced_on_request(operator: Client) -> None:
    wanted, have = sized(2, "a"), sized(1, "a")
    wanted["components"][0]["_immutable"] = ["size"]
    refused = post(operator, "/diff", {"wanted": wanted, "against": have})
    assert (refused.status_code, refused.json()["errors"][0]["path"]) == (422, "components[0].size")
    found = post(operator, "/diff", {"wanted": wanted, "against": have, "on_immutable": "replace"}).json()
    assert found["counts_by_verb"] == {"create": 1, "delete": 1}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, ""),
        ({"wanted": 3}, ""),
        ({"wanted": {}, "against": 3}, "against"),
        ({"wanted": {}, "group_tag": 3}, "group_tag"),
        ({"wanted": {}, "on_immutable": "ask"}, "on_immutable"),
        ({"wanted": {"components": [{"_component_id": "a"}]}}, "changes[0]._component"),
    ],
)
def test_a_comparison_that_makes_no_sense_is_refused_with_paths(operator: Client, body: Any, path: str) -> None:
    answer = post(operator, "/diff", body)
    assert answer.status_code == 422
    assert path in [one["path"] for one in answer.json()["errors"]]


def test_a_plan_knows_how_long_such_changes_took(operator: Client, viewer: Client) -> None:
    post(operator, "", mapping({"vpc::a": []}))
    began = timezone.now()
    Component.objects.update(state="completed", started_at=began, ended_at=began + timedelta(seconds=7))
    plan = post(viewer, "/plan", mapping({"vpc::a": [], "network::a": ["vpc::a"]})).json()
    assert plan["critical_path"] == {"components": ["vpc::a", "network::a"], "duration_s": 14}
