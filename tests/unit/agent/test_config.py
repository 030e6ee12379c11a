"""What the operator sets for an agent."""

from pathlib import Path

import pytest

from scheduler_project.toolkit.errors import ConfigurationError
from workers.agent.config import DEFAULT_PATH, agent_config
from workers.agent.facts import facts, own_address


def test_an_agent_needs_no_settings() -> None:
    config = agent_config("host-a", {})
    assert config.state_dir == Path(".scheduler/agents/host-a").absolute()
    assert (config.slots, config.heartbeat_interval_s, config.ports) == (64, 5, "31000-31999")


def test_settings_come_from_the_environment(tmp_path: Path) -> None:
    environ = {
        "SCHEDULER_AGENT_DIR": str(tmp_path),
        "SCHEDULER_LABELS": "zone=a, gpu=yes",
        "SCHEDULER_SLOTS": "3",
        "SCHEDULER_HEARTBEAT_INTERVAL_S": "0.2",
        "SCHEDULER_WORKER_ID": "my-id",
    }
    config = agent_config("host-a", environ)
    assert config.state_dir == tmp_path
    assert config.labels == {"zone": "a", "gpu": "yes"}
    assert (config.slots, config.heartbeat_interval_s, config.worker_id) == (3, 0.2, "my-id")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SCHEDULER_LABELS", "zone"),
        ("SCHEDULER_SLOTS", "0"),
        ("SCHEDULER_SLOTS", "many"),
        ("SCHEDULER_HEARTBEAT_INTERVAL_S", "-1"),
        ("SCHEDULER_AGENT_PORTS", "none"),
    ],
)
def test_a_wrong_value_names_its_variable(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        agent_config("host-a", {name: value})


def test_processes_see_nothing_of_the_agents_configuration() -> None:
    config = agent_config("host-a", {"HOME": "/root", "BROKER_URL": "redis://:secret@broker", "SECRET_KEY": "x"})
    assert config.base_env == {"PATH": DEFAULT_PATH, "HOME": "/root"}


def test_facts_are_found_without_being_told(tmp_path: Path) -> None:
    found = facts(tmp_path, ["bash"], "31000-31999")
    assert found["cores"] >= 1
    assert found["memory_mb"] > 0
    assert found["executors"] == ["bash"]


def test_the_address_is_that_on_the_way_to_the_broker() -> None:
    assert own_address("redis://127.0.0.1:6379/0") == "127.0.0.1"
    assert own_address("redis://no-such-host.invalid/0") != ""
