"""Reads go-schedule's tasks file: `tasks: [{cmd, params}]`, all scalars as they are written.

Invariant: every fault is found before anything is sent, and names the item and the key.
"""

from typing import Any

from schedctl.documents import kind_of, load_texts, read_text
from schedctl.errors import BadFile


def read_tasks(name: str) -> list[list[str]]:
    """The argv of each task; an empty file has none. Raises BadFile with every fault."""
    found = load_texts(read_text(name), name)
    if found is None or found == "":
        return []
    faults: list[str] = []
    tasks = [argv_of(item, f"tasks[{index}]", faults) for index, item in enumerate(items_of(found, faults))]
    if faults:
        raise BadFile("\n".join([f"{name}: nothing was scheduled:", *(f"  {fault}" for fault in faults)]))
    return tasks


def items_of(found: Any, faults: list[str]) -> list[Any]:
    if not isinstance(found, dict):
        faults.append(f"the file must be a mapping with the key tasks, not {kind_of(found)}")
        return []
    if "tasks" not in found:
        faults.append("the key tasks is missing; write tasks: and under it - cmd: echo")
        return []
    items = found["tasks"]
    if items == "":
        return []
    if not isinstance(items, list):
        faults.append(f"tasks: must be a list, not {kind_of(items)}")
        return []
    return items


def argv_of(item: Any, path: str, faults: list[str]) -> list[str]:
    if not isinstance(item, dict):
        faults.append(f"{path}: must be a mapping with cmd and params, not {kind_of(item)}")
        return []
    command, params = item.get("cmd", ""), item.get("params", "")
    if command == "":
        faults.append(f"{path}.cmd: is missing; name the program to run")
    elif not isinstance(command, str):
        faults.append(f"{path}.cmd: must be text, not {kind_of(command)}")
    return [str(command), *params_of(params, f"{path}.params", faults)]


def params_of(params: Any, path: str, faults: list[str]) -> list[str]:
    if params == "":
        return []
    if not isinstance(params, list):
        faults.append(f"{path}: must be a list, such as [hello, 30], not {kind_of(params)}")
        return []
    for index, param in enumerate(params):
        if not isinstance(param, str):
            faults.append(f"{path}[{index}]: must be text, not {kind_of(param)}")
    return [str(param) for param in params]
