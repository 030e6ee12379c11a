"""Which login goes to which registry."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from workers.engine.logins import UnreadableLogins, login_for, registry_of

AUTH = base64.b64encode(b"ann:pass:word").decode()


def told(folder: Path, image: str, logins: dict[str, Any]) -> dict[str, str]:
    (folder / "config.json").write_text(json.dumps({"auths": logins}))
    header = login_for(image, str(folder))
    found: dict[str, str] = json.loads(base64.urlsafe_b64decode(header)) if header else {}
    return found


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("alpine", "docker.io"),
        ("library/alpine:3.20", "docker.io"),
        ("docker.io/library/alpine", "docker.io"),
        ("index.docker.io/a/b", "docker.io"),
        ("registry.example.com/tools/sync:1", "registry.example.com"),
        ("registry:5000/sync", "registry:5000"),
        ("localhost/sync", "localhost"),
    ],
)
def test_a_name_says_its_registry(image: str, registry: str) -> None:
    assert registry_of(image) == registry


def test_a_login_goes_to_its_own_registry_alone(tmp_path: Path) -> None:
    logins = {"https://r.example.com": {"auth": AUTH}}
    mine = {"username": "ann", "password": "pass:word", "serveraddress": "r.example.com"}
    assert told(tmp_path, "r.example.com/a:1", logins) == mine
    assert told(tmp_path, "r.example.com.evil.example/a:1", logins) == {}
    assert told(tmp_path, "alpine", logins) == {}


def test_docker_s_own_registry_has_its_old_address_in_the_file(tmp_path: Path) -> None:
    assert told(tmp_path, "alpine", {"https://index.docker.io/v1/": {"auth": AUTH}})["username"] == "ann"


def test_a_token_stands_for_a_password(tmp_path: Path) -> None:
    logins = {"r.example.com": {"auth": AUTH, "identitytoken": "t"}}
    assert told(tmp_path, "r.example.com/a", logins) == {"identitytoken": "t", "serveraddress": "r.example.com"}


def test_without_a_folder_or_a_file_there_is_no_login(tmp_path: Path) -> None:
    assert login_for("alpine", "") == login_for("alpine", str(tmp_path)) == ""


@pytest.mark.parametrize(
    "text", ["no json", "[]", '{"auths": {"docker.io": {"auth": "%%"}}}', '{"auths": {"docker.io": 7}}']
)
def test_a_file_that_is_none_is_told_without_what_is_in_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UnreadableLogins, match=r"config\.json cannot be read: \w+$"):
        login_for("alpine", str(tmp_path))
