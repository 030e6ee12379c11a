"""Bridges that come, go and are cut off: which one leads, what is forgotten, and what an outage leaves undone."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from scheduler_project.toolkit.errors import ConfigurationError
from tests.integration.etcd.world import NAMES, World, leading
from tests.support.wait import wait_until
from workers import store
from workers.bridge import taking, term
from workers.bridge.loop import Bridge, make_bridge
from workers.links.etcd import Put, Refused
from workers.links.testing import MemoryLink
from workers.models import Command, ForgottenCommand

pytestmark = pytest.mark.django_db


def test_two_bridges_take_each_record_up_once_and_write_each_state_once(world: World) -> None:
    bridges = [world.bridge(), world.bridge()]
    world.tick()
    for number in range(10):
        world.put(str(number), {"cmd": "true", "state": "pending"})
    world.tick()
    world.tick()
    writes, revision = world.etcd.writes, world.etcd.revision
    for _ in range(5):
        world.turn()

    assert sorted(bridge.leads for bridge in bridges) == [False, True]
    assert Command.objects.count() == 10
    assert {world.task(str(number))["state"] for number in range(10)} == {"done"}
    assert (world.etcd.writes, world.etcd.revision) == (writes, revision)


def test_the_second_bridge_goes_on_when_the_first_ends(world: World) -> None:
    first, second = world.bridge(), world.bridge()
    world.tick()
    assert leading(first, second) == [True, False]

    first.close()
    world.bridges.remove(first)
    world.put("abc", {"cmd": "true", "state": "pending"})
    world.tick()
    world.tick()

    assert second.leads
    assert world.task("abc")["state"] == "done"


def test_the_second_bridge_leads_before_workers_vanish_when_the_first_dies(world: World) -> None:
    dies, second = world.bridge(), world.bridge()
    world.tick()
    world.bridges.remove(dies)
    for _ in range(12):
        world.tick(1)
        assert "x/live_id-of-host-a" in world.etcd.records

    assert second.leads


def test_a_bridge_that_was_replaced_without_knowing_changes_nothing(world: World) -> None:
    sleeper, second = world.bridge(), world.bridge()
    command = world.submit("true")
    sleeper.step()
    world.bridges.remove(sleeper)
    for _ in range(4):
        world.tick(3)
    assert second.leads
    assert world.task(command.id)["state"] == "done"

    world.submit("echo", "news")
    writes, revision = world.etcd.writes, world.etcd.revision
    assert leading(sleeper) == [True]
    sleeper.step()

    assert leading(sleeper) == [False]
    assert (world.etcd.writes, world.etcd.revision) == (writes, revision)


def test_two_bridges_that_take_the_same_record_up_at_once_run_it_once(world: World, monkeypatch: Any) -> None:
    sleeper, second = world.bridge(), world.bridge()
    sleeper.step()
    answer = taking.answer_to

    def interrupted(*arguments: Any) -> bytes | None:
        """The sleeper has seen that the record is new, and is stopped for a minute before it takes it up."""
        monkeypatch.setattr(term, "answer_to", answer)
        world.now += timedelta(seconds=60)
        second.step()
        assert Command.objects.count() == 1
        return answer(*arguments)

    monkeypatch.setattr(term, "answer_to", interrupted)
    world.put("abc", {"cmd": "true", "state": "pending"})
    sleeper.step()
    world.tick()

    assert leading(sleeper, second) == [False, True]
    assert Command.objects.count() == 1
    assert world.task("abc")["state"] == "done"


def test_the_record_of_a_command_that_is_forgotten_goes_also_after_an_outage(world: World, settings: Any) -> None:
    settings.ETCD_ENDPOINTS, settings.SCHEDULER_KEEP_COMMANDS_DAYS = ["http://etcd"], 1
    world.now = timezone.now()
    world.bridge()
    world.tick()
    command = world.submit("true")
    world.put("theirs", {"cmd": "true", "state": "pending"})
    world.tick()
    world.tick()
    assert (world.task(command.id)["state"], world.task("theirs")["state"]) == ("done", "done")

    world.etcd.reachable = False
    store.forget(world.now + timedelta(days=2))
    world.tick()
    world.etcd.reachable = True
    world.tick()
    world.tick()

    assert (world.task(command.id), world.task("theirs")) == (None, None)
    assert not ForgottenCommand.objects.exists()


def test_a_record_of_a_forgotten_command_stays_where_another_command_has_its_key(world: World, settings: Any) -> None:
    settings.ETCD_ENDPOINTS, settings.SCHEDULER_KEEP_COMMANDS_DAYS = ["http://etcd"], 1
    world.now = timezone.now()
    world.bridge()
    world.put("theirs", {"cmd": "true", "state": "pending"})
    world.tick()
    world.tick()
    ForgottenCommand.objects.create(id="gone", owner=Command.objects.get().owner)
    world.tick()

    assert world.task("theirs")["state"] == "done"
    assert not ForgottenCommand.objects.exists()


def test_an_outage_of_etcd_stops_nothing_and_is_caught_up(world: World) -> None:
    world.bridge()
    running = world.submit("true")
    world.tick()
    world.etcd.reachable = False
    world.agents.connect("host-b", now=world.now)
    later = [world.submit("echo", str(number)) for number in range(250)]
    for _ in range(4):
        world.tick(60)
    assert set(Command.objects.values_list("state", flat=True)) == {"done"}

    world.etcd.reachable = True
    world.tick()
    world.tick()

    assert {world.task(command.id)["state"] for command in [running, *later]} == {"done"}
    assert world.record("worker_id-of-host-b")["wn"]["state"] == "connected"


def test_a_wiped_etcd_is_filled_again(world: World) -> None:
    world.bridge()
    world.put("abc", {"cmd": "true", "state": "pending"})
    commands = [world.submit("echo", str(number)) for number in range(120)]
    world.tick()
    world.tick()
    before = {key: record.value for key, record in world.etcd.records.items()}
    world.etcd.wipe()
    world.tick()
    world.tick()

    assert {key: record.value for key, record in world.etcd.records.items()} == before
    assert len(before) == len(commands) + 4


def test_workers_of_before_that_nobody_knows_are_disconnected(world: World) -> None:
    old = {"wn": {"id": "old", "address": "TBD", "state": "connected"}}
    world.etcd.apply([Put("x/worker_old", json.dumps(old).encode()), Put("x/live_old", b"")], [])
    world.bridge()
    world.tick()

    assert world.record("worker_old") == {"wn": {**old["wn"], "state": "disconnected"}}
    assert "x/live_old" not in world.etcd.records


def test_an_outage_of_the_database_is_waited_out(world: World, monkeypatch: Any) -> None:
    bridge = world.bridge()
    world.tick()

    def away(*_: object) -> Any:
        raise OperationalError("server closed the connection")

    with monkeypatch.context() as patch:
        patch.setattr(term, "subjects_after", away)
        patch.setattr("workers.bridge.loop.connection.close", lambda: None)
        assert not bridge.step()
    command = world.submit("true")
    world.tick()
    world.tick()

    assert world.task(command.id)["state"] == "done"


def test_a_record_that_etcd_refuses_keeps_no_other_back(world: World, monkeypatch: Any) -> None:
    world.bridge()
    write = MemoryLink.write

    def picky(link: MemoryLink, puts: Any, deletes: Any, guards: Any) -> int | None:
        if any(b"poison" in put.value for put in puts):
            raise Refused("request is too large")
        return write(link, puts, deletes, guards)

    monkeypatch.setattr(MemoryLink, "write", picky)
    commands = [world.submit("echo", word) for word in ("a", "poison", "b")]
    world.put("poison", {"cmd": "poison", "state": "pending"})
    world.tick()
    world.tick()

    assert [world.task(command.id) and world.task(command.id)["state"] for command in commands] == [
        "done",
        None,
        "done",
    ]


def test_a_bridge_without_an_address_says_what_to_set() -> None:
    with pytest.raises(ConfigurationError, match="ETCD_ENDPOINTS"):
        make_bridge()


def test_a_bridge_that_cannot_go_on_tells_the_worker(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr("workers.bridge.loop.connection.close", lambda: None)
    failed: list[bool] = []
    bridge = Bridge(MemoryLink(world.etcd), NAMES, on_failure=lambda: failed.append(True))

    def broken(*_: object) -> Any:
        raise RuntimeError("a fault of our own")

    monkeypatch.setattr("workers.bridge.loop.take_lead", broken)
    bridge.run()

    assert failed == [True]


@pytest.mark.django_db(transaction=True)
def test_a_bridge_in_the_background_works_until_it_is_stopped(world: World) -> None:
    bridge, second = world.bridge(), world.bridge()
    world.put("abc", {"cmd": "true", "state": "pending"})
    for one in (bridge, second):
        one.start()
    wait_until(Command.objects.exists, what="the record to be taken up")
    leader, other = (bridge, second) if bridge.leads else (second, bridge)
    leader.stop()

    wait_until(lambda: other.leads, what="the other bridge to lead")
    other.stop()
    assert "x/scheduler_bridge" not in world.etcd.records
