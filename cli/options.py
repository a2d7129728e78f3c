"""Options that many commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from core.installation import DEFAULT_DATA

Command = TypeVar("Command", bound=Callable[..., Any])


def data_option(command: Command) -> Command:
    """`--data DIR`: the directory of the cloud."""
    return click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        default=DEFAULT_DATA,
        show_default=True,
        help="Directory of the cloud.",
        callback=lambda _context, _option, value: value.expanduser().absolute(),
    )(command)


def json_option(command: Command) -> Command:
    """`--json`: plain data instead of a table."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)
