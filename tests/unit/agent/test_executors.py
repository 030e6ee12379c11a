"""Executors by alias, and what bash makes of a container."""

from typing import Any

import pytest

from scheduler_project.toolkit.errors import ConfigurationError
from workers.executors import aliases, available, executor, load
from workers.executors.base import UnusableContainer
from workers.protocol import Container


def container(**options: Any) -> Container:
    return Container(name="web", executor="bash", options=options, setup=["mkdir x"], teardown=["rm x"])


def test_a_command_runs_in_a_shell() -> None:
    recipe = executor("bash").recipe(container(start="serve", stop="unserve"))
    assert recipe.main == ["sh", "-c", "serve"]
    assert recipe.stop == [["sh", "-c", "unserve"]]
    assert recipe.setup == [["sh", "-c", "mkdir x"]]
    assert recipe.teardown == [["sh", "-c", "rm x"]]


def test_of_several_start_commands_each_must_end_well_before_the_next() -> None:
    recipe = executor("bash").recipe(container(start=["prepare", "serve"]))
    assert recipe.main == ["sh", "-e", "-c", "prepare\nserve"]


@pytest.mark.parametrize("env", [{"COLOUR": "a=b"}, ["COLOUR=a=b"]])
def test_variables_are_a_mapping_or_a_list(env: Any) -> None:
    assert executor("bash").recipe(container(start="serve", env=env)).env == {"COLOUR": "a=b"}


@pytest.mark.parametrize(
    "options", [{}, {"start": ""}, {"start": 7}, {"start": "x", "stop": {"a": 1}}, {"start": "x", "env": ["COLOUR"]}]
)
def test_options_that_cannot_be_carried_out_name_container_and_option(options: dict[str, Any]) -> None:
    with pytest.raises(UnusableContainer, match=r"container web: options\.(start|stop|env)"):
        executor("bash").recipe(container(**options))


def test_an_executor_that_the_host_lacks_is_named() -> None:
    with pytest.raises(UnusableContainer, match="no executor 'rocket'; it has bash, docker"):
        executor("rocket")


def test_third_parties_add_executors_by_dotted_path() -> None:
    assert aliases({"SCHEDULER_EXECUTORS": "mine=package.Mine"})["mine"] == "package.Mine"


@pytest.mark.parametrize("path", ["nowhere.Mine", "workers.executors.base.Mine", "Mine", "workers.protocol.Check"])
def test_a_path_without_an_executor_is_a_configuration_error(path: str) -> None:
    with pytest.raises(ConfigurationError, match="SCHEDULER_EXECUTORS"):
        load(path)


def test_bash_works_here() -> None:
    assert "bash" in available()


def test_docker_keeps_no_services() -> None:
    with pytest.raises(UnusableContainer, match="container web: the docker executor runs commands"):
        executor("docker").recipe(container(image="x"))
