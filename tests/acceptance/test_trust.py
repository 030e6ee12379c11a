"""What makes this a better go-schedule: nobody enters a link without the right certificate or key (check 11).

The broker's certificates are in `tests/integration/agent/test_tls_broker.py`; the original had none on any link.
"""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from celery import Celery

from scheduler_project.toolkit.errors import Unavailable
from tests.conftest import running
from tests.support.certificates import Authority, Pair
from tests.support.fleet import Fleet, fleet
from tests.support.processes import Processes
from tests.support.servers import EtcdServer, ValkeyServer
from tests.support.trust import enrolled, sealed
from tests.support.wait import wait_until
from workers import store
from workers.core.commands import NewCommand
from workers.links.etcd import EtcdAddress, EtcdLink, Refused
from workers.models import Command, RefusedMessages
from workers.protocol import (
    HEARTBEAT_QUEUE,
    HEARTBEAT_TASK,
    REPORTS_TASK,
    Ended,
    Heartbeat,
    Numbered,
    Reports,
    encode,
)


@pytest.fixture
def etcd(authority: Authority) -> Iterator[EtcdServer]:
    """One that asks for certificates of this authority."""
    own = authority.issue("etcd-11")
    options = ("--cert-file", str(own.cert), "--key-file", str(own.key), "--client-cert-auth")
    yield from running(lambda: EtcdServer(*options, "--trusted-ca-file", str(authority.cert), scheme="https"))


def enter(etcd: EtcdServer, ca_cert: Path, pair: Pair | None) -> bool:
    """Whether etcd answers us, and we believe it."""
    certificate = {"cert": str(pair.cert), "key": str(pair.key)} if pair else {}
    link = EtcdLink(EtcdAddress((etcd.url,), ca_cert=str(ca_cert), **certificate))
    try:
        link.present(["x"])
    except (Unavailable, Refused):
        return False
    finally:
        link.close()
    return True


def test_11_etcd_is_entered_with_a_certificate_of_its_authority_alone(
    etcd: EtcdServer, authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "other")

    assert enter(etcd, authority.cert, authority.issue("good"))
    assert not enter(etcd, authority.cert, None)
    assert not enter(etcd, authority.cert, other.issue("foreign"))
    assert not enter(etcd, authority.cert, authority.issue("old", timedelta(hours=-1)))
    assert not enter(etcd, other.cert, authority.issue("deceived"))


@pytest.fixture
def system(processes: Processes, valkey_server: ValkeyServer, database_url: str) -> Iterator[Fleet]:
    with fleet(processes, valkey_server, database_url) as started:
        started.start_control()
        started.start_clock()
        yield started


@pytest.mark.timeout(120)
@pytest.mark.django_db(transaction=True)
def test_11_a_worker_cannot_report_for_another(system: Fleet) -> None:
    system.join("host-b")
    (command_id,) = system.submit(NewCommand(argv=["sleep", "600"], on="host-b"))
    wait_until(Command.objects.filter(id=command_id, state="running").exists, 20, what="the command to run")
    session = system.wait_connected("host-b").session
    enrolled("host-a", "id-of-a")
    end = Ended(unit=f"command/{command_id}", attempt=1, at=time.time(), exit_code=0)
    app = Celery("host-a", broker=system.broker.url, set_as_current=False)

    app.send_task(HEARTBEAT_TASK, args=[sealed("host-a", HEARTBEAT_TASK, encode(life_of_a()))], queue=HEARTBEAT_QUEUE)
    system.wait_connected("host-a")
    for host, of_session in (("host-b", session), ("host-a", "session-a")):
        told = Reports(host=host, session=of_session, sent_at=time.time(), reports=[Numbered(1, end)])
        app.send_task(REPORTS_TASK, args=[sealed("host-a", REPORTS_TASK, encode(told))], queue="control")
    app.close()

    wait_until(RefusedMessages.objects.filter(reason="forged", count=1).exists, 20, what="the forgery to be counted")
    (after,) = system.wait_settled(system.submit(NewCommand(argv=["true"], on="host-b")))
    assert after.state == "done"
    assert Command.objects.get(id=command_id).state == "running"

    store.cancel([command_id], after.created_at, actor="tests", reason="over")
    system.wait_settled([command_id])


def life_of_a() -> Heartbeat:
    return Heartbeat(
        host="host-a",
        worker_id="id-of-a",
        session="session-a",
        started_at=time.time(),
        sent_at=time.time(),
        version="1",
        address="here",
        slots=0,
    )
