"""How a task is kept running: what each event means."""

from dataclasses import replace

import pytest

from workers.agent.core.service import (
    OVER,
    PAUSE,
    UP,
    Action,
    CheckFailed,
    CheckPassed,
    ContainerEnded,
    ContainerStarted,
    Due,
    Event,
    Halted,
    HaltRun,
    PortsTried,
    Progress,
    Resumed,
    Rules,
    RunSetup,
    SetUp,
    StartContainers,
    StopOrdered,
    TryPorts,
    WakeAt,
    pause_s,
    probe_pause_s,
    step,
)

CHECKED = Rules(containers=frozenset({"web"}), checks=frozenset({"http"}), grace_period_s=60, max_attempts=3)
PLAIN = replace(CHECKED, checks=frozenset())
STARTED = ContainerStarted("web", pid=42, up_s=100)


class Story:
    """A task that lives through events at times."""

    def __init__(self, rules: Rules = CHECKED) -> None:
        self.rules = rules
        self.now = 100.0
        self.task = Progress()
        self.actions: tuple[Action, ...] = ()

    def tell(self, *events: Event) -> "Story":
        for event in events:
            self.task, self.actions = step(self.rules, self.task, event, self.now)
        return self

    def up(self) -> "Story":
        return self.tell(PortsTried(), SetUp(), STARTED)

    def restart(self) -> "Story":
        self.tell(Halted())
        self.now = self.task.due_at
        return self.tell(Due()).up()


def test_a_run_tries_ports_then_sets_up_then_starts() -> None:
    story = Story().tell(Resumed())
    assert story.actions == (TryPorts(),)
    assert story.tell(PortsTried()).actions == (RunSetup(),)
    assert story.tell(SetUp()).actions == (StartContainers(),)


def test_a_taken_port_rejects_with_nothing_started() -> None:
    story = Story().tell(PortsTried((8080, 8081)))
    assert (story.task.phase, story.task.state) == (OVER, "rejected")
    assert story.task.reason == "port not available: 8080, 8081"
    assert story.actions == ()


def test_a_port_still_taken_after_a_restart_is_tried_again() -> None:
    story = Story().up().tell(ContainerEnded("web", "exit code 1"), Halted())
    story.now = story.task.due_at
    story.tell(Due(), PortsTried((8080,)))
    assert story.task.state == "starting"
    assert story.actions == (HaltRun(),)


def test_without_checks_it_runs_once_all_containers_have_started() -> None:
    story = Story(replace(PLAIN, containers=frozenset({"web", "side"}))).up()
    assert story.task.state == "starting"
    assert story.tell(ContainerStarted("side", pid=43, up_s=101)).task.state == "running"
    assert story.task.pid == 42


def test_with_checks_it_runs_once_all_of_them_pass() -> None:
    story = Story(replace(CHECKED, checks=frozenset({"a", "b"}))).up()
    assert story.tell(CheckPassed("a")).task.state == "starting"
    assert story.tell(CheckPassed("b")).task.state == "running"


def test_a_failed_check_shows_and_a_passed_one_heals() -> None:
    story = Story().up().tell(CheckPassed("http"), CheckFailed("http", "HTTP 503"))
    assert (story.task.state, story.task.reason) == ("failing", "check http: HTTP 503")
    assert story.actions == ()
    assert story.tell(CheckPassed("http")).task.state == "running"
    assert story.task.reason == ""


def test_three_failures_in_a_row_restart_a_healthy_task() -> None:
    failed = CheckFailed("http", "HTTP 503")
    story = Story().up().tell(CheckPassed("http"), failed, failed, CheckPassed("http"), failed, failed)
    assert story.actions == ()
    assert story.tell(failed).actions == (HaltRun(),)
    assert story.task.state == "failing"


def test_failures_within_the_grace_period_do_not_count() -> None:
    story = Story().up().tell(*[CheckFailed("http", "connection refused")] * 10)
    assert (story.task.phase, story.task.state) == (UP, "starting")


@pytest.mark.parametrize("early", [CheckFailed("http", "connection refused"), CheckPassed("http")])
def test_answers_from_before_all_containers_started_do_not_count(early: Event) -> None:
    story = Story().tell(PortsTried(), SetUp(), early)
    assert (story.task.phase, story.task.state, story.actions) == (UP, "starting", ())
    assert story.tell(STARTED).task.state == "starting"


def test_a_task_that_is_not_healthy_in_time_is_restarted_with_the_check_named() -> None:
    story = Story().up()
    story.tell(CheckFailed("http", "connection refused"))
    story.now = 160
    assert story.tell(Due()).actions == (HaltRun(),)
    assert story.task.reason == "not healthy within 60 s: check http: connection refused"


def test_the_end_of_the_grace_period_is_waited_for() -> None:
    assert Story().up().actions == (WakeAt(160),)


def test_a_killed_process_is_started_again_after_half_a_second() -> None:
    story = Story().up().tell(CheckPassed("http"), ContainerEnded("web", "signal 9"))
    assert (story.task.state, story.task.reason) == ("failing", "the process of container web ended: signal 9")
    assert story.tell(Halted()).actions == (WakeAt(100.5),)
    story.now = 100.5
    assert story.tell(Due()).actions == (TryPorts(),)
    assert story.tell(PortsTried(), SetUp(), STARTED, CheckPassed("http")).task.state == "running"
    assert story.task.restarts == 1


def test_the_next_run_waits_until_the_last_one_is_gone() -> None:
    story = Story().up().tell(ContainerEnded("web", "signal 9"), Due())
    assert story.actions == ()
    assert story.task.phase == "halt"


def test_a_pause_does_not_end_early() -> None:
    story = Story().up().tell(ContainerEnded("web", "signal 9"), Halted(), Due())
    assert story.task.phase == PAUSE
    assert story.actions == (WakeAt(100.5),)


def test_too_many_failed_runs_reject_with_the_last_reason() -> None:
    story = Story().up()
    for _ in range(2):
        story.tell(ContainerEnded("web", "exit code 1")).restart()
    story.tell(ContainerEnded("web", "exit code 2"), Halted())
    assert (story.task.phase, story.task.state) == (OVER, "rejected")
    assert story.task.reason == "too many attempts: the process of container web ended: exit code 2"


def test_a_failed_setup_counts_as_a_failed_run() -> None:
    story = Story().tell(PortsTried(), SetUp("setup of container web failed: exit code 1"))
    assert story.task.failures == 1
    assert story.actions == (HaltRun(),)


def test_health_forgives_earlier_failures() -> None:
    story = Story().up().tell(ContainerEnded("web", "exit code 1")).restart()
    assert story.tell(CheckPassed("http")).task.failures == 0


def test_without_checks_only_staying_up_forgives_earlier_failures() -> None:
    story = Story(PLAIN).up().tell(ContainerEnded("web", "exit code 1")).restart()
    assert story.task.failures == 1
    story.now = story.task.up_at + 10
    assert story.tell(Due()).task.failures == 0


def test_without_checks_a_process_that_ends_at_once_is_given_up() -> None:
    story = Story(PLAIN).up()
    for _ in range(2):
        story.tell(ContainerEnded("web", "exit code 0")).restart()
    assert story.tell(ContainerEnded("web", "exit code 0"), Halted()).task.state == "rejected"


def test_a_stop_halts_and_then_is_final() -> None:
    story = Story().up().tell(StopOrdered("scaled down"))
    assert (story.task.state, story.task.reason, story.actions) == ("stopping", "scaled down", (HaltRun(),))
    assert story.tell(Halted()).task.state == "stopped"
    assert story.tell(StopOrdered("again"), Halted()).task.reason == "scaled down"


def test_a_stop_during_a_restart_wins() -> None:
    story = Story().up().tell(ContainerEnded("web", "signal 9"), StopOrdered("scaled down"))
    assert story.actions == ()
    assert story.tell(Halted()).task.state == "stopped"


def test_a_stop_between_runs_needs_no_halt() -> None:
    story = Story().up().tell(ContainerEnded("web", "signal 9"), Halted(), StopOrdered("scaled down"))
    assert (story.task.state, story.actions) == ("stopped", ())


@pytest.mark.parametrize(
    ("events", "action"),
    [
        ([], TryPorts()),
        ([PortsTried()], RunSetup()),
        ([PortsTried(), SetUp()], StartContainers()),
        ([PortsTried(), SetUp(), STARTED, StopOrdered("")], HaltRun()),
        ([PortsTried(), SetUp(), STARTED, ContainerEnded("web", "signal 9"), Halted()], WakeAt(100.5)),
    ],
)
def test_an_agent_that_comes_back_takes_up_where_it_was(events: list[Event], action: Action) -> None:
    assert Story().tell(*events, Resumed()).actions == (action,)


def test_a_running_task_stays_running_when_the_agent_comes_back() -> None:
    story = Story().up().tell(CheckPassed("http"), Resumed(), STARTED)
    assert (story.task.state, story.task.pid) == ("running", 42)


def test_a_pause_from_before_a_reboot_is_cut_short() -> None:
    story = Story().up().tell(ContainerEnded("web", "signal 9"), Halted())
    story.now = 5.0
    assert story.tell(Resumed()).actions == (WakeAt(35.0),)


def test_pauses_double_up_to_half_a_minute() -> None:
    assert [pause_s(failures) for failures in (1, 2, 3, 7, 100)] == [0.5, 1, 2, 30, 30]


def test_a_starting_task_is_asked_often() -> None:
    task = Progress()
    assert probe_pause_s(task, interval_s=30) == 0.5
    assert probe_pause_s(task, interval_s=0.1) == 0.1
    assert probe_pause_s(replace(task, healthy=True), interval_s=30) == 30
