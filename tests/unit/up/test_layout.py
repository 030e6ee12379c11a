"""Which processes `up` runs."""

from pathlib import Path

import pytest
from django.core.management.base import CommandError

from scheduler_project.management.commands.up import parse_hosts
from scheduler_project.up import layout
from scheduler_project.up.layout import Options, Ports
from scheduler_project.up.processes import ProcessSpec

PORTS = Ports(web=8000, broker=6380, nats=4222, flower=5555)
OPTIONS = Options(hosts=("host-a", "host-b"), address="127.0.0.1", web_port=8000, demo=True)
SHARED = layout.shared_environment({}, PORTS, "broker-password", "sqlite:///x", "key", Path("/data"))

TOKENS = {"host-a": "token-a", "host-b": "token-b"}


def names(specs: list[ProcessSpec]) -> list[str]:
    return [spec.name for spec in specs]


def test_both_servers_are_embedded_where_the_environment_names_none() -> None:
    assert names(layout.server_specs({}, PORTS, ["valkey"], ["nats"])) == ["valkey", "nats"]


@pytest.mark.parametrize("variable", ["NATS_URI", "NATS_URL"])
def test_a_nats_server_named_in_the_environment_is_used_instead(variable: str) -> None:
    environ = {variable: "nats://elsewhere:4222"}

    specs = layout.server_specs(environ, PORTS, ["valkey"], ["nats"])
    shared = layout.shared_environment(environ, PORTS, "p", "sqlite:///x", "key", Path("/data"))

    assert names(specs) == ["valkey"]
    assert shared["NATS_URI"] == "nats://elsewhere:4222"


def test_a_broker_named_in_the_environment_is_used_instead() -> None:
    environ = {"BROKER_URL": "amqp://elsewhere"}

    specs = layout.server_specs(environ, PORTS, ["valkey"], ["nats"])
    shared = layout.shared_environment(environ, PORTS, "p", "sqlite:///x", "key", Path("/data"))

    assert names(specs) == ["nats"]
    assert shared["BROKER_URL"] == "amqp://elsewhere"


def test_the_etcd_bridge_runs_where_the_environment_names_an_etcd() -> None:
    environ = {"ETCD_ENDPOINTS": "http://etcd:2379", "ETCD_PASSWORD": "x", "ETCD_USER": ""}
    shared = layout.shared_environment(environ, PORTS, "p", "sqlite:///x", "key", Path("/data"))

    specs = {spec.name: spec for spec in layout.application_specs(OPTIONS, PORTS, shared, "admin:x", TOKENS)}

    assert "etcd-bridge" not in names(layout.application_specs(OPTIONS, PORTS, SHARED, "admin:x", TOKENS))
    assert {name: specs["etcd-bridge"].env.get(name) for name in layout.ETCD_VARIABLES} == {
        **dict.fromkeys(layout.ETCD_VARIABLES),
        "ETCD_ENDPOINTS": "http://etcd:2379",
        "ETCD_PASSWORD": "x",
    }
    assert specs["host-a"].env["ETCD_PASSWORD"] == ""


def test_every_host_has_an_agent_with_ports_of_its_own() -> None:
    specs = {spec.name: spec for spec in layout.application_specs(OPTIONS, PORTS, SHARED, "admin:x", TOKENS)}

    assert specs["host-a"].env["SCHEDULER_AGENT_PORTS"] == "31000-31499"
    assert specs["host-b"].env["SCHEDULER_AGENT_PORTS"] == "31500-31999"


def test_an_agent_is_given_the_broker_and_neither_database_nor_secret_key() -> None:
    agent = layout.agent_spec("host-a", 0, SHARED, "token-a")

    assert "BROKER_URL" in agent.env
    assert agent.env["DATABASE_URL"] == ""
    assert agent.env["SECRET_KEY"] == ""
    assert agent.env["SCHEDULER_JOIN_TOKEN"] == "token-a"


def test_no_secret_is_on_a_command_line() -> None:
    specs = layout.application_specs(OPTIONS, PORTS, SHARED, "admin:flower-password", TOKENS)

    words = " ".join(word for spec in specs for word in spec.argv)
    assert "password" not in words
    assert "key" not in words


def test_without_the_demo_its_connector_is_not_started() -> None:
    options = Options(hosts=("host-a",), address="127.0.0.1", web_port=8000, demo=False)

    assert "demo-connector" not in names(layout.application_specs(options, PORTS, SHARED, "admin:x", TOKENS))


def test_hosts_are_read_from_a_comma_list() -> None:
    assert parse_hosts("host-a, host-b") == ("host-a", "host-b")


@pytest.mark.parametrize("text", ["", "a", "host-", "host-a,host-a", "host-a b", "Host-A"])
def test_names_that_no_host_can_have_are_refused(text: str) -> None:
    with pytest.raises(CommandError, match="--hosts"):
        parse_hosts(text)


def test_calls_are_carried_out_where_the_environment_allows_some() -> None:
    environ = {"SCHEDULER_HTTP_HOSTS": "api.example.com", "SCHEDULER_SECRET_KEY": "s3"}
    shared = layout.shared_environment(environ, PORTS, "p", "sqlite:///x", "key", Path("/data"))

    specs = {spec.name: spec for spec in layout.application_specs(OPTIONS, PORTS, shared, "admin:x", TOKENS)}

    assert "calls" not in names(layout.application_specs(OPTIONS, PORTS, SHARED, "admin:x", TOKENS))
    assert specs["calls"].env["SCHEDULER_SECRET_KEY"] == "s3"
    assert specs["host-a"].env["SCHEDULER_SECRET_KEY"] == ""
