"""The reference of settings is complete."""

import re

from tests.support.processes import ROOT

PACKAGES = ("scheduler_project", "workers", "graphs", "clusters", "topologies", "schedctl")
OURS = "(?:SCHEDULER|SCHEDCTL|ETCD)_[A-Z_]+"
NAME = re.compile(rf"[\"']({OURS})[\"']")


def test_every_variable_that_the_code_reads_is_documented() -> None:
    read = {
        name
        for package in PACKAGES
        for source in (ROOT / package).rglob("*.py")
        for name in NAME.findall(source.read_text())
    }
    documented = set(re.findall(rf"`({OURS})`", (ROOT / "docs/reference/settings.md").read_text()))

    assert documented == read
