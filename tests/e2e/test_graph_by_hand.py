"""What operators do to a graph from its page: each button asks first, says what came of it, and shows it at once."""

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from graphs import store
from graphs.models import Component, Graph
from scheduler_project.toolkit.access import Role
from tests.support.site import Site

pytestmark = [pytest.mark.once, pytest.mark.django_db(transaction=True), pytest.mark.timeout(180)]


def change(component_id: str, provider: str = "aws") -> dict[str, str]:
    kind = component_id.partition("::")[0]
    return {"_component": kind, "_component_id": component_id, "_action": "create", "_provider": provider}


@pytest.fixture
def graph() -> Graph:
    """`vpc::a` before `network::a`; beside them `ok::a` waits for somebody's approval."""
    document = {
        "id": "g1",
        "action": "build.create",
        "changes": [change("vpc::a"), change("network::a"), change("ok::a", "approval")],
        "edges": [
            {"source": "start", "destination": "vpc::a"},
            {"source": "vpc::a", "destination": "network::a"},
            {"source": "start", "destination": "ok::a"},
        ],
    }
    made = store.submit(document, timezone.now(), source="http")
    store.advance([made.pk], timezone.now())
    return made


def test_a_graph_is_paused_and_goes_on(site: Site, graph: Graph) -> None:
    page = site.open("/graphs/g1")
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.locator("#graph-paused")).to_be_visible()
    expect(page.get_by_role("button", name="Pause", exact=True)).to_be_hidden()

    page.get_by_role("button", name="Unpause").click()
    expect(page.locator("#graph-paused")).to_be_hidden()


def test_a_component_is_skipped_with_a_reason_and_later_done_again_after_a_preview(site: Site, graph: Graph) -> None:
    page = site.open("/graphs/g1?component=vpc::a")
    expect(page.locator("#about h2")).to_contain_text("vpc::a")
    page.locator("#about").get_by_role("button", name="Skip").click()
    page.get_by_label("Why", exact=True).fill("made by hand")
    page.get_by_role("dialog").get_by_role("button", name="Skip").click()
    expect(page.locator("#about .facts")).to_contain_text("skipped by hand, by ada: made by hand")
    expect(page.locator(".key[data-state=skipped]")).to_have_text("skipped 1")

    page.locator("#about").get_by_role("button", name="Retry").click()
    expect(page.locator("#confirm-effects")).to_contain_text("vpc::a: skipped → waiting (retried)")
    page.get_by_role("dialog").get_by_role("button", name="Retry").click()
    expect(page.locator(".key[data-state=waiting]")).to_have_text("waiting 2")
    assert Component.objects.get(component_id="vpc::a").decided_by == ""


def test_why_a_component_waits_names_what_is_at_the_root(site: Site, graph: Graph) -> None:
    page = site.open("/graphs/g1?component=network::a")
    expect(page.locator("#why")).to_contain_text("it waits for vpc::a (waiting)")

    page.locator(".causes").get_by_role("button", name="vpc::a").click()
    expect(page.locator("#about h2")).to_contain_text("vpc::a")


def test_an_approval_is_given_from_the_page(site: Site, graph: Graph) -> None:
    page = site.open("/graphs/g1?component=ok::a")
    expect(page.locator("#why")).to_contain_text("approval")

    page.locator("#about").get_by_role("button", name="Approve").click()
    page.get_by_label("A comment, if any").fill("go on")
    page.get_by_role("dialog").get_by_role("button", name="Approve").click()

    expect(page.locator("#about .facts")).to_contain_text("approved by ada: go on")
    expect(page.locator(".key[data-state=completed]")).to_have_text("completed 1")


def test_connectors_are_told_of_a_cancel_where_its_box_is_ticked(site: Site, graph: Graph) -> None:
    page = site.open("/graphs/g1")
    page.get_by_role("button", name="Cancel graph").click()
    page.get_by_label("Also tell connectors on NATS to stop").check()
    page.get_by_role("dialog").get_by_role("button", name="Cancel graph").click()
    expect(page.locator("#graph-state")).to_have_text("cancelled")
    graph.refresh_from_db()
    assert graph.cancel_told == store.Told.EVERYBODY


def test_a_cancelled_graph_is_resumed_after_a_preview(site: Site, graph: Graph) -> None:
    page = site.open("/graphs/g1")
    page.get_by_role("button", name="Cancel graph").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel graph").click()
    expect(page.locator("#graph-state")).to_have_text("cancelled")

    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#confirm-effects li")).to_have_count(3)
    page.get_by_role("dialog").get_by_role("button", name="Resume").click()
    expect(page.locator("#graph-state")).to_have_text("running")


def test_the_run_is_drawn_in_time_and_follows_what_happens(site: Site, graph: Graph) -> None:
    page = site.open("/graphs/g1?view=time")
    row = page.locator("#time").get_by_role("row", name="ok::a")
    expect(row.locator("rect[data-part=run]")).to_have_attribute("data-state", "running")
    expect(page.locator("#axis span").first).to_be_visible()
    expect(page.locator("#time").get_by_role("row", name="network::a").locator("rect")).to_have_count(0)

    row.get_by_role("button").click()
    expect(page.locator("#about h2")).to_contain_text("ok::a")
    store.approve("g1", "ok::a", timezone.now(), "ada", Role.ADMIN)

    expect(row.locator("rect[data-part=run]")).to_have_attribute("data-state", "completed")
    expect(row).to_have_attribute("data-critical", "")
