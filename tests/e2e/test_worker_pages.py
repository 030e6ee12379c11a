"""Pages of hosts and commands in a real browser: buttons that act, and output that grows while one looks."""

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Locator, Page, expect

from scheduler_project.toolkit.events import NewEvent, record
from tests.support.site import Site
from workers.models import Command, CommandOutput, Worker

MIB = 1024 * 1024
pytestmark = [pytest.mark.once, pytest.mark.django_db(transaction=True), pytest.mark.timeout(180)]


@pytest.fixture
def worker() -> Worker:
    now = timezone.now()
    return Worker.objects.create(
        id="w1",
        name="host-a",
        address="10.0.0.7",
        slots=4,
        running=1,
        labels={"zone": "a"},
        facts={"cores": 4, "executors": ["bash"]},
        registered_at=now,
        changed_at=now,
        last_seen_at=now,
        silent_at=now + timedelta(hours=1),
    )


@pytest.fixture
def command(worker: Worker) -> Command:
    """Runs on host-a and has written nothing yet."""
    now = timezone.now()
    return Command.objects.create(
        id="c1", argv=["talk", "<b>"], state="running", worker=worker, attempt=1, created_at=now, started_at=now
    )


def writes(command: Command, data: bytes, stream: str = "stdout") -> None:
    """What the store does when output arrives."""
    size = getattr(command, f"{stream}_bytes")
    CommandOutput.objects.create(command=command, attempt=command.attempt, stream=stream, offset=size, data=data)
    setattr(command, f"{stream}_bytes", size + len(data))


def ends(command: Command, exit_code: int = 0) -> None:
    """What the store does when the end is reported."""
    command.state, command.exit_code, command.ended_at = "done", exit_code, timezone.now()
    command.save()
    record([NewEvent("command.done", f"command:{command.id}")], timezone.now())


def shown(page: Page, stream: str = "stdout") -> Locator:
    return page.locator(f"#stream-{stream} pre")


def test_output_grows_while_one_looks_and_ends_with_the_command(site: Site, command: Command) -> None:
    page = site.open("/commands/c1")
    expect(page.locator("#stream-stdout .empty")).to_have_text("Nothing has been written yet.")

    writes(command, b"one\ntw")
    expect(shown(page)).to_have_text("one\ntw", use_inner_text=True)
    writes(command, b"o \xc3")
    writes(command, b"\xa4\n<script>alert(1)</script>\n")
    ends(command, 3)

    expect(page.locator("#output")).to_have_attribute("data-ended", "")
    assert shown(page).text_content() == "one\ntwo ä\n<script>alert(1)</script>\n"
    expect(page.locator("#heading .state")).to_have_text("done")
    expect(page.locator("#facts")).to_contain_text("3")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)


def test_each_stream_has_a_tab_that_keys_reach(site: Site, command: Command) -> None:
    writes(command, b"out\n")
    writes(command, b"err\n", "stderr")
    ends(command)
    page = site.open("/commands/c1")
    expect(shown(page)).to_have_text("out")
    expect(page.get_by_role("tab", name="stderr")).to_contain_text("4 B")

    page.get_by_role("tab", name="stdout").focus()
    page.keyboard.press("ArrowRight")

    expect(shown(page, "stderr")).to_have_text("err")
    expect(shown(page)).to_be_hidden()
    expect(page.get_by_role("tab", name="stderr")).to_be_focused()


def test_a_command_that_wrote_to_stderr_alone_shows_that(site: Site, command: Command) -> None:
    writes(command, b"err\n", "stderr")
    ends(command)

    page = site.open("/commands/c1")

    expect(shown(page, "stderr")).to_be_visible()


def test_bytes_that_are_not_text_are_shown_by_signs(site: Site, command: Command) -> None:
    writes(command, b"\x00\x1b[31mred\x1b[0m\xff 10%\r20%\r\nright\xe2\x80\xaeleft\x7f\n")
    ends(command)

    page = site.open("/commands/c1")

    expect(page.locator("#output")).to_have_attribute("data-ended", "")
    assert shown(page).text_content() == "^@^[[31mred^[[0m� 10%\n20%\nright�left^?\n"
    expect(page.locator("#stream-stdout .not-text")).to_be_visible()


def test_output_of_many_mebibytes_is_shown_from_its_end_and_followed(site: Site, command: Command) -> None:
    lines = b"".join(b"%07d of a long log, as build tools write them ........\n" % number for number in range(100_000))
    Command.objects.update(output_limit_bytes=16 * MIB)
    command.refresh_from_db()
    for start in range(0, len(lines), 65_536):
        writes(command, lines[start : start + 65_536])

    page = site.open("/commands/c1")

    expect(page.get_by_role("tab", name="stdout")).to_contain_text(f"{len(lines) / MIB:.1f} MiB", timeout=30_000)
    text = shown(page).text_content() or ""
    assert lines.decode().endswith(text)
    assert 3 * MIB < len(text) < 5 * MIB
    expect(page.locator("#stream-stdout .cut")).to_be_visible()
    writes(command, b"and the last line\n")
    expect(shown(page).locator("div").last).to_contain_text("and the last line")
    below = "pre => pre.scrollHeight - pre.clientHeight - pre.scrollTop"
    assert page.eval_on_selector("#stream-stdout pre", below) < 5


def test_a_line_of_a_mebibyte_without_an_end_is_shown(site: Site, command: Command) -> None:
    for _ in range(16):
        writes(command, b"x" * 65_536)
    ends(command)

    page = site.open("/commands/c1")

    expect(page.locator("#output")).to_have_attribute("data-ended", "")
    assert shown(page).text_content() == "x" * MIB


def test_following_stops_when_one_scrolls_up(site: Site, command: Command) -> None:
    writes(command, b"line\n" * 1000)
    page = site.open("/commands/c1")
    expect(shown(page)).to_be_visible()
    follow = page.get_by_label("Follow")
    expect(follow).to_be_checked()

    shown(page).hover()
    page.mouse.wheel(0, -400)
    expect(follow).not_to_be_checked()
    before = page.eval_on_selector("#stream-stdout pre", "pre => pre.scrollTop")
    writes(command, b"new\n")
    expect(shown(page)).to_contain_text("new")

    assert page.eval_on_selector("#stream-stdout pre", "pre => pre.scrollTop") <= before


def test_output_begins_anew_with_a_new_attempt(site: Site, command: Command) -> None:
    writes(command, b"first try\n")
    page = site.open("/commands/c1")
    expect(shown(page)).to_have_text("first try")

    Command.objects.update(attempt=2, stdout_bytes=0)
    command.refresh_from_db()
    writes(command, b"2\n")
    expect(shown(page)).to_have_text("2", use_inner_text=True)
    ends(command)

    expect(page.locator("#output")).to_have_attribute("data-ended", "")
    assert shown(page).text_content() == "2\n"


def test_output_is_followed_again_after_the_server_was_away(site: Site, command: Command) -> None:
    page = site.open("/commands/c1")
    expect(page.locator("#live")).to_have_text("live")

    site.process.stop()
    expect(page.locator("#output .problem")).to_be_visible(timeout=15_000)
    site.faults.clear()  # the browser reports the refused connections
    writes(command, b"meanwhile\n")
    site.process.start()

    expect(shown(page)).to_have_text("meanwhile", timeout=30_000)
    expect(page.locator("#output .problem")).to_be_hidden()
    site.faults.clear()


def test_a_command_is_cancelled_by_a_button_that_asks_first(site: Site, command: Command) -> None:
    page = site.open("/commands/c1")

    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()

    expect(page.locator("#toasts")).to_contain_text("the command is being cancelled")
    command.refresh_from_db()
    assert command.cancel_requested


def test_a_host_is_drained_and_undrained_from_the_list(site: Site, worker: Worker) -> None:
    page = site.open("/hosts/")

    page.get_by_role("button", name="Drain host-a").click()
    page.get_by_role("dialog").get_by_role("button", name="Drain").click()
    expect(page.locator("#hosts .state[data-state=draining]")).to_be_visible()
    page.get_by_role("button", name="Undrain host-a").click()

    expect(page.get_by_role("button", name="Drain host-a", exact=True)).to_be_visible()
    worker.refresh_from_db()
    assert not worker.draining


def test_a_host_that_is_gone_is_removed_and_the_list_is_shown(site: Site, worker: Worker) -> None:
    Worker.objects.update(state="disconnected", reason="nothing heard for 10.0 s")
    page = site.open("/hosts/host-a")

    page.get_by_role("button", name="Remove host-a").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()

    expect(page.locator("#hosts")).to_contain_text("No host has joined")
    assert not Worker.objects.exists()
