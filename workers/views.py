"""Pages of hosts and commands."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from scheduler_project.toolkit.access import Role
from scheduler_project.toolkit.pages import in_order, needs, newest
from workers.arrays import array_counts
from workers.core.states import COMMAND, WORKER
from workers.models import Command, CommandQuerySet, Enrolment, Worker
from workers.output import STREAMS, output_of
from workers.tellers import told_of

HOSTS_SHOWN = 100
COMMANDS_SHOWN = 50
RUNNING_SHOWN = 50
SIBLINGS_SHOWN = 20
DRAINING = "draining"


@require_safe
@needs(Role.VIEWER)
def hosts(request: HttpRequest) -> HttpResponse:
    """All hosts by name, of one state where it is asked for."""
    state = request.GET.get("state", "")
    shown = Worker.objects.all()
    if state == DRAINING:
        shown = shown.filter(draining=True)
    elif state in WORKER.states:
        shown = shown.filter(state=state)
    context = {
        "leaf": in_order(shown, "name", request.GET.get("after", ""), HOSTS_SHOWN),
        "states": (*WORKER.states, DRAINING),
        "state": state,
    }
    return render(request, "workers/hosts.html", context)


@require_safe
@needs(Role.VIEWER)
def host(request: HttpRequest, name: str) -> HttpResponse:
    """One host: what it is, what runs there now, and what ran there."""
    worker = get_object_or_404(Worker, name=name)
    unfinished = listed(worker.commands.unfinished())
    ended = listed(worker.commands.filter(state__in=COMMAND.final))
    context = {
        "worker": worker,
        "enrolment": Enrolment.objects.filter(host=name).first(),
        "running": unfinished.order_by("id")[:RUNNING_SHOWN],
        "running_count": unfinished.count(),
        "told": told_of(worker),
        "leaf": newest(ended, request.GET.get("before", ""), COMMANDS_SHOWN),
    }
    return render(request, "workers/host.html", context)


@require_safe
@needs(Role.VIEWER)
def commands(request: HttpRequest) -> HttpResponse:
    """Commands, the newest first, of one state, host or array where it is asked for."""
    chosen = {name: request.GET.get(name, "") for name in ("state", "host", "array")}
    shown = listed(Command.objects.all())
    if chosen["state"] in COMMAND.states:
        shown = shown.filter(state=chosen["state"])
    if chosen["host"]:
        shown = shown.filter(worker__name=chosen["host"])
    if chosen["array"]:
        shown = shown.filter(array_id=chosen["array"])
    context: dict[str, Any] = {
        **chosen,
        "leaf": newest(shown, request.GET.get("before", ""), COMMANDS_SHOWN),
        "states": COMMAND.states,
        "hosts": Worker.objects.values_list("name", flat=True)[:HOSTS_SHOWN],
    }
    return render(request, "workers/commands.html", context)


@require_safe
@needs(Role.VIEWER)
def command(request: HttpRequest, command_id: str) -> HttpResponse:
    """One command; its page fetches the output itself, and goes on while there is more to come."""
    found = get_object_or_404(Command.objects.select_related("worker", "submitted_by"), pk=command_id)
    earlier = list(found.attempts.select_related("worker"))
    shown = next((one for one in earlier if str(one.attempt) == request.GET.get("attempt")), None)
    told = shown or found
    context = {
        "command": found,
        "earlier": earlier,
        "shown": shown,
        "streams": [("stdout", told.stdout_bytes), ("stderr", told.stderr_bytes)],
        "siblings": siblings_of(found),
    }
    return render(request, "workers/command.html", context)


@require_safe
@needs(Role.VIEWER)
def download(request: HttpRequest, command_id: str, stream: str) -> HttpResponse:
    """All that was kept of a stream, of `?attempt=` or the last, as bytes that no browser shows as a page."""
    if stream not in STREAMS:
        raise Http404
    found = get_object_or_404(Command.objects.only("id"), pk=command_id)
    attempt = request.GET.get("attempt", "")
    data = output_of(found.id, stream, int(attempt) if attempt.isdecimal() else None)
    headers = {"Content-Disposition": f'attachment; filename="{found.id}.{stream}"'}
    return HttpResponse(data, content_type="application/octet-stream", headers=headers)


def siblings_of(command: Command) -> dict[str, Any] | None:
    """The array that a command is part of: how many are in which state, and those around it."""
    if command.array_id is None or command.array_index is None:
        return None
    members = Command.objects.filter(array_id=command.array_id)
    near = members.filter(array_index__gte=command.array_index - SIBLINGS_SHOWN // 2).order_by("array_index")
    return {
        "counts": array_counts(command.array_id),
        "near": near.only("id", "array_index", "state", "exit_code")[:SIBLINGS_SHOWN],
    }


def listed(rows: CommandQuerySet) -> CommandQuerySet:
    """What lists show of commands, without what may be large in them."""
    return rows.select_related("worker").defer("env", "stdin")
