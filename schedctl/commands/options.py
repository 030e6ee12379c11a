"""Options that several commands share."""

from typing import Any

import click

from schedctl.durations import parse_duration


class Duration(click.ParamType[float]):
    """Seconds, or a number with units such as 1m30s."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds. Fails with a usage error."""
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


TIMEOUT = click.option("--timeout", type=Duration(), help="Give up waiting after so long (30, 1m30s): exit code 124.")
WAIT = click.option("--wait", is_flag=True, help="Wait for the end and show what changes.")
