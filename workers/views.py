"""Pages of hosts and commands."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from scheduler_project.toolkit.access import Role
from scheduler_project.toolkit.pages import needs
from workers.models import Command, Worker

COMMANDS_SHOWN = 100
OUTPUT_SHOWN_BYTES = 65_536


@require_safe
@needs(Role.VIEWER)
def host(request: HttpRequest, name: str) -> HttpResponse:
    """One host: what it is and what ran there last."""
    worker = get_object_or_404(Worker, name=name)
    commands = worker.commands.select_related("worker").order_by("-id")[:COMMANDS_SHOWN]
    context = {"worker": worker, "commands": commands, "now": timezone.now()}
    return render(request, "workers/host.html", context)


@require_safe
@needs(Role.VIEWER)
def commands(request: HttpRequest) -> HttpResponse:
    """The newest commands."""
    shown = Command.objects.select_related("worker").order_by("-id")[:COMMANDS_SHOWN]
    return render(request, "workers/commands.html", {"commands": shown, "limit": COMMANDS_SHOWN})


@require_safe
@needs(Role.VIEWER)
def command(request: HttpRequest, command_id: str) -> HttpResponse:
    """One command with the end of its output."""
    found = get_object_or_404(Command.objects.select_related("worker", "submitted_by"), pk=command_id)
    streams = [(stream, last_output(found, stream)) for stream in ("stdout", "stderr")]
    return render(request, "workers/command.html", {"command": found, "streams": streams})


def last_output(command: Command, stream: str) -> str:
    """The last part of a stream, as text."""
    pieces: list[bytes] = []
    size = 0
    for data in command.output.filter(stream=stream).order_by("-offset").values_list("data", flat=True).iterator():
        pieces.append(bytes(data))
        size += len(data)
        if size >= OUTPUT_SHOWN_BYTES:
            break
    return b"".join(reversed(pieces))[-OUTPUT_SHOWN_BYTES:].decode(errors="replace")
