"""What makes a Celery worker a host agent, told from its settings."""

import subprocess
import sys

from tests.support.processes import ROOT, clean_environment

ASK = "import sys; sys.argv = ['celery', 'worker', '-Q', {queue!r}]; from scheduler_project.celery import app; \
print(app.conf.worker_enable_remote_control)"


def remote_control(queue: str) -> str:
    argv = [sys.executable, "-c", ASK.format(queue=queue)]
    return subprocess.run(
        argv, env=clean_environment(SECRET_KEY="tests"), cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_nobody_on_the_broker_can_command_an_agent_by_unsigned_remote_control() -> None:
    assert remote_control("host-a") == "False"
