"""Applying files of desired state: all of them or nothing, in one transaction.

Each app offers a module `manifest` (see `AppManifest`) and plans its own objects; this module reads the files, brings
single and bare objects into lists, and tells every fault with its file and its path in that file.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib import import_module
from typing import Any, Protocol, cast

from django.apps import apps
from django.db import transaction
from django.utils.module_loading import module_has_submodule

from scheduler_project.toolkit.changes import Change
from scheduler_project.toolkit.documents import parse
from scheduler_project.toolkit.errors import Fault, InvalidDocument

PLURAL_OF = {
    "cluster": "clusters",
    "service": "services",
    "deployment": "deployments",
    "task": "tasks",
    "task_definition": "task_definitions",
    "graph": "graphs",
    "topology": "topologies",
}
ELEMENT = re.compile(r"(?P<key>\w+)\[(?P<index>\d+)\](?P<rest>.*)", re.DOTALL)


class AppManifest(Protocol):
    """What an app's `manifest` module offers. `KEYS` are the plural top-level keys that it owns.

    `plan` never raises for a user's faults: it returns them as refused changes with paths such as
    `services[0].desired`. An app whose objects may also be a file of their own adds `bare_key(document)`, which
    returns the key under which such a document belongs, or an empty text.
    """

    KEYS: tuple[str, ...]

    def plan(self, document: Mapping[str, Any], now: datetime) -> list[Change]: ...

    def apply(self, changes: list[Change], now: datetime, actor: str) -> None: ...


@dataclass(frozen=True)
class Source:
    """One file as it was given. `label` is its name in messages."""

    label: str
    text: bytes


@dataclass(frozen=True)
class LocatedFault:
    """A fault and the file that it is in."""

    source: str
    fault: Fault

    def __str__(self) -> str:
        return f"{self.source}: {self.fault}" if self.source else str(self.fault)


@dataclass
class Merged:
    """The objects of all files by plural key, and where each came from."""

    document: dict[str, list[Any]] = field(default_factory=dict)
    origins: dict[tuple[str, int], tuple[str, str]] = field(default_factory=dict)
    faults: list[LocatedFault] = field(default_factory=list)

    def add(self, key: str, value: Any, source: str, path: str) -> None:
        elements = self.document.setdefault(key, [])
        self.origins[key, len(elements)] = (source, path)
        elements.append(value)

    def locate(self, fault: Fault) -> LocatedFault:
        """Turns a path in the merged document into the file and the path in it."""
        match = ELEMENT.fullmatch(fault.path)
        origin = self.origins.get((match["key"], int(match["index"]))) if match else None
        if match is None or origin is None:
            return LocatedFault("", fault)
        source, path = origin
        return LocatedFault(source, Fault((path + match["rest"]).lstrip("."), fault.message))


@dataclass(frozen=True)
class Outcome:
    """What applying means, object by object. Invariant: with any fault, nothing was or will be written."""

    changes: tuple[Change, ...]
    faults: tuple[LocatedFault, ...]


def app_manifests() -> list[AppManifest]:
    """The `manifest` modules of the installed apps."""
    found = (f"{config.name}.manifest" for config in apps.get_app_configs() if has_manifest(config))
    return [cast(AppManifest, import_module(name)) for name in found]


def has_manifest(config: Any) -> bool:
    return config.name != "scheduler_project" and module_has_submodule(config.module, "manifest")


def plan(sources: Sequence[Source], now: datetime) -> Outcome:
    """What `apply` would do. Writes nothing."""
    return planned(sources, now)[0]


def apply(sources: Sequence[Source], now: datetime, actor: str) -> Outcome:
    """Applies all objects of all files in one transaction; with any fault, none."""
    with transaction.atomic():
        outcome, by_app = planned(sources, now)
        if not outcome.faults:
            for manifest, changes in by_app:
                manifest.apply(changes, now, actor)
    return outcome


def planned(sources: Sequence[Source], now: datetime) -> tuple[Outcome, list[tuple[AppManifest, list[Change]]]]:
    manifests = app_manifests()
    merged = merge(sources, manifests)
    by_app = [(manifest, manifest.plan(part, now)) for manifest in manifests if (part := owned(manifest, merged))]
    changes = [located(change, merged) for _, changes in by_app for change in changes]
    refusals = [merged.locate(fault) for _, changes in by_app for change in changes for fault in change.faults]
    return Outcome(tuple(changes), tuple(merged.faults + refusals)), by_app


def located(change: Change, merged: Merged) -> Change:
    return replace(change, faults=tuple(merged.locate(fault).fault for fault in change.faults))


def owned(manifest: AppManifest, merged: Merged) -> dict[str, list[Any]]:
    return {key: merged.document[key] for key in manifest.KEYS if key in merged.document}


def merge(sources: Sequence[Source], manifests: Sequence[AppManifest]) -> Merged:
    """Reads all files into one document of lists."""
    merged = Merged()
    for source in sources:
        try:
            document = parse(source.text)
        except InvalidDocument as error:
            merged.faults += [LocatedFault(source.label, fault) for fault in error.faults]
            continue
        merge_document(merged, source.label, document, manifests)
    return merged


def merge_document(merged: Merged, label: str, document: Any, manifests: Sequence[AppManifest]) -> None:
    known = {key for manifest in manifests for key in manifest.KEYS}
    if not isinstance(document, Mapping) or not document:
        expected = ", ".join(sorted(known))
        merged.faults.append(LocatedFault(label, Fault("", f"must be a mapping with some of these keys: {expected}")))
        return
    bare = next((key for manifest in manifests if (key := bare_key(manifest, document))), "")
    if bare:
        merged.add(bare, document, label, "")
        return
    for key, value in document.items():
        merge_key(merged, label, key, value, known)


def bare_key(manifest: AppManifest, document: Mapping[str, Any]) -> str:
    detect = getattr(manifest, "bare_key", None)
    return str(detect(document)) if detect is not None else ""


def merge_key(merged: Merged, label: str, key: Any, value: Any, known: set[str]) -> None:
    if key in known and value is None:
        return
    if key in known and isinstance(value, list):
        for index, element in enumerate(value):
            merged.add(key, element, label, f"{key}[{index}]")
    elif key in known:
        merged.faults.append(LocatedFault(label, Fault(key, "must be a list")))
    elif PLURAL_OF.get(key) in known:
        merged.add(PLURAL_OF[key], value, label, key)
    else:
        merged.faults.append(LocatedFault(label, unknown_key(str(key), known)))


def unknown_key(key: str, known: set[str]) -> Fault:
    near = difflib.get_close_matches(key, sorted(known | {one for one in PLURAL_OF if PLURAL_OF[one] in known}), n=1)
    hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(sorted(known))}"
    return Fault(key, f"is not a known key; {hint}")
