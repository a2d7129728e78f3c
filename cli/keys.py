"""`ringstack keys`: the keys that seal tokens, and their rotation."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from cli.options import data_option, json_option
from core import keyring
from core.installation import Installation
from core.real import RealEnv


@click.group()
def keys() -> None:
    """Keys that seal tokens."""


@keys.command()
@data_option
@click.option(
    "--keep",
    type=click.IntRange(3, 100),
    default=keyring.KEPT,
    show_default=True,
    help="Keys to keep, the staged one included.",
)
def rotate(data: Path, *, keep: int) -> None:
    """Make the staged key the primary one, stage a new one, drop the oldest.

    Running services notice within a second. Tokens sealed by a key that is still kept go on counting.
    """
    installation = Installation(data)
    config = installation.config()
    primary = keyring.rotate(installation.keys, RealEnv(), keep)
    click.echo(f"key {primary} seals tokens now; {len(rows(installation))} keys are kept")
    if config.cluster_listen is not None:
        click.echo(f"copy {installation.keys} to the other nodes now, before it is rotated again")


@keys.command("list")
@data_option
@json_option
def show(data: Path, *, as_json: bool) -> None:
    """Which keys there are, and what each does."""
    found = rows(Installation(data))
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for row in found:
        click.echo(f"{row['number']:>6}  {row['role']:<10} {row['made']}")


def rows(installation: Installation) -> list[dict[str, object]]:
    """Number, role and age of each key; never the key."""
    numbers = keyring.numbered(installation.keys)
    primary = max(numbers, default=0)
    return [
        {
            "number": number,
            "role": "staged" if number == 0 else "primary" if number == primary else "secondary",
            "made": datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds"),
        }
        for number, path in sorted(numbers.items())
    ]
