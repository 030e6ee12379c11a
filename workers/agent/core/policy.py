"""An agent's policy: what its host will run, whatever control asks for, decided purely.

Invariants: what a section's `deny` matches is refused even where its `allow` matches, and what no `allow` of a section
matches is refused; a file with anything in it that is not understood is no policy.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import translate
from functools import lru_cache
from posixpath import join, split
from typing import Any

from scheduler_project.toolkit.errors import ConfigurationError

ANY_WORDS = "**"
GLOB_CHARACTERS = frozenset("*?[")
USERS, EXECUTORS, FOLDERS, COMMANDS, ENV, LIMITS = "users", "executors", "folders", "commands", "env", "limits"
IMAGES, MOUNTS, WRITABLE, NETWORKS = "images", "mounts", "writable_mounts", "networks"
LISTS = (USERS, EXECUTORS, FOLDERS, COMMANDS, ENV, IMAGES, MOUNTS, WRITABLE, NETWORKS)
PATHS = (FOLDERS, MOUNTS, WRITABLE)
CONTAINERS = "docker"
ROOT = ("root", "0")
OPEN_NETWORKS = ("none", "bridge")
TIMEOUT_MAX, MEMORY_MAX = "timeout_max_s", "memory_max_mb"
Pattern = tuple[str, ...]
Resolve = Callable[[str], str]


@dataclass(frozen=True)
class Section:
    """Patterns of one or, for commands, more words."""

    allow: tuple[Pattern, ...]
    deny: tuple[Pattern, ...] = ()


@dataclass(frozen=True)
class Policy:
    """What a policy file says; without sections everything may run. A limit of 0 is none."""

    sections: Mapping[str, Section] = field(default_factory=dict)
    timeout_max_s: float = 0
    memory_max_mb: int = 0

    @property
    def allows_everything(self) -> bool:
        return not self.sections and not self.timeout_max_s and not self.memory_max_mb


@dataclass(frozen=True)
class Asked:
    """What is to be run. `users` are the names of one user, `programs` those of one program: both kinds count.

    `executor` is `command` for a command. `variables` are those of the order alone; a limit that nobody can ask for
    is None.
    """

    executor: str
    users: tuple[str, ...]
    folder: str
    programs: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    timeout_s: float | None = None
    memory_mb: int | None = None


@dataclass(frozen=True)
class AskedContainer:
    """What is to run in a container. `user` is the one inside; the mounts are paths of the host without links."""

    image: str
    user: str
    network: str
    mounts: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    timeout_s: float = 0
    memory_mb: int = 0


def parse(text: str, resolve: Resolve) -> Policy:
    """Reads a policy file. `resolve` follows the links of a path.

    Raises ConfigurationError, naming the line or the key, for anything that is not understood.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"it is no TOML: {error}") from error
    _check_keys("", document, (*LISTS, LIMITS))
    sections = {name: _section(name, document[name], resolve) for name in LISTS if name in document}
    limits = document.get(LIMITS, {})
    _check_keys(LIMITS, limits, (TIMEOUT_MAX, MEMORY_MAX))
    return Policy(sections, _limit(limits, TIMEOUT_MAX, int, float), int(_limit(limits, MEMORY_MAX, int)))


def refusal(policy: Policy, asked: Asked) -> str:
    """Which rule forbids it; empty where none does."""
    questions: tuple[tuple[str, str, Sequence[Pattern]], ...] = (
        (EXECUTORS, f"executor {asked.executor}", [(asked.executor,)]),
        (USERS, f"user {asked.users[0]}", [(user,) for user in asked.users]),
        (FOLDERS, f"folder {asked.folder}", [(asked.folder,)]),
        (COMMANDS, f"{asked.programs[0]} with these arguments", [(each, *asked.arguments) for each in asked.programs]),
        *((ENV, f"variable {name}", [(name,)]) for name in asked.variables),
    )
    found = (_refused(policy, section, what, subjects) for section, what, subjects in questions)
    return next((reason for reason in (*found, *_over_limits(policy, asked)) if reason), "")


def container_refusal(policy: Policy, asked: AskedContainer) -> str:
    """Which rule forbids a container; empty where none does.

    A policy that says nothing of images lets none run, and what reaches the host itself must be listed.
    """
    questions: tuple[tuple[str, str, str], ...] = (
        (EXECUTORS, "executor docker", CONTAINERS),
        (IMAGES, f"image {asked.image}", asked.image),
        (USERS, f"user {asked.user}", asked.user),
        *((MOUNTS, f"mount of {path}", path) for path in asked.mounts),
        *((WRITABLE, f"writable mount of {path}", path) for path in asked.writable),
        *((NETWORKS, f"network {name}", name) for name in (asked.network,) if name not in OPEN_NETWORKS),
        *((ENV, f"variable {name}", name) for name in asked.variables),
    )
    closed = {MOUNTS, WRITABLE, NETWORKS} | ({IMAGES} if policy.sections else set())
    missing = closed - policy.sections.keys()
    unlisted = (f"{what} needs a section [{section}]" for section, what, _ in questions if section in missing)
    found = (_refused(policy, section, what, _names(section, subject)) for section, what, subject in questions)
    return next((reason for reason in (*unlisted, *found, *_over_limits(policy, asked)) if reason), "")


def _names(section: str, subject: str) -> Sequence[Pattern]:
    """Of root inside a container both the name and the number count; others are known by what was asked for alone."""
    return [(name,) for name in ROOT] if section == USERS and subject in ROOT else [(subject,)]


def refuses_executor(policy: Policy, alias: str) -> bool:
    """Whether nothing at all may be run by this executor."""
    if alias == CONTAINERS and policy.sections and IMAGES not in policy.sections:
        return True
    return bool(_refused(policy, EXECUTORS, "", [(alias,)]))


def matches(pattern: Pattern, words: Sequence[str]) -> bool:
    """Whether each word fits its glob; `**` stands for any number of words, also none."""
    at, star, resumed = 0, -1, 0
    position = 0
    while position < len(words):
        if at < len(pattern) and pattern[at] == ANY_WORDS:
            star, resumed, at = at, position, at + 1
        elif at < len(pattern) and _glob(pattern[at]).match(words[position]):
            at, position = at + 1, position + 1
        elif star >= 0:
            resumed += 1
            at, position = star + 1, resumed
        else:
            return False
    return all(word == ANY_WORDS for word in pattern[at:])


def _refused(policy: Policy, name: str, what: str, subjects: Sequence[Pattern]) -> str:
    section = policy.sections.get(name)
    if section is None:
        return ""
    denied = _first_match(section.deny, subjects)
    if denied is not None:
        return f"{what} is denied by {name}.deny {_shown(name, denied)}"
    return "" if _first_match(section.allow, subjects) is not None else f"{what} fits nothing in {name}.allow"


def _first_match(patterns: Iterable[Pattern], subjects: Sequence[Pattern]) -> Pattern | None:
    return next((pattern for pattern in patterns if any(matches(pattern, one) for one in subjects)), None)


def _shown(name: str, pattern: Pattern) -> str:
    return str(list(pattern)) if name == COMMANDS else repr(pattern[0])


def _over_limits(policy: Policy, asked: Asked | AskedContainer) -> Iterable[str]:
    """What has no limit of its own is over every limit."""
    limits: tuple[tuple[str, str, float | None, float], ...] = (
        (TIMEOUT_MAX, "timeout_s", asked.timeout_s, policy.timeout_max_s),
        (MEMORY_MAX, "memory_mb", asked.memory_mb, policy.memory_max_mb),
    )
    for key, name, value, most in limits:
        if value is not None and most and not 0 < value <= most:
            yield f"{name} is {value:g}, and {LIMITS}.{key} asks for one above 0 and up to {most:g}"


def _section(name: str, value: Any, resolve: Resolve) -> Section:
    _check_keys(name, value, ("allow", "deny"))
    if "allow" not in value:
        raise ConfigurationError(f"{name}.allow is missing; what it does not list is refused, {_everything(name)}")
    allow, deny = (_patterns(name, key, value.get(key, [])) for key in ("allow", "deny"))
    if name not in (COMMANDS, *PATHS):
        return Section(allow, deny)
    followed = tuple((resolve(first), *rest) for first, *rest in deny if not _has_glob(first))
    return Section(_located(name, allow, resolve), _located(name, deny, resolve) + followed)


def _everything(name: str) -> str:
    return f"and allow = {[[ANY_WORDS]] if name == COMMANDS else ['*']} lists everything".replace("'", '"')


def _located(name: str, patterns: tuple[Pattern, ...], resolve: Resolve) -> tuple[Pattern, ...]:
    """Paths as those that they are compared with: without links, but for the program itself."""
    return tuple((_location(name, first, resolve), *rest) for first, *rest in patterns)


def _location(name: str, pattern: str, resolve: Resolve) -> str:
    if not pattern.startswith(("/", "*")):
        raise ConfigurationError(f"{name}: {pattern!r} is no absolute path; it begins with / or with *")
    if name in PATHS:
        return pattern if _has_glob(pattern) else resolve(pattern)
    folder, last = split(pattern)
    return pattern if not folder or _has_glob(folder) else join(resolve(folder), last)


def _has_glob(text: str) -> bool:
    return not GLOB_CHARACTERS.isdisjoint(text)


def _patterns(name: str, key: str, value: Any) -> tuple[Pattern, ...]:
    if not isinstance(value, list):
        raise ConfigurationError(f"{name}.{key} is not a list")
    return tuple(_pattern(name, f"{name}.{key}[{position}]", one) for position, one in enumerate(value))


def _pattern(name: str, where: str, value: Any) -> Pattern:
    words = value if name == COMMANDS else [value]
    if not isinstance(words, list) or not words or not all(isinstance(word, str) and word for word in words):
        form = 'a list of words, such as ["/usr/bin/rsync", "**"]' if name == COMMANDS else "a text"
        raise ConfigurationError(f"{where} is not {form}")
    return tuple(words)


def _limit(limits: Mapping[str, Any], key: str, *kinds: type) -> float:
    value = limits.get(key, 0)
    if key in limits and (type(value) not in kinds or not 0 < value < float("inf")):
        raise ConfigurationError(f"{LIMITS}.{key} is not a number above 0")
    return float(value)


def _check_keys(name: str, value: Any, known: Sequence[str]) -> None:
    if not isinstance(value, dict):
        raise ConfigurationError(f"{name} is not a section; write [{name}]")
    for key in value:
        if key not in known:
            where = f"{name}.{key}" if name else f"[{key}]"
            raise ConfigurationError(f"{where} is not known; there are {', '.join(known)}")


@lru_cache(maxsize=1024)
def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern))
