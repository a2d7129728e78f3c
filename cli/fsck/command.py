"""`ringstack fsck`: is everything there? Through the running cloud, or, when it is down, from its devices."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from cli.fsck import offline
from cli.fsck.checker import Checker
from cli.fsck.checker import Progress as Tell
from cli.fsck.findings import KINDS, Report
from cli.options import data_option, json_option
from core.errors import Unavailable
from core.installation import Installation
from core.real import RealEnv
from objectd.placement import Placement
from objectd.server import ObjectServer
from proxy.connect import connect
from proxy.store.cluster import Cluster

ANSWER_S = 10.0
MIB = 1024 * 1024


@click.command()
@click.option("--deep", is_flag=True, help="Read and verify every byte too.")
@click.option(
    "--rebuild", metavar="DEVICE", help="Build a device's index from its log (cloud down)."
)
@data_option
@json_option
def fsck(data: Path, rebuild: str | None, *, deep: bool, as_json: bool) -> None:
    """Prove that every object is there in full; say what is not. Changes nothing, but for --rebuild."""
    installation = Installation(data)
    began = time.monotonic()
    report = Report()
    running = installation.supervisor_pid() is not None
    with _progress(quiet=as_json) as tell:
        if rebuild is not None:
            read = offline.rebuild(installation, rebuild, report)
            report.notes.append(f"the index of {rebuild} was built from {read:,} records")
        elif running:
            report = asyncio.run(_online(installation, tell, deep=deep))
        else:
            asyncio.run(_offline(installation, report, tell, deep=deep))
    seconds = time.monotonic() - began
    if as_json:
        told = {**report.as_dict(), "online": running, "seconds": round(seconds, 3)}
        click.echo(json.dumps(told, indent=2))
    else:
        _show(report, seconds)
    sys.exit(not report.clean)


async def _online(installation: Installation, tell: Tell, *, deep: bool) -> Report:
    cluster = connect(installation, RealEnv(), background=True)
    try:
        await cluster.wait_up(ANSWER_S)
        if not any(target.link.up for target in cluster.targets):
            raise Unavailable("Down", "no device answers, although the cloud is up")
        return await Checker(cluster, tell, deep=deep).run()
    finally:
        cluster.close()


async def _offline(installation: Installation, report: Report, tell: Tell, *, deep: bool) -> None:
    """Each device against itself, then all of them together if they are all here."""
    epoch = offline.ring_of(installation)
    with offline.Offline(installation, epoch, report) as devices:
        devices.open_all()
        tell("logs and indexes", 0, 0)
        devices.verify(deep=deep)
        if len(devices.here) < len(epoch.devices):
            report.looked["devices"] = len(devices.devices)
            text = "devices of other machines were not looked at; with the cloud up, all are"
            report.notes.append(text)
            return
        key = installation.secrets().cluster_key
        placement = Placement(epoch, lambda _: None)
        server = ObjectServer(RealEnv(), key, devices.devices, placement)
        address = f"unix:{devices.scratch}/fsck.sock"
        await server.frames.listen(address)
        cluster = Cluster(RealEnv(), epoch, key, address_of=lambda _: address)
        cluster.start()
        try:
            await cluster.wait_up(ANSWER_S)
            checker = Checker(cluster, tell, deep=False, down=True)
            checker.report = report
            await checker.run()
        finally:
            cluster.close()
            server.frames.close()


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Tell]:
    """A bar on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield _silent
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)

        def tell(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total or None)

        yield tell


def _silent(what: str, done: int, total: int) -> None:
    """For output that is read by programs."""
    del what, done, total


def _show(report: Report, seconds: float) -> None:
    looked = report.looked
    console = Console()
    if report.counts:
        table = Table(box=None, pad_edge=False)
        table.add_column("found", justify="right")
        table.add_column("kind")
        table.add_column("what it is")
        for kind, count in sorted(report.counts.items()):
            table.add_row(f"{count:,}", kind, KINDS[kind])
        console.print(table)
        for finding in report.findings:
            click.echo(f"  {finding.kind}: {finding.text}")
    for note in report.notes:
        click.echo(f"note: {note}")
    if looked["devices"]:
        read = f", {looked['bytes'] / MIB:,.0f} MiB read" if looked["bytes"] else ""
        click.echo(
            f"{looked['devices']} devices, {looked['ranges']:,} ranges, "
            f"{looked['registers']:,} registers, {looked['records']:,} records of "
            f"{looked['blobs']:,} blobs in {looked['pieces']:,} pieces{read}, {seconds:.1f} s"
        )
    click.echo("clean" if report.clean else f"{sum(report.counts.values()):,} findings")
