"""Locks, secrets, ports and configuration files of `up`."""

import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler_project.up import ports, servers
from scheduler_project.up.checks import check_surroundings
from scheduler_project.up.errors import AlreadyUp, FolderNotWritable, PortBusy, ServerUnreachable
from scheduler_project.up.layout import Options
from scheduler_project.up.lock import lock_folder
from scheduler_project.up.secrets import load_or_create


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def free_port() -> int:
    return ports.choose(0, set())


def options(port: int) -> Options:
    return Options(hosts=("host-a",), address="127.0.0.1", web_port=port, demo=True)


def test_a_second_up_in_the_same_folder_is_told_who_holds_it(tmp_path: Path) -> None:
    with lock_folder(tmp_path), pytest.raises(AlreadyUp, match="pid"):
        lock_folder(tmp_path)


def test_the_folder_is_free_again_after_the_first_has_ended(tmp_path: Path) -> None:
    lock_folder(tmp_path).close()

    lock_folder(tmp_path).close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(FolderNotWritable, match="SCHEDULER_DATA_DIR"):
        lock_folder(tmp_path / "file" / "below")


def test_secrets_stay_the_same_between_runs(tmp_path: Path) -> None:
    assert load_or_create(tmp_path) == load_or_create(tmp_path)


def test_only_the_owner_can_read_files_with_secrets(tmp_path: Path) -> None:
    load_or_create(tmp_path)
    config = servers.write_valkey_config(tmp_path, 6380, "password")

    for path in (tmp_path / "secrets.json", config):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_busy_web_port_is_refused_with_the_option_to_change(busy_port: int) -> None:
    with pytest.raises(PortBusy, match=f"port {busy_port} .*--port"):
        check_surroundings(options(busy_port), {})


@pytest.mark.parametrize(
    ("variable", "scheme"), [("BROKER_URL", "amqp"), ("DATABASE_URL", "postgresql"), ("NATS_URI", "nats")]
)
def test_an_address_where_nothing_answers_is_named_with_its_variable(variable: str, scheme: str) -> None:
    with pytest.raises(ServerUnreachable, match=variable):
        check_surroundings(options(free_port()), {variable: f"{scheme}://127.0.0.1:{free_port()}/x"})


def test_an_address_that_is_no_address_is_named_with_its_variable() -> None:
    with pytest.raises(ServerUnreachable, match="BROKER_URL is not a usable address"):
        check_surroundings(options(free_port()), {"BROKER_URL": "redis://127.0.0.1:port/0"})


def test_a_preferred_port_is_kept_when_it_is_free() -> None:
    port = free_port()

    assert ports.choose(port, set()) == port


def test_another_port_is_chosen_when_the_preferred_one_is_busy(busy_port: int) -> None:
    assert ports.choose(busy_port, set()) != busy_port
