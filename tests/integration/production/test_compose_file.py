"""The compose file says what Compose understands, asks for what it needs and hides nothing that can fail."""

import re
import subprocess
import sys
from typing import Any

import pytest

from tests.support.compose import COMPOSE_FILE, MissingValue, example_names, interpolate, load
from tests.support.processes import ROOT

VALUES = dict.fromkeys(example_names(), "secret") | {"COMPOSE_PROFILES": "", "BROKER_URL": ""}
FOREIGN = {"postgres", "rabbitmq", "valkey", "nats"}
OURS = {"migrate", "join-tokens", "web", "control", "clock", "nats-bridge", "host-a", "host-b", "host-c", "flower"}


@pytest.fixture
def services() -> dict[str, Any]:
    services: dict[str, Any] = load(VALUES)["services"]
    return services


def test_the_file_follows_the_compose_schema() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE_FILE)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_it_has_every_process_and_every_server(services: dict[str, Any]) -> None:
    assert set(services) == FOREIGN | OURS


@pytest.mark.parametrize("name", ["SECRET_KEY", "POSTGRES_PASSWORD", "RABBITMQ_PASSWORD", "NATS_PASSWORD"])
def test_a_missing_secret_is_named(name: str) -> None:
    with pytest.raises(MissingValue, match=name):
        load({**VALUES, name: ""})


def test_the_example_names_every_value_that_is_required_and_none_that_is_unknown() -> None:
    text = COMPOSE_FILE.read_text()
    required = set(re.findall(r"\$\{(\w+):\?", text))
    known = set(re.findall(r"\$\{(\w+)", text)) | {"COMPOSE_PROFILES"}
    assert required <= example_names() <= known


def test_every_lasting_service_has_a_health_check(services: dict[str, Any]) -> None:
    without = [name for name, service in services.items() if not service.get("healthcheck", {}).get("test")]
    assert without == ["migrate", "join-tokens"]


def test_our_containers_cannot_write_to_their_image_or_gain_rights(services: dict[str, Any]) -> None:
    for name in OURS:
        assert services[name]["read_only"] is True, name
        assert services[name]["cap_drop"] == ["ALL"], name


def test_agents_get_the_broker_and_no_secret_of_the_control_side(services: dict[str, Any]) -> None:
    for name in ("host-a", "host-b", "host-c"):
        given = services[name]["environment"]
        assert set(given) == {"BROKER_URL", "SCHEDULER_ALIVE_FILE", "SCHEDULER_JOIN_TOKEN_FILE"}
        assert given["SCHEDULER_JOIN_TOKEN_FILE"].endswith(f"/{name}")


def test_all_processes_run_one_image_as_a_user_without_rights(services: dict[str, Any]) -> None:
    assert {services[name]["image"] for name in OURS} == {"scheduler"}
    last_stage = (ROOT / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    assert "\nUSER scheduler\n" in last_stage


def test_interpolation_takes_the_given_value_before_the_default() -> None:
    text = "${A:-one ${B:?needed}}"
    assert interpolate(text, {"B": "two"}) == "one two"
    assert interpolate(text, {"A": "given", "B": "two"}) == "given"
