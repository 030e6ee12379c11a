"""What schedctl tells about itself, and how fast."""

import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from schedctl.main import COMMANDS, cli
from tests.support.processes import unmeasured_environment

ROOT = Path(__file__).parents[3]
HELP_LIMIT_S = 0.150
LATE = {"django", "celery", "yaml", "http.client", "json", "ssl", "schedctl.client", "schedctl.commands.tasks"}


def all_commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, group
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from all_commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMAND_LINES = [path for path, _ in all_commands(cli)]


@pytest.mark.parametrize("path", COMMAND_LINES, ids=" ".join)
def test_every_help_has_a_sentence_and_an_example(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, [*path, "--help"], prog_name="schedctl")
    sentence, _, examples = result.stdout.partition("Examples:\n")
    assert result.exit_code == 0
    assert examples.startswith("  " + " ".join(["schedctl", *path]))
    assert sentence.split("\n\n")[1].strip()


def test_every_listed_command_exists_and_is_described_as_it_describes_itself() -> None:
    context = click.Context(cli)
    told = {name: short for name, (_, short) in COMMANDS.items()}
    commands = {name: cli.get_command(context, name) for name in told}
    assert all(commands.values())
    groups = {name: one.help for name, one in commands.items() if isinstance(one, click.Group)}
    assert groups == {name: told[name] for name in groups}


@pytest.mark.parametrize("words", [["workers", "help"], ["tasks", "?"], ["help"]])
def test_go_schedules_words_for_help_work(words: list[str]) -> None:
    result = CliRunner().invoke(cli, words)
    assert (result.exit_code, result.stdout[:6]) == (0, "Usage:")


def test_the_version_is_told() -> None:
    assert CliRunner().invoke(cli, ["--version"]).stdout == "schedctl, version 0.1.0\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(shell: str) -> None:
    assert "_SCHEDCTL_COMPLETE" in CliRunner().invoke(cli, ["completion", shell]).stdout


def test_completion_offers_the_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"_SCHEDCTL_COMPLETE": "bash_complete", "COMP_WORDS": "schedctl tasks ca", "COMP_CWORD": "2"}
    result = CliRunner().invoke(cli, [], prog_name="schedctl", env=environ)
    assert result.stdout.split() == ["plain,cancel"]


def test_the_entry_point_imports_nothing_that_only_some_commands_need() -> None:
    program = f"import sys, schedctl.main; print(sorted({LATE!r} & set(sys.modules)))"
    assert python("-c", program).strip() == "[]"


def test_no_command_imports_the_server() -> None:
    modules = ", ".join(sorted({target.split(":")[0] for target, _ in COMMANDS.values()}))
    server = "{'django', 'celery', 'scheduler_project', 'workers', 'graphs', 'clusters', 'topologies', 'yaml'}"
    program = f"import sys, {modules}; print(sorted({server} & set(sys.modules)))"
    assert python("-c", program).strip() == "[]"


def test_help_comes_within_150_ms() -> None:
    assert min(cpu_s_of_help() for _ in range(5)) < HELP_LIMIT_S


def cpu_s_of_help() -> float:
    """What it takes where nothing else runs; all of its time is its processor's."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    python("-m", "schedctl", "--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def python(*words: str) -> str:
    command = [sys.executable, *words]
    environment = unmeasured_environment()
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment).stdout


def test_the_reference_names_every_command_and_no_other() -> None:
    told = {
        (group, verb)
        for row in (ROOT / "docs/reference/schedctl.md").read_text().split("## Settings")[0].splitlines()
        if row.startswith("| `")
        for words in [re.findall(r"`([^`]+)`", row.split("|")[1])]
        for group in [words[0].split()[0]]
        for verb in [" ".join(words[0].split()[1:]), *words[1:]]
    }
    verbs = {path[:2] for path in COMMAND_LINES if len(path) == 2 and path[0] != "hosts"}
    shells = {("completion", shell) for shell in ("bash", "zsh", "fish")}
    assert told == verbs | shells | {("whoami", ""), ("why", "")}
