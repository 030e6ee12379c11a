"""What an agent may forget: only what control knows of."""

from workers.agent.core.told import Told


def test_with_an_empty_spool_control_knows_all() -> None:
    assert Told().seen(0, 0, now=100).until == 100


def test_while_reports_wait_nothing_new_is_known() -> None:
    assert Told().seen(5, 9, now=100).seen(5, 12, now=200).until == 0


def test_on_a_busy_host_control_knows_what_was_reported_before_the_last_look() -> None:
    looked = Told().seen(5, 9, now=100).seen(10, 30, now=200)

    assert looked.until == 100
    assert looked.seen(30, 40, now=300).until == 100
    assert looked.seen(31, 40, now=400).until == 200
