"""How a topology is written, and how every fault is told with its path and what to write instead."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import pytest

from graphs.core.document import parse
from scheduler_project.toolkit.errors import Fault
from topologies.core.grammar import TopologySpec, read_topology
from topologies.core.template import graph_document
from topologies.core.triggers import AtTrigger, CronTrigger, ManualTrigger

CRON = {"type": "CRON", "timeSpec": "0 30 2 * * ?", "timezone": "Europe/Berlin"}
COMPONENT = {"name": "extract", "command": "date"}


def document(**changes: Any) -> dict[str, Any]:
    return {"name": "report", "trigger": CRON, "graph": {"components": [COMPONENT]}, **changes}


def with_components(*components: Any) -> dict[str, Any]:
    return document(graph={"components": list(components)})


def no_faults(provider: str, component: Mapping[str, Any], path: str) -> Sequence[Fault]:
    return ()


def read(value: object) -> tuple[TopologySpec, list[str]]:
    faults: list[Fault] = []
    spec = read_topology(value, "topologies[0]", no_faults, faults)
    return spec, [str(fault) for fault in faults]


def spec_of(value: object) -> TopologySpec:
    spec, faults = read(value)
    assert faults == []
    return spec


def test_a_cron_trigger_has_its_expression_and_its_zone() -> None:
    assert spec_of(document()).trigger == CronTrigger("0 30 2 * * ?", "Europe/Berlin")


def test_the_kind_of_a_trigger_may_be_written_in_any_case_or_left_out_where_it_is_clear() -> None:
    assert spec_of(document(trigger={"type": "cron", "timeSpec": "0 * * * * ?"})).trigger == CronTrigger(
        "0 * * * * ?", "UTC"
    )
    assert spec_of(document(trigger={"timeSpec": "0 * * * * ?"})).trigger == CronTrigger("0 * * * * ?", "UTC")
    assert spec_of(document(trigger=None)).trigger == ManualTrigger()


@pytest.mark.parametrize(
    ("time", "zone", "expected"),
    [
        ("2030-01-31T08:00:00Z", "UTC", datetime(2030, 1, 31, 8, tzinfo=UTC)),
        ("2030-01-31T08:00:00+02:00", "UTC", datetime(2030, 1, 31, 6, tzinfo=UTC)),
        ("2030-01-31T08:00:00", "Asia/Tokyo", datetime(2030, 1, 30, 23, tzinfo=UTC)),
        (1785542400000, "UTC", datetime(2026, 8, 1, tzinfo=UTC)),
        (datetime(2030, 1, 31, 8, tzinfo=UTC), "UTC", datetime(2030, 1, 31, 8, tzinfo=UTC)),
        (date(2030, 1, 31), "UTC", datetime(2030, 1, 31, tzinfo=UTC)),
    ],
)
def test_an_instant_may_be_written_in_several_ways(time: Any, zone: str, expected: datetime) -> None:
    trigger = {"type": "AT", "time": time, "timezone": zone}

    assert spec_of(document(trigger=trigger)).trigger == AtTrigger(expected)


def test_overlap_is_skip_unless_it_is_allowed() -> None:
    assert spec_of(document()).overlap == "skip"
    assert spec_of(document(overlap="ALLOW")).overlap == "allow"


def test_two_spellings_of_the_same_topology_are_stored_alike() -> None:
    one = with_components(COMPONENT, {"name": "load", "argv": ["x"], "after": "extract"})
    other = with_components({**COMPONENT, "after": []}, {"name": "load", "argv": ["x"], "after": ["extract"] * 2})

    assert spec_of(one).document() == spec_of({**other, "overlap": "skip"}).document()


def test_a_document_reads_as_what_it_was_written_from() -> None:
    spec = spec_of(document())

    assert spec_of(spec.document()) == spec


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("report", "topologies[0]: must be a mapping, not a text"),
        (None, "topologies[0]: must be a mapping, not nothing"),
        (document(name="a b"), "topologies[0].name: 'a b' cannot be a name; use 1 to 255 letters, digits, '-' and '_'"),
        (document(name=5), "topologies[0].name: must be a text, not a number; put it in quotes"),
        (document(name=""), "topologies[0].name: is missing; use 1 to 255 letters, digits, '-' and '_'"),
        (document(overlp="skip"), "topologies[0].overlp: is not known here; did you mean 'overlap'?"),
        (document(zzz=1), "topologies[0].zzz: is not known here; known are name, trigger, overlap, graph"),
        (document(overlap="queue"), "topologies[0].overlap: 'queue' is none of skip, allow"),
        (document(trigger="daily"), "topologies[0].trigger: must be a mapping, not a text"),
        (document(trigger={}), "topologies[0].trigger.type: is missing; give one of CRON, AT, MANUAL"),
        (document(trigger={"type": "EVERY"}), "topologies[0].trigger.type: 'EVERY' is none of CRON, AT, MANUAL"),
        (
            document(trigger={**CRON, "timzone": "UTC"}),
            "topologies[0].trigger.timzone: is not known here; did you mean 'timezone'?",
        ),
        (
            document(trigger={**CRON, "timeSpec": "0 0 25 * * ?"}),
            "topologies[0].trigger.timeSpec: field 3 (hours) '25': 25 is outside 0 to 23",
        ),
        (
            document(trigger={**CRON, "timezone": "Europe/Belrin"}),
            "topologies[0].trigger.timezone: there is no time zone 'Europe/Belrin';"
            " use a name such as Europe/Berlin or UTC",
        ),
        (
            document(trigger={"type": "AT", "time": "soon"}),
            "topologies[0].trigger.time: 'soon' is no time;"
            " write such as 2030-01-31T08:00:00Z, or milliseconds since 1970",
        ),
        (
            document(trigger={"type": "AT", "time": 10**30}),
            f"topologies[0].trigger.time: {10**30} is no time;"
            " write such as 2030-01-31T08:00:00Z, or milliseconds since 1970",
        ),
        (
            document(trigger={"type": "AT", "time": [1]}),
            "topologies[0].trigger.time: a list is no time;"
            " write such as 2030-01-31T08:00:00Z, or milliseconds since 1970",
        ),
        (document(graph=None), "topologies[0].graph: must be a mapping, not nothing"),
        (document(graph={}), "topologies[0].graph.components: is missing; give at least one"),
        (document(graph={"components": 5}), "topologies[0].graph.components: must be a list, not a number"),
        (with_components("x"), "topologies[0].graph.components[0]: must be a mapping, not a text"),
        (
            with_components({**COMPONENT, "comand": "x"}),
            "topologies[0].graph.components[0].comand: is not known here; did you mean 'command'?",
        ),
        (
            with_components({**COMPONENT, "name": "a.b"}),
            "topologies[0].graph.components[0].name: 'a.b' cannot be a name; use 1 to 100 letters, digits, '-' and '_'",
        ),
        (
            with_components(COMPONENT, COMPONENT),
            "topologies[0].graph.components[1].name: 'extract' is also the name of component 0; give each its own",
        ),
        (
            with_components({**COMPONENT, "after": ["extrat"]}),
            "topologies[0].graph.components[0].after: there is no component 'extrat'; known are extract",
        ),
        (
            with_components({**COMPONENT, "after": [1]}),
            "topologies[0].graph.components[0].after: must be a list of texts",
        ),
        (
            with_components({**COMPONENT, "after": ["load"]}, {"name": "load", "command": "x", "after": "extract"}),
            "topologies[0].graph.components: these wait for each other in a circle: extract → load → extract",
        ),
        (
            with_components({**COMPONENT, "env": {"X": "\x00"}}),
            "topologies[0].graph.components[0].env.X: holds a NUL character",
        ),
    ],
)
def test_each_fault_has_its_path_and_what_to_write_instead(value: object, fault: str) -> None:
    assert fault in read(value)[1]


def test_all_faults_are_told_at_once() -> None:
    value = document(name="", overlap="x", trigger={"type": "CRON", "timeSpec": "x", "timezone": "y"}, graph={})

    assert len(read(value)[1]) == 5


def test_faults_that_only_the_provider_knows_have_the_paths_of_the_users_document() -> None:
    def refuse(provider: str, component: Mapping[str, Any], path: str) -> Sequence[Fault]:
        return [Fault(f"{path}.timeout_s", "must be a number of seconds")] if component["name"] == "load" else []

    faults: list[Fault] = []
    read_topology(with_components(COMPONENT, {"name": "load", "argv": ["x"]}), "topologies[3]", refuse, faults)

    assert [fault.path for fault in faults] == ["topologies[3].graph.components[1].timeout_s"]


def test_a_run_is_a_graph_of_commands_in_the_order_of_their_dependencies() -> None:
    spec = spec_of(
        with_components(
            {"name": "load", "argv": ["x"], "after": ["extract", "other"], "on": "host-a", "timeout_s": 5},
            {"name": "other", "command": "y"},
            COMPONENT,
        )
    )

    graph = parse(graph_document(spec.document(), "run-1"), "")

    assert (graph.id, graph.name, graph.action) == ("run-1", "report", "build.create")
    assert graph.dependencies == {
        "command::load": {"command::extract", "command::other"},
        "command::other": set(),
        "command::extract": set(),
    }
    load = graph.changes[0]
    assert (load.type, load.provider, load.state) == ("command", "command", "waiting")
    assert {key: load.document[key] for key in ("argv", "on", "timeout_s")} == {
        "argv": ["x"],
        "on": "host-a",
        "timeout_s": 5,
    }
    assert [edge.source for edge in graph.edges if edge.destination == "end"] == ["command::load"]
