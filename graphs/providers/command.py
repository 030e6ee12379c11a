"""Components that are commands on hosts: one `Command` of the workers app for each attempt."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from graphs.core.cancelling import Told
from graphs.core.templating import may_hold_template
from graphs.providers.base import InFlight, Provider, Send
from scheduler_project.toolkit.errors import Fault
from workers import store
from workers.core.commands import NewCommand, faults_of
from workers.models import Command

KINDS = {"argv": list, "command": str, "on": str, "env": dict, "cwd": str, "timeout_s": (int, float)}
WORDS = {"argv": "a list of strings", "env": "an object of strings", "timeout_s": "a number of seconds"}
WORDS |= {"entrypoint": WORDS["argv"], "grace_s": WORDS["timeout_s"]}


class CommandProvider(Provider):
    """`argv` (a list) or `command` (a string for `sh -c`), with optional `on`, `env`, `cwd`, `timeout_s`.

    Completed exactly when it ends with exit code 0.
    """

    supports_transaction = True
    supports_cancel = True
    supports_begun = True

    def faults(self, document: Mapping[str, Any], path: str) -> Sequence[Fault]:
        faults = list(kind_faults(document, KINDS, path))
        if bool(document.get("argv")) == bool(document.get("command")):
            faults.append(Fault(path, "give either `argv`, a list, or `command`, a string for the shell"))
        if faults:
            return faults
        checked = {**document, "on": ""} if may_hold_template(document.get("on")) else document
        return self.value_faults(checked, path)

    def value_faults(self, document: Mapping[str, Any], path: str) -> Sequence[Fault]:
        """What is wrong with a document whose keys are of the right kinds."""
        found = faults_of([self.new_command(document, "")], "")
        return [Fault(fault.path.replace("[0]", path, 1), fault.message) for fault in found]

    def start(self, sends: Sequence[Send], now: datetime) -> Mapping[int, str]:
        commands = store.submit([self.new_command(send.document, owner_of(send)) for send in sends], now)
        return {send.pk: command.id for send, command in zip(sends, commands, strict=True)}

    def cancel(self, unwanted: Sequence[InFlight], now: datetime, actor: str, told: Told) -> None:
        store.cancel([one.handle for one in unwanted], now, actor, "its graph was cancelled")

    def begun(self, handles: Sequence[str]) -> Collection[str]:
        started = Command.objects.filter(pk__in=handles, started_at__isnull=False)
        return set(started.values_list("pk", flat=True))

    def awaits(self, document: Mapping[str, Any], handle: str) -> str:
        command = Command.objects.select_related("worker").filter(pk=handle).first()
        if command is None:
            return super().awaits(document, handle)
        if command.worker is None:
            return f"its command waits for a host: {command.reason}"
        return f"its command is {command.state} on {command.worker.name}"

    def new_command(self, document: Mapping[str, Any], owner: str) -> NewCommand:
        """The command that a component asks for."""
        return NewCommand(
            argv=list(document.get("argv") or ["sh", "-c", document["command"]]),
            env=dict(document.get("env", {})),
            cwd=document.get("cwd", ""),
            on=document.get("on", ""),
            timeout_s=float(document.get("timeout_s", 0)),
            owner=owner,
        )


def kind_faults(document: Mapping[str, Any], kinds: Mapping[str, Any], path: str) -> Iterator[Fault]:
    """A fault for each key whose value is of another kind than these."""
    for key, kind in kinds.items():
        if key in document and not _is_kind(document[key], kind):
            yield Fault(f"{path}.{key}", f"must be {WORDS.get(key, 'a string')}")


def owner_of(send: Send) -> str:
    """What a command of ours is part of."""
    return f"component/{send.graph_id}/{send.component_id}/{send.attempt}"


def _is_kind(value: Any, kind: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, kind):
        return False
    if isinstance(value, list):
        return all(isinstance(word, str) for word in value)
    if isinstance(value, dict):
        return all(isinstance(word, str) for word in value.values())
    return True
