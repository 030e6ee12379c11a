"""Which program an order means on this host."""

from pathlib import Path

import pytest

from workers.agent.core.policy import parse
from workers.agent.gate import Forbidden, Gate, found_program, names_of
from workers.protocol import RunCommand


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_what_is_started_is_the_path_that_was_judged(tmp_path: Path) -> None:
    tool = program(tmp_path / "real" / "tool")
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    policy = parse(f'[commands]\nallow = [["{tool}", "**"]]', lambda path: path)
    gate = Gate(policy, {"PATH": f"/nowhere:{tmp_path}/linked"}, str(tmp_path))

    allowed = gate.command(RunCommand(unit="command/1", attempt=1, argv=["tool", "x"], cwd=str(tmp_path / "linked")))

    assert allowed.argv == [str(tool), "x"]
    assert allowed.cwd == str(tmp_path / "real")


def test_programs_are_found_as_a_process_would_find_them(tmp_path: Path) -> None:
    tool = program(tmp_path / "tool")
    (tmp_path / "data").write_text("")

    assert found_program("tool", f"/nowhere:{tmp_path}", "/") == str(tool)
    assert found_program("tool", ":/nowhere", str(tmp_path)) == str(tool)
    assert found_program("./tool", "", str(tmp_path)) == str(tool)
    assert found_program(str(tool), "", "/") == str(tool)
    for name in ("data", "none", "./none", "", "."):
        with pytest.raises(Forbidden, match="no such program"):
            found_program(name, str(tmp_path), str(tmp_path))


def test_what_can_be_no_path_or_no_program_is_refused() -> None:
    gate = Gate(parse('[commands]\nallow = [["**"]]', lambda path: path), {}, "/")
    for argv, cwd in (([], ""), (["a\0b"], ""), (["sh"], "/\0")):
        with pytest.raises(Forbidden):
            gate.command(RunCommand(unit="command/1", attempt=1, argv=argv, cwd=cwd))


def test_a_user_counts_by_name_and_number() -> None:
    assert names_of("root") == names_of("0") == ("root", "0")
    assert names_of("no-such-user") == ("no-such-user",)
