"""A real agent with its real supervisor, and a control side that only listens.

Invariant: no process that the agent started outlives the test.
"""

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from tests.support.processes import end_all_of
from tests.support.trust import Signer, any_token, body_of
from tests.support.wait import wait_until
from workers.agent import procfs
from workers.agent.config import AgentConfig, base_environment
from workers.agent.process import MARKER
from workers.agent.reporter import Unpublished
from workers.agent.runtime import AgentRuntime
from workers.protocol import (
    ENROL_TASK,
    REPORTS_TASK,
    Applied,
    Ended,
    Heartbeat,
    Order,
    Output,
    Report,
    Reports,
    RunCommand,
    TaskState,
    decode_heartbeat,
    decode_reports,
)

Kind = TypeVar("Kind", bound=Report)
HOST = "host-test"


class Control:
    """What arrives at the control side. `confirms`: it says `Applied`; `reachable`: the broker takes messages."""

    def __init__(self) -> None:
        self.heartbeats: list[Heartbeat] = []
        self.envelopes: list[Reports] = []
        self.reports: list[Report] = []
        self.confirms = True
        self.reachable = True
        self.agent: AgentRuntime | None = None
        self.signer = Signer(HOST)

    def publish(self, task: str, text: str, _expires_s: float) -> None:
        if not self.reachable:
            raise Unpublished("connection refused")
        if task == ENROL_TASK:
            self._deliver(self.signer.welcome(text))
            return
        if task != REPORTS_TASK:
            self.heartbeats.append(decode_heartbeat(body_of(text)))
            self.signer.worker_id = self.heartbeats[-1].worker_id
            return
        envelope = decode_reports(body_of(text))
        self.envelopes.append(envelope)
        self.reports += [numbered.report for numbered in envelope.reports]
        if self.confirms:
            self._deliver(self.signer.orders([Applied(session=envelope.session, seq=envelope.reports[-1].seq)]))

    def _deliver(self, text: str) -> None:
        if self.agent is not None:
            with suppress(RuntimeError):  # an agent that is stopping hears nothing any more
                self.agent.deliver(text)


class TestHost:
    """One host: its agent can be started, stopped and started again over the same folder."""

    __test__ = False

    def __init__(self, folder: Path, **settings: object) -> None:
        self.control = Control()
        self.fatal = False
        base = AgentConfig(host=HOST, state_dir=folder, base_env=base_environment(), heartbeat_interval_s=0.2, cwd="/")
        self.config = replace(base, **{"join_token": any_token(), **settings})  # type: ignore[arg-type]
        self.agent: AgentRuntime | None = None

    @property
    def reports(self) -> list[Report]:
        return self.control.reports

    def start(self) -> None:
        self.agent = AgentRuntime(self.config, self.control.publish, self._failed)
        self.control.agent = self.agent
        self.agent.start()
        wait_until(lambda: self.control.signer.worker_id or not self.control.reachable, what="the agent to enrol")

    def stop(self) -> None:
        if self.agent is not None:
            self.agent.stop()
            self.agent = self.control.agent = None

    def restart(self) -> None:
        """The agent goes and comes back; its processes do not notice."""
        self.stop()
        self.start()

    def order(self, *orders: Order, fence: int = 0) -> None:
        assert self.agent is not None
        self.agent.receive(self.control.signer.orders(orders, fence))

    def run(self, *argv: str, unit: str = "command/1", attempt: int = 1, **fields: object) -> None:
        self.order(RunCommand(unit=unit, attempt=attempt, argv=list(argv), **fields))  # type: ignore[arg-type]

    def of(self, kind: type[Kind], unit: str = "command/1") -> list[Kind]:
        """The reports of one kind on a unit, in the order of arrival."""
        return [report for report in self.reports if isinstance(report, kind) and report.unit == unit]

    def wait_for(self, kind: type[Kind], unit: str = "command/1", timeout_s: float = 10) -> Kind:
        """The first report of this kind on the unit."""
        return wait_until(lambda: self.of(kind, unit), timeout_s, what=f"{kind.__name__} of {unit}: {self.reports}")[0]

    def ended(self, unit: str = "command/1", timeout_s: float = 45) -> Ended:
        return self.wait_for(Ended, unit, timeout_s)

    def output(self, unit: str = "command/1", stream: str = "stdout") -> bytes:
        """The stream put together from its pieces, which may come twice but leave no gap."""
        found = b""
        for piece in sorted((p for p in self.of(Output, unit) if p.stream == stream), key=lambda p: p.offset):
            assert piece.offset <= len(found), f"a gap before {piece.offset}"
            found = found[: piece.offset] + piece.data
        return found

    def wait_state(self, state: str, unit: str = "task/web", timeout_s: float = 15, pid_not: int = 0) -> TaskState:
        """The task's last report, once it tells this state, of another process than `pid_not`."""

        def last() -> list[TaskState]:
            found = self.of(TaskState, unit)[-1:]
            return [told for told in found if told.state == state and told.pid != (pid_not or -1)]

        return wait_until(last, timeout_s, what=f"{unit} to be {state}: {self.of(TaskState, unit)}")[0]

    def supervisor_pid(self) -> int:
        file = self.config.state_dir / "supervisor.pid"
        return int(wait_until(lambda: file.read_text().strip() if file.exists() else "", what="a supervisor"))

    def kill_supervisor(self) -> None:
        """As the kernel's out-of-memory killer would."""
        pid = self.supervisor_pid()
        (self.config.state_dir / "supervisor.pid").unlink()
        os.kill(pid, signal.SIGKILL)

    def processes(self) -> Sequence[int]:
        """All living processes that belong to this host's units."""
        prefix = str(self.config.state_dir)
        return [pid for folder, pids in procfs.marked(MARKER).items() if folder.startswith(prefix) for pid in pids]

    def close(self) -> None:
        self.stop()
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        end_all_of(self.config.state_dir)

    def _failed(self) -> None:
        self.fatal = True
