"""The host's policy applied to what was ordered: who it would run as, where, and which program that is here.

Invariant: where a policy is set, a process is started by the very path that was judged, or not at all.
"""

import os
import pwd
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from scheduler_project.toolkit.errors import ConfigurationError, SchedulerError
from workers.agent.confinement import NOT_ALLOWED, NOT_FOUND
from workers.agent.core.policy import (
    COMMANDS,
    Asked,
    AskedContainer,
    Policy,
    container_refusal,
    parse,
    refusal,
    refuses_executor,
)
from workers.executors.base import Recipe
from workers.protocol import Check, InContainer, KeepTask, RunCommand

COMMAND = "command"
SHELL = "sh"
ROOT = "root"
FORBIDDEN = "the policy of this host forbids it: {}"


class Forbidden(SchedulerError):
    """The host's policy does not let it run. `kind` is that of `protocol.Ended.start_error_kind`."""

    def __init__(self, reason: str, kind: str = NOT_ALLOWED) -> None:
        super().__init__(reason)
        self.kind = kind


def load_policy(path: str) -> Policy:
    """The policy of this file. Raises ConfigurationError for a file that cannot be read or understood."""
    try:
        return parse(Path(path).read_text(), os.path.realpath)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the policy {path} cannot be read: {error}") from error
    except ConfigurationError as error:
        raise ConfigurationError(f"the policy {path} cannot be used: {error}") from error


@dataclass(frozen=True)
class Gate:
    """What a host lets in. `base_env` and `cwd` are what processes get that do not say otherwise."""

    policy: Policy
    base_env: Mapping[str, str]
    cwd: str

    def command(self, order: RunCommand) -> RunCommand:
        """The order as it is to be carried out. Raises Forbidden."""
        if order.container is not None:
            return self._in_container(order, order.container)
        if self.policy.allows_everything:
            return order
        asked = Asked(
            executor=COMMAND,
            users=names_of(order.user),
            folder=real_path(order.cwd or self.cwd),
            programs=("",),
            variables=tuple(order.env),
            timeout_s=order.timeout_s,
            memory_mb=order.limits.memory_mb,
        )
        argv = self._let_in(asked, order.argv, {**self.base_env, **order.env})
        return msgspec.structs.replace(order, argv=argv, cwd=asked.folder)

    def recipes(self, order: KeepTask, recipes: Mapping[str, Recipe]) -> dict[str, Recipe]:
        """What to start for the containers of a task. Raises Forbidden."""
        return {
            container.name: self._recipe(recipes[container.name], container.executor, container.env)
            for container in order.containers
        }

    def scripts(self, order: KeepTask, recipes: Mapping[str, Recipe]) -> dict[str, list[str]]:
        """The argv of each check that is a script, by the check's id. Raises Forbidden."""
        first = order.containers[0]
        return {
            check.id: self._argv(in_shell(check), first.executor, {**recipes[first.name].env, **first.env})
            for check in order.checks
            if check.script
        }

    def executors(self, present: Sequence[str]) -> list[str]:
        """Those of these executors that may be used here."""
        return [alias for alias in present if not refuses_executor(self.policy, alias)]

    def _in_container(self, order: RunCommand, wanted: InContainer) -> RunCommand:
        """With the mounts that were judged. An image whose user is not told may run as root."""
        mounts = [msgspec.structs.replace(mount, source=real_path(mount.source)) for mount in wanted.mounts]
        asked = AskedContainer(
            image=wanted.image,
            user=user_inside(order.user),
            network=wanted.network,
            mounts=tuple(mount.source for mount in mounts),
            writable=tuple(mount.source for mount in mounts if mount.writable),
            variables=tuple(order.env),
            timeout_s=order.timeout_s,
            memory_mb=order.limits.memory_mb,
        )
        reason = container_refusal(self.policy, asked)
        if reason:
            raise Forbidden(FORBIDDEN.format(reason))
        return msgspec.structs.replace(order, container=msgspec.structs.replace(wanted, mounts=mounts))

    def _recipe(self, recipe: Recipe, executor: str, env: Mapping[str, str]) -> Recipe:
        own = {**recipe.env, **env}

        def each(argvs: Sequence[list[str]]) -> list[list[str]]:
            return [self._argv(argv, executor, own) for argv in argvs]

        main = self._argv(recipe.main, executor, own)
        return replace(
            recipe, main=main, setup=each(recipe.setup), stop=each(recipe.stop), teardown=each(recipe.teardown)
        )

    def _argv(self, argv: list[str], executor: str, own: Mapping[str, str]) -> list[str]:
        if self.policy.allows_everything:
            return argv
        folder = os.path.realpath(self.cwd)
        asked = Asked(executor, names_of(""), folder, ("",), variables=tuple(own))
        return self._let_in(asked, argv, {**self.base_env, **own})

    def _let_in(self, asked: Asked, argv: Sequence[str], env: Mapping[str, str]) -> list[str]:
        path = next(iter(argv), "")
        if COMMANDS in self.policy.sections:
            path = found_program(path, env.get("PATH", os.defpath), asked.folder)
            asked = replace(asked, programs=(path, os.path.realpath(path)), arguments=tuple(argv[1:]))
        reason = refusal(self.policy, asked)
        if reason:
            raise Forbidden(FORBIDDEN.format(reason))
        return [path, *argv[1:]]


def in_shell(check: Check) -> list[str]:
    """How a check that is a script is run."""
    return [SHELL, "-c", check.script]


def user_inside(user: str) -> str:
    """Whom a container runs as; the image may say root, and so does 0."""
    name = user.partition(":")[0]
    return ROOT if not name or (name.isdecimal() and int(name) == 0) else name


def names_of(user: str) -> tuple[str, ...]:
    """A user's name and number; what was asked for alone where there is no such user, whom nothing can run as."""
    try:
        if not user:
            entry = pwd.getpwuid(os.geteuid())
        else:
            entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except (KeyError, OverflowError):
        return (user or str(os.geteuid()),)
    return entry.pw_name, str(entry.pw_uid)


def real_path(path: str) -> str:
    """The path without links. Raises Forbidden for what cannot be a path."""
    try:
        return os.path.realpath(path)
    except ValueError as error:
        raise Forbidden(f"{path!r} is no path: {error}", NOT_FOUND) from error


def found_program(name: str, path: str, folder: str) -> str:
    """Where a program is that a process in `folder` would start, by a path without links but for its last part.

    Raises Forbidden when there is none.
    """
    places = [Path(folder)] if "/" in name else [Path(folder, place) for place in path.split(os.pathsep)]
    for place in places:
        wanted = Path(place, name)
        if wanted.is_file() and os.access(wanted, os.X_OK):
            return str(Path(os.path.realpath(wanted.parent)) / wanted.name)
    raise Forbidden(f"cannot start {name!r}: no such program", NOT_FOUND)
