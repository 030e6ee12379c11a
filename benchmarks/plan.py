"""How long validating and planning a large mapping takes, beside what reading its JSON text alone takes.

`python -m benchmarks.plan [COMPONENTS] [EDGES]` writes a mapping (100,000 components with 300,000 edges and a template
each, unless told otherwise), then reads, validates and plans it in a fresh process and prints seconds, the ratio to
`json.loads` of the same text in the same process, and the process's peak resident memory.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

COMPONENTS = 100_000
EDGES = 300_000
WIDTH = 100


def mapping(components: int = COMPONENTS, edges: int = EDGES) -> dict[str, Any]:
    """Layers of a hundred; each component reads one of those it waits for in the layer before."""
    return {
        "id": "large",
        "action": "build.create",
        "user_id": 1,
        "components": [],
        "changes": [_change(number) for number in range(components)],
        "edges": list(_edges(components, edges)),
    }


def _name(number: int) -> str:
    return f"instance::web-{number:06}"


def _change(number: int) -> dict[str, Any]:
    above = number - WIDTH
    reads = f'$(components.#[_component_id="{_name(above)}"].instance_aws_id)' if above >= 0 else "none"
    return {
        "_component": "instance",
        "_component_id": _name(number),
        "_action": "create",
        "_provider": "aws",
        "_state": "waiting",
        "name": f"web-{number}",
        "after": reads,
        "tags": {"Name": f"web-{number}", "ernest.service": "large"},
    }


def _edges(components: int, edges: int) -> Iterator[dict[str, Any]]:
    made = 0
    for number in range(components):
        layer = number // WIDTH * WIDTH
        sources = [_name(layer - WIDTH + (number + offset) % WIDTH) for offset in range(3)] if layer else ["start"]
        for source in sources:
            yield {"source": source, "destination": _name(number), "length": 1}
            made += 1
    for number in range(components - min(edges - made, components), components):
        yield {"source": _name(number), "destination": "end", "length": 1}


def measure(path: Path) -> None:
    """Reads, validates and plans the file in this process, and prints what that took."""
    from graphs.core.document import parse
    from graphs.core.plan import plan
    from graphs.core.values import parse_json

    began = time.perf_counter()
    document = parse_json(path.read_bytes())
    read = time.perf_counter()
    spec = parse(document, "new")
    validated = time.perf_counter()
    levels = len(plan(spec).levels)
    planned = time.perf_counter()
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{len(spec.changes)} components, {len(spec.edges)} edges, {levels} levels, {path.stat().st_size} bytes of JSON"
    )
    print(f"read {read - began:.2f} s, validated {validated - read:.2f} s, planned {planned - validated:.2f} s")
    print(f"from the document {planned - read:.2f} s, from the text {planned - began:.2f} s")
    print(f"ratio to reading the text alone {(planned - began) / (read - began):.2f}, peak {peak_mib:.0f} MiB")


def main(words: list[str]) -> None:
    """Writes the mapping and measures in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mapping.json"
        path.write_text(json.dumps(mapping(*(int(word) for word in words))))
        subprocess.run([sys.executable, "-m", "benchmarks.plan", "--measure", str(path)], check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(Path(sys.argv[2]))
    else:
        main(sys.argv[1:])
