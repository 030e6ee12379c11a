"""Control workers, a clock and agents as real processes over one broker and one database.

The process that uses it plays the web process's part: it submits, and reads the rows. Invariant: nothing that was
started here, by agents either, outlives `Processes`.
"""

import os
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from celery import Celery
from django.utils import timezone

from scheduler_project.models import Event
from tests.support.processes import Process, Processes
from tests.support.servers import ValkeyServer
from tests.support.wait import wait_until
from workers import dispatch, store
from workers.core.commands import NewCommand
from workers.models import Command, Worker

SETTLED_WITHIN_S = 120
APPEND_AND_ECHO = 'echo "$1"; echo "$1" >> "$2"'


class Fleet:
    """Starts, kills and asks. Hosts are told by name; an agent that was killed can be started again."""

    def __init__(self, processes: Processes, broker: ValkeyServer, database_url: str) -> None:
        self.processes = processes
        self.broker = broker
        self._database_url = database_url
        self._agents: dict[str, Process] = {}

    def start_control(self, **variables: str) -> Process:
        """A control worker that has said it is ready."""
        return self.processes.worker("control", self.broker.url, DATABASE_URL=self._database_url, **variables)

    def start_clock(self) -> Process:
        return self.processes.celery(
            "beat",
            BROKER_URL=self.broker.url,
            DATABASE_URL=self._database_url,
            SECRET_KEY="tests-only",
            SCHEDULER_DATA_DIR=str(self.processes.folder),
        )

    def join(self, *hosts: str, **variables: str) -> None:
        """Starts agents, and returns once control gives them work."""
        for host in hosts:
            self._agents[host] = self.processes.worker(host, self.broker.url, **variables)
        for host in hosts:
            self.wait_connected(host)

    def wait_connected(self, host: str, timeout_s: float = 30) -> Worker:
        connected = Worker.objects.connected().filter(name=host)
        return wait_until(connected.first, timeout_s, what=f"{host} to be connected")

    def agent(self, host: str) -> Process:
        return self._agents[host]

    def kill_agents(self) -> None:
        """All at once, as a crash would; what they run goes on."""
        for agent in self._agents.values():
            agent.kill()

    def return_agents(self) -> None:
        for agent in self._agents.values():
            agent.start()

    @contextmanager
    def frozen(self, process: Process) -> Iterator[None]:
        """It lives, and does nothing."""
        os.kill(process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(process.pid, signal.SIGCONT)

    def submit(self, *commands: NewCommand) -> list[str]:
        return [command.id for command in store.submit(commands, timezone.now())]

    def wait_settled(self, ids: Sequence[str], timeout_s: float = SETTLED_WITHIN_S) -> list[Command]:
        """The commands, once all have ended, in the order of their ids."""

        def left() -> int:
            return Command.objects.unfinished().filter(id__in=ids).count()

        wait_until(lambda: not left(), timeout_s, every_s=0.2, what="all commands to end")
        return list(Command.objects.filter(id__in=ids).order_by("id"))


@contextmanager
def fleet(processes: Processes, broker: ValkeyServer, database_url: str) -> Iterator[Fleet]:
    """A fleet without any process yet, over an empty broker; what this process submits goes there."""
    broker.flush()
    app = Celery("fleet", broker=broker.url, set_as_current=False)
    app.conf.task_default_queue = "control"
    before = dispatch.use_transport(dispatch.BrokerTransport(app))
    try:
        yield Fleet(processes, broker, database_url)
    finally:
        dispatch.use_transport(before)
        app.close()


def numbered(count: int, file: Path) -> list[NewCommand]:
    """Commands that each say their number and append it to a file: what ran, and how often."""
    return [NewCommand(argv=["sh", "-c", APPEND_AND_ECHO, "sh", str(number), str(file)]) for number in range(count)]


def assert_each_ran_once(commands: Sequence[Command], file: Path) -> None:
    """Every command of `numbered` is done with its own output, and the file tells of one run of each."""
    assert {(command.state, command.exit_code) for command in commands} == {("done", 0)}
    assert [store.output_of(command.id, "stdout") for command in commands] == [
        f"{number}\n".encode() for number in range(len(commands))
    ]
    runs = Counter(map(int, file.read_text().split()))
    wrong = {number: runs[number] for number in range(len(commands)) if runs[number] != 1}
    assert not wrong, {number: (times, history_of(commands[number])) for number, times in wrong.items()}


def history_of(command: Command) -> list[str]:
    """What the events tell of a command, in their order."""
    told = Event.objects.filter(subject=f"command:{command.id}").order_by("id")
    return [f"{event.at:%T.%f} {event.name} {event.data} {event.message}" for event in told]


def submit_in_batches(fleet: Fleet, commands: Sequence[NewCommand], size: int = 500) -> list[str]:
    return [
        command_id
        for start in range(0, len(commands), size)
        for command_id in fleet.submit(*commands[start : start + size])
    ]


def wait_progress(ids: Sequence[str], done: int, timeout_s: float = SETTLED_WITHIN_S) -> None:
    """Until so many of the commands have ended."""

    def ended() -> bool:
        return len(ids) - Command.objects.unfinished().filter(id__in=ids).count() >= done

    wait_until(ended, timeout_s, every_s=0.1, what=f"{done} commands to end")
