"""What is answered while the database is away."""

from typing import Any

import pytest
from django.db import IntegrityError, InterfaceError, OperationalError
from django.http import HttpResponse
from django.test import RequestFactory

from scheduler_project.outage import DatabaseAway


def answer_to(error: Exception, **headers: str) -> HttpResponse | None:
    request = RequestFactory().get("/api/v1/commands", headers=headers)
    return DatabaseAway(lambda _: HttpResponse()).process_exception(request, error)


@pytest.mark.parametrize("error", [OperationalError("connection refused\nis it running?"), InterfaceError("closed")])
def test_programs_get_a_problem_and_when_to_come_again(error: Exception) -> None:
    answer = answer_to(error)

    assert answer is not None
    assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/problem+json")
    assert answer.headers["Retry-After"] == "5"


def test_people_get_a_page() -> None:
    answer: Any = answer_to(OperationalError("connection refused"), Accept="text/html")

    assert answer.status_code == 503
    assert "The database does not answer" in answer.content.decode()


def test_faults_of_our_own_are_no_outage() -> None:
    assert answer_to(IntegrityError("duplicate key")) is None
    assert answer_to(ValueError("a fault")) is None
