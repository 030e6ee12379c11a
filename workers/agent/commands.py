"""Commands on this host: taken once, started in order as slots allow, their output and end reported.

Invariants: the journal says `launched` before the supervisor is asked to start; only the same boot, in which the folder
tells whether the supervisor ever did, may ask for that again. The end is reported after the last piece of output.
While the spool is full, output waits in the command's own file; what still waits there when the
command ends is cut off, so that the spool stays within its cap and no end is ever lost.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec

from workers.agent import procfs
from workers.agent.config import USER_VARIABLES, AgentConfig
from workers.agent.containers import job_of, remove_left, runner_spec
from workers.agent.core.names import safe_name
from workers.agent.core.orders import CANCELLED_IN_QUEUE, missed_start, refusal
from workers.agent.core.queue import Queue
from workers.agent.folders import STREAMS, End, Folder, Spec, Start
from workers.agent.gate import Forbidden, Gate
from workers.agent.journal import Entry, Journal
from workers.agent.link import Event, SupervisorLink, as_text
from workers.protocol import Accepted, Ended, Output, Refused, Report, RunCommand, Started, StopUnit, Usage

log = logging.getLogger(__name__)

KIND = "command"
QUEUED, LAUNCHED, STARTED, REFUSED, OVER = "queued", "launched", "started", "refused", "over"
BOOT_KEY = "boot"
PIECE_BYTES = 65_536
PIECES_AT_ONCE = 16
OUTPUT_FILE_SPARE_BYTES = 64 * 1024 * 1024
TAIL_MIN_S, TAIL_MAX_S = 0.1, 2.0
FOLDER_LOST = "the record of its process is gone, as after a power failure"
MAY_HAVE_RUN = "it may have run: the power failed just as it was started, and no record of it is left"


@dataclass
class Live:
    """A command that the supervisor was asked to run. `sent` counts the bytes of each stream that are spooled."""

    order: RunCommand
    folder: Folder
    state: str
    sent: dict[str, int]
    tail_pause_s: float = TAIL_MIN_S
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)


class Commands:
    """Used from the runtime's thread only. `agent` is what its containers are known by."""

    def __init__(self, config: AgentConfig, journal: Journal, link: SupervisorLink, agent: str) -> None:
        self._config = config
        self._agent = agent
        self._journal = journal
        self._link = link
        self._gate = Gate(config.policy, config.base_env, config.cwd)
        self._queue = Queue()
        self._live: dict[str, Live] = {}
        self.outputs_cut = 0
        self._gone: list[Folder] = []

    @property
    def running(self) -> int:
        return len(self._live)

    def resume(self) -> None:
        """Takes up what the journal says is not over: asks what became of it, or queues it again."""
        boot = procfs.boot_id()
        same_boot = self._journal.remembered(BOOT_KEY, boot) == boot
        self._journal.remember(BOOT_KEY, boot)
        for entry in self._journal.unfinished(KIND):
            order = msgspec.json.decode(entry.order, type=RunCommand)
            folder = self._folder(order)
            lost = _lost(entry, folder, same_boot)
            if lost:
                self._finish(order, Ended(unit=order.unit, attempt=order.attempt, at=time.time(), lost=lost))
                self._journal.after_commit(partial(self._remove, folder))
            elif folder.exists():
                self._launch(order, entry)
            else:
                self._queue.add(order)
            if entry.stop_grace_s is not None:
                self._stop(order.unit, entry.stop_grace_s)
        self._journal.before_commit(self._fill)

    def take(self, order: RunCommand, now: float, draining: str) -> None:
        """Takes a command that the journal does not know in this attempt."""
        self._stop(order.unit, order.grace_s)
        reason = refusal(order, now, draining)
        if reason:
            self._journal.take(order, order.unit, order.attempt, KIND, QUEUED, now)
            self._refuse(order, reason, now)
            return
        accepted = Accepted(unit=order.unit, attempt=order.attempt, at=now)
        self._journal.take(order, order.unit, order.attempt, KIND, QUEUED, now, accepted)
        self._queue.add(order)
        self._journal.before_commit(self._fill)

    def stop(self, order: StopUnit) -> None:
        """Cancels a command that is not over."""
        self._stop(order.unit, order.grace_s)

    def _stop(self, unit: str, grace_s: float) -> None:
        queued = self._queue.remove(unit)
        if queued is not None:
            end = Ended(
                unit=unit,
                attempt=queued.attempt,
                at=time.time(),
                start_error=CANCELLED_IN_QUEUE,
                cancelled=True,
            )
            self._journal.finish(unit, queued.attempt, OVER, end, end.at)
        if unit in self._live:
            live = self._live[unit]
            self._journal.set_stop(unit, live.order.attempt, grace_s)
            self._journal.after_commit(partial(self._link.stop, live.folder.name, grace_s))

    def _fill(self) -> None:
        """The last of a transaction: what leaves the queue in it is `launched` when it is committed."""
        launched = []
        while len(self._live) < self._config.slots:
            order, now = self._queue.next(self._live), time.time()
            if order is None:
                break
            reason = missed_start(order, now)
            if reason:
                self._refuse(order, reason, now)
            elif self._begin(order):
                launched.append((order.unit, order.attempt))
        if launched:
            self._journal.set_states(launched, LAUNCHED)

    def _begin(self, order: RunCommand) -> bool:
        """Starts a command if the host's policy lets it; judged as late as can be, also after a restart."""
        try:
            allowed = self._gate.command(order)
        except Forbidden as error:
            self._forbid(order, error)
            return False
        self._launch(allowed, None)
        return True

    def _forbid(self, order: RunCommand, error: Forbidden) -> None:
        log.warning("order.forbidden unit=%s attempt=%d %s", order.unit, order.attempt, error)
        end = Ended(
            unit=order.unit,
            attempt=order.attempt,
            at=time.time(),
            start_error=str(error),
            start_error_kind=error.kind,
        )
        self._finish(order, end)

    def _refuse(self, order: RunCommand, reason: str, now: float) -> None:
        report = Refused(unit=order.unit, attempt=order.attempt, at=now, reason=reason)
        self._journal.finish(order.unit, order.attempt, REFUSED, report, now)

    def _launch(self, order: RunCommand, entry: Entry | None) -> None:
        sent = {"stdout": entry.stdout_sent, "stderr": entry.stderr_sent} if entry else dict.fromkeys(STREAMS, 0)
        live = Live(order, self._folder(order), entry.state if entry else LAUNCHED, sent)
        self._live[order.unit] = live
        start = partial(self._link.start, live.folder.name, self._spec(order), partial(self._heard, live))
        self._journal.after_commit(start)
        if live.state == STARTED:
            self._tail_later(live)

    def _folder(self, order: RunCommand) -> Folder:
        return Folder(self._config.state_dir, safe_name(f"{order.unit}.{order.attempt}"))

    def _spec(self, order: RunCommand) -> Spec:
        """Of the agent's own variables, those that tell of its user are not for another."""
        output_max_bytes = order.output_limit_bytes + OUTPUT_FILE_SPARE_BYTES
        if order.container is not None:
            return runner_spec(order, job_of(order, order.container, self._agent), self._config, output_max_bytes)
        inherited = self._config.base_env
        if order.user:
            inherited = {name: value for name, value in inherited.items() if name not in USER_VARIABLES}
        return Spec(
            unit=order.unit,
            attempt=order.attempt,
            argv=order.argv,
            env={**inherited, **order.env},
            cwd=order.cwd or self._config.cwd,
            stdin=as_text(order.stdin),
            timeout_s=order.timeout_s,
            grace_s=order.grace_s,
            output_keep_bytes=order.output_limit_bytes,
            output_max_bytes=output_max_bytes,
            user=order.user,
            memory_mb=order.limits.memory_mb,
            cpu_seconds=order.limits.cpu_seconds,
            open_files=order.limits.open_files,
            cgroup=self._config.cgroup,
        )

    def _heard(self, live: Live, event: Event) -> None:
        if isinstance(event, End):
            self._ended(live, event)
        elif live.state != STARTED:
            self._started(live, event)

    def _started(self, live: Live, start: Start) -> None:
        live.state = STARTED
        report = Started(unit=live.order.unit, attempt=live.order.attempt, at=start.at, pid=start.pid)
        self._journal.set_state(live.order.unit, live.order.attempt, STARTED, report)
        self._tail_later(live)

    def _tail_later(self, live: Live) -> None:
        live.timer = asyncio.get_running_loop().call_later(live.tail_pause_s, self._tail, live)

    def _tail(self, live: Live) -> None:
        """Spools new output; looks seldom at a command that says nothing."""
        grew = self._spool_output(live, PIECES_AT_ONCE)
        live.tail_pause_s = TAIL_MIN_S if grew else min(TAIL_MAX_S, live.tail_pause_s * 2)
        self._tail_later(live)

    def _spool_output(self, live: Live, pieces_max: int) -> bool:
        """Spools up to so many pieces of each stream. False when there was nothing new, or no room for it."""
        reports: list[Report] = []
        room = self._config.spool_max_bytes - self._journal.spool_bytes()
        for stream in STREAMS:
            for _ in range(pieces_max):
                piece = self._next_piece(live, stream) if room > 0 else b""
                if not piece:
                    break
                room -= len(piece)
                reports.append(self._output(live, stream, piece))
                live.sent[stream] += len(piece)
        if reports:
            with self._journal.transaction():
                self._journal.spool(reports)
                self._journal.set_sent(live.order.unit, live.order.attempt, live.sent["stdout"], live.sent["stderr"])
        return bool(reports)

    def _next_piece(self, live: Live, stream: str) -> bytes:
        left = live.order.output_limit_bytes - live.sent[stream]
        return live.folder.read(stream, live.sent[stream], min(PIECE_BYTES, left)) if left > 0 else b""

    def _output(self, live: Live, stream: str, piece: bytes) -> Output:
        order = live.order
        return Output(unit=order.unit, attempt=order.attempt, stream=stream, offset=live.sent[stream], data=piece)

    def _ended(self, live: Live, end: End) -> None:
        if live.timer is not None:
            live.timer.cancel()
        if live.sent != {"stdout": end.stdout_bytes, "stderr": end.stderr_bytes}:
            while self._spool_output(live, PIECES_AT_ONCE):
                continue
            self._tell_cut(live, end)
        self._finish(live.order, ended_report(live.order, end, live.folder))
        del self._live[live.order.unit]
        self._journal.after_commit(partial(self._remove, live.folder))
        self._journal.before_commit(self._fill)

    def _tell_cut(self, live: Live, end: End) -> None:
        limit = live.order.output_limit_bytes
        missing = sum(
            min(size, limit) - live.sent[stream]
            for stream, size in (("stdout", end.stdout_bytes), ("stderr", end.stderr_bytes))
        )
        if missing > 0:
            self.outputs_cut += 1
            log.warning("output.cut unit=%s bytes=%d reason=the spool is full", live.order.unit, missing)

    def _remove(self, folder: Folder) -> None:
        self._gone.append(folder)
        if len(self._gone) == 1:
            asyncio.get_running_loop().call_soon(self._remove_gone)

    def _remove_gone(self) -> None:
        """Beside the loop: deleting files takes as long as starting processes, and nobody waits for it."""
        gone, self._gone = self._gone, []
        asyncio.get_running_loop().run_in_executor(None, remove_all, gone)

    def _finish(self, order: RunCommand, report: Ended) -> None:
        self._journal.finish(order.unit, order.attempt, OVER, report, time.time())
        if order.container is not None and (report.signal is not None or report.lost):
            self._journal.after_commit(partial(self._remove_container, self._folder(order)))

    def _remove_container(self, folder: Folder) -> None:
        asyncio.get_running_loop().run_in_executor(None, remove_left, folder)


def _lost(entry: Entry, folder: Folder, same_boot: bool) -> str:
    """Why nobody can tell what became of it. What is in a folder may be lost with the power, a commit is not."""
    if entry.state == QUEUED or (folder.exists() if same_boot else folder.spec() is not None):
        return ""
    if entry.state == LAUNCHED:
        return "" if same_boot else MAY_HAVE_RUN
    return FOLDER_LOST


def remove_all(folders: Sequence[Folder]) -> None:
    for folder in folders:
        folder.remove()


def ended_report(order: RunCommand, end: End, folder: Folder) -> Ended:
    """The end as it is reported."""
    return Ended(
        unit=order.unit,
        attempt=order.attempt,
        at=end.at,
        exit_code=end.exit_code,
        signal=end.signal,
        start_error=end.start_error,
        lost=end.lost,
        timed_out=end.timed_out,
        cancelled=end.cancelled,
        stdout_bytes=end.stdout_bytes,
        stderr_bytes=end.stderr_bytes,
        start_error_kind=end.start_error_kind,
        usage=None if end.usage is None or order.container is not None else msgspec.convert(end.usage, Usage),
        told="" if order.container is None else folder.told(),
    )
