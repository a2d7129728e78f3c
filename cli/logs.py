"""`ringstack logs`: recent lines of the daemons, and `--follow`."""

from __future__ import annotations

import time
from pathlib import Path

import click

from cli.options import data_option
from core.installation import Installation

POLL_S = 0.3


@click.command()
@data_option
@click.argument("daemon", required=False)
@click.option("-n", "--lines", default=20, show_default=True, help="Lines of each log.")
@click.option("-f", "--follow", is_flag=True, help="Go on as lines come.")
def logs(data: Path, daemon: str | None, *, lines: int, follow: bool) -> None:
    """Recent log lines of the daemons."""
    installation = Installation(data)
    paths = sorted(installation.logs.glob("*.log"))
    if daemon is not None:
        paths = [path for path in paths if path.stem == daemon]
        if not paths:
            raise click.ClickException(f"there is no daemon {daemon!r}; see `ringstack status`")
    positions: dict[Path, int] = {}
    for path in paths:
        text = path.read_text(errors="replace")
        positions[path] = len(text.encode(errors="replace"))
        for line in text.splitlines()[-lines:] if lines else []:
            click.echo(f"{path.stem}: {line}")
    while follow:
        time.sleep(POLL_S)
        for path in paths:
            show_new(path, positions)


def show_new(path: Path, positions: dict[Path, int]) -> None:
    """Print what has come since the last look."""
    size = path.stat().st_size
    start = positions[path] if positions[path] <= size else 0
    if size == start:
        return
    with path.open("rb") as file:
        file.seek(start)
        data = file.read()
    positions[path] = start + len(data)
    for line in data.decode(errors="replace").splitlines():
        click.echo(f"{path.stem}: {line}")
