"""What the operator reads of hosts and commands, and what the pages offer to whom."""

from datetime import timedelta

import pytest
from django.test import Client
from pytest_django.fixtures import DjangoAssertNumQueries

from clusters.models import Cluster, Service, Task, TaskDefinition
from scheduler_project.toolkit.access import Role
from tests.integration.pages.conftest import NOW, LogIn
from tests.support.trust import enrolled
from workers import views
from workers.models import Command, CommandAttempt, CommandOutput, Enrolment, Worker

HOST_QUERIES = 15


def text_of(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def make_commands(count: int, **fields: object) -> None:
    Command.objects.bulk_create(
        Command(id=f"c-{number:03}", argv=["echo", f"<{number}>"], created_at=NOW, **fields) for number in range(count)
    )


def make_task(worker: Worker, state: str) -> Task:
    cluster = Cluster.objects.create(name="demo", created_at=NOW, changed_at=NOW)
    definition = TaskDefinition.objects.create(name="web", version=4, document={}, created_at=NOW)
    times = {"created_at": NOW, "changed_at": NOW}
    service = Service.objects.create(
        name="shop", cluster=cluster, definition=definition, desired=1, min=1, max=1, **times
    )
    links = {"cluster": cluster, "service": service, "definition": definition, "host": worker}
    return Task.objects.create(
        id="t1", name="t", instance=3, state=state, ports={"http": 31001}, issued_at=NOW, **links
    )


def test_without_hosts_the_page_says_how_one_joins(viewer: Client) -> None:
    assert "celery -A scheduler_project worker -Q host-a" in text_of(viewer, "/hosts/")


def test_hosts_are_listed_with_state_load_labels_facts_and_reason(viewer: Client, worker: Worker) -> None:
    Worker.objects.update(
        labels={"zone": "a"},
        facts={"cores": 4, "memory_mb": 8192, "executors": ["bash", "docker"]},
        reason="its agent was <started>",
        draining=True,
    )

    page = text_of(viewer, "/hosts/")

    for told in ("zone=a", "4 cores", "8.0 GiB", "bash, docker", "its agent was &lt;started&gt;", "3 / 8"):
        assert told in page
    assert 'data-state="draining"' in page


@pytest.mark.parametrize(
    ("state", "shown"), [("", True), ("connected", True), ("disconnected", False), ("draining", False)]
)
def test_hosts_are_narrowed_by_state(viewer: Client, worker: Worker, state: str, shown: bool) -> None:
    assert ('href="/hosts/host-a"' in text_of(viewer, f"/hosts/?state={state}")) == shown


def test_many_hosts_are_turned_over(viewer: Client, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "HOSTS_SHOWN", 1)
    Worker.objects.create(id="w2", name="host-b", registered_at=NOW, changed_at=NOW, last_seen_at=NOW, silent_at=NOW)

    first, second = text_of(viewer, "/hosts/?state=connected"), text_of(viewer, "/hosts/?state=connected&after=host-a")

    assert ("host-b" in first, 'href="?state=connected&amp;after=host-a"' in first) == (False, True)
    assert ("/hosts/host-b" in second, "/hosts/host-a" in second) == (True, False)


def test_each_role_is_offered_what_it_may_do(log_in: LogIn, worker: Worker) -> None:
    viewer, operator = log_in(Role.VIEWER), log_in(Role.OPERATOR)
    for address in ("/hosts/", "/hosts/host-a"):
        assert "/api/v1/hosts/host-a/drain" not in text_of(viewer, address)
        assert "/api/v1/hosts/host-a/drain" in text_of(operator, address)
        assert 'data-method="DELETE"' not in text_of(operator, address)


def test_a_drained_host_is_offered_to_be_undrained(operator: Client, worker: Worker) -> None:
    Worker.objects.update(draining=True)

    assert "/api/v1/hosts/host-a/undrain" in text_of(operator, "/hosts/host-a")


def test_only_a_host_that_is_gone_is_offered_to_be_removed(operator: Client, viewer: Client, worker: Worker) -> None:
    Worker.objects.update(state="disconnected")

    assert 'data-method="DELETE"' in text_of(operator, "/hosts/")
    assert 'data-method="DELETE"' not in text_of(viewer, "/hosts/")


def test_a_host_tells_what_it_runs_now_and_what_it_ran(viewer: Client, worker: Worker, command: Command) -> None:
    make_commands(1, state="running", worker=worker)
    make_task(worker, "running")

    page = text_of(viewer, "/hosts/host-a")

    assert "<dt>cores</dt><dd>4</dd>" in page
    assert page.index("echo &lt;0&gt;") < page.index("Commands that ended") < page.index('href="/commands/0190-1"')
    assert ("shop" in page, "http 31001" in page) == (True, True)


def test_tasks_that_have_left_a_host_are_not_told(viewer: Client, worker: Worker) -> None:
    make_task(worker, "stopped")

    assert "No service has a task here" in text_of(viewer, "/hosts/host-a")


def test_a_hosts_history_is_turned_over(viewer: Client, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "COMMANDS_SHOWN", 2)
    make_commands(3, state="done", worker=worker)

    first, second = text_of(viewer, "/hosts/host-a"), text_of(viewer, "/hosts/host-a?before=c-001")

    assert [f"/commands/c-00{n}" in first for n in range(3)] == [False, True, True]
    assert [f"/commands/c-00{n}" in second for n in range(3)] == [True, False, False]
    assert ('href="?before=c-001"' in first, 'rel="next"' in second, "Newest" in second) == (True, False, True)


def test_a_hosts_page_asks_the_same_number_of_questions_however_much_ran_there(
    viewer: Client, worker: Worker, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    make_commands(30, state="done", worker=worker)
    make_task(worker, "running")

    with django_assert_max_num_queries(HOST_QUERIES):
        text_of(viewer, "/hosts/host-a")


def test_commands_are_listed_with_exit_code_and_host(viewer: Client, command: Command) -> None:
    page = text_of(viewer, "/commands/")

    assert '<span class="exit" data-exit="other">3</span>' in page
    assert '<span class="state" data-state="failed">done</span>' in page
    assert 'href="/hosts/host-a"' in page


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("state=done", True),
        ("state=running", False),
        ("host=host-a", True),
        ("host=host-b", False),
        ("state=done&host=host-a", True),
        ("state=nonsense", True),
    ],
)
def test_commands_are_narrowed_by_state_and_host(viewer: Client, command: Command, query: str, shown: bool) -> None:
    assert ("/commands/0190-1" in text_of(viewer, f"/commands/?{query}")) == shown


def test_commands_are_turned_over_within_the_choice(viewer: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "COMMANDS_SHOWN", 2)
    make_commands(3, state="dead")

    assert 'href="?state=dead&amp;before=c-001"' in text_of(viewer, "/commands/?state=dead")
    assert "/commands/c-000" in text_of(viewer, "/commands/?state=dead&before=c-001")


def test_a_command_is_told_with_its_words_escaped(viewer: Client, command: Command) -> None:
    page = text_of(viewer, "/commands/0190-1")

    assert ("echo &lt;hi&gt;" in page, "12 s" in page) == (True, True)
    assert 'data-output="/api/v1/commands/0190-1/output"' in page


def test_only_operators_are_offered_to_cancel_what_has_not_ended(
    viewer: Client, operator: Client, command: Command
) -> None:
    assert "/api/v1/commands/0190-1/cancel" not in text_of(operator, "/commands/0190-1")
    Command.objects.update(state="running", ended_at=None)
    assert "/api/v1/commands/0190-1/cancel" in text_of(operator, "/commands/0190-1")
    assert "/api/v1/commands/0190-1/cancel" not in text_of(viewer, "/commands/0190-1")


def test_a_stream_is_downloaded_whole_and_never_as_a_page(viewer: Client, command: Command) -> None:
    CommandOutput.objects.create(
        command=command, attempt=command.attempt, stream="stdout", offset=14, data=b"<script>\x00\xff"
    )

    answer = viewer.get("/commands/0190-1/stdout")

    assert answer.content == b"first <second><script>\x00\xff"
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="0190-1.stdout"'
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("address", ["/commands/0190-1/stdin", "/commands/none/stdout"])
def test_what_was_never_written_cannot_be_downloaded(viewer: Client, command: Command, address: str) -> None:
    assert viewer.get(address).status_code == 404


def test_a_duration_of_a_command_that_runs_goes_on(viewer: Client, command: Command) -> None:
    Command.objects.update(state="running", started_at=NOW - timedelta(hours=1), ended_at=None)

    assert "data-since=" in text_of(viewer, "/commands/")


def test_output_of_which_not_all_was_kept_says_so(viewer: Client, command: Command) -> None:
    Command.objects.update(stdout_bytes=5_000_000, output_limit_bytes=1_048_576)

    shown = viewer.get(f"/commands/{command.id}").content.decode()

    assert "It wrote 4.8" in shown
    assert shown.count("were kept") == 1


def test_a_command_tells_its_attempts_and_leads_to_the_output_of_each(viewer: Client, command: Command) -> None:
    Command.objects.update(attempt=2, retries=3, retried=1, ended_attempt=1)
    times = {"started_at": NOW, "ended_at": NOW + timedelta(seconds=4.5)}
    CommandAttempt.objects.create(
        command=command, attempt=1, worker=command.worker, state="dead", reason="host-a was <lost>", **times
    )
    CommandOutput.objects.create(command=command, attempt=1, stream="stderr", offset=0, data=b"first try")

    last, earlier = text_of(viewer, "/commands/0190-1"), text_of(viewer, "/commands/0190-1?attempt=1")

    assert ("host-a was &lt;lost&gt;" in last, "4.5 s" in last, "1 of 3 used" in last) == (True, True, True)
    assert ('data-attempt="1"' in last, 'data-attempt="1"' in earlier) == (False, True)
    assert viewer.get("/commands/0190-1/stderr?attempt=1").content == b"first try"


def test_a_command_that_waits_tells_by_when_what_must_have_happened(viewer: Client, command: Command) -> None:
    soon = NOW + timedelta(minutes=5)
    Command.objects.update(state="pending", started_at=None, ended_at=None, start_by=soon, not_before=soon)

    page = text_of(viewer, "/commands/0190-1")

    assert ("<dt>Started by</dt>" in page, "<dt>Tried again</dt>" in page, "<dt>Ended by</dt>" in page) == (
        True,
        True,
        False,
    )


def test_a_command_tells_what_it_used_and_what_it_was_limited_to(viewer: Client, command: Command) -> None:
    Command.objects.update(
        cpu_user_s=1.25, cpu_system_s=0.5, max_rss_kb=20480, wall_s=2, memory_mb=64, user="nobody", priority=7
    )

    page = text_of(viewer, "/commands/0190-1")

    for told in ("1.25 s CPU + 0.50 s system", "20.0 MiB memory", "64 MiB memory", "nobody", "<dt>Priority</dt><dd>7"):
        assert told in page


def test_a_command_of_an_array_tells_how_far_the_array_is_and_leads_to_its_neighbours(
    viewer: Client, worker: Worker
) -> None:
    rows = [("c-a", "done", 0), ("c-b", "running", 1), ("c-c", "pending", 2)]
    for one, state, index in rows:
        Command.objects.create(
            id=one, argv=["x"], state=state, exit_code=0, array_id="a1", array_index=index, at_once=1, created_at=NOW
        )

    page = text_of(viewer, "/commands/c-b")

    assert ("1 pending, 1 running, 1 done" in page, "at most 1 at once" in page) == (True, True)
    assert all(f'href="/commands/{one}"' in page for one, _, _ in rows)
    assert "/commands/c-a" in text_of(viewer, "/commands/?array=a1&state=done")
    assert "/commands/c-a" not in text_of(viewer, "/commands/?array=a2")


def test_a_host_tells_its_key_and_only_admins_are_offered_to_revoke_it(log_in: LogIn, worker: Worker) -> None:
    enrolled("host-a", "w1")
    admin, operator = log_in(Role.ADMIN), log_in(Role.OPERATOR)

    assert Enrolment.objects.get().fingerprint in text_of(operator, "/hosts/host-a")
    assert "/api/v1/hosts/host-a/revoke" not in text_of(operator, "/hosts/host-a")
    assert "/api/v1/hosts/host-a/revoke" in text_of(admin, "/hosts/host-a")
    Enrolment.objects.update(revoked_at=NOW)
    assert "/api/v1/hosts/host-a/revoke" not in text_of(admin, "/hosts/host-a")
    assert 'data-state="revoked"' in text_of(operator, "/hosts/host-a")
