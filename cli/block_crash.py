"""`ringstack check block-crash`: crash a recorded workload on volumes at every moment, recover, compare."""

from __future__ import annotations

import json
import logging
import sys
import time

import click
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn


def parse_points(_context: object, _option: object, value: str) -> int | None:
    """A number, or None for `all`."""
    if value == "all":
        return None
    if not value.isdigit() or not int(value):
        raise click.BadParameter("a number of points, or all")
    return int(value)


@click.command("block-crash")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option(
    "--points",
    default="200",
    show_default=True,
    callback=parse_points,
    metavar="all|N",
    help="How many of the moments are tried.",
)
@click.option("--steps", type=click.IntRange(1, 100_000), default=150, show_default=True)
@click.option("--without", "broken", default="", metavar="RULE", help="Leave a rule out.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def block_crash(*, seed: int, points: int | None, steps: int, broken: str, as_json: bool) -> None:
    """Is every volume a prefix of its writes, wherever everything stops?

    A random workload (writes, flushes, snapshots, clones, take-overs, collections, deletions) is recorded in
    virtual time; then everything is stopped at each moment, with any of what was in flight having landed or not.
    """
    from sim.block_crash import MUTANTS
    from sim.block_crash import check as crash

    if broken and broken not in MUTANTS:
        raise click.UsageError(f"--without is one of {', '.join(MUTANTS)}")
    logging.getLogger("ringstack.volume").setLevel(logging.ERROR)
    began = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    hidden = as_json or not sys.stdout.isatty()
    with Progress(*columns, disable=hidden) as bar:
        task = bar.add_task("crashes")
        report = crash(
            seed,
            steps=steps,
            points=points,
            broken=frozenset({broken} - {""}),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    text = f"INVALID: {report.wrong[0]}" if report.wrong else "valid"
    rows = {
        "seed": seed,
        "steps": steps,
        "points": report.points,
        "points tried": report.tried,
        "crashes tried": report.crashes,
        "seconds": round(time.monotonic() - began, 1),
    }
    if as_json:
        click.echo(json.dumps({**rows, "wrong": report.wrong, "verdict": text}, indent=2))
    else:
        for name, value in rows.items():
            click.echo(f"{name:<20} {value}")
        for one in report.wrong[1:]:
            click.echo(f"  also: {one}")
        click.echo(f"verdict: {text}")
    sys.exit(int(bool(report.wrong)))
