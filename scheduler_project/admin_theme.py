"""How the admin looks: titles, colours and the sidebar of django-unfold.

The sidebar follows from the models that the apps register and that the user may see; only icons are chosen here.
"""

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse

PAGES = (("Home", "home", "home"), ("API", "api", "api:openapi-view"))
APP_ORDER = ("workers", "clusters", "graphs", "topologies", "scheduler_project", "auth")
ICONS = {
    "Worker": "dns",
    "Command": "terminal",
    "Cluster": "hub",
    "Service": "deployed_code",
    "TaskDefinition": "description",
    "Task": "memory",
    "Graph": "account_tree",
    "Component": "widgets",
    "Topology": "schedule",
    "Run": "play_circle",
    "Event": "history",
    "Lease": "key",
    "ApiToken": "vpn_key",
    "User": "person",
    "Group": "group",
}


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The sidebar: the operator's pages, then each app with the models that the user may see."""
    from django.contrib.admin import site

    pages = [{"title": title, "icon": icon, "link": reverse(name), "active": False} for title, icon, name in PAGES]
    apps = {app["app_label"]: app for app in site.get_app_list(request)}
    shown = [apps.pop(label) for label in APP_ORDER if label in apps] + list(apps.values())
    return [section("Pages", pages), *(section(app["name"], links_of(app)) for app in shown)]


def links_of(app: dict[str, Any]) -> list[dict[str, Any]]:
    """One link per model of an app."""
    return [
        {
            "title": model["name"],
            "icon": ICONS.get(model["object_name"], "list"),
            "link": model["admin_url"],
        }
        for model in app["models"]
    ]


def icon(request: HttpRequest) -> str:
    """The address of the site's icon."""
    return static("scheduler/icon.svg")


def section(title: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    """One part of the sidebar in unfold's form."""
    return {"title": title, "separator": True, "items": items}


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Scheduler",
    "SITE_HEADER": "Scheduler",
    "SITE_SYMBOL": "account_tree",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": icon}],
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
        "navigation": "scheduler_project.admin_theme.navigation",
    },
}
