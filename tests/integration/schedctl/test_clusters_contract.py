"""schedctl's view of clusters against the real API."""

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import Result
from django.utils import timezone

from workers.testing import FakeAgents

Run = Callable[..., Result]
EXAMPLE = str(Path(__file__).parents[3] / "examples" / "cluster.yml")


def test_the_example_is_planned_applied_and_settles(schedctl: Run, agents: FakeAgents) -> None:
    assert "service web: created" in schedctl("clusters", "plan", EXAMPLE).stdout
    assert schedctl("clusters", "get", "demo").exit_code == 3
    assert schedctl("clusters", "apply", "--wait", "30", EXAMPLE).exit_code == 0
    services = json.loads(schedctl("clusters", "status", "demo", "-o", "json").stdout)
    assert [(one["name"], one["desired"], one["actual"]) for one in services] == [("api", 2, 2), ("web", 3, 3)]
    again = schedctl("clusters", "apply", EXAMPLE)
    assert {line.rpartition(": ")[2] for line in again.stdout.splitlines()} == {"unchanged"}


def test_apply_wait_tells_why_it_waited_in_vain(schedctl: Run, agents: FakeAgents) -> None:
    for host in ("host-a", "host-b"):
        agents.stop(host, timezone.now())
    result = schedctl("clusters", "apply", "--wait", "1s", EXAMPLE)
    assert (result.exit_code, "  web: 0 of 3 run: 3 of 3 tasks wait for a host" in result.stderr) == (124, True)


def test_a_cluster_is_shown_scaled_and_removed(schedctl: Run, agents: FakeAgents) -> None:
    schedctl("clusters", "apply", "--wait", "30", EXAMPLE)
    assert "name |services\ndemo |" in schedctl("clusters", "ls").stdout
    assert schedctl("clusters", "get", "demo").stdout.count("|running |") == 5
    assert schedctl("clusters", "scale", "web", "4").stdout == "web desired 4\n"
    assert schedctl("clusters", "rm", "demo").exit_code == 0
    assert schedctl("clusters", "get", "demo").exit_code == 3


def test_every_fault_of_a_file_is_told_with_its_path(schedctl: Run) -> None:
    Path("c.yml").write_text("services:\n- {name: web, desird: 3}\ncluster: 5\n")
    result = schedctl("clusters", "apply", "c.yml")
    assert (result.exit_code, "services[0]" in result.stderr, "cluster" in result.stderr) == (1, True, True)


def test_scaling_what_does_not_exist_is_not_found(schedctl: Run) -> None:
    assert schedctl("clusters", "scale", "nowhere", "3").exit_code == 3
