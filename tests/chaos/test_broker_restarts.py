"""Control workers come through restarts of their broker, whatever they are doing at that moment."""

import pytest

from tests.support.fleet import fleet, submit_in_batches, wait_progress
from tests.support.processes import Process, Processes
from tests.support.servers import ValkeyServer
from tests.support.wait import wait_until
from workers.core.commands import NewCommand

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]
RESTARTS = 4
CONSUMES_AGAIN_WITHIN_S = 20


def test_control_workers_that_are_busy_get_over_a_broker_that_is_killed_again_and_again(
    processes: Processes, valkey_server: ValkeyServer, database_url: str
) -> None:
    with fleet(processes, valkey_server, database_url) as system:
        controls = [system.start_control() for _ in range(2)]
        system.start_clock()
        system.join("host-1", SCHEDULER_HEARTBEAT_INTERVAL_S="0.05")

        for restart in range(RESTARTS):
            ids = submit_in_batches(system, [NewCommand(argv=["true"])] * 100)
            wait_progress(ids, 20 * restart)
            system.broker.kill()
            said = [len(control.output) for control in controls]
            system.broker.start()
            for control, start in zip(controls, said, strict=True):
                wait_consuming(control, start)

        assert {one.state for one in system.wait_settled(ids)} == {"done"}
        assert not [control.output for control in controls if "Unrecoverable" in control.output]


def wait_consuming(control: Process, start: int) -> None:
    """Until a worker has received a task after so much of its output."""

    def received() -> bool:
        assert control.alive, control.output[start:]
        return " received" in control.output[start:]

    wait_until(received, CONSUMES_AGAIN_WITHIN_S, what="a control worker to consume again")
