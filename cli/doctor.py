"""`ringstack doctor`: is this machine fit, and is the cloud on it well?"""

from __future__ import annotations

import asyncio
import importlib
import resource
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from cli.install import local_devices
from cli.options import data_option
from cli.status import processes
from core.errors import RingstackError
from core.installation import Installation
from core.link import Link
from core.real import RealEnv
from objectd import wire
from ring.local import objectd_name

OPEN_FILES_MIN = 4096
FREE_BYTES_MIN = 1 << 30
ANSWER_S = 3.0


class Finding(NamedTuple):
    """One check: its name, whether it passed, and what was found or what to do."""

    name: str
    good: bool
    text: str


@click.command()
@data_option
def doctor(data: Path) -> None:
    """Check this machine and the running cloud."""
    findings = [*machine(data), *cloud(Installation(data))]
    for finding in findings:
        click.echo(f"{'ok  ' if finding.good else 'BAD '} {finding.name}: {finding.text}")
    sys.exit(not all(finding.good for finding in findings))


def machine(data: Path) -> Iterator[Finding]:
    """What the machine must have."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("Python", sys.version_info >= (3, 11), version)
    for name in ("uvloop", "httptools", "lmdb", "xxhash", "pyeclib.ec_iface", "zfec", "lxml.etree"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            yield Finding("library", False, f"{name} cannot be loaded ({error}): `make setup`")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    advice = "" if soft >= OPEN_FILES_MIN else f"; raise it with `ulimit -n` (hard limit {hard})"
    yield Finding("open files", soft >= OPEN_FILES_MIN, f"{soft} allowed{advice}")
    existing = next(path for path in (data, *data.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    yield Finding("disk", free >= FREE_BYTES_MIN, f"{free / 1e9:.1f} GB free at {existing}")


def cloud(installation: Installation) -> Iterator[Finding]:
    """What the cloud must do."""
    if not installation.exists:
        yield Finding("cloud", True, "none here yet; `ringstack up` makes one")
        return
    rows = processes(installation)
    if not rows:
        yield Finding("cloud", False, "not running; `ringstack up` starts it")
        return
    for row in rows:
        restarts = f", {row['restarts']} restarts" if row["restarts"] else ""
        text = "serves" if row["ready"] else "is not ready; see `ringstack logs`"
        yield Finding(row["name"], bool(row["ready"]), text + restarts)
    if installation.config().cluster_listen is not None:
        yield from nodes(installation)
    try:
        yield from asyncio.run(devices(installation))
    except RingstackError as error:
        yield Finding("devices", False, error.message)


def nodes(installation: Installation) -> Iterator[Finding]:
    """What the other nodes must do: answer, and have the newest ring soon."""
    from cli.node import standings
    from noded.keeper import roster_of

    try:
        rows = asyncio.run(standings(installation, roster_of(installation)))
    except RingstackError as error:
        yield Finding("nodes", False, error.message)
        return
    for row in rows:
        text = f"answers, ring {row['ring']}" if row["up"] else "does not answer"
        yield Finding(f"node {row['name']}", row["up"], text)


async def devices(installation: Installation) -> list[Finding]:
    """Ask every storage node for its devices."""
    env, key = RealEnv(), installation.secrets().cluster_key
    findings: list[Finding] = []
    wanted = local_devices(installation)
    for name in sorted({objectd_name(device.address) for device in wanted}):
        link = Link(env, installation.socket(name), key)
        if not await link.wait_up(ANSWER_S):
            findings.append(Finding(name, False, "does not answer"))
            continue
        frame = await link.ask(wire.STATUS, 0, b"")
        link.close()
        served = {status.path for status in wire.decode_status(frame.body)}
        findings.extend(
            Finding(f"device {device.name}", False, "is not served; see `ringstack logs`")
            for device in wanted
            if objectd_name(device.address) == name and device.name not in served
        )
        findings.extend(
            Finding(
                f"device {status.path}",
                status.writable,
                f"{status.register_count} registers, {status.blob_count} blobs, "
                f"{status.log_bytes / 1e6:.0f} MB used, {status.free_bytes / 1e9:.1f} GB free",
            )
            for status in wire.decode_status(frame.body)
        )
    return findings
