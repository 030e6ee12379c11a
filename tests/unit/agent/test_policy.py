"""What a host's policy lets run, and how its file is read."""

from dataclasses import replace

import pytest

from scheduler_project.toolkit.errors import ConfigurationError
from workers.agent.core.policy import (
    Asked,
    AskedContainer,
    Policy,
    container_refusal,
    matches,
    parse,
    refusal,
    refuses_executor,
)

LINKS = {"/bin": "/usr/bin", "/bin/sh": "/usr/bin/dash", "/usr/bin/sh": "/usr/bin/dash"}
ASKED = Asked(
    executor="command",
    users=("svc", "1001"),
    folder="/srv/app/data",
    programs=("/usr/bin/rsync", "/usr/bin/rsync"),
    arguments=("-a", "/srv/a", "/srv/b"),
    variables=("APP_MODE",),
    timeout_s=60,
    memory_mb=100,
)
SHELL = replace(ASKED, programs=("/usr/bin/sh", "/usr/bin/dash"), arguments=("-c", "id"))
WHOLE = """
[users]
allow = ["svc", "app-*"]
deny = ["root", "0"]
[executors]
allow = ["command", "bash"]
[folders]
allow = ["/srv/app", "/srv/app/*"]
[commands]
allow = [["/usr/bin/rsync", "**"], ["/usr/bin/systemctl", "restart", "web-*"]]
deny = [["**", "--delete", "**"]]
[env]
allow = ["APP_*"]
[limits]
timeout_max_s = 3600
memory_max_mb = 2048
"""


def resolve(path: str) -> str:
    return LINKS.get(path, path)


def policy(text: str) -> Policy:
    return parse(text, resolve)


def test_without_a_policy_everything_may_run() -> None:
    assert Policy().allows_everything
    assert policy("").allows_everything
    assert refusal(Policy(), ASKED) == ""


def test_what_every_section_allows_may_run() -> None:
    assert refusal(policy(WHOLE), ASKED) == ""


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"executor": "docker"}, "executor docker fits nothing in executors.allow"),
        ({"users": ("nobody", "65534")}, "user nobody fits nothing in users.allow"),
        ({"users": ("root", "0")}, "user root is denied by users.deny 'root'"),
        ({"users": ("app-root", "0")}, "user app-root is denied by users.deny '0'"),
        ({"folder": "/srv/apple"}, "folder /srv/apple fits nothing in folders.allow"),
        ({"programs": ("/usr/bin/rm", "/usr/bin/rm")}, "/usr/bin/rm with these arguments fits nothing in commands"),
        ({"arguments": ("-a", "--delete", "x")}, "is denied by commands.deny ['**', '--delete', '**']"),
        ({"variables": ("APP_MODE", "LD_PRELOAD")}, "variable LD_PRELOAD fits nothing in env.allow"),
        ({"timeout_s": 3601}, "timeout_s is 3601, and limits.timeout_max_s asks for one above 0 and up to 3600"),
        ({"timeout_s": 0}, "timeout_s is 0, and limits.timeout_max_s"),
        ({"memory_mb": 0}, "memory_mb is 0, and limits.memory_max_mb"),
    ],
)
def test_a_refusal_names_the_rule(change: dict[str, object], told: str) -> None:
    assert told in refusal(policy(WHOLE), replace(ASKED, **change))  # type: ignore[arg-type]


def test_what_has_no_limits_to_ask_for_is_not_measured_by_them() -> None:
    assert refusal(policy(WHOLE), replace(ASKED, timeout_s=None, memory_mb=None)) == ""


def test_arguments_are_matched_word_by_word() -> None:
    restart = ("/usr/bin/systemctl", "restart", "web-*")
    assert matches(restart, ["/usr/bin/systemctl", "restart", "web-1"])
    assert not matches(restart, ["/usr/bin/systemctl", "restart", "web-1", "ssh"])
    assert not matches(restart, ["/usr/bin/systemctl", "restart web-1"])
    assert matches(("a", "**", "z"), ["a", "z"])
    assert matches(("**",), [])
    assert matches(("[ab]?",), ["b\n"])
    assert not matches(("a*",), ["A"])


@pytest.mark.parametrize("written", ["/bin/sh", "/usr/bin/sh", "/usr/bin/dash", "/*/[ds]*sh"])
def test_a_denied_program_is_denied_by_whatever_path_it_is_asked_for(written: str) -> None:
    shells = policy(f'[commands]\nallow = [["**"]]\ndeny = [["{written}", "**"]]')
    assert "denied" in refusal(shells, SHELL)
    assert "denied" in refusal(shells, replace(SHELL, programs=("/usr/bin/dash", "/usr/bin/dash")))


def test_a_program_may_be_allowed_by_a_path_through_a_link() -> None:
    assert refusal(policy('[commands]\nallow = [["/bin/sh", "-c", "id"]]'), SHELL) == ""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[users]\nallow = [1 2]", "line 2"),
        ("[user]\nallow = []", "[user] is not known"),
        ("users = 1", "users is not a section"),
        ("[users]\ndeny = ['root']", "users.allow is missing"),
        ("[users]\nallow = 'root'", "users.allow is not a list"),
        ("[users]\nallow = [0]", "users.allow[0] is not a text"),
        ("[users]\nallow = ['a', '']", "users.allow[1] is not a text"),
        ("[users]\nallow = []\nalow = []", "users.alow is not known"),
        ("[commands]\nallow = ['/bin/ls']", "commands.allow[0] is not a list of words"),
        ("[commands]\nallow = [[]]", "commands.allow[0] is not a list of words"),
        ("[commands]\nallow = [['ls']]", "'ls' is no absolute path"),
        ("[folders]\nallow = ['srv']", "'srv' is no absolute path"),
        ("[limits]\ntimeout_max_s = 0", "limits.timeout_max_s is not a number above 0"),
        ("[limits]\ntimeout_max_s = true", "limits.timeout_max_s is not a number above 0"),
        ("[limits]\nmemory_max_mb = 1.5", "limits.memory_max_mb is not a number above 0"),
        ("[limits]\nmemory = 1", "limits.memory is not known"),
    ],
)
def test_a_file_that_is_not_understood_is_no_policy(text: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        policy(text)
    assert told in str(caught.value)


CONTAINER = AskedContainer(image="tools/sync:1", user="root", network="bridge")
IMAGES = '[images]\nallow = ["tools/*"]\n'


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, ""),
        ({"network": "none"}, ""),
        ({"network": "host"}, "network host needs a section [networks]"),
        ({"mounts": ("/etc",)}, "mount of /etc needs a section [mounts]"),
    ],
)
def test_without_a_policy_containers_reach_nothing_of_the_host(fields: dict[str, object], reason: str) -> None:
    assert container_refusal(Policy(), replace(CONTAINER, **fields)) == reason  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "fields", "reason"),
    [
        ('[commands]\nallow = [["**"]]', {}, "image tools/sync:1 needs a section [images]"),
        (IMAGES, {}, ""),
        (IMAGES, {"image": "other"}, "image other fits nothing in images.allow"),
        (IMAGES + '[executors]\nallow = ["command"]', {}, "executor docker fits nothing in executors.allow"),
        (IMAGES + '[users]\nallow = ["*"]\ndeny = ["root"]', {}, "user root is denied by users.deny 'root'"),
        (IMAGES + '[users]\nallow = ["*"]\ndeny = ["root"]', {"user": "0"}, "user 0 is denied by users.deny 'root'"),
        (IMAGES + '[users]\nallow = ["*"]\ndeny = ["0"]', {}, "user root is denied by users.deny '0'"),
        (IMAGES + "[env]\nallow = []", {"variables": ("A",)}, "variable A fits nothing in env.allow"),
        (IMAGES + '[mounts]\nallow = ["/srv/*"]', {"mounts": ("/srv/a",)}, ""),
        (
            IMAGES + '[mounts]\nallow = ["/srv/*"]',
            {"mounts": ("/srv/a",), "writable": ("/srv/a",)},
            "writable mount of /srv/a needs a section [writable_mounts]",
        ),
        (IMAGES + '[networks]\nallow = ["back"]', {"network": "back"}, ""),
        (
            IMAGES + "[limits]\nmemory_max_mb = 9",
            {},
            "memory_mb is 0, and limits.memory_max_mb asks for one above 0 and up to 9",
        ),
    ],
)
def test_a_policy_says_what_containers_may_be(text: str, fields: dict[str, object], reason: str) -> None:
    assert container_refusal(policy(text), replace(CONTAINER, **fields)) == reason  # type: ignore[arg-type]


def test_a_host_whose_policy_lets_no_container_run_does_not_offer_docker() -> None:
    assert refuses_executor(policy('[env]\nallow = ["*"]'), "docker")
    assert not refuses_executor(policy(IMAGES), "docker")
    assert not refuses_executor(Policy(), "docker")
