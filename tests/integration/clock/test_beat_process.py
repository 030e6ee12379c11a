"""`celery -A scheduler_project beat` as a process, on a real broker that comes and goes."""

from pathlib import Path

import redis

from tests.support.processes import Processes
from tests.support.servers import ValkeyServer
from tests.support.wait import wait_until


def sent_anew(server: ValkeyServer) -> bool:
    """Whether messages reach the control queue from now on."""
    with redis.Redis.from_url(server.url) as broker:
        broker.delete("control")
        return bool(wait_until(lambda: broker.llen("control") >= 4, 30, what="messages of the clock"))


def test_a_beat_outlives_its_broker_and_leaves_its_lease_to_the_next(
    processes: Processes, valkey_server: ValkeyServer, database_url: str, tmp_path: Path
) -> None:
    variables = {
        "BROKER_URL": valkey_server.url,
        "DATABASE_URL": database_url,
        "SCHEDULER_DATA_DIR": str(tmp_path),
        "SECRET_KEY": "tests-only",
    }
    leader = processes.celery("beat", "-l", "INFO", **variables)
    leader.wait_for_line("clock.leads")
    standby = processes.celery("beat", "-l", "INFO", **variables)
    standby.wait_for_line("beat: Starting")
    assert sent_anew(valkey_server)

    valkey_server.kill()
    leader.wait_for_line("clock.waits for the broker")
    valkey_server.start()
    assert sent_anew(valkey_server)
    assert "Traceback" not in leader.output

    leader.stop()
    standby.wait_for_line("clock.leads", timeout_s=10)
    assert sent_anew(valkey_server)
    assert not list(tmp_path.glob("**/celerybeat*"))
