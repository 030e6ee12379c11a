"""Who may run while there are bounds."""

from workers.core.bounds import Admission, Bound, bounds_of

TWO = Bound("array:x", 2, "two run")
THREE = Bound("submitter:1", 3, "three run")


def test_a_bound_admits_as_many_as_it_has_places_for() -> None:
    admission = Admission({"array:x": 1})

    assert [admission.admit([TWO]) for _ in range(3)] == [None, TWO, TWO]


def test_what_one_bound_holds_back_takes_no_place_of_another() -> None:
    admission = Admission({"array:x": 2})

    assert admission.admit([THREE, TWO]) == TWO
    assert admission.left() == {"submitter:1": 3}


def test_what_is_left_is_told_for_those_bounds_that_have_places() -> None:
    admission = Admission({"array:x": 2, "submitter:1": 0})
    admission.admit([THREE])
    admission.admit([TWO])

    assert admission.left() == {"submitter:1": 2}


def test_zero_is_no_bound_and_what_nobody_submitted_has_none() -> None:
    assert bounds_of(None, 0, None, 5) == []
    assert bounds_of("x", 0, 1, 0) == []
    assert [(bound.key, bound.most) for bound in bounds_of("x", 2, 1, 5)] == [("array:x", 2), ("submitter:1", 5)]
