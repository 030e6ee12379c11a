"""schedctl and a real web server that asks for certificates: the right one works, the others are told why not."""

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from schedctl import errors
from schedctl.client import Client
from schedctl.config import Certificates, Settings
from schedctl.main import cli
from tests.support.certificates import Authority, Pair
from tests.support.processes import Process, clean_environment
from tests.support.servers import free_port

REFUSED = r"does not accept your certificate|broke off"


@pytest.fixture(scope="module")
def server(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a web process that lets in only certificates of the authority."""
    folder, own, port = tmp_path_factory.mktemp("web"), authority.issue("web"), free_port()
    variables = {
        "UVICORN_PORT": str(port),
        "UVICORN_SSL_CERTFILE": str(own.cert),
        "UVICORN_SSL_KEYFILE": str(own.key),
        "UVICORN_SSL_CA_CERTS": str(authority.cert),
        "UVICORN_SSL_CERT_REQS": "2",
        "SCHEDULER_DATA_DIR": str(folder),
    }
    argv = [sys.executable, "-m", "uvicorn", "scheduler_project.asgi:application"]
    process = Process(argv, folder / "log", clean_environment(**variables)).start()
    try:
        process.wait_for_line("Uvicorn running")
        yield f"https://127.0.0.1:{port}"
        assert "Traceback" not in process.output
    finally:
        process.stop()


@pytest.fixture
def own(authority: Authority) -> Pair:
    return authority.issue("alice")


def ask(server: str, authority: Authority, own: Pair | None) -> bytes:
    """What the server answers to who shows this certificate."""
    shown = (str(own.cert), str(own.key)) if own else ("", "")
    settings = Settings(server, certificates=Certificates(str(authority.cert), *shown))
    return Client(settings, lambda line: None).call("GET", "/healthz").body


def test_with_a_certificate_of_the_authority_one_is_answered(server: str, authority: Authority, own: Pair) -> None:
    assert ask(server, authority, own)


def test_without_a_certificate_one_is_not_answered(server: str, authority: Authority) -> None:
    with pytest.raises(errors.CtlError, match=REFUSED):
        ask(server, authority, None)


def test_a_certificate_of_another_authority_is_not_accepted(server: str, authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(errors.CtlError, match=REFUSED):
        ask(server, authority, Authority(tmp_path, "stranger").issue("alice"))


def test_a_certificate_that_is_over_is_not_accepted(server: str, authority: Authority) -> None:
    with pytest.raises(errors.CtlError, match=REFUSED):
        ask(server, authority, authority.issue("late", timedelta(seconds=-1)))


def test_a_server_of_another_authority_is_not_spoken_to(server: str, own: Pair, tmp_path: Path) -> None:
    with pytest.raises(errors.NotOurServer, match="certificate is not trusted"):
        ask(server, Authority(tmp_path, "stranger"), own)


def test_flags_variables_and_file_name_the_certificates(
    server: str, authority: Authority, own: Pair, tmp_path: Path
) -> None:
    """What comes back is the API's own answer to a stranger, not TLS's."""
    file = tmp_path / "schedctl.yaml"
    file.write_text(f"server_address: {server}\ncacert: {authority.cert}\n")
    words = ["-c", str(file), "--cert", str(own.cert), "whoami"]

    told = CliRunner().invoke(cli, words, env={"SCHEDCTL_KEY": str(own.key)})
    half = CliRunner().invoke(cli, words)
    broken = CliRunner().invoke(cli, ["--key", __file__, *words])

    assert told.exit_code == 4
    assert "set --token" in told.output
    assert (half.exit_code, broken.exit_code) == (2, 2)
    assert "belong together" in half.output
    assert "cannot be used" in broken.output
