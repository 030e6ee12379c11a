"""Agents and a broker behind TLS, with real certificates: who shows the right one works, everybody else is told why."""

import ssl
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from celery import Celery
from kombu.exceptions import OperationalError

from scheduler_project.celery_settings import celery_settings, tls_options
from scheduler_project.toolkit.errors import ConfigurationError
from tests.support.certificates import Authority, Pair
from tests.support.processes import Processes
from tests.support.servers import Server
from tests.support.trust import any_token
from tests.support.wire import HOST, Wire, start_agent
from workers.protocol import RunCommand

KEPT_OUT = (OSError, OperationalError)
REFUSED_BY_SERVER = r"(?i)certificate required|certificate expired|unknown ca|reset by peer|closed|eof|alert"


def variables(authority: Authority, pair: Pair | None) -> dict[str, str]:
    """What an operator sets."""
    own = {"BROKER_CERT": str(pair.cert), "BROKER_KEY": str(pair.key)} if pair else {}
    return {"BROKER_CACERT": str(authority.cert), **own}


@pytest.fixture(params=["tls_redis_server", "tls_rabbitmq_server"])
def broker(request: pytest.FixtureRequest) -> Server:
    """Each kind of broker; it asks for certificates."""
    server: Server = request.getfixturevalue(request.param)
    return server


@pytest.fixture
def own(authority: Authority) -> Pair:
    return authority.issue("agent")


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "stranger")


def enter(url: str, **given: str) -> None:
    """Connects as every process of the project does, and asks for something."""
    app = Celery(set_as_current=False)
    app.conf.update(celery_settings({"BROKER_URL": url, **given}))
    with closing(app), app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=5)
        connection.default_channel.queue_declare("asked", auto_delete=True)


def test_an_agent_with_a_certificate_of_the_authority_works(
    broker: Server, authority: Authority, own: Pair, processes: Processes, tmp_path: Path
) -> None:
    given = variables(authority, own)
    with closing(Wire(broker.url, **given)) as wire:
        agent = start_agent(processes, broker.url, tmp_path, **given)
        wire.order(RunCommand(unit="command/1", attempt=1, argv=["sh", "-c", "exit 7"]))
        assert wire.ended("command/1").exit_code == 7
    assert "Traceback" not in agent.output


def test_without_a_certificate_one_is_kept_out(broker: Server, authority: Authority) -> None:
    with pytest.raises(KEPT_OUT, match=REFUSED_BY_SERVER):
        enter(broker.url, **variables(authority, None))


def test_a_certificate_of_another_authority_is_not_accepted(
    broker: Server, authority: Authority, stranger: Authority
) -> None:
    with pytest.raises(KEPT_OUT, match=REFUSED_BY_SERVER):
        enter(broker.url, **variables(authority, stranger.issue("agent")))


def test_a_certificate_that_is_over_is_not_accepted(broker: Server, authority: Authority) -> None:
    with pytest.raises(KEPT_OUT, match=REFUSED_BY_SERVER):
        enter(broker.url, **variables(authority, authority.issue("late", timedelta(seconds=-1))))


def test_a_broker_of_another_authority_is_not_spoken_to(broker: Server, stranger: Authority, own: Pair) -> None:
    with pytest.raises(KEPT_OUT, match="certificate verify failed"):
        enter(broker.url, **variables(stranger, own))


def test_a_broker_under_another_name_is_not_spoken_to(broker: Server, authority: Authority, own: Pair) -> None:
    with pytest.raises(KEPT_OUT, match="certificate verify failed"):
        enter(broker.url.replace("127.0.0.1", "127.1"), **variables(authority, own))


def test_an_agent_that_is_kept_out_says_why_in_one_line_and_tries_again(
    broker: Server, stranger: Authority, own: Pair, processes: Processes, tmp_path: Path
) -> None:
    agent = processes.celery(
        "worker",
        "-Q",
        HOST,
        "-l",
        "INFO",
        BROKER_URL=broker.url,
        SCHEDULER_DATA_DIR=str(tmp_path / "data"),
        SCHEDULER_JOIN_TOKEN=any_token(),
        **variables(stranger, own),
    )
    agent.wait_for_line("certificate verify failed")
    assert "Traceback" not in agent.output


@pytest.mark.parametrize(
    ("url", "given", "told"),
    [
        ("redis://broker", {"BROKER_CACERT": "ca"}, "BROKER_URL is not one"),
        ("amqps://broker", {"BROKER_CERT": "cert"}, "belong together"),
        ("rediss://broker", {"BROKER_CACERT": "/nowhere"}, "No such file"),
        ("amqps://broker", {"BROKER_CERT": __file__, "BROKER_KEY": __file__}, "cannot be used"),
    ],
)
def test_certificates_that_cannot_be_used_are_told_at_the_start(url: str, given: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        tls_options(url, given)


@pytest.mark.parametrize("url", ["rediss://broker", "amqps://broker"])
def test_a_broker_behind_tls_is_verified_by_default(url: str) -> None:
    options = tls_options(url, {}) or {}
    assert options.get("cert_reqs", options.get("ssl_cert_reqs")) is ssl.CERT_REQUIRED


def test_a_process_with_such_certificates_ends_with_one_line(processes: Processes) -> None:
    worker = processes.celery("worker", "-Q", "control", BROKER_URL="amqps://broker", BROKER_CACERT="/nowhere")
    assert worker.wait_ended() == 1
    assert worker.output.startswith("error: BROKER_CACERT")
    assert "Traceback" not in worker.output
