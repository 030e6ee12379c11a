"""A wanted graph against what exists: what is done about it, in which order, and why."""

import copy
from typing import Any

import pytest

from graphs.core.diff import GraphDiff, Rules, diff
from graphs.core.document import parse
from graphs.core.plan import plan
from scheduler_project.toolkit.errors import InvalidDocument


def component(name: str, *needs: str, **fields: Any) -> dict[str, Any]:
    document = {"_component": "x", "_component_id": name, "_provider": "aws", "size": 1} | fields
    return document | ({"_depends_on": list(needs)} if needs else {})


def graph(*components: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"name": "web", "components": list(components)} | fields


def changed(*components: dict[str, Any]) -> dict[str, Any]:
    """The same components, each with another size."""
    return graph(*({**one, "size": 2} for one in components))


def edges(found: GraphDiff) -> str:
    return ", ".join(f"{edge['source']}→{edge['destination']}" for edge in found.mapping["edges"])


def edge_set(found: GraphDiff) -> set[str]:
    return set(edges(found).split(", "))


def verbs(found: GraphDiff) -> dict[str, str]:
    return {change["_component_id"]: change["_action"] for change in found.mapping["changes"]}


def faults(*arguments: Any, **fields: Any) -> dict[str, str]:
    with pytest.raises(InvalidDocument) as caught:
        diff(*arguments, **fields)
    return {fault.path: fault.message for fault in caught.value.faults}


SEQUENTIAL = (
    component("1"),
    component("2", "1", _sequential=["1"]),
    component("3", "1", _sequential=["1"]),
    component("4", "2", "3"),
)
PLAIN = (component("1"), component("2", "1"), component("3", "1"), component("4", "2", "3"))
ROLLED = tuple(component(name, "a", tags={"ernest.instance_group": "w"}) for name in ("w1", "w2", "w3"))


def test_against_nothing_all_is_created_after_what_it_needs() -> None:
    found = diff(graph(*PLAIN), None)
    assert set(verbs(found).values()) == {"create"}
    assert edge_set(found) == {"1→2", "1→3", "2→4", "3→4", "start→1", "4→end"}


def test_sequential_siblings_are_created_one_after_the_other() -> None:
    assert edge_set(diff(graph(*SEQUENTIAL), None)) == {"1→2", "2→3", "2→4", "3→4", "start→1", "4→end"}


def test_a_component_that_is_missing_is_created() -> None:
    have = graph(*(one for one in PLAIN if one["_component_id"] != "3"))
    found = diff(graph(*PLAIN), have)
    assert (verbs(found), edges(found)) == ({"3": "create"}, "start→3, 3→end")
    assert found.unchanged == 3


def test_a_component_that_is_too_many_is_deleted() -> None:
    found = diff(graph(*PLAIN), graph(*PLAIN, component("5", "4")))
    assert (verbs(found), edges(found)) == ({"5": "delete"}, "start→5, 5→end")


def test_changed_members_of_a_group_are_updated_one_after_the_other() -> None:
    a = component("a")
    found = diff(graph(a, *changed(*ROLLED)["components"]), graph(a, *ROLLED))
    assert edge_set(found) == {"start→w1", "w1→w2", "w2→w3", "w3→end"}
    assert set(verbs(found).values()) == {"update"}


def test_members_of_a_group_are_created_at_once() -> None:
    found = diff(graph(*(component(name, tags={"ernest.instance_group": "w"}) for name in ("w1", "w2"))), None)
    assert edge_set(found) == {"start→w1", "start→w2", "w1→end", "w2→end"}


def test_a_group_is_rolled_also_where_its_members_need_nothing() -> None:
    members = [component(name, _group="w") for name in ("w1", "w2")]
    assert edge_set(diff(changed(*members), graph(*members))) == {"start→w1", "w1→w2", "w2→end"}


def test_the_tag_of_groups_can_be_another() -> None:
    members = [component(name, tags={"set": "w"}) for name in ("w1", "w2")]
    assert "w1→w2" in edge_set(diff(changed(*members), graph(*members), Rules(group_tag="set")))


def test_changed_sequential_siblings_are_updated_one_after_the_other() -> None:
    wanted = [{**one, "size": 2} if one["_component_id"] in "23" else one for one in SEQUENTIAL]
    assert edge_set(diff(graph(*wanted), graph(*SEQUENTIAL))) == {"start→2", "2→3", "3→end"}


def test_all_is_deleted_in_reverse() -> None:
    have = graph(component("vpc"), component("net", "vpc"), component("vm", "net", "vpc"))
    found = diff(graph(), have)
    assert edges(found) == "net→vpc, vm→net, vm→vpc, vpc→end, start→vm"
    assert found.mapping["action"] == "build.delete"


def test_sequential_siblings_are_deleted_one_after_the_other() -> None:
    assert edges(diff(graph(), graph(*SEQUENTIAL))) == "2→1, 3→1, 4→2, 2→3, 1→end, start→4"


def test_deletes_updates_and_creates_are_in_one_order() -> None:
    have = graph(component("net"), component("old", "net"))
    wanted = graph(component("net", size=2), component("new", "net"))
    assert edge_set(diff(wanted, have)) == {"old→net", "net→new", "start→old", "new→end"}


def test_what_did_not_change_is_left_out_and_kept_as_it_is() -> None:
    have = graph(component("a", aws_id="i-1", _state="completed"), component("b"))
    found = diff(graph(component("a"), component("b", size=2)), have)
    assert verbs(found) == {"b": "update"}
    assert found.mapping["components"][0] == component("a", aws_id="i-1", _state="completed")


def test_nothing_to_do_is_a_graph_without_changes() -> None:
    found = diff(graph(*PLAIN), graph(*PLAIN))
    assert (found.mapping["changes"], found.mapping["edges"], found.counts_by_verb, found.unchanged) == ([], [], {}, 4)


def test_an_update_keeps_what_the_provider_added() -> None:
    [change] = diff(
        graph(component("a", size=2, tags={"x": 1})), graph(component("a", aws_id="i-1", service="b0", tags={"y": 2}))
    ).mapping["changes"]
    assert change == component("a", size=2, aws_id="i-1", tags={"x": 1, "y": 2}) | {
        "_action": "update",
        "_state": "waiting",
    }


def test_helpers_are_never_changes_and_can_be_read() -> None:
    found = diff(graph(component("credentials", _action="none", key="k"), component("a")), None)
    assert verbs(found) == {"a": "create"}
    assert [one["_component_id"] for one in found.mapping["components"]] == ["credentials"]
    assert verbs(diff(graph(), graph(component("credentials", _action="none")))) == {}


@pytest.mark.parametrize("verb", ["find", "get"])
def test_queries_keep_their_verb(verb: str) -> None:
    assert verbs(diff(graph(component("q", _action=verb)), None)) == {"q": verb}


def test_what_keeps_no_state_is_not_deleted() -> None:
    assert verbs(diff(graph(), graph(component("a", _stateful=False)))) == {}


def test_a_file_of_changes_says_what_is_wanted_too() -> None:
    wanted = {
        "changes": [
            component("a", _action="create"),
            component("b", _action="create"),
            component("c", _action="delete"),
        ],
        "edges": [{"source": "a", "destination": "b"}, {"source": "start", "destination": "a"}],
    }
    assert edge_set(diff(wanted, graph(component("c")))) == {"a→b", "start→a", "b→end", "start→c", "c→end"}


def test_edges_of_the_graph_that_made_it_tell_the_order_of_deleting() -> None:
    have = graph(
        component("a"),
        component("b"),
        changes=[component("a", _action="create"), component("b", _action="create")],
        edges=[{"source": "a", "destination": "b"}],
    )
    assert "b→a" in edge_set(diff(graph(), have))


def test_what_is_needed_is_kept_with_each_component_for_the_day_it_is_deleted() -> None:
    template = '$(components.#[_component_id="vpc"].aws_id)'
    first = diff(graph(component("vpc"), component("net", vpc=template)), None).mapping
    assert first["changes"][1]["_depends_on"] == ["vpc"]
    unchanged = diff(
        graph(component("vpc"), component("net", vpc=template)),
        graph(component("vpc", aws_id="v-1"), component("net", vpc="v-1")),
    ).mapping
    assert unchanged["changes"] == []
    assert "net→vpc" in edge_set(diff(graph(), unchanged))


def test_templates_are_compared_by_what_they_read() -> None:
    template = '$(components.#[_component_id="vpc"].aws_id)'
    wanted = graph(component("vpc"), component("net", vpc=template))
    found = diff(wanted, graph(component("vpc", aws_id="v-2"), component("net", vpc="v-1")))
    assert verbs(found) == {"net": "update"}
    assert found.changelog[0].document() == {"type": "update", "path": ["net", "vpc"], "from": "v-1", "to": "v-2"}
    assert found.mapping["changes"][0]["vpc"] == template


def test_the_changelog_tells_what_changed_from_what_to_what() -> None:
    have = graph(component("a", tags={"x": 1}), component("c"))
    wanted = graph(component("a", size=2, tags={"x": 1, "y": [2]}), component("b"))
    assert [one.document() for one in diff(wanted, have).changelog] == [
        {"type": "update", "path": ["a", "size"], "from": 1, "to": 2},
        {"type": "update", "path": ["a", "tags", "y"], "from": None, "to": [2]},
        {"type": "create", "path": ["b"], "from": None, "to": None},
        {"type": "delete", "path": ["c"], "from": None, "to": None},
    ]


def test_a_changed_immutable_field_is_refused_and_not_passed_over() -> None:
    vpc = component("vpc", _immutable=["range"], range="10.0.0.0/16")
    found = faults(graph({**vpc, "range": "10.1.0.0/16"}), graph(vpc))
    assert "cannot be changed once it exists" in found["components[0].range"]


@pytest.mark.parametrize("field", ["_component", "_provider"])
def test_another_type_or_provider_is_another_thing(field: str) -> None:
    assert (
        "cannot be changed"
        in faults(graph(component("a", **{field: "y"})), graph(component("a")))[f"components[0].{field}"]
    )


def test_on_request_it_is_replaced_and_with_it_what_reads_it_is_changed() -> None:
    template = '$(components.#[_component_id="vpc"].aws_id)'
    vpc = component("vpc", _immutable=["range"], range="10.0.0.0/16", aws_id="v-1")
    net = component("net", vpc="v-1")
    gone = component("gone", "vpc")
    wanted = graph({**vpc, "range": "10.1.0.0/16"}, {**net, "vpc": template})
    found = diff(wanted, graph(vpc, net, gone), Rules(replaces=True))
    assert verbs(found) == {"vpc": "create", "net": "update", "vpc~replaced": "delete", "gone": "delete"}
    assert edge_set(found) == {"start→gone", "gone→vpc~replaced", "vpc~replaced→vpc", "vpc→net", "net→end"}
    assert [one["_component_id"] for one in found.mapping["components"]] == ["vpc~replaced", "net", "gone"]
    assert found.changelog[0].type == "replace"


def test_what_reads_something_replaced_in_an_immutable_field_is_replaced_too() -> None:
    template = '$(components.#[_component_id="vpc"].aws_id)'
    have = graph(component("vpc", range=1, aws_id="v-1"), component("net", vpc="v-1"))
    wanted = graph(component("net", vpc=template, _immutable=["vpc"]), component("vpc", range=2, _immutable=["range"]))
    found = diff(wanted, have, Rules(replaces=True))
    assert edge_set(found) == {
        "start→net~replaced",
        "net~replaced→vpc~replaced",
        "vpc~replaced→vpc",
        "net~replaced→net",
        "vpc→net",
        "net→end",
    }


def test_the_name_of_what_is_replaced_is_free() -> None:
    have = graph(component("a", _immutable=["size"]), component("a~replaced"))
    found = diff(graph(component("a", size=2)), have, Rules(replaces=True))
    assert verbs(found) == {"a": "create", "a~replaced~": "delete", "a~replaced": "delete"}


def test_members_of_a_group_that_need_each_other_in_a_circle_are_refused() -> None:
    members = [component("w1", "w2", _group="w"), component("w2", "w1", _group="w"), component("w3", _group="w")]
    assert faults(changed(*members), graph(*members))["edges"].endswith("in a circle: w1 → w2 → w1")


def test_members_of_a_group_that_need_each_other_are_rolled_in_that_order() -> None:
    members = [
        component("w1", "w3", "a", _group="w"),
        component("w2", "a", _group="w"),
        component("w3", "a", _group="w"),
    ]
    found = diff(graph(component("a"), *changed(*members)["components"]), graph(component("a"), *members))
    assert plan(parse(found.mapping, "new")).levels == (("w2",), ("w3",), ("w1",))


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        (None, ""),
        ([], ""),
        ({"components": 3}, "components"),
        ({"components": [3]}, "components[0]"),
        ({"components": [{}]}, "components[0]._component_id"),
        (graph(component("a"), component("a")), "components[1]._component_id"),
        (graph(component("a", "nobody")), "components[0]._depends_on"),
        (graph(component("a", _depends_on="b")), "components[0]._depends_on"),
        (graph(component("a", _sequential=[3])), "components[0]._sequential"),
        (graph(component("a", _immutable={})), "components[0]._immutable"),
        (graph(component("a"), edges=[{"source": "a", "destination": "b"}]), "edges[0].destination"),
        (graph(component("a", x="\x00")), "components[0].x"),
        (graph(component("a", "a")), "edges"),
    ],
)
def test_faults_of_what_is_wanted_have_their_paths(wanted: Any, path: str) -> None:
    assert path in faults(wanted, None)


def test_faults_of_what_exists_say_so() -> None:
    assert set(faults(graph(), {"components": [{}]})) == {"against.components[0]._component_id"}
    assert set(faults(graph(), [])) == {"against"}


def test_its_inputs_are_not_changed() -> None:
    wanted, have = changed(*SEQUENTIAL, component("n", tags={"a": []})), graph(*SEQUENTIAL, component("o"))
    before = copy.deepcopy((wanted, have))
    found = diff(wanted, have)
    found.mapping["changes"][0]["size"] = 9
    found.mapping["components"][0]["size"] = 9
    assert (wanted, have) == before


def test_the_result_runs_and_carries_every_key_but_the_id_of_what_exists() -> None:
    wanted = graph(*changed(*PLAIN)["components"], id="b1", user_id=2**63 - 1, options={"a": 1}, more=[1])
    found = diff(wanted, graph(*PLAIN, id="b1")).mapping
    spec = parse(found, "b2")
    assert (spec.id, spec.user_id, spec.options, spec.extra["more"]) == ("b2", 2**63 - 1, {"a": 1}, [1])
    assert spec.action == "build.create"
    assert len(spec.extra["changelog"]) == 4


def test_templates_inside_an_inner_graph_are_its_own() -> None:
    inner = {"changes": [component("x", y='$(components.#[_component_id="a"].z)')]}
    wanted = graph(component("a"), component("g", _provider="graph", mapping=inner))
    assert edge_set(diff(wanted, None)) == {"start→a", "start→g", "a→end", "g→end"}
    assert verbs(diff(wanted, copy.deepcopy(wanted))) == {}
