"""What waits to be reported is bounded: ends are always told, output as far as there is room."""

from collections.abc import Callable

import pytest

from tests.support.agents import TestHost
from tests.support.wait import wait_until
from workers.protocol import Ended, Started

CAP_BYTES = 200_000
WRITTEN_BYTES = 600_000


def outputs_cut(host: TestHost) -> int:
    return int(host.control.heartbeats[-1].facts["outputs_cut"])


def spooled(host: TestHost) -> int:
    assert host.agent is not None
    return host.agent.spooled_bytes


def test_in_an_outage_the_spool_stays_within_its_cap_and_every_end_is_told(
    new_host: Callable[..., TestHost], caplog: pytest.LogCaptureFixture
) -> None:
    host = new_host(spool_max_bytes=CAP_BYTES)
    host.control.reachable = False
    host.run("head", "-c", str(WRITTEN_BYTES), "/dev/zero", unit="command/large")
    for number in range(10):
        host.run("sh", "-c", f"exit {number}", unit=f"command/{number}")
    wait_until(lambda: "output.cut unit=command/large" in caplog.text, 15, what="the end of the large one")
    at_most = spooled(host)

    host.control.reachable = True

    assert [host.ended(f"command/{number}").exit_code for number in range(10)] == list(range(10))
    large = host.ended("command/large")
    assert (large.exit_code, large.stdout_bytes) == (0, WRITTEN_BYTES)
    kept = host.output("command/large")
    assert 0 < len(kept) < WRITTEN_BYTES
    assert at_most < 2 * CAP_BYTES
    wait_until(lambda: outputs_cut(host) == 1, what="the heartbeat to tell")


def test_output_of_what_still_runs_waits_in_its_file_and_comes_whole(new_host: Callable[..., TestHost]) -> None:
    host = new_host(spool_max_bytes=CAP_BYTES)
    host.run("sh", "-c", f"read go; head -c {WRITTEN_BYTES} /dev/zero; exec sleep 60", stdin=b"go\n")
    host.wait_for(Started)
    host.control.reachable = False
    wait_until(lambda: spooled(host) >= CAP_BYTES, 15, what="the spool to be full")

    host.control.reachable = True

    wait_until(lambda: len(host.output()) == WRITTEN_BYTES, 15, what="all of its output")
    assert not host.of(Ended)
    assert outputs_cut(host) == 0
