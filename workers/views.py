"""Pages of hosts and commands."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from scheduler_project.toolkit.access import Role
from scheduler_project.toolkit.pages import needs
from workers.models import Command, Worker
from workers.output import end_of_output

COMMANDS_SHOWN = 100


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
    streams = [(stream, end_of_output(found.id, stream)) for stream in ("stdout", "stderr")]
    return render(request, "workers/command.html", {"command": found, "streams": streams})
