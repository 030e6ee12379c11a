"""What is done in a new process before it becomes the program, and what is told when that fails."""

import os
import resource
from pathlib import Path

import pytest

from workers.agent.confinement import Account, Confinement, confinement_of, report_pipe, told
from workers.agent.folders import Spec

NOBODY = Account("nobody", 65534, 65534, (65534, 7), "/nonexistent", "/usr/sbin/nologin")


def test_a_process_joins_its_cgroup_and_gives_up_its_groups_before_its_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, object]] = []
    for name in ("setgroups", "setgid", "setuid", "chdir"):
        monkeypatch.setattr(os, name, lambda value, name=name: done.append((name, value)))
    present = resource.getrlimit(resource.RLIMIT_NOFILE)

    with report_pipe() as (_, writer):
        Confinement(NOBODY, tmp_path, {resource.RLIMIT_NOFILE: present}, "/srv").enter(writer)

    assert done == [("setgroups", (65534, 7)), ("setgid", 65534), ("setuid", 65534), ("chdir", "/srv")]
    assert (tmp_path / "cgroup.procs").read_text() == "0"


def test_what_cannot_be_done_is_told_with_its_kind() -> None:
    with report_pipe() as (reader, writer):
        with pytest.raises(FileNotFoundError):
            Confinement(cwd="/no/such/folder").enter(writer)
        refused = told(reader)

    assert refused.kind == "not found"
    assert str(refused) == "cannot enter the working directory '/no/such/folder': No such file or directory"


def test_a_limit_that_makes_no_sense_is_told_as_other() -> None:
    with report_pipe() as (reader, writer):
        with pytest.raises(ValueError, match="limit"):
            Confinement(limits={resource.RLIMIT_NOFILE: (2, 1)}).enter(writer)
        refused = told(reader)

    assert (refused.kind, str(refused).startswith("cannot limit it: ")) == ("other", True)


def test_an_agent_that_is_not_root_sets_no_limit_above_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 200))

    found = confinement_of(Spec(unit="u", attempt=1, argv=["true"], open_files=5000), "u.1", None)

    assert found is not None
    assert found.limits == {resource.RLIMIT_NOFILE: (200, 200)}


def test_nothing_asked_for_is_nothing_to_do() -> None:
    assert confinement_of(Spec(unit="u", attempt=1, argv=["true"], cgroup="/x"), "u.1", None) is None
