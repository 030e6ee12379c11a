"""Refuses text that would tie the repository to one machine's package index: `python -m tools.check_text`.

Where packages come from is the business of each machine's own configuration; the lock has versions and hashes alone.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = "requirements.lock"
EXAMPLES_OF_FAULTS = {"tools/check_text.py", "tests/unit/docs/test_check_text.py"}
INDEX = re.compile(
    r"index-url|find-links|trusted-host|/simple/|pythonhosted|npmjs\.(org|com)|deb\.debian\.org", re.IGNORECASE
)
LOCK_LINE = re.compile(r"#.*|[\w.-]+==[\w.+!-]+( ;.*)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?")
OPTIONS_THAT_LEAVE_INDEXES_OUT = ("--no-emit-index-url", "--no-emit-find-links")


def tracked_files() -> list[str]:
    """Every file that git knows."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [name for name in listed.split("\0") if name]


def faults_of(name: str, text: str) -> Iterator[str]:
    """One line of text per fault of a file."""
    for number, line in enumerate(text.splitlines(), start=1):
        if name == LOCK and not LOCK_LINE.fullmatch(line):
            yield f"{name}:{number}: neither a pinned package nor a hash: {line.strip()}"
        for option in OPTIONS_THAT_LEAVE_INDEXES_OUT:
            line = line.replace(option, "")
        if INDEX.search(line):
            yield f"{name}:{number}: names a package index: {line.strip()}"


def main() -> int:
    """Prints the faults; 1 where there are any."""
    faults: list[str] = []
    for name in tracked_files():
        path = ROOT / name
        if path.is_file() and name not in EXAMPLES_OF_FAULTS:
            faults += faults_of(name, path.read_bytes().decode(errors="ignore"))
    print("\n".join(faults), end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
