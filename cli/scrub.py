"""`ringstack scrub`: read and verify everything on every device now, rather than in the background's own time."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import NamedTuple

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from cli.options import data_option, json_option
from core.errors import Unavailable
from core.installation import Installation
from core.limits import MIB
from core.real import RealEnv
from objectd import wire
from proxy.connect import connect
from proxy.store.cluster import Target

POLL_S = 0.3
ANSWER_S = 5.0


class Seen(NamedTuple):
    """A device while it is scrubbed."""

    name: str
    status: wire.DeviceStatus


@click.command()
@click.option("--rate", type=click.IntRange(min=1), default=None, help="MiB/s of each device.")
@click.option("--wait/--no-wait", default=True, help="Wait until the round is over.")
@data_option
@json_option
def scrub(data: Path, rate: int | None, *, wait: bool, as_json: bool) -> None:
    """Read every record of every device and verify it; what is bad is repaired from other copies."""
    seen = asyncio.run(_scrub(Installation(data), (rate or 0) * MIB, wait=wait, bar=not as_json))
    damaged = sum(one.status.damaged for one in seen)
    if as_json:
        rows = [
            {
                "device": one.name,
                "rounds": one.status.scrub_rounds,
                "scrubbed": one.status.scrubbed,
                "damaged": one.status.damaged,
                "log_bytes": one.status.log_bytes,
            }
            for one in seen
        ]
        click.echo(json.dumps({"devices": rows, "damaged": damaged}, indent=2))
    elif wait:
        total = sum(one.status.log_bytes for one in seen) / MIB
        click.echo(f"{len(seen)} devices, {total:,.0f} MiB read, {damaged} records not repaired")
    else:
        click.echo(f"a round has begun on {len(seen)} devices")
    if wait and damaged:
        sys.exit(1)


async def _scrub(
    installation: Installation, rate_bytes_s: int, *, wait: bool, bar: bool
) -> list[Seen]:
    cluster = connect(installation, RealEnv(), background=True)
    try:
        await cluster.wait_up(ANSWER_S)
        names = {device.id: device.name for device in cluster.epoch.devices}
        targets = [target for target in cluster.targets if target.link.up]
        if not targets:
            raise Unavailable("Down", "no device answers; `ringstack up` starts the cloud")
        before = {target.device: await _status(target) for target in targets}
        head = wire.encode(wire.ScrubCall(rate_bytes_s))
        for target in targets:
            await target.link.ask(wire.SCRUB, target.device, head)
        if wait:
            await _wait(targets, before, names, bar=bar)
            await _until_healed(targets)
        return [Seen(names[target.device], await _status(target)) for target in targets]
    finally:
        cluster.close()


async def _status(target: Target) -> wire.DeviceStatus:
    async with asyncio.timeout(ANSWER_S):
        frame = await target.link.ask(wire.STATUS, target.device, b"")
    for status in wire.decode_status(frame.body) if frame.status == wire.OK else []:
        if status.device == target.device:
            return status
    raise Unavailable("NoAnswer", f"device {target.device} does not answer")


async def _wait(
    targets: list[Target],
    before: dict[int, wire.DeviceStatus],
    names: dict[int, str],
    *,
    bar: bool,
) -> None:
    """Until every device has a round behind it that began after now."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    console = Console(stderr=True)
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not bar) as progress:
        bars = {t.device: progress.add_task(names[t.device], total=1.0) for t in targets}
        left = list(targets)
        while left:
            await asyncio.sleep(POLL_S)
            for target in list(left):
                status = await _status(target)
                done = status.scrub_rounds > before[target.device].scrub_rounds
                progress.update(bars[target.device], completed=1.0 if done else status.scrubbed)
                if done:
                    left.remove(target)


async def _until_healed(targets: list[Target], patience_s: float = 30.0) -> None:
    """Give repair a while to replace what was found."""
    deadline = asyncio.get_running_loop().time() + patience_s
    while asyncio.get_running_loop().time() < deadline:
        if not any([(await _status(target)).damaged for target in targets]):
            return
        await asyncio.sleep(POLL_S)
