"""Where schedctl takes its settings from."""

from pathlib import Path

import pytest

from schedctl.config import Flags, Settings, resolve, server_url
from schedctl.errors import ConfigError

USUAL = Path(".scheduler/schedctl.yaml")


@pytest.fixture
def usual_file() -> Path:
    USUAL.parent.mkdir()
    USUAL.write_text("server_address: file:1\ntoken: file-token\n")
    USUAL.chmod(0o600)
    return USUAL


def with_file(text: str) -> Settings:
    path = Path("given.yaml")
    path.write_text(text)
    return resolve(Flags(config=str(path)), {})


def test_without_any_configuration_the_local_server_is_used() -> None:
    assert resolve(Flags(), {}) == Settings("http://127.0.0.1:8000", timeout_s=10)


def test_a_flag_wins_over_the_environment_and_that_over_the_file(usual_file: Path) -> None:
    environ = {"SCHEDCTL_SERVER": "env:1", "SCHEDCTL_TOKEN": "env-token"}
    flagged = resolve(Flags(server="flag:1", token="flag-token"), environ)
    from_environment = resolve(Flags(), environ)
    from_file = resolve(Flags(), {})
    assert (flagged.server, flagged.token) == ("http://flag:1", "flag-token")
    assert (from_environment.server, from_environment.token) == ("http://env:1", "env-token")
    assert (from_file.server, from_file.token) == ("http://file:1", "file-token")


def test_the_flag_names_the_file_before_the_variable_does(usual_file: Path) -> None:
    for name in ("flag", "variable"):
        Path(f"{name}.yaml").write_text(f"server_address: {name}:1")
    environ = {"SCHEDCTL_CONFIG": "variable.yaml"}
    assert resolve(Flags(config="flag.yaml"), environ).server == "http://flag:1"
    assert resolve(Flags(), environ).server == "http://variable:1"


def test_go_schedules_file_is_understood() -> None:
    settings = with_file(
        "basic_config:\n  log_level: debug\n  stdout: true\n  log_path: log.log\n  tmp_path: .\n"
        "server_address: 127.0.0.1:1234\nconnection_timeout: 10\n"
    )
    assert (settings.server, settings.timeout_s, settings.verbose) == ("http://127.0.0.1:1234", 10, True)


def test_a_timeout_may_have_units() -> None:
    assert with_file("connection_timeout: 1m30s").timeout_s == 90


def test_an_empty_file_means_the_defaults() -> None:
    assert with_file("").server == "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("connection_timeout: 0", "connection_timeout"),
        ("connection_timeout: soon", "connection_timeout"),
        ("server_address: 1234", "server_address"),
        ("server_address: ftp://host:1", "server_address"),
        ("token: 12345", "token"),
        ("basic_config: {log_level: loud}", "basic_config.log_level"),
        ("- a list", "given.yaml"),
        ("a: ]", "given.yaml:1:4"),
        ("token: two words", "token"),
    ],
)
def test_a_fault_names_what_is_wrong(text: str, named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_file(text)
    assert named in str(caught.value)


def test_a_named_file_must_exist() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read"):
        resolve(Flags(config="nowhere.yaml"), {})


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("host:8000", "http://host:8000"),
        ("https://host/", "https://host"),
        ("[::1]:8000", "http://[::1]:8000"),
        ("http://host/under/", "http://host/under"),
    ],
)
def test_a_server_is_host_and_port_or_a_url(address: str, url: str) -> None:
    assert server_url(address, "--server") == url


@pytest.mark.parametrize("address", ["host:port", "http://", "user:pw@host:1", "host:99999", "http://h/?a=1", "a b:1"])
def test_anything_else_is_no_server(address: str) -> None:
    with pytest.raises(ConfigError, match="--server"):
        server_url(address, "--server")


def test_a_token_that_others_can_read_is_warned_about(usual_file: Path) -> None:
    usual_file.chmod(0o644)
    (note,) = resolve(Flags(), {}).notes
    assert f"chmod 600 {usual_file}" in note


def test_a_private_file_is_not_warned_about(usual_file: Path) -> None:
    assert resolve(Flags(), {}).notes == ()


def test_the_token_is_in_no_representation() -> None:
    assert "secret" not in repr(resolve(Flags(token="secret"), {})) + repr(Flags(token="secret"))
