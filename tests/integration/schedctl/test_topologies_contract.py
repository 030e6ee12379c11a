"""schedctl's view of topologies and runs against the real API."""

from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from workers.testing import FakeAgents, Ran

Run = Callable[..., Result]
EXAMPLE = str(Path(__file__).parents[3] / "examples" / "topology.yml")


def test_the_example_is_created_listed_updated_and_removed(schedctl: Run, agents: FakeAgents) -> None:
    assert schedctl("topologies", "create", EXAMPLE).stdout == "demo-report created\n"
    assert "demo-report |active |0 * * * * ? |" in schedctl("topologies", "ls").stdout
    assert schedctl("topologies", "update", EXAMPLE).stdout == "demo-report updated\n"
    assert schedctl("topologies", "rm", "demo-report").stdout == "demo-report removed\n"
    assert schedctl("topologies", "get", "demo-report").exit_code == 3


def test_run_wait_ends_with_the_run_whose_output_can_be_read(schedctl: Run, agents: FakeAgents) -> None:
    agents.run = lambda order: Ran(stdout=b"hello\n")
    schedctl("topologies", "create", EXAMPLE)
    result = schedctl("topologies", "run", "--wait", "--timeout", "30", "demo-report")
    run_id = result.stdout.splitlines()[1].split()[0]
    assert (result.exit_code, "|demo-report |completed |" in result.stdout) == (0, True)
    assert f"{run_id} |demo-report |completed |" in schedctl("runs", "ls", "--topology", "demo-report").stdout
    assert schedctl("runs", "logs", run_id).stdout.count(" | hello\n") == 3


def test_a_failing_command_fails_the_wait(schedctl: Run, agents: FakeAgents) -> None:
    agents.run = lambda order: Ran(exit_code=1)
    schedctl("topologies", "create", EXAMPLE)
    assert schedctl("topologies", "run", "--wait", "--timeout", "30", "demo-report").exit_code == 1


def test_a_run_is_killed(schedctl: Run, agents: FakeAgents) -> None:
    agents.run = lambda order: Ran(holds=True)
    schedctl("topologies", "create", EXAMPLE)
    run_id = schedctl("topologies", "run", "demo-report").stdout.splitlines()[1].split()[0]
    assert schedctl("runs", "kill", run_id).stdout == f"{run_id} stopping\n"
    assert schedctl("runs", "get", run_id).exit_code == 0


def test_a_topology_is_paused_and_still_tells_its_times(schedctl: Run, agents: FakeAgents) -> None:
    schedctl("topologies", "create", EXAMPLE)
    assert schedctl("topologies", "pause", "demo-report").stdout == "demo-report paused\n"
    assert len(schedctl("topologies", "next", "--count", "3", "demo-report").stdout.splitlines()) == 3
    assert schedctl("topologies", "unpause", "demo-report").stdout == "demo-report active\n"


def test_a_fault_of_a_topology_is_told_with_its_path(schedctl: Run) -> None:
    result = schedctl("topologies", "create", "-", stdin=b"{name: a, trigger: {type: CRON, timeSpec: never}}")
    assert (result.exit_code, "  trigger.timeSpec: " in result.stderr) == (1, True)


def test_another_topology_under_a_taken_name_is_a_conflict(schedctl: Run, agents: FakeAgents) -> None:
    schedctl("topologies", "create", EXAMPLE)
    other = Path(EXAMPLE).read_bytes().replace(b"overlap: skip", b"overlap: allow")
    assert schedctl("topologies", "create", "-", stdin=other).exit_code == 5
