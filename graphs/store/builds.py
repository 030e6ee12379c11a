"""Builds and environments of ernest's own programs, where we are their store.

Invariant: a mapping that our engine is carrying out is not changed from outside; every change of a stored one is made
under a lock on its build, so that none is lost.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import uuid_utils
from django.db import transaction

from graphs import export
from graphs.core.environments import STATES, admitted, state_after
from graphs.core.mappings import with_change, with_component, without_component
from graphs.core.states import GRAPH
from graphs.models import Build, Environment, Graph
from scheduler_project.toolkit.errors import Conflict, NotFound

TEXT_FIELDS = ("name", "user_name", "definition")
JSON_FIELDS = ("mapping", "validation")
QUERY_FIELDS = ("id", "name", "environment_id", "user_id", "user_name", "type", "status")
Edit = Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]]
EDITS: Mapping[str, Edit] = {
    "set.change": with_change,
    "set.component": with_component,
    "del.component": without_component,
}


def get_build(query: Mapping[str, Any]) -> dict[str, Any]:
    """The newest build that fits. Raises NotFound."""
    build = _fitting(query).first()
    if build is None:
        raise NotFound("record not found")
    return shown(build)


def find_builds(query: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All builds that fit, the newest first, without their mappings and definitions."""
    return [{**shown(build), "mapping": None, "definition": ""} for build in _fitting(query).defer(*JSON_FIELDS)]


def set_build(given: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Changes a build, or makes one where its environment admits it. Raises Refused."""
    with transaction.atomic():
        build = Build.objects.select_for_update().filter(pk=str(given.get("id") or "")).first()
        if build is None:
            build = _new_build(given, now)
        for name in TEXT_FIELDS:
            if isinstance(given.get(name), str):
                setattr(build, name, given[name])
        for name in JSON_FIELDS:
            if given.get(name) is not None:
                setattr(build, name, given[name])
                build.mapping_at = now if name == "mapping" else build.mapping_at
        build.updated_at = now
        build.save()
    return shown(build)


def _new_build(given: Mapping[str, Any], now: datetime) -> Build:
    environment_id = str(given.get("environment_id") or "")
    if not environment_id:
        raise NotFound("record not found")
    Environment.objects.get_or_create(pk=environment_id)
    environment = Environment.objects.select_for_update().get(pk=environment_id)
    build_type = str(given.get("type") or "apply")
    environment.status = admitted(environment.status, build_type)
    environment.save(update_fields=["status"])
    user_id = given.get("user_id")
    return Build(
        id=str(given.get("id") or uuid_utils.uuid7()),
        environment=environment,
        user_id=user_id if isinstance(user_id, int) else None,
        type=build_type,
        status=environment.status,
        created_at=now,
    )


def delete_build(build_id: str) -> None:
    """Forgets a build. Raises NotFound."""
    if not Build.objects.filter(pk=build_id).delete()[0]:
        raise NotFound("record not found")


def set_status(query: Mapping[str, Any], status: str, now: datetime) -> None:
    """Sets the state of a build and its environment, by its id or name. Raises NotFound, and Conflict for no state."""
    if status not in STATES:
        raise Conflict(f"{status!r} is none of {', '.join(STATES)}")
    key = {name: query[name] for name in ("id", "name") if query.get(name)}
    with transaction.atomic():
        build = Build.objects.select_for_update().filter(**key).first() if key else None
        if build is None:
            raise NotFound("not found")
        Build.objects.filter(pk=build.pk).update(status=status, updated_at=now)
        Environment.objects.filter(pk=build.environment_id).update(status=status)


def end_build(subject: str, build_id: str, now: datetime) -> None:
    """What an announced end means: the environment is free again; after a delete it is gone with its builds."""
    build = Build.objects.filter(pk=build_id).first()
    if build is None:
        return
    if subject == "build.delete.done":
        Environment.objects.filter(pk=build.environment_id).delete()
        return
    set_status({"id": build_id}, state_after(subject), now)


def get_mapping(build_id: str) -> dict[str, Any]:
    """The mapping of a build or of a graph of our own. Raises NotFound."""
    build = Build.objects.filter(pk=build_id).first()
    return _mapping(build, Graph.objects.filter(pk=build_id).first())


def set_mapping(build_id: str, mapping: Mapping[str, Any], now: datetime) -> None:
    """Replaces a build's mapping. Raises NotFound, and Conflict while our engine carries it out."""
    _rewrite(build_id, lambda _before: dict(mapping), now)


def edit_mapping(edit: str, component: Mapping[str, Any], now: datetime) -> None:
    """One of `EDITS`, of the build that the component's `service` names. Raises NotFound, Conflict, NoSuchChange."""
    change = EDITS[edit]
    _rewrite(str(component.get("service") or ""), lambda before: change(before, component), now)


def get_field(build_id: str, name: str) -> Any:
    """A build's definition or validation. Raises NotFound."""
    found = Build.objects.filter(pk=build_id).values_list(name, flat=True).first()
    if found is None and not Build.objects.filter(pk=build_id).exists():
        raise NotFound("record not found")
    return found


def set_field(build_id: str, name: str, value: Any, now: datetime) -> None:
    """Sets a build's definition or validation. Raises NotFound."""
    if not Build.objects.filter(pk=build_id).update(**{name: value, "updated_at": now}):
        raise NotFound("record not found")


def shown(build: Build) -> dict[str, Any]:
    """A build as its clients read it."""
    return {
        "id": build.pk,
        "environment_id": build.environment_id,
        "name": build.name,
        "user_id": build.user_id or 0,
        "user_name": build.user_name,
        "type": build.type,
        "status": build.status,
        "definition": build.definition,
        "mapping": build.mapping,
        "validation": build.validation,
        "created_at": build.created_at.isoformat(),
        "updated_at": build.updated_at.isoformat(),
    }


def _rewrite(build_id: str, change: Callable[[dict[str, Any]], dict[str, Any]], now: datetime) -> None:
    with transaction.atomic():
        build = Build.objects.select_for_update().filter(pk=build_id).first()
        if build is None:
            raise NotFound("record not found")
        graph = Graph.objects.filter(pk=build_id).first()
        if graph is not None and graph.state not in GRAPH.final:
            raise Conflict("this build is being carried out; its mapping is not changed from outside")
        build.mapping = change(_mapping(build, graph))
        build.mapping_at = build.updated_at = now
        build.save(update_fields=["mapping", "mapping_at", "updated_at"])


def _mapping(build: Build | None, graph: Graph | None) -> dict[str, Any]:
    """The graph's while it runs and after; what was written to the build after its end."""
    if graph is not None:
        written = build.mapping_at if build else None
        if build is None or written is None or graph.ended_at is None or written < graph.ended_at:
            return export.mapping(graph)
    if build is None:
        raise NotFound("record not found")
    return dict(build.mapping or {})


def _fitting(query: Mapping[str, Any]) -> Any:
    wanted = {name: query[name] for name in QUERY_FIELDS if query.get(name) not in (None, "", 0)}
    return Build.objects.filter(**{name: value for name, value in wanted.items() if isinstance(value, str | int)})
