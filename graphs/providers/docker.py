"""Components that are containers: commands of the workers app that a host's Docker Engine carries out."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from graphs.core.templating import may_hold_template
from graphs.providers.command import CommandProvider, kind_faults
from scheduler_project.toolkit.errors import Fault
from workers.core.commands import NewCommand
from workers.protocol import InContainer, Mount

TEXTS = dict.fromkeys(("image", "command", "on", "pull", "user", "workdir", "network"), str)
KINDS = TEXTS | {"argv": list, "env": dict, "timeout_s": (int, float)}
KINDS |= {"entrypoint": list, "grace_s": (int, float)}
NUMBERS = {"cpus": ((int, float), "must be a number"), "memory_mb": ((int,), "must be a whole number")}
MOUNT_KINDS = {"source": str, "target": str, "writable": bool}
MOUNT_FORM = "must be an object with the strings `source` and `target`, and perhaps `writable`, true or false"
STAND_INS = {"image": "image", "on": "", "pull": "missing", "user": "", "workdir": "", "network": "none"}
SHOWN_AS = {"cwd": "workdir"}


class DockerProvider(CommandProvider):
    """`image`, with `argv` (a list) or `command` (a string for `sh -c`), or neither for the image's own command.

    Further `entrypoint`, `on`, `env`, `mounts`, `cpus`, `memory_mb`, `pull`, `user`, `workdir`, `timeout_s`, `grace_s`
    and `network`. Completed exactly when the container ends with exit code 0.
    """

    def faults(self, document: Mapping[str, Any], path: str) -> Sequence[Fault]:
        faults = [*kind_faults(document, KINDS, path), *_number_faults(document, path), *_mount_faults(document, path)]
        if "image" not in document:
            faults.append(Fault(f"{path}.image", "is missing; name the image to run"))
        if document.get("argv") and document.get("command"):
            faults.append(Fault(path, "give either `argv`, a list, or `command`, a string for the shell, or neither"))
        if "entrypoint" in document and document.get("command"):
            faults.append(Fault(f"{path}.entrypoint", "does not go with `command`, which a shell runs; give `argv`"))
        if document.get("entrypoint") == [] and not document.get("argv"):
            faults.append(Fault(f"{path}.entrypoint", "is empty, so `argv` has to say what runs"))
        return faults or self.value_faults(_without_templates(document), path)

    def value_faults(self, document: Mapping[str, Any], path: str) -> Sequence[Fault]:
        found = super().value_faults(document, path)
        return [Fault(_shown(fault.path, path), fault.message) for fault in found]

    def new_command(self, document: Mapping[str, Any], owner: str) -> NewCommand:
        in_shell = ["sh", "-c", document["command"]] if document.get("command") else []
        return NewCommand(
            argv=list(document.get("argv") or in_shell),
            env=dict(document.get("env", {})),
            cwd=document.get("workdir", ""),
            on=document.get("on", ""),
            timeout_s=float(document.get("timeout_s", 0)),
            grace_s=float(document.get("grace_s", NewCommand.grace_s)),
            user=document.get("user", ""),
            memory_mb=document.get("memory_mb", 0),
            owner=owner,
            container=InContainer(
                image=document["image"],
                pull=document.get("pull", "missing"),
                mounts=[Mount(**mount) for mount in document.get("mounts", [])],
                network=document.get("network", "bridge"),
                cpus=float(document.get("cpus", 0)),
                entrypoint=[] if in_shell else document.get("entrypoint"),
            ),
        )


def _shown(fault_path: str, path: str) -> str:
    """The key as the component has it."""
    key = fault_path.removeprefix(f"{path}.")
    return f"{path}.{SHOWN_AS[key]}" if key in SHOWN_AS else fault_path


def _number_faults(document: Mapping[str, Any], path: str) -> Iterator[Fault]:
    for key, (kinds, message) in NUMBERS.items():
        value = document.get(key, 0)
        if isinstance(value, bool) or not isinstance(value, kinds):
            yield Fault(f"{path}.{key}", message)


def _mount_faults(document: Mapping[str, Any], path: str) -> Iterator[Fault]:
    mounts = document.get("mounts", [])
    if not isinstance(mounts, list):
        yield Fault(f"{path}.mounts", "must be a list")
        return
    for position, mount in enumerate(mounts):
        if not _is_mount(mount):
            yield Fault(f"{path}.mounts[{position}]", MOUNT_FORM)


def _is_mount(mount: Any) -> bool:
    if not isinstance(mount, dict) or not {"source", "target"} <= mount.keys() <= MOUNT_KINDS.keys():
        return False
    return all(isinstance(mount[key], kind) for key, kind in MOUNT_KINDS.items() if key in mount)


def _without_templates(document: Mapping[str, Any]) -> dict[str, Any]:
    """Where a template may be filled in later, something that is right now."""
    stand_ins = {key: value for key, value in STAND_INS.items() if may_hold_template(document.get(key))}
    mounts = [
        {key: "/" if may_hold_template(value) else value for key, value in mount.items()}
        for mount in document.get("mounts", [])
    ]
    return {**document, **stand_ins, "mounts": mounts}
