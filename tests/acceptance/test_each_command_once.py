"""Check 2 of go-schedule's: every command runs once and is done with its own output.

Ten thousand of each kind with `make prove` (`--full-size`), a tenth of them in each run of the suite.

Each of them appends its number to a file, which is counted. What happens meanwhile is told in `Storm`.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from scheduler_project.models import Event
from tests.support.fleet import Fleet, assert_each_ran_once, fleet, numbered, submit_in_batches, wait_progress
from tests.support.processes import Processes
from tests.support.servers import ValkeyServer
from tests.support.wait import wait_until
from workers.core.commands import NewCommand
from workers.models import Command, Worker

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(900)]
FULL_SIZE, USUAL_SIZE = 10_000, 1_000
HOSTS = ("host-1", "host-2", "host-3", "host-4")
KILLS = 5
FLUSHED_AT = (1, 3)
ENDED_WITHIN_S = 600


@dataclass(frozen=True)
class Storm:
    """Every agent is killed five times, the broker is killed and emptied twice. With a short silence control takes the
    hosts for lost each time before they return.
    """

    silence_s: float
    disconnects: bool


STORMS = {
    "hosts that are back before they are missed": Storm(silence_s=60, disconnects=False),
    "hosts that are taken for lost": Storm(silence_s=2, disconnects=True),
}


@pytest.fixture
def count(request: pytest.FixtureRequest) -> int:
    return FULL_SIZE if request.config.getoption("--full-size") else USUAL_SIZE


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Says a figure to whoever runs the tests."""

    def say(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n  {text}\n")

    return say


@contextmanager
def timed(what: str, count: int, tell: Callable[[str], None]) -> Iterator[None]:
    began_at = time.monotonic()
    yield
    elapsed_s = time.monotonic() - began_at
    tell(f"{what}: {count} in {elapsed_s:.1f} s, {count / elapsed_s:.0f}/s")


def test_02_every_one_of_very_many_is_done_with_its_own_output(
    processes: Processes,
    valkey_server: ValkeyServer,
    database_url: str,
    tmp_path: Path,
    count: int,
    tell: Callable[[str], None],
) -> None:
    ran = tmp_path / "ran"
    with fleet(processes, valkey_server, database_url) as system:
        system.start_control()
        system.start_clock()
        system.join(*HOSTS)

        with timed("true", count, tell):
            silent = submit_in_batches(system, [NewCommand(argv=["true"])] * count)
            ended = system.wait_settled(silent, ENDED_WITHIN_S)
        with timed("echo", count, tell):
            telling = submit_in_batches(system, numbered(count, ran))
            commands = system.wait_settled(telling, ENDED_WITHIN_S)

    assert {(one.state, one.exit_code, one.attempt) for one in ended} == {("done", 0, 1)}
    assert_each_ran_once(commands, ran)
    assert {one.worker.name for one in commands if one.worker} == set(HOSTS)


@pytest.mark.parametrize("storm", STORMS.values(), ids=STORMS)
def test_02_none_is_lost_or_runs_twice_while_agents_are_killed_and_the_broker_forgets(
    processes: Processes,
    valkey_server: ValkeyServer,
    database_url: str,
    tmp_path: Path,
    count: int,
    storm: Storm,
    tell: Callable[[str], None],
) -> None:
    ran = tmp_path / "ran"
    with fleet(processes, valkey_server, database_url) as system:
        system.start_control(SCHEDULER_SILENCE_TIMEOUT_S=str(storm.silence_s))
        system.start_clock()
        system.join(*HOSTS, SCHEDULER_HEARTBEAT_INTERVAL_S="0.5")

        with timed("echo in a storm", count, tell):
            ids = submit_in_batches(system, numbered(count, ran))
            for kill in range(KILLS):
                wait_progress(ids, count * kill // (KILLS + 1), ENDED_WITHIN_S)
                strike(system, storm, kill)
            commands = system.wait_settled(ids, ENDED_WITHIN_S)
    lost = Event.objects.filter(name="worker.disconnected").count()
    late = Command.objects.filter(late_reports__gt=0).count()
    tell(f"{lost} times a host was taken for lost, {late} commands had reports that came late")

    assert_each_ran_once(commands, ran)
    assert (lost >= KILLS) == storm.disconnects


def strike(system: Fleet, storm: Storm, kill: int) -> None:
    """All agents are killed, at times the broker with all that it held, and all return."""
    system.kill_agents()
    if kill in FLUSHED_AT:
        system.broker.kill()
        system.broker.start()
        system.broker.flush()
    if storm.disconnects:
        wait_until(lambda: not Worker.objects.connected().exists(), 60, what="all hosts to be taken for lost")
    system.return_agents()
