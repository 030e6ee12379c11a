"""Large mappings are validated and planned in a time that grows with their size alone."""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.plan import mapping
from graphs.core.document import parse
from graphs.core.order import not_before
from graphs.core.plan import plan
from graphs.core.values import parse_json

TIMES_READING = 20


def cpu_s(act: Callable[[], Any]) -> float:
    """The least processor time of three tries, not traced for coverage, which takes Python several times as long."""
    found, tracer = [], sys.gettrace()
    sys.settrace(None)
    try:
        for _ in range(3):
            began = time.process_time()
            act()
            found.append(time.process_time() - began)
    finally:
        sys.settrace(tracer)
    return min(found)


def test_validating_and_planning_cost_a_fixed_multiple_of_reading_the_text() -> None:
    text = json.dumps(mapping(10_000, 30_000))
    document = parse_json(text)
    reading_s = cpu_s(lambda: parse_json(text))
    assert cpu_s(lambda: plan(parse(document, "new"))) < TIMES_READING * reading_s


def test_four_times_the_size_costs_about_four_times_as_much() -> None:
    small, large = mapping(3_000, 9_000), mapping(12_000, 36_000)
    assert cpu_s(lambda: plan(parse(large, "new"))) < 8 * cpu_s(lambda: plan(parse(small, "new")))


def test_a_chain_whose_templates_read_far_back_is_judged_too() -> None:
    names = [str(number) for number in range(3_000)]
    waits = {name: {names[place - 1]} if place else set() for place, name in enumerate(names)}
    pairs = [(names[place // 2], name) for place, name in enumerate(names) if place]
    assert not_before([*pairs, ("9", "5")], waits, [[name] for name in names]) == {("9", "5")}
