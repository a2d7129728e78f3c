"""`ringstack check`: fault tests on a cluster that the command starts itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from cli import guests
from cli.block_crash import block_crash
from cli.env import variables
from cli.install import install
from cli.status import processes
from cli.up import free_port, start
from core.installation import Installation
from sim import history as h
from sim import linear as judge
from sim.history import History
from sim.live_nemesis import KINDS, PARTITION, LiveNemesis, Partition
from sim.live_trouble import KINDS as TROUBLE_KINDS
from sim.live_workload import CONTAINER, Endpoints, LiveClient

if TYPE_CHECKING:
    from sim.live_cluster import LiveCluster


@click.group()
def check() -> None:
    """Fault tests on a cluster that the command starts itself."""


check.add_command(block_crash)


def parse_nemesis(_context: object, _option: object, value: str) -> tuple[str, ...]:
    """`kill,pause` as a tuple; `none` is empty."""
    kinds = tuple(kind for kind in value.split(",") if kind and kind != "none")
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(KINDS)}, none")
    return kinds


def parse_troubles(_context: object, _option: object, value: str) -> tuple[str, ...]:
    """`kill,partition` as a tuple; `none` is empty."""
    kinds = tuple(kind for kind in value.split(",") if kind and kind != "none")
    unknown = [kind for kind in kinds if kind not in TROUBLE_KINDS]
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is none of {', '.join(TROUBLE_KINDS)}, none")
    return kinds


@check.command()
@click.option("--clients", type=click.IntRange(1, 256), default=16, show_default=True)
@click.option("--seconds", type=click.IntRange(1, 3600), default=60, show_default=True)
@click.option("--keys", type=click.IntRange(1, 10_000), default=60, show_default=True)
@click.option("--nemesis", default="kill,pause", show_default=True, callback=parse_nemesis)
@click.option(
    "--nodes",
    type=click.IntRange(0, 64),
    default=0,
    metavar="N",
    help="Several nodes in network namespaces, 3 at least. [default: one machine]",
)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def linear(
    *,
    clients: int,
    seconds: int,
    keys: int,
    nemesis: tuple[str, ...],
    nodes: int,
    seed: int,
    as_json: bool,
) -> None:
    """Are the histories of contending S3 and Swift clients linearizable while daemons die?"""
    contest = Contest(clients, seconds, keys, nemesis, seed)
    if PARTITION in nemesis and not nodes:
        raise click.UsageError("a partition needs several nodes: --nodes 3")
    with tempfile.TemporaryDirectory(prefix="ringstack-check-") as directory:
        if nodes:
            history, wrong, faults = on_nodes(Path(directory), nodes, contest)
        else:
            history, wrong, faults = on_one_machine(Path(directory), contest)
    sys.exit(report(history, wrong, faults, as_json=as_json))


class Contest(NamedTuple):
    """How clients contend, for how long, and what happens meanwhile."""

    clients: int
    seconds: int
    keys: int
    nemesis: tuple[str, ...]
    seed: int


Outcome = tuple[History, list[str], dict[str, int]]


def on_one_machine(directory: Path, contest: Contest) -> Outcome:
    """A cloud as `ringstack up` makes it."""
    installation = Installation(directory / "data")
    install(
        installation,
        devices=(),
        listen="127.0.0.1",
        object_port=free_port("127.0.0.1"),
        api_port=free_port("127.0.0.1"),
        proxy_count=2,
        without=(guests.COMPUTE,),
    )
    supervisor = start(installation, detach=False)
    try:
        return asyncio.run(contend([endpoints_of(installation)], [installation], contest))
    finally:
        supervisor.terminate()
        supervisor.wait()


def on_nodes(directory: Path, count: int, contest: Contest) -> Outcome:
    """A cluster of several nodes, each with a network of its own."""
    with live_cluster(count, min(3, count), keep=False, quiet=True, directory=directory) as (
        cluster,
        _,
    ):
        return asyncio.run(
            contend(
                [node.endpoints() for node in cluster.nodes],
                [node.installation for node in cluster.nodes],
                contest,
                partition=cluster.any_partition,
            )
        )


@check.command()
@click.option("--nodes", type=click.IntRange(3, 64), default=6, show_default=True)
@click.option("--zones", type=click.IntRange(1, 16), default=3, show_default=True)
@click.option("--objects", type=click.IntRange(10, 10_000_000), default=20_000, show_default=True)
@click.option(
    "--nemesis",
    default=",".join(TROUBLE_KINDS),
    callback=parse_troubles,
    metavar="LIST",
    help=f"[default: all of {', '.join(TROUBLE_KINDS)}]",
)
@click.option("--hold", "hold_s", type=float, default=15.0, show_default=True, help="Seconds.")
@click.option(
    "--window",
    "window_s",
    type=float,
    default=5.0,
    show_default=True,
    help="Longest time that an operation may take with its retries, seconds.",
)
@click.option(
    "--whole",
    "whole_s",
    type=float,
    default=180.0,
    show_default=True,
    help="Seconds until everything must be fully replicated again.",
)
@click.option("--rate", type=float, default=60.0, show_default=True, help="Operations a second.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--keep", is_flag=True, help="Leave the data directories where they are.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def durable(
    *,
    nodes: int,
    zones: int,
    objects: int,
    nemesis: tuple[str, ...],
    hold_s: float,
    window_s: float,
    whole_s: float,
    rate: float,
    seed: int,
    keep: bool,
    as_json: bool,
) -> None:
    """Is nothing lost while nodes, networks and disks fail? Several nodes, one trouble after the other."""
    from sim import live_check
    from sim.live_trouble import TROUBLES

    wanted = live_check.Wanted(
        objects, seed, hold_s=hold_s, window_s=window_s, whole_s=whole_s, rate=rate
    )
    troubles = [trouble for trouble in TROUBLES if trouble.kind in nemesis]
    with live_cluster(nodes, zones, keep=keep, quiet=as_json) as (cluster, say):
        say(live_check.HEADER)
        results = asyncio.run(live_check.Check(cluster, wanted, say).run(troubles))
    finish([result.good for result in results], live_check.to_json(results) if as_json else "")


@check.command()
@click.option("--nodes", type=click.IntRange(3, 64), default=6, show_default=True)
@click.option("--zones", type=click.IntRange(1, 16), default=3, show_default=True)
@click.option("--joiners", type=click.IntRange(1, 16), default=3, show_default=True)
@click.option("--objects", type=click.IntRange(10, 10_000_000), default=20_000, show_default=True)
@click.option(
    "--quiet",
    "hold_s",
    type=float,
    default=20.0,
    show_default=True,
    help="Seconds of load without a change, to compare with.",
)
@click.option(
    "--whole",
    "whole_s",
    type=float,
    default=300.0,
    show_default=True,
    help="Seconds until the cluster must be whole before a change; a change may take three times as long.",
)
@click.option("--rate", type=float, default=60.0, show_default=True, help="Operations a second.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--keep", is_flag=True, help="Leave the data directories where they are.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def rebalance(
    *,
    nodes: int,
    zones: int,
    joiners: int,
    objects: int,
    hold_s: float,
    whole_s: float,
    rate: float,
    seed: int,
    keep: bool,
    as_json: bool,
) -> None:
    """Does data move as planned and foretold, without clients noticing, through pauses and kills?"""
    from sim import live_rebalance
    from sim.live_check import Wanted

    wanted = Wanted(objects, seed, hold_s=hold_s, whole_s=whole_s, rate=rate)
    with live_cluster(nodes, zones, keep=keep, quiet=as_json) as (cluster, say):
        say(live_rebalance.HEADER)
        results = asyncio.run(live_rebalance.Rebalance(cluster, wanted, say).run(joiners))
    finish([result.good for result in results], live_rebalance.to_json(results) if as_json else "")


@contextlib.contextmanager
def live_cluster(
    nodes: int, zones: int, *, keep: bool, quiet: bool, directory: Path | None = None
) -> Iterator[tuple[LiveCluster, Callable[[str], None]]]:
    """A cluster of several nodes for as long as this lasts, and where its progress is told.

    It goes with this process, also when that is told to stop.
    """
    from sim.live_cluster import LiveCluster

    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    directory = directory or Path(tempfile.mkdtemp(prefix="ringstack-check-"))
    cluster = LiveCluster(directory, nodes=nodes, zones=zones)

    def say(text: str) -> None:
        click.echo(text, err=quiet)

    try:
        cluster.start()
        cluster.network.enter_hub()
        yield cluster, say
    finally:
        cluster.stop()
        if keep:
            say(f"data is in {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)


def finish(good: Sequence[bool], report: str) -> None:
    """The verdict, as JSON or as the last line; ends the command."""
    click.echo(report or "verdict: " + ("valid" if all(good) else "INVALID"))
    sys.exit(not all(good))


def endpoints_of(installation: Installation) -> Endpoints:
    """Where a cloud of one machine is, and its root credentials."""
    values = variables(installation)
    return Endpoints(
        values["AWS_ENDPOINT_URL"],
        values["AWS_ACCESS_KEY_ID"],
        values["AWS_SECRET_ACCESS_KEY"],
        values["AWS_DEFAULT_REGION"],
        values["ST_AUTH"],
        values["ST_USER"],
        values["ST_KEY"],
    )


async def contend(
    endpoints: Sequence[Endpoints],
    installations: Sequence[Installation],
    contest: Contest,
    *,
    partition: Partition | None = None,
) -> Outcome:
    """Run the clients and the nemesis; returns the history, what was wrong, and the faults done."""
    await make_container(endpoints[0])
    history = History()

    def pids() -> dict[str, int]:
        return {
            f"{row['name']} of {number}": row["pid"]
            for number, installation in enumerate(installations)
            for row in processes(installation)
            if row["name"] != "supervisor"
        }

    faults = LiveNemesis(pids, contest.nemesis, contest.seed, partition)
    until = asyncio.get_running_loop().time() + contest.seconds
    seen: dict[str, str | None] = {}
    workers = [
        LiveClient(
            history,
            endpoints[number % len(endpoints)],
            number,
            seen,
            keys=contest.keys,
            seed=contest.seed,
        )
        for number in range(contest.clients)
    ]
    nemesis_task = asyncio.create_task(faults.run())
    await asyncio.gather(*(worker.run(until) for worker in workers))
    nemesis_task.cancel()
    await asyncio.gather(nemesis_task, return_exceptions=True)
    return history, [text for worker in workers for text in worker.wrong], faults.done


async def make_container(endpoints: Endpoints) -> None:
    """The container of the test."""
    from bench.client import S3Client

    async with S3Client(
        endpoints.s3_url, endpoints.access_key, endpoints.secret_key, endpoints.region
    ) as client:
        (await client.make_container(CONTAINER)).expect()


def report(history: History, wrong: list[str], faults: dict[str, int], *, as_json: bool) -> int:
    """Judge, print the table and the verdict; returns the exit status."""
    began = time.monotonic()
    verdict = judge.check(history.by_key().items())
    answered = [op for op in history.operations if op.outcome != h.UNKNOWN]
    conditional = sum(op.kind in h.CONDITIONAL for op in history.operations)
    if wrong:
        text = f"INVALID: {wrong[0]}"
    elif verdict.operation is not None:
        text = f"INVALID: {verdict.key} cannot place {verdict.operation}"
    else:
        text = "UNDECIDED: the search was cut short" if verdict.undecided else "valid"
    rows: dict[str, Any] = {
        "operations": len(history.operations),
        "answered": len(answered),
        "outcome open": len(history.operations) - len(answered),
        "conditional": conditional,
        "refused conditions": sum(op.outcome == h.REFUSED for op in answered),
        "names": len(history.by_key()),
        **{f"faults: {kind}": count for kind, count in faults.items()},
        "judged in seconds": round(time.monotonic() - began, 1),
    }
    if as_json:
        click.echo(json.dumps({**rows, "verdict": text}, indent=2))
    else:
        for name, value in rows.items():
            click.echo(f"{name:<20} {value}")
        click.echo(f"verdict: {text}")
    return int(text != "valid")
