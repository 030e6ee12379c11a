"""One process group that the supervisor answers for, from start to recorded end.

Invariant: `ended` is written once, and only when no living process of the group is left.
"""

import base64
import os
import resource
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any

from workers.agent import procfs
from workers.agent.confinement import (
    OTHER,
    Account,
    Confinement,
    StartRefused,
    account_of,
    confinement_of,
    kind_of,
    remove_group,
    report_pipe,
    told,
)
from workers.agent.folders import STREAMS, End, Folder, Spec, Start, spec_line

MARKER = "SCHEDULER_PROCESS"
LEFTOVER_POLL_S = 0.05
NOTHING_DROPPED = dict.fromkeys(STREAMS, 0)
NO_PARENT = "the supervisor was restarted meanwhile, so its exit code is not known"
NEVER_SEEN = "the supervisor was killed while starting it; whether it ran is not known"
REBOOTED = "the host was restarted"


def uptime_s() -> float:
    """Seconds since boot, the clock of all deadlines here: it outlives the supervisor and never jumps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Process:
    """A started process and its group."""

    def __init__(self, folder: Folder, spec: Spec, start: Start, dropped: Mapping[str, int] = NOTHING_DROPPED) -> None:
        self.folder = folder
        self.spec = spec
        self.start = start
        self.end: End | None = None
        self._dropped = dict(dropped)
        self._outcome: End | None = None
        self._kill_at: float | None = None
        self._killed = False
        self._cause = End(at=0)
        self._deadline = start.up_s + spec.timeout_s if spec.timeout_s > 0 else None

    def cancel(self, grace_s: float, now: float) -> None:
        """Stops it, and records that this was wanted."""
        if self._outcome is None:
            self._cause = replace(self._cause, cancelled=not self._cause.timed_out)
        self.stop(grace_s, now)

    def stop(self, grace_s: float, now: float) -> None:
        """TERM now, KILL after the grace; a later call may only shorten the grace."""
        if self._kill_at is None:
            self._signal(signal.SIGTERM)
        self._kill_at = min(self._kill_at or now + grace_s, now + grace_s)

    def leader_ended(self, outcome: End, used: resource.struct_rusage | None = None) -> None:
        """The first process of the group is gone; what it left behind is stopped before the end is recorded."""
        self._outcome = replace(outcome, usage=usage_of(used, self.start)) if used is not None else outcome

    def due_at(self) -> float | None:
        """When `tick` has something to do, in seconds since boot."""
        if self.end is not None:
            return None
        if self._outcome is not None:
            return 0
        waits = [moment for moment in (self._deadline, None if self._killed else self._kill_at) if moment is not None]
        return min(waits, default=None)

    def tick(self, now: float) -> float | None:
        """Does what is due. Returns when to come again, None when there is nothing to wait for."""
        if self.end is None and self._outcome is None:
            self._enforce(now)
            return self.due_at()
        if self.end is None and self._group_is_gone(now):
            self._record()
        return None if self.end is not None else now + LEFTOVER_POLL_S

    def cut_output(self) -> None:
        """Cuts output files that have grown too large, in place: the process goes on writing at their new end."""
        for stream in STREAMS:
            size = self.folder.size(stream)
            if size > self.spec.output_max_bytes:
                self._dropped[stream] += size - self.spec.output_keep_bytes
                os.truncate(self.folder.file(stream), self.spec.output_keep_bytes)
                self.folder.cut(self._dropped)

    def _enforce(self, now: float) -> None:
        if self._deadline is not None and now >= self._deadline:
            self._deadline = None
            self._cause = replace(self._cause, timed_out=not self._cause.cancelled)
            self.stop(self.spec.grace_s, now)
        self._kill_when_due(now)

    def _kill_when_due(self, now: float) -> None:
        if self._kill_at is not None and now >= self._kill_at and not self._killed:
            self._killed = True
            self._signal(signal.SIGKILL)

    def _group_is_gone(self, now: float) -> bool:
        """Whether only the dead are left: nobody may have reaped them yet.

        Right after the leader was reaped its number cannot belong to another group while members remain.
        """
        if not self._signal(0) or not procfs.members(self.start.pid):
            return True
        if self._kill_at is None:
            self.stop(self.spec.grace_s, now)
        self._kill_when_due(now)
        return False

    def _signal(self, number: int) -> bool:
        """Signals the group. False when nothing is left of it."""
        leader = procfs.stat(self.start.pid)
        if leader is not None and leader.started_ticks != self.start.started_ticks:
            return False
        try:
            os.killpg(self.start.pid, number)
        except ProcessLookupError:
            return False
        except PermissionError:  # members that became another user's
            return True
        return True

    def _record(self) -> None:
        if self.spec.sweep or self._kill_at is not None:
            kill(procfs.marked(MARKER).get(self.folder.stem, []))
        self.end = replace(
            self._outcome or End(at=time.time()),
            timed_out=self._cause.timed_out,
            cancelled=self._cause.cancelled,
            stdout_bytes=self.folder.size("stdout") + self._dropped["stdout"],
            stderr_bytes=self.folder.size("stderr") + self._dropped["stderr"],
        )
        remove_group(self.spec, self.folder.name)
        self.folder.ended(self.end)


def usage_of(used: resource.struct_rusage, start: Start) -> dict[str, float]:
    """What a process used that has just been waited for, as `protocol.Usage` has it."""
    return {
        "cpu_user_s": round(used.ru_utime, 6),
        "cpu_system_s": round(used.ru_stime, 6),
        "max_rss_kb": used.ru_maxrss,
        "wall_s": round(max(0.0, uptime_s() - start.up_s), 6),
    }


def kill(pids: list[int]) -> None:
    """KILL to processes that may be gone already."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


def outcome_of(status: int) -> End:
    """The end that a wait status tells."""
    code = os.waitstatus_to_exitcode(status)
    return End(at=time.time(), exit_code=code) if code >= 0 else End(at=time.time(), signal=-code)


def spawn(folder: Folder, spec: Spec, line: bytes = b"") -> Process | End:
    """Starts the process of a fresh folder, or records why it cannot start. Raises FileExistsError for a used one.

    `line` is the spec as `Folder.create_from` takes it, where it came in that form.
    """
    try:
        folder.create_from(line or spec_line(spec))
    except FileExistsError:
        raise
    except OSError as error:
        message = f"cannot start it: its folder cannot be made: {error.strerror}"
        return End(at=time.time(), start_error=message, start_error_kind=OTHER)
    try:
        pid = _launch(folder, spec)
    except (OSError, ValueError, StartRefused) as error:
        kind = error.kind if isinstance(error, StartRefused) else kind_of(error)
        end = End(at=time.time(), start_error=_start_error(spec, error), start_error_kind=kind)
        remove_group(spec, folder.name)
        folder.ended(end)
        return end
    start = start_of(pid)
    folder.started(start)
    return Process(folder, spec, start)


def start_of(pid: int) -> Start:
    """What is recorded of a process that was just started; an unreaped child is always found."""
    found = procfs.stat(pid)
    ticks = found.started_ticks if found else 0
    return Start(pid=pid, started_ticks=ticks, boot_id=procfs.boot_id(), at=time.time(), up_s=uptime_s())


def environment(folder: Folder, spec: Spec, account: Account | None = None) -> Mapping[str, str]:
    """Exactly what the process sees: what was ordered, and the marks by which it is found again."""
    marks = {MARKER: folder.stem, "SCHEDULER_UNIT": spec.unit, "SCHEDULER_ATTEMPT": str(spec.attempt)}
    return {**(account.variables if account else {}), **spec.env, **marks}


def _launch(folder: Folder, spec: Spec) -> int:
    if not spec.argv:
        raise ValueError("argv is empty")
    account = account_of(spec.user)
    confinement = confinement_of(spec, folder.name, account)
    with (
        _stdin(folder, spec) as stdin,
        open(folder.file("stdout"), "ab", buffering=0) as stdout,  # noqa: PTH123
        open(folder.file("stderr"), "ab", buffering=0) as stderr,  # noqa: PTH123
    ):
        files = (stdin, stdout, stderr)
        variables = environment(folder, spec, account)
        if confinement is not None:
            return _start_confined(spec, variables, files, confinement)
        return _start(spec.argv, variables, files, cwd=spec.cwd or None)


def _start(argv: list[str], variables: Mapping[str, str], files: Sequence[IO[bytes]], **options: Any) -> int:
    stdin, stdout, stderr = files
    child = subprocess.Popen(
        argv, stdin=stdin, stdout=stdout, stderr=stderr, env=variables, start_new_session=True, **options
    )
    child.returncode = 0  # the supervisor's loop reaps it; Popen must not
    return child.pid


def _start_confined(
    spec: Spec, variables: Mapping[str, str], files: Sequence[IO[bytes]], confinement: Confinement
) -> int:
    """The supervisor has one thread, so code of ours may run between fork and exec."""
    with report_pipe() as (reader, writer):
        try:
            return _start(spec.argv, variables, files, preexec_fn=partial(confinement.enter, writer))
        except subprocess.SubprocessError:
            raise told(reader) from None


def _stdin(folder: Folder, spec: Spec) -> IO[bytes]:
    if not spec.stdin:
        return open(os.devnull, "rb")  # noqa: PTH123
    path = Path(folder.file("stdin"))
    path.write_bytes(base64.b64decode(spec.stdin))
    file = path.open("rb")
    path.unlink()
    return file


def _start_error(spec: Spec, error: Exception) -> str:
    if isinstance(error, StartRefused):
        return str(error)
    if not isinstance(error, OSError):
        return f"cannot start it: {error}"
    if spec.cwd and error.filename == spec.cwd:
        return f"cannot enter the working directory {spec.cwd!r}: {error.strerror}"
    return f"cannot start {spec.argv[0]!r}: {error.strerror}"
