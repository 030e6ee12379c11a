"""The entry point of `schedctl`.

Invariant: importing this module is cheap; each group of commands is imported only when it is used.
"""

import click

from schedctl import __version__
from schedctl.cli import LazyGroup

COMMANDS = {
    "workers": ("schedctl.commands.workers:workers", "Machines that run work."),
    "hosts": ("schedctl.commands.workers:hosts", "The same as workers."),
    "tasks": ("schedctl.commands.tasks:tasks", "Commands run once on a worker."),
    "graphs": ("schedctl.commands.life:graphs", "Builds in the order of their dependencies."),
    "clusters": ("schedctl.commands.clusters:clusters", "Services kept running on many hosts."),
    "topologies": ("schedctl.commands.topologies:topologies", "Graphs that run by the clock."),
    "runs": ("schedctl.commands.topologies:runs", "The runs of topologies."),
    "why": ("schedctl.commands.why:why", "Why something is not done."),
    "whoami": ("schedctl.commands.account:whoami", "Who the server takes you for."),
    "completion": ("schedctl.commands.account:completion", "Script for completion in bash, zsh or fish."),
}
HELP = """Operate the scheduler: workers, tasks, graphs, clusters and topologies.

\b
Settings come from the options, then SCHEDCTL_SERVER and SCHEDCTL_TOKEN, then
the file given by -c or SCHEDCTL_CONFIG, or the first that exists of
  ./.scheduler/schedctl.yaml  ~/.config/schedctl.yaml
  /etc/go-schedule/schedctl.yaml
Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 denied, 5 conflict,
124 timeout, 130 interrupted.
"""

cli = LazyGroup(
    "schedctl",
    lazy=COMMANDS,
    help=HELP,
    examples=("workers ls", "tasks run --wait -- sh -c 'echo hi; exit 3'"),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
click.version_option(__version__, prog_name="schedctl")(cli)


def main() -> None:
    """Runs the command line of this process and exits."""
    cli.main(prog_name="schedctl")
