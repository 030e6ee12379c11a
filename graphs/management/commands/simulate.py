"""`manage.py simulate graphs`: replays simulated histories of the engine, in memory, away from the real database."""

import argparse
import logging
import os
import subprocess
import sys
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from graphs.simulation import simulate

EXAMPLES = """examples:
  python manage.py simulate graphs --seed 57             one history, told line by line
  python manage.py simulate graphs --seeds 0-499         many histories; only what is wrong is told
  python manage.py simulate graphs --seeds 0-9999 --jobs 8

The same seed gives the same history as long as the code is the same. Exit codes: 0 nothing is wrong, 1 something is."""

IN_MEMORY = {"DATABASE_URL": "sqlite://:memory:", "BROKER_URL": "memory://", "NATS_URI": "", "ETCD_ENDPOINTS": ""}


class Command(BaseCommand):
    """Simulates crashes, lost messages and people, each history from one seed."""

    help = "Simulate the engine on a virtual clock and network with faults; the same seed gives the same history."
    requires_system_checks = ()

    def create_parser(self, prog_name: str, subcommand: str, **options: Any) -> CommandParser:
        options |= {"epilog": EXAMPLES, "formatter_class": argparse.RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **options)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("what", choices=["graphs"], help="what is simulated")
        parser.add_argument("--seed", type=int, metavar="N", help="tell this one history whole")
        parser.add_argument("--seeds", type=seeds, metavar="FIRST-LAST", help="run these histories")
        parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes at work (default 1)")

    def handle(self, *args: Any, **options: Any) -> None:
        if (options["seed"] is None) == (options["seeds"] is None):
            raise CommandError("give either --seed N or --seeds FIRST-LAST")
        if connection.settings_dict["NAME"] != ":memory:":
            self.hand_over(options)
            return
        logging.disable(logging.WARNING)
        call_command("migrate", verbosity=0)
        if options["seed"] is not None:
            self.tell(options["seed"])
        else:
            self.run_all(options["seeds"])

    def hand_over(self, options: dict[str, Any]) -> None:
        """Simulates in processes of their own, whose database is in memory."""
        if options["seed"] is not None:
            parts = [["--seed", str(options["seed"])]]
        else:
            parts = [["--seeds", f"{part[0]}-{part[-1]}"] for part in shares(options["seeds"], options["jobs"])]
        command = [sys.executable, sys.argv[0], "simulate", options["what"]]
        environment = os.environ | IN_MEMORY
        running = [subprocess.Popen([*command, *part], env=environment) for part in parts]
        exit_codes = [process.wait() for process in running]
        if any(exit_codes):
            raise CommandError("some of these histories went wrong")

    def tell(self, seed: int) -> None:
        """Prints one history."""
        history = simulate(seed)
        for line in history.lines:
            self.stdout.write(line)
        if history.violations:
            raise CommandError("\n".join(history.violations))
        self.stdout.write("nothing is wrong")

    def run_all(self, chosen: range) -> None:
        """Runs histories and prints what was wrong in them."""
        bad = 0
        for seed in chosen:
            found = simulate(seed).violations
            bad += bool(found)
            for violation in found:
                self.stdout.write(f"seed {seed}: {violation}")
        self.stdout.write(f"{len(chosen)} histories, {bad} of them with something wrong")
        if bad:
            raise CommandError("see one of them whole: manage.py simulate graphs --seed N")


def seeds(text: str) -> range:
    """`FIRST-LAST`, both included. Raises argparse.ArgumentTypeError."""
    first, dash, last = text.partition("-")
    if not (dash and first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
        raise argparse.ArgumentTypeError(f"{text!r} is not FIRST-LAST, such as 0-499")
    return range(int(first), int(last) + 1)


def shares(chosen: range, count: int) -> list[range]:
    """The seeds in about equal parts, none of them empty."""
    size = -(-len(chosen) // max(count, 1))
    return [chosen[start : start + size] for start in range(0, len(chosen), size)]
