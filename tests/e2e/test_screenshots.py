"""The pictures of the documentation can be taken again from a running system at any time."""

import subprocess
import sys
from pathlib import Path

from tests.support.processes import ROOT
from tests.support.system import System

PICTURES = {
    f"{page}{scheme}.png"
    for page in ("home", "graph", "time", "topology", "hosts", "command", "admin")
    for scheme in ("", "-dark")
}


def test_pictures_are_taken_of_quiet_pages_only(system: System, chromium: str, tmp_path: Path) -> None:
    argv = [sys.executable, "tools/screenshots", f"http://127.0.0.1:{system.port}", "--into", str(tmp_path)]

    taken = subprocess.run(argv, cwd=ROOT, env=system.env, capture_output=True, text=True, timeout=110, check=False)

    assert (taken.returncode, taken.stderr) == (0, "")
    assert {picture.name for picture in tmp_path.iterdir()} == PICTURES
