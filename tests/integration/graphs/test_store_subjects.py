"""The subjects of ernest's store, answered by us on a real NATS server: one test per row of its protocol."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone
from nats.errors import Error as NatsError

from graphs import bridge as worker_side
from graphs import store
from graphs.bridge import serving
from graphs.bridge.loop import services, starts
from graphs.bridge.serving import make_store_service
from graphs.models import Build, Environment
from tests.integration.graphs.mappings import change, mapping
from tests.support.nats import ask
from tests.support.wait import wait_until
from workers.links.backlog import Message
from workers.links.nats import NatsLink

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
pytestmark = pytest.mark.django_db(transaction=True)
BUILD = {"id": "b1", "environment_id": "e1", "user_id": 7, "user_name": "ada", "name": "shop", "type": "apply"}
NOT_FOUND = {"_error": "record not found"}


@pytest.fixture
def nats(nats_server: Any, settings: Any) -> Iterator[Any]:
    """A server on which we are the store."""
    settings.NATS_URI = nats_server.url
    service = make_store_service()
    service.start()
    wait_until(lambda: service.connected, what="the store's connection")
    yield nats_server
    service.stop()


def component(component_id: str, **fields: Any) -> dict[str, Any]:
    return change(component_id, service="b1", _state="completed", **fields)


def test_a_build_is_set_got_found_and_deleted(nats: Any) -> None:
    made, got, found, deleted, gone = ask(
        nats.url,
        [
            ("build.set", {**BUILD, "mapping": {"id": "b1"}, "definition": "name: shop"}),
            ("build.get", {"id": "b1"}),
            ("build.find", {"environment_id": "e1"}),
            ("build.del", {"id": "b1"}),
            ("build.get", {"id": "b1"}),
        ],
    )
    assert {**BUILD, "status": "in_progress", "mapping": {"id": "b1"}}.items() <= made.items()
    assert got == made
    assert found == [{**made, "mapping": None, "definition": ""}]
    assert deleted == {"status": "success"}
    assert gone == NOT_FOUND


def test_an_environment_admits_one_build_at_a_time(nats: Any) -> None:
    _, refused, ended, admitted = ask(
        nats.url,
        [
            ("build.set", BUILD),
            ("build.set", {**BUILD, "id": "b2"}),
            ("build.set.status", {"id": "b1", "status": "done"}),
            ("build.set", {**BUILD, "id": "b2"}),
        ],
    )
    assert refused == {"_error": "could not create environment build: build in progress"}
    assert ended == {"status": "ok"}
    assert admitted["status"] == "in_progress"


def test_a_build_that_is_there_is_changed_without_asking_its_environment(nats: Any) -> None:
    _, changed = ask(nats.url, [("build.set", BUILD), ("build.set", {**BUILD, "definition": "new"})])
    assert (changed["definition"], Build.objects.count()) == ("new", 1)


def test_a_status_is_set_by_id_or_name(nats: Any) -> None:
    answers = ask(
        nats.url,
        [
            ("build.set", BUILD),
            ("build.set.status", {"name": "shop", "status": "errored"}),
            ("build.set.status", {"status": "done"}),
            ("build.set.status", {"id": "b1", "status": "odd"}),
        ],
    )
    assert answers[1:3] == [{"status": "ok"}, {"error": "not found"}]
    assert "odd" in answers[3]["_error"]
    assert (Build.objects.get().status, Environment.objects.get().status) == ("errored", "errored")


def test_a_mapping_is_set_and_got(nats: Any) -> None:
    unknown, _, was_set, got = ask(
        nats.url,
        [
            ("build.get.mapping", {"id": "b1"}),
            ("build.set", BUILD),
            ("build.set.mapping", {"id": "b1", "mapping": {"id": "b1", "n": 2**62}}),
            ("build.get.mapping", {"id": "b1"}),
        ],
    )
    assert (unknown, was_set) == (NOT_FOUND, None)
    assert got == {"id": "b1", "n": 2**62}


def test_components_and_changes_are_put_and_taken_out(nats: Any) -> None:
    answers = ask(
        nats.url,
        [
            ("build.set", {**BUILD, "mapping": mapping({"vpc::a": []})}),
            ("build.set.mapping.change", component("vpc::a", cidr="10.0.0.0/8")),
            ("build.set.mapping.change", component("vpc::other")),
            ("build.set.mapping.component", component("vpc::a")),
            ("build.set.mapping.component", component("vpc::b")),
            ("build.del.mapping.component", component("vpc::a")),
            ("build.del.mapping.component", component("vpc::a")),
            ("build.set.mapping.component", {**component("vpc::a"), "service": "nobody"}),
            ("build.get.mapping", {"id": "b1"}),
        ],
    )
    assert answers[1:8] == [None, {"_error": "change component not found"}, None, None, None, None, NOT_FOUND]
    stored = answers[8]
    assert [one["_component_id"] for one in stored["components"]] == ["vpc::b"]
    assert stored["changes"] == [component("vpc::a", cidr="10.0.0.0/8")]


def test_definitions_and_validations_are_set_and_got(nats: Any) -> None:
    answers = ask(
        nats.url,
        [
            ("build.set", BUILD),
            ("build.set.definition", {"id": "b1", "definition": "name: shop\n"}),
            ("build.get.definition", {"id": "b1"}),
            ("build.get.validation", {"id": "b1"}),
            ("build.set.validation", {"id": "b1", "validation": {"passed": True}}),
            ("build.get.validation", {"id": "b1"}),
            ("build.get.definition", {"id": "b2"}),
            ("build.set.definition", {"id": "b2", "definition": ""}),
        ],
    )
    assert answers[1:] == [None, "name: shop\n", {}, None, {"passed": True}, NOT_FOUND, NOT_FOUND]


@pytest.mark.parametrize("body", [[], "x", {"id": "a\x00b"}])
def test_a_request_that_cannot_be_read_is_answered_with_an_error(nats: Any, body: Any) -> None:
    [answer] = ask(nats.url, [("build.get", body)])
    assert set(answer) == {"_error"}


def test_a_graph_of_our_own_is_a_mapping_too_and_not_changed_from_outside(nats: Any) -> None:
    ask(nats.url, [("build.set", BUILD)])
    store.submit(mapping({"vpc::a": []}), timezone.now(), source="nats")
    got, refused = ask(
        nats.url, [("build.get.mapping", {"id": "b1"}), ("build.set.mapping", {"id": "b1", "mapping": {}})]
    )
    assert got["changes"][0]["_component_id"] == "vpc::a"
    assert "being carried out" in refused["_error"]


def test_an_announced_end_frees_the_environment_and_a_delete_forgets_it(nats: Any) -> None:
    outsider = NatsLink(nats.url, [], "outsider", "outsider")
    outsider.start()
    outsider.wait_connected(10)
    ask(nats.url, [("build.set", BUILD)])
    outsider.publish([Message("build.create.error", b'{"id": "b1"}'), Message("build.create.done", b"broken")])
    wait_until(lambda: Environment.objects.get().status == "errored", what="the end")
    outsider.publish([Message("build.delete.done", b'{"id": "b1"}')])
    wait_until(lambda: not Environment.objects.exists(), what="the environment to be forgotten")
    assert not Build.objects.exists()
    outsider.stop()


def test_two_stores_answer_each_request_once(nats: Any) -> None:
    second = make_store_service()
    second.start()
    wait_until(lambda: second.connected, what="the second store")
    answers = ask(nats.url, [("build.set", {**BUILD, "id": f"b{n}", "environment_id": f"e{n}"}) for n in range(20)])
    assert len({answer["id"] for answer in answers}) == Build.objects.count() == 20
    second.stop()


def test_a_database_that_is_away_is_an_error_and_not_a_success(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> None:
        raise OperationalError("away")

    monkeypatch.setattr("graphs.store.builds.get_mapping", away)
    answer = serving.answer(Message("build.get.mapping", b'{"id": "b1"}', "inbox.1"), NOW)
    assert answer == b'{"_error":"the database cannot be used now"}'


def test_it_is_served_by_the_bridges_only_where_it_is_asked_for(settings: Any, nats_server: Any) -> None:
    settings.NATS_URI = nats_server.url
    assert (services(), len(starts())) == ([], 5)
    settings.GRAPH_STORE = "store"
    assert starts() == ()
    settings.GRAPH_STORE = "served"
    assert len(starts()) == 5
    step = worker_side.BridgeStep(None)
    step.start(None)
    wait_until(lambda: ask_or_none(nats_server.url) == NOT_FOUND, what="an answer")
    step.stop(None)


def ask_or_none(url: str) -> Any:
    try:
        return ask(url, [("build.get", {"id": "b1"})], 0.5)[0]
    except NatsError:
        return None
