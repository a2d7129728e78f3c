"""`ringstack sweep`: one pass over tombstones and orphaned blobs now, rather than when one is due."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import click

from cli.options import data_option, json_option
from core.errors import Unavailable
from core.installation import Installation
from core.real import RealEnv
from proxy.connect import connect
from proxy.repair.pace import Pace
from proxy.sweep.agent import RATE_BYTES_S
from proxy.sweep.orphans import Orphans, Swept
from proxy.sweep.tombstones import Reclaimed, Tombstones

ANSWER_S = 10.0


@click.command()
@data_option
@json_option
def sweep(data: Path, *, as_json: bool) -> None:
    """Reclaim old tombstones and drop blobs that nothing names.

    A pass drops what was there, unnamed, before the one before it began. An upload that goes on through two
    passes is refused at its end, so do not run this again and again.
    """
    reclaimed, swept = asyncio.run(_sweep(Installation(data)))
    if as_json:
        told = {"tombstones": reclaimed._asdict(), "orphans": swept._asdict()}
        click.echo(json.dumps(told, indent=2))
    else:
        away = "" if reclaimed.complete else "; some replicas are away, or ranges are moving"
        click.echo(f"{reclaimed.names:,} tombstones reclaimed{away}")
        if swept.problem:
            click.echo(f"pass {swept.generation} is put off: {swept.problem}")
        else:
            click.echo(
                f"pass {swept.generation}: {swept.looked_at:,} old blobs looked at, "
                f"{swept.dropped:,} dropped"
            )
    sys.exit(bool(swept.problem) or not reclaimed.complete)


async def _sweep(installation: Installation) -> tuple[Reclaimed, Swept]:
    cluster = connect(installation, RealEnv(), background=True)
    try:
        await cluster.wait_up(ANSWER_S)
        if not any(target.link.up for target in cluster.targets):
            raise Unavailable("Down", "no device answers; `ringstack up` starts the cloud")
        pace = Pace(RATE_BYTES_S)
        reclaimed = await Tombstones(cluster, pace).one_pass()
        return reclaimed, await Orphans(cluster, pace).one_pass()
    finally:
        cluster.close()
