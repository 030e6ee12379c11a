"""Whom a process runs as and what it may use: applied in the new process, just before it becomes the program.

Memory is limited by a cgroup of the process where the operator gave the agent one to divide (`Spec.cgroup`), and else
by RLIMIT_DATA, which counts the private memory of each process alone. Only the standard library is imported here.
Invariant: a process that cannot be confined as asked is not started.
"""

import os
import pwd
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from workers.agent.folders import Spec

NOT_FOUND, NOT_ALLOWED, OTHER = "not found", "not allowed", "other"
MIB = 1024 * 1024
CPU_KILL_AFTER_S = 5
ERROR_BYTES_MAX = 4096


class StartRefused(Exception):
    """A process that must not be started. `kind` is that of `protocol.Ended.start_error_kind`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True)
class Account:
    """A user to switch to, with all groups."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    shell: str

    @property
    def variables(self) -> dict[str, str]:
        """What a login would tell the user's processes."""
        return {"HOME": self.home, "USER": self.name, "LOGNAME": self.name, "SHELL": self.shell}


def account_of(user: str) -> Account | None:
    """The account to switch to; None where the agent is that user already, or no user is asked for.

    Raises StartRefused for a user that does not exist, and for any other user where the agent is not root.
    """
    if not user:
        return None
    try:
        entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except (KeyError, OverflowError):
        raise StartRefused(NOT_FOUND, f"cannot run as {user!r}: there is no such user on this host") from None
    if entry.pw_uid == os.geteuid():
        return None
    if os.geteuid() != 0:
        raise StartRefused(NOT_ALLOWED, f"cannot run as {user!r}: only an agent that runs as root may switch users")
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, groups, entry.pw_dir, entry.pw_shell)


@dataclass(frozen=True)
class Confinement:
    """What is done in the new process. `group` is the folder of its cgroup, `limits` are those of `resource`."""

    account: Account | None = None
    group: Path | None = None
    limits: dict[int, tuple[int, int]] = field(default_factory=dict)
    cwd: str = ""

    def enter(self, report: int) -> None:
        """Confines the calling process; what fails is told as text to the file descriptor `report` and raised."""
        step = "join its cgroup"
        try:
            if self.group is not None:
                (self.group / "cgroup.procs").write_text("0")
            step = "limit it"
            for number, values in self.limits.items():
                resource.setrlimit(number, values)
            if self.account is not None:
                step = f"run as {self.account.name!r}"
                os.setgroups(self.account.groups)
                os.setgid(self.account.gid)
                os.setuid(self.account.uid)
            step = f"enter the working directory {self.cwd!r}"
            if self.cwd:
                os.chdir(self.cwd)
        except (OSError, ValueError) as error:
            kind = kind_of(error)
            what = error.strerror if isinstance(error, OSError) else error
            os.write(report, f"{kind}\0cannot {step}: {what}".encode()[:ERROR_BYTES_MAX])
            raise


def confinement_of(spec: Spec, name: str, account: Account | None) -> Confinement | None:
    """What a process of this spec asks for; None where that is nothing. Makes the cgroup called `name` if need be."""
    group = make_group(spec, name)
    limits = dict(_limits(spec, group))
    if account is None and group is None and not limits:
        return None
    return Confinement(account, group, limits, spec.cwd)


def make_group(spec: Spec, name: str) -> Path | None:
    """A cgroup with the memory limit; None where none is asked for or none can be made here."""
    if not spec.memory_mb or not spec.cgroup:
        return None
    group = Path(spec.cgroup) / name
    try:
        group.mkdir()
        (group / "memory.max").write_text(str(spec.memory_mb * MIB))
    except OSError:
        remove_group(spec, name)
        return None
    for file, value in (("memory.swap.max", "0"), ("memory.oom.group", "1")):
        with suppress(OSError):  # kernels without swap accounting do not have the first
            (group / file).write_text(value)
    return group


def remove_group(spec: Spec, name: str) -> None:
    """Removes the cgroup of a process that has ended, where it had one."""
    if spec.memory_mb and spec.cgroup:
        with suppress(OSError):
            (Path(spec.cgroup) / name).rmdir()


def kind_of(error: Exception) -> str:
    """What kind of start error this is."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return NOT_FOUND
    return NOT_ALLOWED if isinstance(error, PermissionError) else OTHER


@contextmanager
def report_pipe() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe, the reading end first."""
    reader, writer = os.pipe()
    try:
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)


def told(reader: int) -> StartRefused:
    """What `enter` told through the pipe before it raised."""
    os.set_blocking(reader, False)
    kind, _, message = os.read(reader, ERROR_BYTES_MAX).decode(errors="replace").partition("\0")
    return StartRefused(kind, message)


def _limits(spec: Spec, group: Path | None) -> Iterator[tuple[int, tuple[int, int]]]:
    if spec.memory_mb and group is None:
        yield resource.RLIMIT_DATA, _allowed(resource.RLIMIT_DATA, spec.memory_mb * MIB)
    if spec.cpu_seconds:
        soft, _ = _allowed(resource.RLIMIT_CPU, spec.cpu_seconds)
        yield resource.RLIMIT_CPU, _allowed(resource.RLIMIT_CPU, soft, soft + CPU_KILL_AFTER_S)
    if spec.open_files:
        yield resource.RLIMIT_NOFILE, _allowed(resource.RLIMIT_NOFILE, spec.open_files)


def _allowed(number: int, soft: int, hard: int | None = None) -> tuple[int, int]:
    """The limits, lowered to what an agent that is not root may set."""
    wanted = soft if hard is None else hard
    present = resource.getrlimit(number)[1]
    if os.geteuid() != 0 and present != resource.RLIM_INFINITY:
        return min(soft, present), min(wanted, present)
    return soft, wanted
