"""`manage.py` tells what is wrong in one line, whatever it is."""

import subprocess
import sys
from pathlib import Path

from tests.support.processes import ROOT, clean_environment


def manage(folder: Path, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    env = clean_environment(SCHEDULER_DATA_DIR=str(folder), **variables)
    argv = [sys.executable, "manage.py", *words]
    return subprocess.run(argv, env=env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_a_database_without_tables_is_told_with_the_command_to_run(tmp_path: Path) -> None:
    done = manage(tmp_path, "apply", "examples/cluster.yml")

    assert done.returncode == 1
    assert "manage.py migrate" in done.stderr
    assert "Traceback" not in done.stderr


def test_production_without_a_secret_key_does_not_start(tmp_path: Path) -> None:
    done = manage(tmp_path, "check", SCHEDULER_PRODUCTION="1")

    assert done.returncode == 1
    assert done.stderr.startswith("error: SECRET_KEY is not set")


def test_production_settings_pass_djangos_checks_without_a_warning(tmp_path: Path) -> None:
    key = "fifty and more characters that no one guesses, 0123456789, ÄÖÜ!"

    done = manage(tmp_path, "check", "--deploy", "--fail-level", "WARNING", SCHEDULER_PRODUCTION="1", SECRET_KEY=key)

    assert done.returncode == 0, done.stderr
    assert "no issues (0 silenced)" in done.stdout
