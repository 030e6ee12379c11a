"""The page of states is drawn from the tables that the code obeys."""

from scheduler_project.toolkit.states import StateMachine
from tools.docs_states import APPS, PAGE, diagram, page, state_machines


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run: make docs"


def test_every_state_can_be_left_or_is_final() -> None:
    machines = [machine for app in APPS for machine in state_machines(app)]
    assert machines
    for machine in machines:
        unknown = {after for following in machine.transitions.values() for after in following} - set(machine.states)
        assert not unknown, f"{machine.name} moves to states without a row of their own"


def test_a_diagram_begins_with_the_first_state_and_ends_in_the_final_ones() -> None:
    machine = StateMachine("thing", {"new": frozenset({"old"}), "old": frozenset()})
    assert diagram(machine) == ("```mermaid\nstateDiagram-v2\n    [*] --> new\n    new --> old\n    old --> [*]\n```\n")
