"""Mappings that should not be accepted, or only just: a good one with things gone wrong in it, and texts that are none.

Every strategy gives bytes, as they come over HTTP, NATS or in a file.
"""

import copy
import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

GOOD: dict[str, Any] = {
    "id": "b1",
    "name": "shop",
    "user_id": 1,
    "username": "ann",
    "action": "build.create",
    "options": {"image": "ami-1", "list": [1, 2.5, None, True]},
    "components": [{"_component": "credentials", "_component_id": "credentials::a", "_action": "none", "key": "k"}],
    "changes": [
        {
            "_component": "vpc",
            "_component_id": "vpc::a",
            "_action": "create",
            "_provider": "demo",
            "_state": "waiting",
            "_timeout_s": 5,
            "_attempts": 2,
            "tags": {"ernest.instance_group": "web", "n": [1]},
        },
        {
            "_component": "network",
            "_component_id": "network::a",
            "_action": "create",
            "_provider": "demo",
            "vpc": '$(components.#[_component_id="vpc::a"].vpc_aws_id)',
            "image": "$(options.image)",
        },
        {
            "_component": "command",
            "_component_id": "command::a",
            "_action": "create",
            "_provider": "command",
            "argv": ["true"],
            "env": {"A": "b"},
            "on": "host-a",
        },
    ],
    "edges": [
        {"source": "start", "destination": "vpc::a", "length": 1},
        {"source": "vpc::a", "destination": "network::a", "length": 1},
        {"source": "start", "destination": "command::a"},
        {"source": "network::a", "destination": "end"},
    ],
    "changelog": [{"type": "create"}],
}


def nested(depth: int) -> Any:
    """Lists and objects in each other."""
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


ODD_VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    -0.0,
    2**31,
    2**63,
    -(2**63) - 1,
    10**400,
    1e308,
    5e-324,
    float("inf"),
    float("nan"),
    "",
    " ",
    "\x00",
    "\ud800",
    "\udfff\ud800",
    "\u200b",
    "\x1b[31m",
    "a b",
    "a.b",
    "a\r\nPUB x 0",
    "*",
    ">",
    "start",
    "end",
    "b1",
    "build.explode",
    "service.delete",
    "running",
    "errored",
    "completed",
    "nats",
    "command",
    "$()",
    "$(",
    "$(id)",
    "$(components.#)",
    "$(comp*.0)",
    "$(options.list)",
    "$(changes.#[_component_id=vpc::a].vpc)",
    '$(components.#[_component_id="vpc::a"].vpc_aws_id)',
    "$(" + "a." * 3000 + "b)",
    "$(changes.0." + "*" * 40 + ")",
    "x" * 241,
    "x" * 70_000,
    "💥" * 300,
    [],
    {},
    [[]],
    [None, 3, "x", {}],
    {"": ""},
    {"_component_id": "vpc::a"},
    {"\x00": 1},
    {"_templating": "extended"},
    {"_templating": []},
    nested(63),
    nested(70),
    nested(300),
    ["x"] * 2000,
    {str(number): number for number in range(500)},
]
KEYS = sorted({key for part in (GOOD, *GOOD["changes"], *GOOD["edges"]) for key in part})
KEYS += ["service", "error", "_depends_on", "_group", "_sequential", "_immutable", "_stateful", "userid", "omitted"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)
odd_values = st.sampled_from(ODD_VALUES)
values = st.one_of(odd_values, odd_values, odd_values, odd_values, odd_values, json_values)
faults = st.tuples(st.sampled_from(["replace", "remove", "add", "repeat", "swap"]), st.integers(0, 200), values)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key or index) within a value, outermost first."""
    found: list[tuple[Any, Any]] = []
    pending = [value]
    while pending:
        part = pending.pop(0)
        inner = list(part.items()) if isinstance(part, dict) else list(enumerate(part))
        found += [(part, key) for key, _ in inner]
        pending += [one for _, one in inner if isinstance(one, dict | list)]
    return found


def broken(changes: list[tuple[str, int, Any]]) -> dict[str, Any]:
    """The good mapping with these faults in it, one after the other."""
    document = copy.deepcopy(GOOD)
    for kind, number, value in changes:
        all_places = places(document)
        if not all_places:
            return document
        container, key = all_places[number % len(all_places)]
        if kind == "replace" or (kind == "repeat" and isinstance(container, dict)):
            container[key] = copy.deepcopy(value)
        elif kind == "remove":
            del container[key]
        elif kind == "add" and isinstance(container, dict):
            container[KEYS[number % len(KEYS)]] = copy.deepcopy(value)
        elif kind in ("add", "repeat"):
            container.insert(key, copy.deepcopy(container[key] if kind == "repeat" else value))
        else:
            other, other_key = all_places[number * 7 % len(all_places)]
            if not isinstance(container[key], dict | list) and not isinstance(other[other_key], dict | list):
                container[key], other[other_key] = other[other_key], container[key]
    return document


def as_text(document: Any) -> bytes:
    """JSON with escapes, `NaN` and `Infinity`, as careless writers make it."""
    return json.dumps(document).encode()


TWISTS: list[Callable[[bytes, int], bytes]] = [
    lambda text, at: text,
    lambda text, at: text,
    lambda text, at: text,
    lambda text, at: text[: at % (len(text) + 1)],
    lambda text, at: text[: at % (len(text) + 1)] + b"\xff" + text[at % (len(text) + 1) :],
    lambda text, at: text[: at % (len(text) + 1)] + b"\x00" + text[at % (len(text) + 1) :],
    lambda text, at: text.replace(b"{", b'{"id": "b2", "_component_id": "vpc::a", ', 1 + at % 3),
    lambda text, at: text.replace(b": 1", b": 1e999", 1),
    lambda text, at: text.replace(b": 1", b": " + b"9" * 5000, 1),
    lambda text, at: b"\xef\xbb\xbf" + text,
    lambda text, at: text + text,
    lambda text, at: b"[" * (at * 50) + text,
    lambda text, at: text.decode().encode("utf-16"),
]
bad_mappings = st.builds(
    lambda changes, twist, at: TWISTS[twist](as_text(broken(changes)), at),
    st.lists(faults, max_size=3),
    st.integers(0, len(TWISTS) - 1),
    st.integers(0, 5000),
)
bad_bodies = st.one_of(
    bad_mappings, bad_mappings, bad_mappings, bad_mappings, st.binary(max_size=60), json_values.map(as_text)
)

TEN_MEGABYTES = "x" * (10 * 1024 * 1024)


def _huge(**fields: Any) -> bytes:
    return as_text(GOOD | fields)


def _huge_change(**fields: Any) -> bytes:
    return as_text(GOOD | {"changes": [GOOD["changes"][0] | fields, *GOOD["changes"][1:]]})


HUGE: dict[str, bytes] = {
    "id": _huge(id=TEN_MEGABYTES),
    "name": _huge(name=TEN_MEGABYTES),
    "action": _huge(action=TEN_MEGABYTES),
    "username": _huge(username=[TEN_MEGABYTES]),
    "unknown key": _huge(**{TEN_MEGABYTES: "\x00"}),
    "kept text": _huge(more=TEN_MEGABYTES),
    "component id": _huge_change(_component_id=TEN_MEGABYTES),
    "type": _huge_change(_component=TEN_MEGABYTES),
    "provider": _huge_change(_provider=f"a b{TEN_MEGABYTES}"),
    "state": _huge_change(_state=TEN_MEGABYTES),
    "key of a change": _huge_change(**{TEN_MEGABYTES: "$(options.nope)"}),
    "text of a change": _huge_change(text=TEN_MEGABYTES),
    "template": _huge_change(text=f"$({TEN_MEGABYTES})"),
    "template of dots": _huge_change(text="$(" + "a." * 5_000_000 + ")"),
    "extended templates": as_text(GOOD | {"options": {"_templating": "extended"}, "changelog": "$(" * 5_000_000}),
    "edge": _huge(edges=[{"source": TEN_MEGABYTES, "destination": "vpc::a"}]),
    "brackets": b"[" * (10 * 1024 * 1024),
    "objects": b'{"a":' * (2 * 1024 * 1024),
    "a number": _huge().replace(b'"user_id": 1', b'"user_id": ' + b"1" * (10 * 1024 * 1024)),
    "a hundred thousand faults": _huge(changes=[{}] * 100_000),
    "a hundred thousand circles": _huge(
        edges=[{"source": one, "destination": one} for one in ("vpc::a", "network::a")] * 50_000
    ),
}
