"""Reads a tasks file: go-schedule's `tasks: [{cmd, params}]`, all scalars as they are written, and our own keys beside.

Invariant: every fault is found before anything is sent, and names the item and the key.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schedctl.documents import kind_of, load_texts, read_text
from schedctl.errors import BadFile
from schedctl.taskfields import BY_NAME

OTHER_KEYS = frozenset({"cmd", "params", "env", "stdin"})


@dataclass(frozen=True)
class TaskFile:
    """The tasks of a file as the API takes them. `notes` tell of keys that mean nothing."""

    tasks: list[dict[str, Any]]
    notes: list[str]


def read_tasks(name: str) -> TaskFile:
    """An empty file has no tasks. Raises BadFile with every fault."""
    found = load_texts(read_text(name), name)
    if found is None or found == "":
        return TaskFile([], [])
    faults: list[str] = []
    items = items_of(found, faults)
    tasks = [task_of(item, f"tasks[{index}]", faults) for index, item in enumerate(items)]
    if faults:
        raise BadFile("\n".join([f"{name}: nothing was scheduled:", *(f"  {fault}" for fault in faults)]))
    unknown = [
        f"{name}: tasks[{index}].{key}: is no key of a task and is ignored"
        for index, item in enumerate(items)
        for key in item
        if key not in OTHER_KEYS and key not in BY_NAME
    ]
    return TaskFile(tasks, unknown)


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


def task_of(item: Any, path: str, faults: list[str]) -> dict[str, Any]:
    """One task as the API takes it."""
    if not isinstance(item, dict):
        faults.append(f"{path}: must be a mapping with cmd and params, not {kind_of(item)}")
        return {}
    task: dict[str, Any] = {"argv": argv_of(item, path, faults)}
    for key, field in BY_NAME.items():
        if item.get(key, "") != "":
            value = text_of(item[key], f"{path}.{key}", faults)
            try:
                task[field.sent_as] = field.read(value)
            except ValueError as error:
                faults.append(f"{path}.{key}: {error}")
    if item.get("env", "") != "":
        task["env"] = env_of(item["env"], f"{path}.env", faults)
    if item.get("stdin", "") != "":
        task["stdin"] = base64.b64encode(text_of(item["stdin"], f"{path}.stdin", faults).encode()).decode()
    return task


def argv_of(item: Mapping[str, Any], path: str, faults: list[str]) -> list[str]:
    command = item.get("cmd", "")
    if command == "":
        faults.append(f"{path}.cmd: is missing; name the program to run")
    return [text_of(command, f"{path}.cmd", faults), *params_of(item.get("params", ""), f"{path}.params", faults)]


def params_of(params: Any, path: str, faults: list[str]) -> list[str]:
    if params == "":
        return []
    if not isinstance(params, list):
        faults.append(f"{path}: must be a list, such as [hello, 30], not {kind_of(params)}")
        return []
    return [text_of(param, f"{path}[{index}]", faults) for index, param in enumerate(params)]


def env_of(variables: Any, path: str, faults: list[str]) -> dict[str, str]:
    if not isinstance(variables, dict):
        faults.append(f"{path}: must be a mapping, such as LANG: C, not {kind_of(variables)}")
        return {}
    return {str(key): text_of(value, f"{path}.{key}", faults) for key, value in variables.items()}


def text_of(value: Any, path: str, faults: list[str]) -> str:
    if not isinstance(value, str):
        faults.append(f"{path}: must be text, not {kind_of(value)}")
        return ""
    return value
