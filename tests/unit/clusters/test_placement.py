"""Where tasks go, and why they go nowhere."""

from clusters.core.document import Container, Port, TaskDefinition
from clusters.core.placement import Host, Occupant, Placer, loads_of
from clusters.core.ports import parse_pool
from tests.support.cluster_world import BASH, definition_of, host_of


def placer_for(
    hosts: list[Host], definition: TaskDefinition | None = None, placement: str = "spread", *held: Occupant
) -> Placer:
    return Placer(loads_of(hosts, held), 1, definition or definition_of(), placement)


def hosts_of(placer: Placer, tasks: int) -> list[str]:
    placed = [placer.place(f"t{number}") for number in range(tasks)]
    return [one[0].name for one in placed if one is not None]


def why_not(host: Host, definition: TaskDefinition | None = None, *held: Occupant) -> str:
    placer = placer_for([host], definition, "spread", *held)
    assert placer.place("t") is None
    return placer.why_nowhere()


def test_spread_shares_tasks_evenly_even_when_they_declare_no_resources() -> None:
    placer = placer_for([host_of(f"h{number}") for number in range(10)])

    placed = hosts_of(placer, 200)

    assert {name: placed.count(name) for name in placed} == {f"h{number}": 20 for number in range(10)}


def test_spread_counts_this_service_first_then_all_tasks() -> None:
    others = [Occupant("x", "a", service=2), Occupant("y", "a", service=2), Occupant("z", "b", service=1)]
    placer = placer_for([host_of("a"), host_of("b"), host_of("c")], None, "spread", *others)

    assert hosts_of(placer, 3) == ["c", "a", "b"]


def test_binpack_fills_the_fullest_host_that_has_room_first() -> None:
    definition = definition_of(memory_mb=400)
    hosts = [host_of("a", memory_mb=1000), host_of("b", memory_mb=1000), host_of("c", memory_mb=1000)]

    assert hosts_of(placer_for(hosts, definition, "binpack"), 5) == ["a", "a", "b", "b", "c"]


def test_binpack_tells_hosts_apart_by_their_tasks_where_no_resource_is_declared() -> None:
    assert hosts_of(placer_for([host_of("a"), host_of("b")], None, "binpack"), 3) == ["a", "a", "a"]


def test_a_task_without_a_fitting_host_hears_each_hosts_obstacle() -> None:
    hosts = [host_of("a", connected=False), host_of("b", draining=True), host_of("c", executors=frozenset())]
    placer = placer_for(hosts)

    assert placer.place("t") is None
    assert placer.why_nowhere() == "a: disconnected; b: draining; c: no executor bash"


def test_a_long_list_of_obstacles_is_cut() -> None:
    placer = placer_for([host_of(f"h{number}", draining=True) for number in range(8)])

    assert placer.place("t") is None
    assert placer.why_nowhere().endswith("h4: draining; and 3 more hosts")


def test_without_hosts_the_reason_says_so() -> None:
    placer = placer_for([])

    assert placer.place("t") is None
    assert placer.why_nowhere() == "there is no host"


def test_resources_are_counted_from_issued_tasks() -> None:
    definition = definition_of(memory_mb=300, cpu_units=512)
    held = Occupant("x", "a", 2, memory_mb=800)

    assert why_not(host_of("a", memory_mb=1000), definition, held) == "a: 200 MB of memory free of 1000, 300 needed"
    assert why_not(host_of("a", cpu_units=256), definition) == "a: 256 CPU units free of 256, 512 needed"
    assert why_not(host_of("a", disk_mb=5), definition_of(disk_mb=6)) == "a: 5 MB of disk free of 5, 6 needed"


def test_what_a_host_does_not_tell_does_not_limit_it() -> None:
    assert placer_for([host_of("a")], definition_of(memory_mb=10**9)).place("t") is not None


def test_ports_come_from_the_hosts_own_pool_lowest_first_and_never_twice() -> None:
    placer = placer_for([host_of("a", "1000-1007")])

    placed = [placer.place(f"t{number}") for number in range(9)]

    numbers = [one[1]["PROVIDED_PORT"] for one in placed if one is not None]
    assert numbers == list(range(1000, 1008))
    assert placer.why_nowhere() == "a: no port left in its pool"


def test_a_port_that_another_task_holds_is_passed_over() -> None:
    placer = placer_for([host_of("a", "1000-1003")], None, "spread", Occupant("x", "a", 2, ports=(1000, 1001)))

    placed = placer.place("t")

    assert placed is not None
    assert placed[1] == {"PROVIDED_PORT": 1002}


def test_ports_with_which_tasks_failed_of_late_are_taken_last() -> None:
    placer = placer_for([host_of("a", "1000-1003", suspect_ports=frozenset({1000, 1002}))])

    placed = [placer.place(f"t{number}") for number in range(4)]

    assert [one[1]["PROVIDED_PORT"] for one in placed if one is not None] == [1001, 1003, 1000, 1002]


def test_fixed_ports_put_one_task_on_each_host() -> None:
    definition = definition_of(ports=[Port("http", fixed=80)])
    placer = placer_for([host_of("a"), host_of("b")], definition)

    assert hosts_of(placer, 3) == ["a", "b"]
    assert placer.why_nowhere() == "a: port 80 is taken; b: port 80 is taken"


def test_a_fixed_port_inside_the_pool_is_not_given_out_beside_it() -> None:
    definition = definition_of(ports=[Port("fixed", fixed=1000), Port("chosen")])
    placer = placer_for([host_of("a", "1000-1001")], definition)

    placed = placer.place("t")

    assert placed is not None
    assert placed[1] == {"fixed": 1000, "chosen": 1001}
    assert placer_for([host_of("a", "1000-1000")], definition).place("t") is None


def test_a_host_without_ports_says_so() -> None:
    assert why_not(host_of("a", "")) == "a: offers no ports"


def test_a_host_to_be_avoided_is_taken_only_where_no_other_fits() -> None:
    placer = placer_for([host_of("a"), host_of("b", "1000-1000")])

    placed = [placer.place(f"t{number}", avoid=["a"]) for number in range(3)]

    assert [one[0].name for one in placed if one is not None] == ["b", "a", "a"]


def test_a_docker_task_waits_for_a_host_that_has_docker() -> None:
    definition = definition_of(containers=[*BASH, Container("db", "docker", {"image": "x"})])

    assert why_not(host_of("a"), definition) == "a: no executor docker"
    assert placer_for([host_of("a", executors=frozenset({"bash", "docker"}))], definition).place("t") is not None


def test_a_pool_is_a_list_of_ranges_and_single_ports() -> None:
    assert list(parse_pool("1000-1002, 2000")) == [1000, 1001, 1002, 2000]


def test_overlapping_ranges_offer_each_port_once() -> None:
    pool = parse_pool("1005-1010,1000-1006,1002,1010-1011")

    assert list(pool) == list(range(1000, 1012))
    assert len(pool) == 12


def test_what_is_no_range_of_ports_offers_nothing() -> None:
    assert list(parse_pool("a-b,70000,9-3,-4,,7-")) == [7]


def test_twenty_thousand_tasks_on_five_thousand_hosts_get_no_port_twice() -> None:
    loads = loads_of([host_of(f"h{number:04}", "31000-31007") for number in range(5000)], [])
    seen = set()
    for service, tasks in ((1, 10_000), (2, 10_000), (3, 4)):
        placer = Placer(loads, service, definition_of(), "spread")
        for number in range(tasks):
            placed = placer.place(f"{service}/{number}")
            assert placed is not None
            seen.add((placed[0].id, placed[1]["PROVIDED_PORT"]))

    assert len(seen) == 20_004
