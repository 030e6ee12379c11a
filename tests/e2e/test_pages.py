"""The pages in a real browser: they are live, quiet in the console, and load nothing from elsewhere."""

import os
import re
import signal
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import APIResponse, Route, expect

from graphs.models import Component, Edge, Graph, Part
from scheduler_project.toolkit.events import NewEvent, record
from tests.support.site import Site
from topologies.core.triggers import ManualTrigger
from topologies.models import Topology
from workers.models import Worker

SETTLED = timedelta(seconds=5)
pytestmark = [pytest.mark.once, pytest.mark.django_db(transaction=True), pytest.mark.timeout(180)]


@pytest.fixture
def graph() -> Graph:
    """`vpc::main` runs, `network::web` waits for it."""
    now = timezone.now() - SETTLED
    made = Graph.objects.create(
        id="b1",
        serial="1",
        name="shop",
        action="build.create",
        source="http",
        digest="d",
        state="running",
        created_at=now,
    )
    rows = [
        Component.objects.create(
            graph=made,
            part=Part.CHANGE,
            component_id=name,
            backend="nats",
            state=state,
            document={"name": name, "token": "s3cret"},
        )
        for name, state in [("vpc::main", "running"), ("network::web", "waiting")]
    ]
    Edge.objects.create(graph=made, source=rows[0], destination=rows[1])
    return made


def end_component(name: str, state: str, reason: str = "") -> None:
    """What the graphs app does when a component ends."""
    Component.objects.filter(component_id=name).update(state=state, attempt=1, reason=reason)
    data = {"component": name, "state": state, "attempt": 1}
    record([NewEvent(f"component.{state}", "graph:b1", reason, data=data)], timezone.now())


def test_who_has_a_name_and_a_password_comes_to_the_page_that_was_asked_for(site: Site) -> None:
    site.page.context.clear_cookies()
    page = site.open("/hosts/")
    expect(page).to_have_url(re.compile("/login"))

    site.fill_in_login()

    expect(page).to_have_url(re.compile("/hosts/$"))


def test_home_shows_a_change_without_being_loaded_again(site: Site) -> None:
    page = site.open("/")
    expect(page.locator("#hosts")).to_contain_text("No host has joined")
    expect(page.locator("#live")).to_have_text("live")
    page.evaluate("document.body.dataset.kept = 'yes'")

    now = timezone.now()
    Worker.objects.create(
        id="w1", name="host-a", registered_at=now, changed_at=now, last_seen_at=now, silent_at=now + timedelta(hours=1)
    )
    record([NewEvent("worker.connected", "worker:host-a")], now)

    expect(page.locator("#hosts")).to_contain_text("host-a")
    assert page.evaluate("document.body.dataset.kept") == "yes"


def test_a_graph_is_drawn_and_follows_its_components(site: Site, graph: Graph) -> None:
    page = site.open("/graphs/b1")
    expect(page.locator("#drawing-note")).to_be_empty()
    expect(page.locator("#live")).to_have_text("live")
    expect(page.locator("#drawing canvas").first).to_be_attached()

    end_component("vpc::main", "completed")
    expect(page.locator(".key[data-state=completed]")).to_have_text("completed 1")

    Graph.objects.update(started_at=timezone.now() - timedelta(minutes=5))
    record([NewEvent("graph.running", "graph:b1")], timezone.now())
    expect(page.locator("#graph-took")).to_contain_text("5 min")

    Graph.objects.update(state="errored", reason="network::web: quota exceeded", ended_at=timezone.now())
    end_component("network::web", "errored", "quota exceeded")
    record([NewEvent("graph.errored", "graph:b1", "quota exceeded", "error")], timezone.now())
    expect(page.locator("#graph-state")).to_have_text("errored")
    expect(page.locator("#graph-reason")).to_have_text("network::web: quota exceeded")
    expect(page.get_by_role("button", name="Cancel graph")).to_have_count(0)


def test_a_graph_can_be_read_by_keyboard_and_as_a_list(site: Site, graph: Graph) -> None:
    page = site.open("/graphs/b1")
    expect(page.locator("#drawing-note")).to_be_empty()

    page.locator("#drawing").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#about h2")).to_contain_text("vpc::main")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#about h2")).to_contain_text("network::web")
    expect(page.locator("#about pre")).not_to_contain_text("s3cret")
    page.keyboard.press("Escape")
    expect(page.locator("#about")).to_be_hidden()

    page.get_by_role("button", name="List").click()
    expect(page.get_by_role("row", name="network::web")).to_contain_text("waiting")
    end_component("network::web", "errored", "quota exceeded")
    expect(page.get_by_role("row", name="network::web")).to_contain_text("quota exceeded")


def test_a_topology_is_paused_by_a_button_that_asks_first(site: Site) -> None:
    now = timezone.now()
    topology = Topology.objects.create(
        name="by hand",
        spec={"trigger": ManualTrigger().document(), "graph": {"components": []}},
        overlap="skip",
        created_at=now,
        updated_at=now,
    )
    page = site.open("/topologies/by%20hand")

    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Keep it").click()
    topology.refresh_from_db()
    assert topology.state == "active"

    page.get_by_role("button", name="Pause").click()
    page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    expect(page.locator("#heading .state")).to_have_text("paused")
    expect(page.locator("#toasts")).to_contain_text("by hand is paused")


def test_what_the_api_refuses_is_told(site: Site, graph: Graph) -> None:
    page = site.open("/graphs/b1")
    Graph.objects.update(state="completed", ended_at=timezone.now())

    page.get_by_role("button", name="Cancel graph").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel graph").click()

    expect(page.locator(".toast[data-tone=bad]")).to_contain_text("completed")
    site.faults.clear()  # the browser reports the refusal


NEXT_EVENT = """async () => {
  const names = performance.getEntriesByType("resource").map(({ name }) => name);
  const { onEvent } = await import(names.find((name) => name.includes("scheduler/events")));
  window.nextEvent = new Promise((resolve) => onEvent(resolve));
}"""


def test_what_happens_while_a_graph_is_first_fetched_is_drawn(site: Site, graph: Graph) -> None:
    held: list[tuple[Route, APIResponse]] = []
    site.page.route("**/graphs/b1/drawing*", lambda route: held.append((route, route.fetch())))
    page = site.open("/graphs/b1")
    expect(page.locator("#live")).to_have_text("live")
    page.evaluate(NEXT_EVENT)

    end_component("vpc::main", "completed")
    page.evaluate("window.nextEvent")
    route, as_it_was = held.pop()
    route.fulfill(response=as_it_was)

    expect(page.locator(".key[data-state=completed]")).to_have_text("completed 1")


def test_the_stream_goes_on_after_the_web_process_was_started_again(site: Site, graph: Graph) -> None:
    page = site.open("/graphs/b1")
    expect(page.locator("#live")).to_have_text("live")

    site.process.stop()
    site.faults.clear()
    expect(page.locator("#live")).to_have_text("reconnecting")
    end_component("vpc::main", "completed")
    site.process.start()

    expect(page.locator(".key[data-state=completed]")).to_have_text("completed 1", timeout=30_000)
    site.faults.clear()  # the browser reports the refused connections meanwhile


def test_the_web_process_stops_at_once_though_streams_are_open(site: Site) -> None:
    page = site.open("/")
    expect(page.locator("#live")).to_have_text("live")

    os.kill(site.process.pid, signal.SIGTERM)

    assert site.process.wait_ended(timeout_s=5) in (0, -signal.SIGTERM)
    site.faults.clear()


@pytest.mark.parametrize(
    "path",
    [
        "/graphs/",
        "/commands/",
        "/hosts/",
        "/admin/",
        "/admin/scheduler_project/event/",
        "/admin/scheduler_project/apitoken/add/",
        "/admin/auth/user/",
        "/api/v1/docs",
    ],
)
def test_every_page_is_quiet_and_loads_nothing_from_elsewhere(site: Site, path: str) -> None:
    page = site.open(path)

    page.wait_for_load_state("load")
    expect(page.locator("body")).not_to_be_empty()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read_in_both_schemes(site: Site, graph: Graph, scheme: str) -> None:
    site.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page = site.open("/graphs/")

    ratio = page.evaluate(CONTRAST, ".state, td, .quiet, h1, a")

    assert ratio >= 4.5


CONTRAST = """
(selector) => {
  const channels = (colour) => colour.match(/[0-9.]+/g).map(Number);
  const light = (colour) => {
    const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    const part = channels(colour).slice(0, 3).map((c) => linear(c / 255));
    return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = getComputedStyle(one).backgroundColor;
      if ((channels(colour)[3] ?? 1) === 1) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const main = document.getElementById("main");
  return Math.min(...[...main.querySelectorAll(selector)].map((element) => {
    const [a, b] = [light(getComputedStyle(element).color), light(behind(element))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  }));
}
"""
