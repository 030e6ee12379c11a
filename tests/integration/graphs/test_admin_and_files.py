"""Graphs in the admin and in files that are applied."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.checks import CheckMessage
from django.test import Client

from graphs import manifest, store
from graphs.checks import check_providers
from graphs.models import Component, Edge, Graph
from graphs.providers import provider
from tests.integration.graphs.mappings import mapping

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
pytestmark = pytest.mark.django_db


@pytest.fixture
def admin() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


def test_graphs_and_components_are_listed_and_shown(admin: Client) -> None:
    store.submit(mapping({"vpc::a": []}, name="shop"), NOW, source="http")
    assert b"0 of 1" in admin.get("/admin/graphs/graph/?q=shop").content
    assert admin.get("/admin/graphs/graph/b1/change/").status_code == 200
    key = Component.objects.get().pk
    assert b"vpc::a" in admin.get("/admin/graphs/component/?state=waiting").content
    assert admin.get(f"/admin/graphs/component/{key}/change/").status_code == 200
    assert admin.get("/admin/graphs/graph/add/").status_code == 403


def test_graphs_are_cancelled_from_the_list(admin: Client) -> None:
    store.submit(mapping({"vpc::a": []}), NOW, source="http")
    body = {"action": "cancel", "_selected_action": ["b1"]}
    answers = [admin.post("/admin/graphs/graph/", body, follow=True).content for _ in range(2)]
    assert Graph.objects.get().state == "cancelled"
    assert b"starts nothing more" in answers[0]
    assert b"already cancelled" in answers[1]


def test_graphs_are_paused_and_resumed_from_the_list(admin: Client) -> None:
    store.submit(mapping({"vpc::a": []}), NOW, source="http")

    def act(action: str) -> bytes:
        body = {"action": action, "_selected_action": ["b1"]}
        return bytes(admin.post("/admin/graphs/graph/", body, follow=True).content)

    assert b"graph b1: paused" in act("pause")
    assert b"graph b1: goes on" in act("unpause")
    assert b"only a graph that has failed" in act("resume")
    act("cancel")
    assert b"graph b1: resumed" in act("resume")
    assert Graph.objects.get().run == 2


def test_rows_name_themselves() -> None:
    graph = store.submit(mapping({"vpc::a": []}), NOW, source="http")
    texts = [str(graph), str(Component.objects.get()), str(Edge.objects.get())]
    assert texts[:2] == ["b1 pending", "vpc::a waiting"]
    assert texts[2].startswith("start → ")


def planned(*graphs: Any) -> list[tuple[str, str]]:
    return [(change.name, change.action) for change in manifest.plan({"graphs": list(graphs)}, NOW)]


def test_applying_a_file_twice_changes_nothing_the_second_time() -> None:
    document = mapping({"vpc::a": []})
    changes = manifest.plan({"graphs": [document]}, NOW)
    manifest.apply(changes, NOW, "ann")
    assert [change.action for change in changes] == ["created"]
    assert Graph.objects.get().actor == "ann"
    assert planned(document) == [("b1", "unchanged")]


def test_faults_in_files_have_their_paths_and_nothing_raises() -> None:
    store.submit(mapping({"vpc::a": []}), NOW, source="cli")
    changes = manifest.plan(
        {
            "graphs": [
                mapping({"vpc::b": []}),
                mapping({}, "b2", user_id="x"),
                mapping({}, ""),
                mapping({}, "b4"),
                mapping({}, "b4"),
                None,
            ]
        },
        NOW,
    )
    paths = [fault.path for change in changes for fault in change.faults]
    assert paths == ["graphs[0].id", "graphs[1].user_id", "graphs[2].id", "graphs[4].id", "graphs[5]"]
    assert [change.action for change in changes].count("created") == 1


def test_a_file_that_is_one_mapping_is_known_by_its_lists() -> None:
    assert manifest.bare_key(mapping({"vpc::a": []})) == "graphs"
    assert manifest.bare_key({"graphs": []}) == ""


def check(settings: Any, providers: dict[str, Any]) -> list[CheckMessage]:
    settings.GRAPH_PROVIDERS = providers
    provider.cache_clear()
    try:
        return check_providers(None)
    finally:
        provider.cache_clear()


@pytest.mark.parametrize(
    ("providers", "ids"),
    [
        ({"nats": {"BACKEND": "graphs.providers.nats.NatsProvider"}}, []),
        ({"nats": {"BACKEND": "graphs.providers.nope.Nope"}}, ["graphs.E001"]),
        ({"nats": {"BACKEND": "datetime.datetime"}}, ["graphs.E001"]),
        ({"nats": {"BACKEND": "builtins.str"}}, ["graphs.E001"]),
        ({"nats": {}}, ["graphs.E001"]),
        ({}, ["graphs.E002"]),
    ],
)
def test_a_provider_that_cannot_be_used_is_named_by_check(
    settings: Any, providers: dict[str, Any], ids: list[str]
) -> None:
    assert [message.id for message in check(settings, providers)] == ids
