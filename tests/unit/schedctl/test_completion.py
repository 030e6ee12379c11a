"""Completion in real shells: the printed script is read, and a word is completed by it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT, unmeasured_environment

BASH = """
source <(schedctl completion bash)
complete -p schedctl
complete_words() {
  COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
  $FUNCTION schedctl "$2" "$1"
  echo "${COMPREPLY[*]}"
}
FUNCTION=$(complete -p schedctl | sed 's/.*-F \\([^ ]*\\).*/\\1/')
complete_words schedctl wor
complete_words schedctl tasks ca
complete_words schedctl tasks ls --state sch
"""
ZSH = """
autoload -Uz compinit && compinit -u -d $ZDOTDIR/dump
source <(schedctl completion zsh)
whence -w $_comps[schedctl]
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Where `schedctl` is a program on the path."""
    program = tmp_path / "schedctl"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m schedctl "$@"\n')
    program.chmod(0o755)
    return {**unmeasured_environment(), "PATH": f"{tmp_path}:{os.environ['PATH']}", "ZDOTDIR": str(tmp_path)}


def lines_of(environment: dict[str, str], *argv: str) -> list[str]:
    run = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=30, check=True)
    assert run.stderr == ""
    return run.stdout.splitlines()


def test_bash_completes_commands_and_the_values_of_options(environment: dict[str, str]) -> None:
    told, commands, verbs, states = lines_of(environment, "bash", "--norc", "-c", BASH)
    assert told.endswith(" schedctl")
    assert (commands, verbs, states) == ("workers", "cancel", "scheduled")


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed; install the package zsh")
def test_zsh_takes_the_script_as_the_completion_of_schedctl(environment: dict[str, str]) -> None:
    assert lines_of(environment, "zsh", "-f", "-c", ZSH) == ["_schedctl_completion: function"]
