"""`schedctl workers` and `hosts`."""

import json
from collections.abc import Callable

import pytest
import yaml
from click.testing import Result

from tests.support.scheduler_twin import Reply, Twin, answer

Run = Callable[..., Result]
HOST = {
    "id": "27ce7536-53ba-41eb-9f89-c435b13d7ecc",
    "name": "host-a",
    "address": "10.0.0.7",
    "state": "connected",
    "draining": False,
    "slots": 4,
    "running": 1,
    "version": "0.1.0",
    "last_seen_at": "2026-01-01T00:00:00Z",
    "labels": {"zone": "a"},
    "reason": "",
}


@pytest.mark.parametrize("word", ["workers", "hosts"])
def test_ls_prints_go_schedules_columns(twin: Twin, schedctl: Run, word: str) -> None:
    twin.on("GET /hosts", answer({"items": [HOST, {**HOST, "id": "b", "state": "disconnected"}], "next": ""}))
    assert schedctl(word, "ls").stdout == (
        "id                                   |address  |state\n"
        "27ce7536-53ba-41eb-9f89-c435b13d7ecc |10.0.0.7 |connected\n"
        "b                                    |10.0.0.7 |disconnected\n"
    )


def test_ls_sorts_workers_by_name(twin: Twin, schedctl: Run) -> None:
    items = [{**HOST, "id": name, "name": name} for name in ("host-b", "host-a")]
    twin.on("GET /hosts", answer({"items": items, "next": ""}))
    assert [row.split()[0] for row in schedctl("workers", "ls").stdout.splitlines()] == ["id", "host-a", "host-b"]


def test_ls_without_workers_prints_the_header(twin: Twin, schedctl: Run) -> None:
    twin.on("GET /hosts", answer({"items": [], "next": ""}))
    assert schedctl("workers", "ls").stdout == "id |address |state\n"


def test_ls_fetches_every_page(twin: Twin, schedctl: Run) -> None:
    twin.on("GET /hosts", answer({"items": [HOST], "next": "c2"}), answer({"items": [HOST], "next": ""}))
    assert len(schedctl("workers", "ls").stdout.splitlines()) == 3
    assert [asked.query.get("cursor") for asked in twin.asked] == [None, "c2"]


@pytest.mark.parametrize(
    "words", [["-o", "wide", "workers", "ls"], ["workers", "-o", "wide", "ls"], ["workers", "ls", "-owide"]]
)
def test_wide_has_more_columns_wherever_the_option_stands(twin: Twin, schedctl: Run, words: list[str]) -> None:
    twin.on("GET /hosts", answer({"items": [HOST], "next": ""}))
    header, row = schedctl(*words).stdout.splitlines()
    assert header.replace(" ", "") == "id|address|state|name|draining|slots|running|version|last_seen_at|labels|reason"
    assert "|zone=a |" in row


def test_json_and_yaml_give_the_items_whole(twin: Twin, schedctl: Run) -> None:
    twin.on("GET /hosts", answer({"items": [HOST], "next": ""}))
    assert json.loads(schedctl("workers", "ls", "-o", "json").stdout) == [HOST]
    assert yaml.safe_load(schedctl("workers", "ls", "-o", "yaml").stdout) == [HOST]


def test_get_prints_a_line_per_field(twin: Twin, schedctl: Run) -> None:
    twin.on("GET /hosts/host-a", answer(HOST))
    assert "labels       |zone=a\n" in schedctl("workers", "get", "host-a").stdout


def test_names_are_quoted_in_the_address(twin: Twin, schedctl: Run) -> None:
    schedctl("workers", "get", "a/b?c")
    assert twin.asked[0].path == "/hosts/a%2Fb%3Fc"


def test_drain_and_undrain_act_on_every_name(twin: Twin, schedctl: Run) -> None:
    for name in ("a", "b"):
        for verb in ("drain", "undrain"):
            twin.on(f"POST /hosts/{name}/{verb}", answer(HOST))
    assert schedctl("workers", "drain", "a", "b").stdout == "a draining\nb draining\n"
    assert schedctl("workers", "undrain", "a", "b").stdout == "a takes work\nb takes work\n"


def test_rm_forgets_a_worker(twin: Twin, schedctl: Run) -> None:
    twin.on("DELETE /hosts/a", Reply(204))
    assert schedctl("workers", "rm", "a").stdout == "a removed\n"


def test_whoami_shows_the_user(twin: Twin, schedctl: Run) -> None:
    twin.on("GET /whoami", answer({"user": "ann", "role": "operator"}))
    assert schedctl("whoami").stdout == "user |ann\nrole |operator\n"


TOKEN = {"id": "5f2c", "host": "host-c", "uses_left": 2, "expires_at": "2026-01-01T01:00:00Z", "token": "jt_secret"}


def test_join_token_is_made_and_printed_alone(twin: Twin, schedctl: Run) -> None:
    twin.on("POST /join-tokens", answer(TOKEN, 201))
    assert schedctl("workers", "join-token", "--host", "host-c", "--ttl", "10m", "--uses", "2").stdout == "jt_secret\n"
    assert twin.asked[0].document == {"host": "host-c", "ttl_s": 600, "uses": 2}


def test_join_token_is_for_one_agent_and_an_hour_unless_told_otherwise(twin: Twin, schedctl: Run) -> None:
    twin.on("POST /join-tokens", answer(TOKEN, 201))
    assert json.loads(schedctl("workers", "join-token", "-o", "json").stdout) == TOKEN
    assert twin.asked[0].document == {"host": "", "ttl_s": 3600, "uses": 1}


def test_join_tokens_are_listed_and_withdrawn(twin: Twin, schedctl: Run) -> None:
    twin.on("GET /join-tokens", answer({"items": [TOKEN]}))
    twin.on("DELETE /join-tokens/5f2c", Reply(204))
    assert schedctl("workers", "join-tokens").stdout == (
        "id   |host   |uses_left |expires_at\n5f2c |host-c |2         |2026-01-01T01:00:00Z\n"
    )
    assert schedctl("workers", "withdraw-token", "5f2c").stdout == "5f2c withdrawn\n"


def test_revoke_acts_on_every_name(twin: Twin, schedctl: Run) -> None:
    for name in ("a", "b"):
        twin.on(f"POST /hosts/{name}/revoke", Reply(204))
    assert schedctl("workers", "revoke", "a", "b").stdout == "a revoked\nb revoked\n"
