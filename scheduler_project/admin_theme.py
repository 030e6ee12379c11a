"""How the admin looks: titles, colours and the sidebar of django-unfold."""

from typing import Any

from django.urls import reverse_lazy

LINK = tuple[str, str, str]

SECTIONS: tuple[tuple[str, tuple[LINK, ...]], ...] = (
    (
        "Pages",
        (
            ("Home", "home", "home"),
            ("API", "api", "api:openapi-view"),
        ),
    ),
    (
        "Workers",
        (
            ("Hosts", "dns", "admin:workers_worker_changelist"),
            ("Commands", "terminal", "admin:workers_command_changelist"),
        ),
    ),
    (
        "Administration",
        (
            ("Events", "history", "admin:scheduler_project_event_changelist"),
            ("Leases", "key", "admin:scheduler_project_lease_changelist"),
            ("API tokens", "vpn_key", "admin:scheduler_project_apitoken_changelist"),
            ("Users", "person", "admin:auth_user_changelist"),
            ("Groups", "group", "admin:auth_group_changelist"),
        ),
    ),
)


def section(title: str, links: tuple[LINK, ...]) -> dict[str, Any]:
    """One part of the sidebar in unfold's form."""
    items = [{"title": name, "icon": icon, "link": reverse_lazy(address)} for name, icon, address in links]
    return {"title": title, "separator": True, "items": items}


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Scheduler",
    "SITE_HEADER": "Scheduler",
    "SITE_SYMBOL": "account_tree",
    "SITE_URL": "/",
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_HISTORY": True,
    "COLORS": {
        "primary": {
            "50": "oklch(97% .013 250)",
            "100": "oklch(93.5% .03 250)",
            "200": "oklch(88% .058 250)",
            "300": "oklch(80.5% .1 250)",
            "400": "oklch(70.5% .15 252)",
            "500": "oklch(61.5% .18 255)",
            "600": "oklch(53.5% .19 257)",
            "700": "oklch(47.5% .17 258)",
            "800": "oklch(41.5% .14 259)",
            "900": "oklch(37% .11 259)",
            "950": "oklch(27% .075 260)",
        },
    },
    "SIDEBAR": {
        "show_search": True,
        "show_all_applications": False,
        "navigation": [section(title, links) for title, links in SECTIONS],
    },
}
