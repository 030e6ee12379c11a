"""Completes ids of graphs and components by asking the server.

Invariant: whatever goes wrong, a shell gets an empty list, soon and without a message.
"""

import contextlib
import dataclasses
import io
from typing import Any

import click
from click.shell_completion import CompletionItem

from schedctl.client import Client
from schedctl.errors import CtlError

ASKED_AT_MOST_S = 2.0
OFFERED_MAX = 100


def graph_ids(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The newest graphs, with their names and states as help."""
    found = asked(ctx, "graphs", name=incomplete, limit=OFFERED_MAX)
    items = found["items"] if found else []
    matching = [one for one in items if one["id"].startswith(incomplete)]
    return [CompletionItem(one["id"], help=f"{one['name']} {one['state']}".strip()) for one in matching]


def component_ids(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The components of the graph that is named before."""
    graph_id = ctx.params.get("graph_id")
    found = asked(ctx, "graphs", graph_id, "components") if graph_id else None
    matching = [one for one in found or [] if one["component_id"].startswith(incomplete)]
    return [CompletionItem(one["component_id"], help=one["state"]) for one in matching[:OFFERED_MAX]]


def asked(ctx: click.Context, *parts: str, **query: Any) -> Any:
    """What the server answers; None where it does not."""
    from schedctl.session import settings_of

    with contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(CtlError, KeyError, TypeError):
        settings = settings_of(ctx.meta)
        within = dataclasses.replace(settings, timeout_s=min(settings.timeout_s, ASKED_AT_MOST_S))
        return Client(within, lambda told: None).get(*parts, **query)
    return None
