"""How pages show states, moments and durations; the same everywhere.

Invariant: a state is told by its word and a sign, never by colour alone; a moment carries its exact time.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django import template
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

register = template.Library()

NOTHING = "\N{EN DASH}"
PAGES_OF = {
    "worker": "workers:host",
    "command": "workers:command",
    "graph": "graphs:graph",
    "topology": "topologies:topology",
    "run": "topologies:run",
}
BAR_ORDER = (
    *("completed", "done", "errored", "dead", "cancelled", "skipped"),
    *("running", "scheduled", "waiting", "pending"),
)
WORDS_OF = {"worker": "host"}


@register.simple_tag
def state(name: str, shown_like: str = "") -> SafeString:
    """A state as a badge; with the colour and sign of `shown_like` where a state alone does not tell good from bad."""
    return format_html('<span class="state" data-state="{}">{}</span>', shown_like or name, name)


@register.simple_tag
def moment(at: datetime | None, none: str = NOTHING) -> SafeString:
    """A moment, shown relative to now by the page's script and exactly on hovering."""
    if at is None:
        return format_html('<span class="quiet">{}</span>', none)
    local = timezone.localtime(at)
    return format_html(
        '<time datetime="{}" title="{}" data-relative>{}</time>',
        at.isoformat(),
        local.strftime("%Y-%m-%d %H:%M:%S %Z"),
        local.strftime("%Y-%m-%d %H:%M:%S"),
    )


@register.simple_tag
def duration(start: datetime | None, end: datetime | None = None) -> SafeString:
    """The time from `start` to `end`; still counting where `end` is missing."""
    if start is None:
        return format_html('<span class="quiet">{}</span>', NOTHING)
    if end is None:
        return format_html('<span data-since="{}">{}</span>', start.isoformat(), in_words(timezone.now() - start))
    return format_html("<span>{}</span>", in_words(end - start))


def in_words(length: timedelta) -> str:
    """A duration such as `0.4 s`, `12 s`, `3 min 5 s`, `2 h 7 min`, `3 d 4 h`."""
    seconds = max(length.total_seconds(), 0)
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest_s = divmod(int(seconds), 60)
    hours, rest_min = divmod(minutes, 60)
    days, rest_h = divmod(hours, 24)
    if days:
        return f"{days} d {rest_h} h"
    if hours:
        return f"{hours} h {rest_min} min"
    return f"{minutes} min {rest_s} s" if minutes else f"{rest_s} s"


@register.simple_tag
def subject(name: str) -> SafeString:
    """What an event is about, such as `graph:b1`, as a link to its page where it has one."""
    kind, _, key = name.partition(":")
    address = PAGES_OF.get(kind)
    if address is None:
        return format_html("<code>{}</code>", name)
    word = WORDS_OF.get(kind, kind)
    return format_html('<a href="{}">{} <code>{}</code></a>', reverse(address, args=[key]), word, key)


@register.simple_tag
def total(counts: Mapping[str, int]) -> int:
    """How many there are in all states together."""
    return sum(counts.values())


@register.simple_tag
def progress(counts: Mapping[str, int]) -> SafeString:
    """How many of a graph's components are in which state, as a bar with the same in words."""
    words = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "nothing to do"
    ordered = sorted(counts.items(), key=lambda item: BAR_ORDER.index(item[0]))
    bar = [(name, count) for name, count in ordered if count]
    parts = format_html_join("", '<rect data-state="{}" x="{}%" width="{}%" height="100%"/>', shares(bar))
    svg = '<svg class="progress" role="img" aria-label="{}"><title>{}</title>{}</svg>'
    return format_html(svg, words, words, parts)


@register.simple_tag
def load(running: int, slots: int) -> SafeString:
    """How much of a worker is in use, as a bar; its words stand beside it."""
    percent = f"{min(100 * running / slots, 100):.0f}" if slots else "0"
    tone = "full" if slots and running >= slots else "running"
    bar = '<rect data-state="{}" width="{}%" height="100%"/>'
    return format_html('<svg class="progress load" aria-hidden="true">' + bar + "</svg>", tone, percent)


@register.filter
def fact(value: Any, name: str = "") -> str:
    """A fact of a host in words: sizes with their unit, lists with commas."""
    if name.endswith("_mb") and isinstance(value, int):
        return f"{value / 1024:.1f} GiB" if value >= 1024 else f"{value} MiB"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


@register.filter
def size(count: int) -> str:
    """A number of bytes such as `517 B`, `1.2 KiB`, `3.4 MiB`."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024 or unit == "GiB":
            break
        amount /= 1024
    return f"{count} B" if unit == "B" else f"{amount:.1f} {unit}"


@register.filter
def size_kb(count: int) -> str:
    """A number of KiB, with the unit that fits it."""
    return size(count * 1024)


def shares(counts: Sequence[tuple[str, int]]) -> Iterator[tuple[str, str, str]]:
    """Each state with where its part of the bar starts and how wide it is, in percent."""
    whole = sum(count for _, count in counts)
    before = 0
    for name, count in counts:
        yield name, f"{100 * before / whole:.2f}", f"{100 * count / whole:.2f}"
        before += count
