"""The bridge between the database and etcd's twin in memory: what outsiders see, and what becomes of what they ask."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.integration.etcd.world import World
from workers import store
from workers.bridge import taking, term
from workers.core.legacy import owner_of
from workers.links.etcd import Put
from workers.models import Command
from workers.protocol import Ended, Output, Started
from workers.testing import Ran, committing

pytestmark = pytest.mark.django_db


def test_a_worker_is_told_and_lives_while_it_is_connected(world: World) -> None:
    world.bridge()
    world.tick()

    expected = {"id": "id-of-host-a", "address": "127.0.0.1", "state": "connected"}
    assert world.record("worker_id-of-host-a") == {"wn": expected}
    assert world.etcd.records["x/live_id-of-host-a"].lease

    world.agents.stop("host-a", world.now)
    world.tick()

    assert world.record("worker_id-of-host-a") == {"wn": {**expected, "state": "disconnected"}}
    assert "x/live_id-of-host-a" not in world.etcd.records


def test_the_workers_number_of_tasks_follows(world: World) -> None:
    world.bridge()
    world.agents.agents["host-a"].stated["running"] = 3
    world.tick()

    assert world.record("worker_id-of-host-a")["wn"]["ntasks"] == 3


def test_a_worker_that_is_removed_or_gets_another_id_leaves_no_record(world: World) -> None:
    world.bridge()
    world.agents.connect("host-b", now=world.now)
    world.tick()
    world.agents.stop("host-b", world.now)
    world.agents.stop("host-a", world.now)
    store.remove("host-b", world.now, "kim")
    world.tick()
    world.agents.connect("host-a", now=world.now, worker_id="another")
    world.tick()

    assert [key for key in world.etcd.records if "worker_" in key] == ["x/worker_another"]
    assert [key for key in world.etcd.records if "live_" in key] == ["x/live_another"]


def test_workers_keys_are_kept_alive_and_go_when_no_bridge_is_left(world: World) -> None:
    bridge = world.bridge()
    for _ in range(10):
        world.tick(1)
    assert "x/live_id-of-host-a" in world.etcd.records

    bridge.close()
    world.now += timedelta(seconds=11)
    world.etcd.now()

    assert "x/live_id-of-host-a" not in world.etcd.records


def test_a_command_is_followed_to_its_end(world: World) -> None:
    world.bridge()
    world.tick()
    world.agents.run = lambda order: Ran(exit_code=7, stdout=b"out", stderr=b"err", holds=True)
    store.set_draining("host-a", True, world.now, "kim")
    command = world.submit("sh", "-c", "exit 7")
    world.turn()
    pending = world.task(command.id)
    store.set_draining("host-a", False, world.now, "kim")
    world.tick()
    running = world.task(command.id)
    world.agents.finish(f"command/{command.id}", world.now, Ran(exit_code=7, stdout=b"out", stderr=b"err"))
    world.tick()

    stated = {"id": command.id, "cmd": "sh", "parameters": ["-c", "exit 7"]}
    assert pending == {**stated, "state": "pending"}
    assert running == {**stated, "state": "scheduled", "workerId": "id-of-host-a"}
    assert world.task(command.id) == {
        **stated,
        "state": "done",
        "stdout": "out",
        "stderr": "err",
        "workerId": "id-of-host-a",
        "workerError": "exit code 7",
    }


def test_output_that_comes_after_the_end_is_told_too(world: World) -> None:
    world.bridge()
    world.agents.run = lambda order: Ran(holds=True)
    command = world.submit("late")
    world.tick()
    unit: dict[str, Any] = {"unit": f"command/{command.id}", "attempt": 1}
    with committing():
        at = world.now.timestamp()
        ended = Ended(**unit, at=at, exit_code=0, stdout_bytes=4)
        store.apply_command_reports("host-a", [Started(**unit, at=at, pid=1), ended], world.now)
    world.tick()
    assert "stdout" not in world.task(command.id)

    store.apply_command_reports("host-a", [Output(**unit, stream="stdout", offset=0, data=b"late")], world.now)
    world.tick()

    assert world.task(command.id)["stdout"] == "late"


def test_a_tick_without_news_writes_nothing_and_costs_one_query(
    world: World, monkeypatch: Any, django_assert_num_queries: Callable[[int], Any]
) -> None:
    monkeypatch.setattr(term, "WORKERS_EVERY_S", 60)
    bridge = world.bridge()
    for number in range(20):
        world.submit("echo", str(number))
    world.tick()
    world.turn()
    writes = world.etcd.writes

    with django_assert_num_queries(1):
        bridge.step()

    assert world.etcd.writes == writes


def test_the_queries_of_a_tick_do_not_grow_with_what_changed(
    world: World, monkeypatch: Any, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    monkeypatch.setattr(term, "WORKERS_EVERY_S", 60)
    bridge = world.bridge()
    world.tick()
    world.agents.run = lambda order: Ran(stdout=b"x")
    for number in range(50):
        world.submit("echo", str(number))
    world.agents.settle(world.now)

    with django_assert_max_num_queries(5):
        bridge.step()
    with django_assert_max_num_queries(1):  # what was written comes back by the watch, and is known as our own
        bridge.step()

    assert sum(record.value.endswith(b'"workerId":"id-of-host-a"}') for record in world.etcd.records.values()) == 50


def test_what_an_outsider_puts_as_pending_is_run_and_its_record_follows(world: World) -> None:
    world.bridge()
    world.tick()
    world.agents.run = lambda order: Ran(stdout=" ".join(order.argv).encode())
    world.put("abc", {"id": "abc", "cmd": "echo", "parameters": ["hi"], "state": "pending"})
    world.turn()
    world.tick()

    command = Command.objects.get()
    assert (command.argv, command.owner) == (["echo", "hi"], owner_of("x/task_abc"))
    assert world.task("abc") == {
        "id": "abc",
        "cmd": "echo",
        "parameters": ["hi"],
        "state": "done",
        "stdout": "echo hi",
        "workerId": "id-of-host-a",
    }
    assert world.task(command.id) is None


def test_what_waits_before_the_bridge_starts_is_taken_up_too(world: World) -> None:
    world.put("abc", {"cmd": "true", "state": "pending"})
    world.bridge()
    world.tick()
    world.tick()

    assert world.task("abc")["state"] == "done"


def test_an_outsider_may_choose_the_worker(world: World) -> None:
    world.agents.connect("host-b", now=world.now)
    world.bridge()
    for name in ("1", "2", "3"):
        world.put(name, {"cmd": "true", "state": "pending", "workerId": "id-of-host-b"})
    world.tick()
    world.tick()

    assert [world.task(name)["workerId"] for name in ("1", "2", "3")] == ["id-of-host-b"] * 3


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"state": "pending"}, "cmd: is not the name or path of a program"),
        ({"state": "pending", "cmd": "a\0b"}, "NUL"),
        ({"state": "pending", "cmd": "true", "id": "other"}, "id: is not bad"),
        ({"state": "pending", "cmd": "true", "workerId": "nobody"}, "there is no worker with the id nobody"),
        ({"state": "pending", "cmd": "x" * 200_000}, "longer than"),
    ],
)
def test_a_record_that_cannot_be_carried_out_is_dead_and_says_why(world: World, document: Any, why: str) -> None:
    world.bridge()
    world.put("bad", document)
    world.tick()

    assert world.task("bad")["state"] == "dead"
    assert why in world.task("bad")["workerError"]
    assert not Command.objects.exists()


@pytest.mark.parametrize(
    "value", [b"", b"\xff\x00", b"[1]", b'{"cmd":"true","state":"scheduled"}', b'{"state":"done"}']
)
def test_other_records_of_outsiders_are_left_as_they_are(world: World, value: bytes) -> None:
    world.put("theirs", value)
    world.bridge()
    world.tick()
    world.put("theirs", value)
    world.tick()

    assert world.etcd.records["x/task_theirs"].value == value
    assert not Command.objects.exists()


def test_keys_that_are_no_text_are_refused(world: World) -> None:
    key = b"x/task_\xff".decode(errors="surrogateescape")
    world.etcd.apply([Put(key, b'{"cmd":"true","state":"pending"}')], [])
    world.bridge()
    world.tick()

    assert b"printable" in world.etcd.records[key].value


def test_keys_beyond_the_prefix_are_not_touched(world: World) -> None:
    world.etcd.apply([Put("task_1", b'{"cmd":"true","state":"pending"}'), Put("worker_1", b"?")], [])
    world.bridge()
    world.tick()

    assert {key for key in world.etcd.records if not key.startswith("x/")} == {"task_1", "worker_1"}
    assert not Command.objects.exists()


def test_a_record_that_is_put_again_is_not_run_again(world: World) -> None:
    world.bridge()
    asked = {"cmd": "true", "state": "pending"}
    for _ in range(3):
        world.put("abc", asked)
        world.tick()

    assert Command.objects.count() == 1
    assert world.task("abc")["state"] == "done"


def test_a_key_that_is_used_for_another_command_keeps_the_first(world: World) -> None:
    world.bridge()
    world.put("abc", {"cmd": "true", "state": "pending"})
    world.tick()
    world.put("abc", {"cmd": "false", "state": "pending"})
    world.tick()

    assert Command.objects.get().argv == ["true"]
    assert world.task("abc")["cmd"] == "true"


def test_a_record_that_is_withdrawn_while_it_is_taken_up_comes_back_with_its_state(
    world: World, monkeypatch: Any
) -> None:
    """The command was accepted by then, so its record is there again."""
    world.bridge()
    world.tick()
    world.put("abc", {"cmd": "true", "state": "pending"})
    answer = taking.answer_to

    def withdrawn(*arguments: Any) -> bytes | None:
        value = answer(*arguments)
        world.etcd.apply([], ["x/task_abc"])
        return value

    monkeypatch.setattr(term, "answer_to", withdrawn)
    world.tick()
    world.tick()

    assert Command.objects.count() == 1
    assert world.task("abc")["state"] == "done"


def test_a_record_that_is_corrected_while_it_is_refused_is_taken_up(world: World, monkeypatch: Any) -> None:
    bridge = world.bridge()
    world.tick()
    world.put("abc", {"cmd": "", "state": "pending"})
    answer = taking.answer_to

    def corrected(*arguments: Any) -> bytes | None:
        monkeypatch.setattr(term, "answer_to", answer)
        world.put("abc", {"cmd": "true", "state": "pending"})
        return answer(*arguments)

    monkeypatch.setattr(term, "answer_to", corrected)
    bridge.step()
    assert world.task("abc") == {"cmd": "true", "state": "pending"}
    world.tick()
    world.tick()

    assert world.task("abc")["state"] == "done"


def test_what_others_change_or_delete_of_ours_is_put_right(world: World) -> None:
    world.bridge()
    command = world.submit("true")
    world.tick()
    world.tick()
    before = world.task(command.id)
    world.put(command.id, {"forged": 1})
    world.etcd.apply([], ["x/worker_id-of-host-a", "x/live_id-of-host-a"])
    world.turn()
    changed = world.task(command.id)
    world.etcd.apply([], [f"x/task_{command.id}"])
    world.turn()

    assert changed == world.task(command.id) == before
    assert world.record("worker_id-of-host-a")["wn"]["state"] == "connected"
    assert "x/live_id-of-host-a" in world.etcd.records
