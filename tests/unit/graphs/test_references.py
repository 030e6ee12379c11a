"""Templates that could never be filled in are refused before anything runs; what each reads is told."""

from typing import Any

import pytest

from graphs.core.document import GraphSpec, parse
from graphs.core.references import Reading
from scheduler_project.toolkit.errors import InvalidDocument


def change(component_id: str, **fields: Any) -> dict[str, Any]:
    return {"_component": "vpc", "_component_id": component_id, "_action": "create", "_provider": "aws"} | fields


def of(component_id: str, key: str = "aws_id", part: str = "components") -> str:
    return f'$({part}.#[_component_id="{component_id}"].{key})'


def read(
    changes: list[dict[str, Any]], edges: str = "", existing: list[dict[str, Any]] | None = None, **top: Any
) -> GraphSpec:
    """The graph of these changes; edges as `a>b b>c`, from `start` to each besides."""
    pairs = [edge.split(">") for edge in edges.split()] + [["start", one["_component_id"]] for one in changes]
    return parse(
        {
            "changes": changes,
            "components": existing or [],
            "edges": [{"source": source, "destination": destination} for source, destination in pairs],
        }
        | top,
        "new",
    )


def faults(*arguments: Any, **fields: Any) -> dict[str, str]:
    with pytest.raises(InvalidDocument) as caught:
        read(*arguments, **fields)
    return {fault.path: fault.message for fault in caught.value.faults}


def test_what_a_template_reads_is_told_with_its_place() -> None:
    spec = read([change("a"), change("b", deep={"list": ["x", of("a")]})], "a>b")
    assert spec.readings == [Reading("b", "changes[1].deep.list[1]", of("a"), "a")]


@pytest.mark.parametrize("verb", ["create", "update", "get", "$(options.verb)"])
def test_what_a_change_before_brings_back_may_be_read(verb: str) -> None:
    assert read([change("a", _action=verb), change("b", vpc=of("a"))], "a>b", options={"verb": "create"})


def test_what_comes_before_through_others_may_be_read() -> None:
    assert read([change("a"), change("b"), change("c", vpc=of("a"))], "a>b b>c")


def test_what_exists_and_what_a_change_was_given_may_be_read_without_waiting() -> None:
    existing = [{"_component_id": "old", "aws_id": "v-1"}]
    assert read([change("a", name="n"), change("b", old=of("old"), name=of("a", "name", "changes"))], "", existing)


def test_what_does_not_come_before_is_refused_with_the_edge_that_is_missing() -> None:
    found = faults([change("a"), change("b", vpc=of("a"))])
    assert found == {
        "changes[1].vpc": f"the template {of('a')} reads 'a', which does not come before 'b'; "
        "add an edge from the one to the other"
    }


@pytest.mark.parametrize("part", ["components", "changes"])
def test_what_comes_after_is_refused(part: str) -> None:
    assert "does not come before" in faults([change("a", vpc=of("b", part=part)), change("b")], "a>b")["changes[0].vpc"]


@pytest.mark.parametrize(
    ("template", "part_of_message"),
    [
        (of("nobody"), "'nobody', which neither exists nor comes to exist"),
        (of("nobody", part="changes"), "'nobody', which is not in `changes`"),
        (of("old", "nope"), "finds nothing in 'old'"),
        (of("done"), "'done', which neither exists nor comes to exist"),
        (of("power"), "'power', which neither exists nor comes to exist"),
        (of("gone"), "'gone', which is deleted before"),
        (of("me"), "has not brought back when it starts"),
        (of("me", part="changes"), "has not brought back when it starts"),
        ("$(options.nope)", "finds nothing at the top of the mapping"),
        ("$(options.null)", "finds nothing at the top of the mapping"),
        ("$(options.self)", "leads back to itself"),
        ("$(options.ping)", "leads back to itself"),
        ("$( id)", "is no path"),
        ("$(id) $(id)", "finds nothing at the top of the mapping"),
        (of("me", "x", "changes"), "leads back to itself"),
    ],
)
def test_what_could_never_be_filled_in_is_refused(template: str, part_of_message: str) -> None:
    changes = [
        change("done", _state="completed"),
        change("power", _action="power"),
        change("gone", _action="delete"),
        change("me", x=template),
    ]
    existing = [{"_component_id": "old", "aws_id": "v-1"}, {"_component_id": "gone", "aws_id": "v-2"}]
    options = {
        "self": "$(options.self)",
        "ping": "$(options.pong)",
        "pong": "$(options.ping)",
        "null": None,
    }
    found = faults(changes, "power>me gone>me", existing, options=options)
    assert part_of_message in found["changes[3].x"]
    assert list(found) == ["changes[3].x"]


def test_templates_of_two_components_that_read_each_other_are_refused() -> None:
    found = faults([change("a", x=of("b", "y", "changes")), change("b", y=of("a", "x", "changes"))])
    assert all("leads back to itself" in message for message in found.values())
    assert set(found) == {"changes[0].x", "changes[1].y"}


def test_what_is_deleted_later_may_still_be_read() -> None:
    existing = [{"_component_id": "old", "aws_id": "v-1"}]
    assert read([change("a", x=of("old")), change("old", _action="delete")], "a>old", existing)


def test_what_a_find_may_bring_is_not_judged() -> None:
    assert read([change("vpcs::query", _action="find"), change("b", vpc=of("somebody"))], "vpcs::query>b")


@pytest.mark.parametrize("path", ['components.#[_component="vpc"].x', "components.0.x", "comp*.0", "edges.0.source"])
def test_what_only_a_run_can_tell_is_not_judged(path: str) -> None:
    [reading] = read([change("a", x=f"$({path})")]).readings
    assert reading.reads == ""


def test_a_completed_change_is_not_judged() -> None:
    assert read([change("a", _state="completed", x=of("nobody"))]).readings == []


def test_a_template_may_lead_to_another_that_can_be_filled_in() -> None:
    assert read([change("a", x="$(options.k)")], options={"k": "$(id)"}, id="b1")


EXTENDED = {"_templating": "extended"}


def test_extended_templates_with_a_default_need_not_find_anything() -> None:
    changes = [change("a", x='$(options.nope ?? 3) $(components.#[_component_id="nobody"].x ?? "y")')]
    assert len(read(changes, options=EXTENDED).readings) == 2


def test_extended_templates_without_one_are_judged_wherever_they_stand() -> None:
    found = faults([change("a", x="http://$(options.nope)/", y="$(id")], options=EXTENDED)
    assert "the template $(options.nope) finds nothing" in found["changes[0].x"]
    assert "is no path" in found["changes[0].y"]


@pytest.mark.parametrize("wanted", ["typed", 3, [], {}])
def test_a_way_of_templating_that_we_do_not_have_is_refused(wanted: Any) -> None:
    assert faults([change("a")], options={"_templating": wanted}) == {
        "options._templating": "is none of ernest, extended"
    }
