"""`manage.py apply`: makes things as files say, all of them or nothing."""

import argparse
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from clusters.models import Service
from scheduler_project import manifest

EXAMPLES = """examples:
  python manage.py apply examples/cluster.yml
  python manage.py apply --plan examples/cluster.yml examples/topology.yml
  python manage.py apply --wait 60 examples/cluster.yml
  cat examples/cluster.yml | python manage.py apply -

Prints one line per object: created, changed, unchanged or refused. Exit codes: 0 all accepted, 1 a fault (nothing was
written), 124 the services were not as desired in time."""

FAULTY, LATE = 1, 124
LOOK_EVERY_S = 0.5


class Command(BaseCommand):
    """Applies YAML or JSON files of clusters, services, task definitions, graphs and topologies."""

    help = "Make clusters, services, task definitions, graphs and topologies as files say: all of them or nothing."
    requires_migrations_checks = True

    def create_parser(self, prog_name: str, subcommand: str, **options: Any) -> CommandParser:
        options |= {"epilog": EXAMPLES, "formatter_class": argparse.RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **options)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", nargs="+", metavar="FILE", help="YAML or JSON file; - reads standard input")
        parser.add_argument("--plan", action="store_true", help="tell what would change, and write nothing")
        parser.add_argument(
            "--wait", type=float, default=0, metavar="SECONDS", help="wait until the files' services are as desired"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        sources = [self.read(name) for name in options["files"]]
        act = plan if options["plan"] else apply
        outcome = act(sources)
        for change in outcome.changes:
            self.stdout.write(line_of(change))
        if outcome.faults:
            for located in outcome.faults:
                self.stderr.write(str(located))
            raise CommandError("nothing was applied", returncode=FAULTY)
        names = [change.name for change in outcome.changes if change.kind == "service"]
        if options["wait"] and not options["plan"]:
            self.wait(names, options["wait"])

    def read(self, name: str) -> manifest.Source:
        """A file's text. Raises CommandError where it cannot be read."""
        if name == "-":
            return manifest.Source("standard input", sys.stdin.buffer.read())
        try:
            return manifest.Source(name, Path(name).read_bytes())
        except OSError as error:
            raise CommandError(f"{name}: cannot be read: {error.strerror}", returncode=FAULTY) from error

    def wait(self, names: Collection[str], timeout_s: float) -> None:
        """Shows progress until all services run as desired. Raises CommandError when the time is over."""
        deadline = time.monotonic() + timeout_s
        shown = ""
        while True:
            wanted = Service.objects.present().counted().filter(name__in=names, cluster__isnull=False)
            services = list(wanted.order_by("name"))
            told = progress(services)
            if told != shown:
                self.stdout.write(told)
                shown = told
            if all(settled(service) for service in services):
                return
            if time.monotonic() > deadline:
                raise CommandError(f"not as desired within {timeout_s:g} s: {why(services)}", returncode=LATE)
            time.sleep(LOOK_EVERY_S)


def plan(sources: Sequence[manifest.Source]) -> manifest.Outcome:
    return manifest.plan(sources, timezone.now())


def apply(sources: Sequence[manifest.Source]) -> manifest.Outcome:
    return manifest.apply(sources, timezone.now(), actor="manage.py")


def line_of(change: Any) -> str:
    """`service web: refused: why`, or with what changes in brackets."""
    if change.action == "refused":
        return f"{change.kind} {change.name}: refused: {'; '.join(fault.message for fault in change.faults)}"
    return str(change)


def settled(service: Any) -> bool:
    return bool(service.actual == service.issued == service.desired and not service.reason)


def progress(services: Collection[Any]) -> str:
    return ", ".join(f"{one.name} {one.actual}/{one.desired} running" for one in services)


def why(services: Collection[Any]) -> str:
    return "; ".join(
        f"{one.name} has {one.actual} of {one.desired} running" + (f", but {one.reason}" if one.reason else "")
        for one in services
        if not settled(one)
    )
