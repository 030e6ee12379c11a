"""Dask and Prefect on the graphs that ours are measured with: a chain, and independent tasks with one that awaits all.

Each is installed from the package index, as this machine's pip is configured, into a virtual environment that is
removed afterwards; what cannot be installed is skipped with the reason. Their tasks do nothing, in their own worker
processes or threads, without a connector and, but for Prefect's states in SQLite, without a durable word.

    .venv/bin/python benchmarks/peers.py [--chain 40] [--fan 10000]
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
import venv
from importlib import import_module
from pathlib import Path
from typing import Any

REQUIREMENTS = {"dask": ["dask[distributed]"], "prefect": ["prefect", "fastapi<0.117"]}
FANS_AT_MOST = {"dask": 10_000, "prefect": 500}
INSTALLED_WITHIN_S = 240
MEASURED_WITHIN_S = 120
QUIET = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_LOGGING_LEVEL": "CRITICAL"}


def show_peers(chain: int, fan: int) -> None:
    """Prints a line for each peer and graph, or why there is none."""
    for name, requirements in REQUIREMENTS.items():
        with tempfile.TemporaryDirectory() as folder:
            try:
                python = installed(Path(folder), requirements)
                width = min(fan, FANS_AT_MOST[name])
                seconds = measured(Path(folder), python, name, chain, width)
            except (subprocess.SubprocessError, OSError, ValueError) as error:
                print(f"(e) {name:<40} skipped: {_why(error)}", flush=True)
                continue
        show(f"(e) {name}: chain of {chain}", seconds["chain"], chain)
        show(f"    {name}: {width} independent and a join", seconds["fan"], width + 1)


def show(what: str, seconds: float, count: int) -> None:
    print(f"{what:<44} {1000 * seconds / count:8.3f} ms each  {count / seconds:8.0f}/s", flush=True)


def installed(folder: Path, requirements: list[str]) -> Path:
    """A Python that has these packages. Raises CalledProcessError or TimeoutExpired."""
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    argv = [str(python), "-m", "pip", "install", "--quiet", "--prefer-binary", *requirements]
    subprocess.run(argv, check=True, capture_output=True, text=True, timeout=INSTALLED_WITHIN_S)
    return python


def measured(folder: Path, python: Path, name: str, chain: int, fan: int) -> dict[str, float]:
    """Seconds for each graph, measured by this file in a process of the peer's own Python."""
    environment = {**os.environ, **QUIET, "HOME": str(folder), "PREFECT_HOME": str(folder / "prefect")}
    argv = [str(python), __file__, "--only", name, "--chain", str(chain), "--fan", str(fan)]
    done = subprocess.run(
        argv, check=True, capture_output=True, text=True, timeout=MEASURED_WITHIN_S, env=environment, cwd=folder
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _why(error: Exception) -> str:
    said = getattr(error, "stderr", None) or str(error)
    lines = said.decode(errors="replace") if isinstance(said, bytes) else said
    return lines.strip().rpartition("\n")[2][:200]


def step(*_: Any) -> int:
    """What every task does."""
    return 1


def with_dask(chain: int, fan: int) -> dict[str, float]:
    distributed = import_module("distributed")
    with distributed.Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        client.submit(step, pure=False).result()
        began_at = time.perf_counter()
        last = client.submit(step, pure=False)
        for _ in range(chain - 1):
            last = client.submit(step, last, pure=False)
        last.result()
        chained_at = time.perf_counter()
        client.submit(step, client.map(step, range(fan), pure=False), pure=False).result()
        return {"chain": chained_at - began_at, "fan": time.perf_counter() - chained_at}


def with_prefect(chain: int, fan: int) -> dict[str, float]:
    prefect = import_module("prefect")
    task = prefect.task(step)

    def chained() -> None:
        last = task()
        for _ in range(chain - 1):
            last = task(last)

    def fanned() -> None:
        task(task.map(range(fan)))

    prefect.flow(lambda: task(), name="warm")()
    began_at = time.perf_counter()
    prefect.flow(chained)()
    chained_at = time.perf_counter()
    prefect.flow(fanned)()
    return {"chain": chained_at - began_at, "fan": time.perf_counter() - chained_at}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=[*REQUIREMENTS], help="measure this one in the Python that runs this")
    parser.add_argument("--chain", type=int, default=40, help="tasks of the chain")
    parser.add_argument("--fan", type=int, default=10_000, help="independent tasks; fewer for the slow")
    options = parser.parse_args()
    if options.only is None:
        show_peers(options.chain, options.fan)
        return
    measure = {"dask": with_dask, "prefect": with_prefect}[options.only]
    print(json.dumps(measure(options.chain, options.fan)))


if __name__ == "__main__":
    main()
