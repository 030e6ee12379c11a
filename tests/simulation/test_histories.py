"""What must hold in every history of the engine, whatever goes wrong in it; and that the simulation would notice."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from graphs.management.commands.simulate import seeds as seeds_of
from graphs.management.commands.simulate import shares
from graphs.models import Graph
from graphs.simulation import simulate
from tests.simulation.mutations import FOUND, Mutation

ROOT = Path(__file__).parents[2]
FIFTHS = [f"{first}-{first + 99}" for first in range(0, 500, 100)]
SEARCHED = range(60)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seeds", FIFTHS)
def test_five_hundred_histories_have_nothing_wrong(seeds: str) -> None:
    command = [sys.executable, "manage.py", "simulate", "graphs", "--seeds", seeds, "--jobs", "2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "50 histories, 0 of them with something wrong\n" * 2), done.stderr


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("seed", range(1000, 1006))
def test_a_history_has_nothing_wrong_on_this_database_and_leaves_nothing(seed: int) -> None:
    assert simulate(seed).violations == ()
    assert not Graph.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_seed_is_a_history() -> None:
    assert simulate(7) == simulate(7)


@pytest.mark.once
@pytest.mark.timeout(300)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("mutation", "seed"), [(mutation, seed) for mutation, _, seed in FOUND])
def test_a_broken_engine_is_found_out(mutation: Mutation, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    mutation(monkeypatch)
    assert any(simulate(one).violations for one in (seed, *SEARCHED))


def test_the_page_tells_every_mutation_and_its_seed() -> None:
    page = (ROOT / "docs/explanation/simulation.md").read_text()
    rows = [f"| {mutation.__doc__} | {fault} | {seed} |" for mutation, fault, seed in FOUND]
    assert [row for row in rows if row not in page] == []


def test_seeds_are_a_range_with_both_ends() -> None:
    assert seeds_of("3-5") == range(3, 6)
    with pytest.raises(argparse.ArgumentTypeError, match="is not FIRST-LAST"):
        seeds_of("5-3")


def test_jobs_share_the_seeds() -> None:
    assert shares(range(5), 2) == [range(3), range(3, 5)]
    assert shares(range(1), 8) == [range(1)]


def test_the_command_asks_for_seeds() -> None:
    with pytest.raises(CommandError, match="give either --seed N or --seeds FIRST-LAST"):
        call_command("simulate", "graphs")
