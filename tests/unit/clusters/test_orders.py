"""What an agent is told to keep running."""

from clusters.core.checks import resolve
from clusters.core.document import Check, Container, Port
from clusters.core.orders import keep_order
from tests.support.cluster_world import definition_of


def test_ports_go_into_checks_and_into_every_containers_environment() -> None:
    definition = definition_of(
        checks=[Check("up", http="http://127.0.0.1:$PROVIDED_PORT", interval_s=2)],
        containers=[Container("main", "bash", {"start": ["serve"]}, env={"A": "1"})],
    )

    order = keep_order("task/x", 1, definition, {"PROVIDED_PORT": 31000}, None)

    assert order.ports == {"PROVIDED_PORT": 31000}
    assert order.checks[0].http == "http://127.0.0.1:31000"
    assert order.containers[0].env == {"PROVIDED_PORT": "31000", "SCHEDULED_PORT": "31000", "A": "1"}


def test_a_port_name_is_replaced_as_a_whole_word_wherever_it_stands() -> None:
    check = Check("up", http="http://h:$main/${main}/$mainframe", tcp="h:$main")

    resolved = resolve(check, {"main": 80})

    assert (resolved.http, resolved.tcp) == ("http://h:80/80/$mainframe", "h:80")


def test_the_services_own_max_attempts_goes_before_the_definitions() -> None:
    definition = definition_of(max_attempts=5)

    attempts = [keep_order("task/x", 1, definition, {}, given).max_attempts for given in (None, 20)]

    assert attempts == [5, 20]


def test_docker_is_told_which_port_inside_belongs_to_which_name() -> None:
    definition = definition_of(
        ports=[Port("main", container=80), Port("other")], containers=[Container("c", "docker", {"image": "x"})]
    )

    order = keep_order("task/x", 1, definition, {"main": 31000, "other": 31001}, None)

    assert order.containers[0].options == {"image": "x", "container_ports": {"main": 80}}
