"""`manage.py up`: the whole system on one machine."""

import os
import re
from argparse import RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from scheduler_project.process import HOST_QUEUE_PREFIX

EPILOG = """examples:
  manage.py up                                   everything, with two host agents and the demo
  manage.py up --port 9000 --hosts host-a,host-b,host-c
  DATABASE_URL=postgres://user@db/scheduler manage.py up --no-demo
  manage.py up --json | jq .                     for machines: one JSON object a line
"""
HOST_NAME = re.compile(r"host-[a-z0-9]([a-z0-9.-]{0,60}[a-z0-9])?")


class Command(BaseCommand):
    help = "Starts and supervises everything on this machine: broker, NATS, database, web, workers, agents, Flower."
    requires_system_checks = []

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(
            prog_name, subcommand, epilog=EPILOG, formatter_class=RawDescriptionHelpFormatter, **kwargs
        )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--hosts", default="host-a,host-b", help="host agents to start (default: %(default)s)")
        parser.add_argument("--port", type=int, default=8000, help="of the web server (default: %(default)s)")
        parser.add_argument("--address", default="127.0.0.1", help="of the web server (default: %(default)s)")
        parser.add_argument("--no-demo", action="store_true", help="do not put in the demo of examples/")
        parser.add_argument("--json", action="store_true", help="report as JSON lines")

    def handle(self, *args: Any, **options: Any) -> None:
        from scheduler_project.toolkit.errors import SchedulerError
        from scheduler_project.up.layout import Options
        from scheduler_project.up.report import JsonReport, TextReport
        from scheduler_project.up.run import run

        chosen = Options(
            hosts=parse_hosts(options["hosts"]),
            address=options["address"],
            web_port=options["port"],
            demo=not options["no_demo"],
        )
        try:
            run(chosen, JsonReport() if options["json"] else TextReport(), os.environ)
        except SchedulerError as error:
            raise CommandError(str(error)) from error


def parse_hosts(text: str) -> tuple[str, ...]:
    """Names of hosts from a comma list. Raises CommandError for a name that cannot be a host's queue."""
    hosts = tuple(name.strip() for name in text.split(",") if name.strip())
    for host in hosts:
        if not HOST_NAME.fullmatch(host):
            raise CommandError(f"--hosts: {host!r} is no host name; it looks like {HOST_QUEUE_PREFIX}a")
    if not hosts or len(set(hosts)) != len(hosts):
        raise CommandError("--hosts: give at least one name, each once, such as host-a,host-b")
    return hosts
