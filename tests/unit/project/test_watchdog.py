"""When a worker is held for stuck."""

from scheduler_project.watchdog import Patience

LIMIT_S = 60.0


def yes() -> bool:
    return True


def no() -> bool:
    return False


def unasked() -> bool:
    raise AssertionError("the broker was asked")


def test_a_worker_at_work_is_left_alone_and_costs_no_connection() -> None:
    patience = Patience(LIMIT_S).after(0, LIMIT_S - 1, unasked)
    assert not patience.is_over(1e9)


def test_a_worker_that_stands_still_while_its_broker_answers_is_stuck_after_its_time() -> None:
    patience = Patience(LIMIT_S).after(100, LIMIT_S, yes).after(130, LIMIT_S + 30, yes)
    assert not patience.is_over(100 + LIMIT_S - 1)
    assert patience.is_over(100 + LIMIT_S)


def test_a_worker_whose_broker_is_away_has_all_its_time_from_when_that_is_back() -> None:
    patience = Patience(LIMIT_S).after(100, LIMIT_S, yes).after(130, 90, no).after(500, 460, yes)
    assert not patience.is_over(559)
    assert patience.is_over(560)


def test_a_worker_that_works_again_has_all_its_time_anew() -> None:
    patience = Patience(LIMIT_S).after(100, LIMIT_S, yes).after(130, 1, unasked)
    assert not patience.is_over(1e9)
