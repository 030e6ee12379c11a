"""No file of the repository names the place that packages come from."""

import pytest

from tools.check_text import LOCK, faults_of


@pytest.mark.parametrize(
    "line",
    ["--extra-index-url anything", "pip --trusted-host mirror", "https://mirror.example/simple/six/"],
)
def test_an_index_is_refused_with_its_file_and_line(line: str) -> None:
    assert list(faults_of("tools/some", f"fine\n{line}\n")) == [f"tools/some:2: names a package index: {line}"]


def test_the_lock_holds_pins_and_hashes_alone() -> None:
    good = f"six==1.17.0 \\\n    --hash=sha256:{'0' * 64}\n"
    assert not list(faults_of(LOCK, good))
    assert list(faults_of(LOCK, good + "six\n")) == ["requirements.lock:3: neither a pinned package nor a hash: six"]
