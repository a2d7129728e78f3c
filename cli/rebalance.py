"""Moving data to where a changed ring wants it, while the cloud runs: what `ringstack ring` shows and steers.

The work is done by the node daemons, and how far it has come is measured from what the devices hold; so
a command may end at any time, and another one shows the same.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click
from rich.progress import BarColumn, Progress, TextColumn

from cli.ring_view import format_bytes
from core.installation import Installation
from core.real import RealEnv
from proxy.connect import connect
from proxy.rebalance.estimate import Estimate
from proxy.rebalance.measure import State, measure, movement
from proxy.repair.plan import Table
from proxy.repair.tables import fetch_all
from proxy.store.cluster import Cluster
from proxy.store.layout import layouts_of
from ring.epoch import Epoch
from ring.goal import Goal
from ring.moves import Move
from ring.plan import ReplicaBytes
from ring.store import RingStore

LINKS_UP_S = 3.0
LOOK_EVERY_S = 1.0
TIMED_S = 2.0
QUIET_LINE_EVERY_S = 10.0


class Live(NamedTuple):
    """The running cluster at one moment."""

    epoch: Epoch
    tables: Mapping[int, Table]
    state: State
    repair_bytes_s: float = 0.0


class Stand(NamedTuple):
    """How far a change has come. `left_bytes` and `left_parts` are of all its epochs."""

    epoch: int
    joint: bool
    left_bytes: int
    left_parts: int
    rate_bytes_s: float
    left_s: float | None


async def look(cluster: Cluster) -> Live:
    """Ask every device that answers."""
    tables = await fetch_all(cluster.targets)
    return Live(cluster.epoch, tables, measure(cluster.epoch, tables))


def look_once(data: Path, *, timed: bool = False) -> Live | None:
    """The running cluster of a data directory; None when it does not run.

    `timed`: look twice when something is lagging, to tell how fast it is put right.
    """
    installation = Installation(data)
    if installation.supervisor_pid() is None:
        return None

    async def work() -> Live:
        cluster = connect(installation, RealEnv(), background=True)
        try:
            await cluster.wait_up(LINKS_UP_S)
            live = await look(cluster)
            if not timed or not live.state.missing_bytes:
                return live
            await asyncio.sleep(TIMED_S)
            later = await look(cluster)
            done = live.state.missing_bytes - later.state.missing_bytes
            return later._replace(repair_bytes_s=max(0.0, done / TIMED_S))
        finally:
            cluster.close()

    return asyncio.run(work())


def bytes_of_moves(epoch: Epoch, tables: Mapping[int, Table]) -> ReplicaBytes:
    """What a move has to carry: the pieces that its source holds for it, or that another replica has."""

    def size(move: Move) -> int:
        total = 0
        for policy in epoch.policies:
            if policy.width != move.width:
                continue
            for layout in layouts_of(policy):
                if move.replica >= len(layout.pieces):
                    continue
                key = (policy.id, move.partition, layout.pieces[move.replica])
                source = tables.get(move.source)
                row = None if source is None else source.pieces.get(key)
                total += 0 if row is None else row.size_bytes
        return total

    return size


class Watch:
    """Follows a change of the ring from the outside."""

    def __init__(self, store: RingStore, cluster: Cluster) -> None:
        self._store = store
        self._cluster = cluster
        self._estimate = Estimate()
        self._later = _Later(0, 0, 0)

    async def stand(self) -> Stand | None:
        """Where the change is; None when the ring has arrived."""
        goal = self._store.goal()
        newest = self._store.current()
        if newest is not None:
            self._cluster.install(newest)
        epoch = self._cluster.epoch
        if goal is None and not epoch.joint:
            return None
        tables = await fetch_all(self._cluster.targets)
        left = movement(epoch, tables)
        if goal is not None and self._later.after != epoch.number:
            self._later = await asyncio.to_thread(_later, goal, epoch, tables)
        left_bytes = left.size_bytes + self._later.size_bytes
        self._estimate.saw(
            time.monotonic(),
            epoch=epoch.number,
            joint=epoch.joint,
            left_bytes=left_bytes,
            parts=left.parts,
        )
        return Stand(
            epoch.number,
            epoch.joint,
            left_bytes,
            left.parts + self._later.parts,
            self._estimate.rate_bytes_s,
            self._estimate.left_s(self._later.parts),
        )


class _Later(NamedTuple):
    """What is to come after an epoch: bytes and replicas that will move."""

    after: int
    size_bytes: int
    parts: int


def _later(goal: Goal, epoch: Epoch, tables: Mapping[int, Table]) -> _Later:
    """What epochs after this one will move."""
    from ring.build import build_all

    stable = epoch.settled() if epoch.joint else epoch
    size = bytes_of_moves(epoch, tables)
    moves = [move for change in build_all(goal.draft, stable) for move in change.moves]
    return _Later(epoch.number, sum(map(size, moves)), len(moves))


def follow(data: Path, goal: Goal) -> bool:
    """Show progress until the ring has arrived; False when the person has seen enough (Ctrl-C)."""
    installation = Installation(data)
    store = RingStore(installation.ring)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[text]}"),
        transient=True,
    )
    task = bar.add_task("moving", total=max(1, goal.planned_parts), text="")
    plain = not bar.console.is_terminal

    async def work() -> None:
        cluster = connect(installation, RealEnv(), background=True)
        try:
            await cluster.wait_up(LINKS_UP_S)
            watch = Watch(store, cluster)
            said = 0.0
            while True:
                stand = await watch.stand()
                if stand is None:
                    return
                text = describe(stand, paused=store.throttle().paused)
                done = max(0, goal.planned_parts - stand.left_parts)
                bar.update(task, completed=done, text=text)
                if plain and time.monotonic() - said > QUIET_LINE_EVERY_S:
                    said = time.monotonic()
                    click.echo(f"{done} of {goal.planned_parts} replicas; {text}")
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            cluster.close()

    try:
        with bar:
            asyncio.run(work())
    except KeyboardInterrupt:
        return False
    return True


def describe(stand: Stand, *, paused: bool) -> str:
    """One line."""
    if paused:
        return f"paused; {format_bytes(stand.left_bytes)} left"
    what = "index ranges catch up; " if stand.joint else ""
    until = "" if stand.left_s is None else f", about {format_seconds(stand.left_s)}"
    rate = f" at {format_bytes(round(stand.rate_bytes_s))}/s" if stand.rate_bytes_s else ""
    return f"{what}{format_bytes(stand.left_bytes)} left{rate}{until}"


def format_seconds(seconds: float) -> str:
    """75 as 1 min 15 s."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def health(live: Live | None) -> dict[str, Any]:
    """What is under-replicated, as plain data."""
    if live is None:
        return {"running": False}
    state = live.state
    names = {device.id: device.name for device in live.epoch.devices}
    by_device: dict[int, list[int]] = {}
    for one in state.lagging:
        row = by_device.setdefault(one.device, [0, 0])
        row[0] += one.missing
        row[1] += one.missing_bytes
    return {
        "running": True,
        "joint": live.epoch.joint,
        "silent": [names[device] for device in state.silent],
        "stray_pieces": state.stray_pieces,
        "stray_bytes": state.stray_bytes,
        "stray_registers": state.stray_registers,
        "lagging": [
            {"device": names[device], "missing": row[0], "missing_bytes": row[1]}
            for device, row in sorted(by_device.items())
        ],
        "partitions_lagging": len({(one.policy, one.partition) for one in state.lagging}),
        "replicated": not state.silent and state.settled,
        "repair_bytes_s": round(live.repair_bytes_s),
        "replicated_in_s": (
            round(state.missing_bytes / live.repair_bytes_s) if live.repair_bytes_s else None
        ),
    }


def show_health(report: dict[str, Any], say: Callable[[str], None]) -> None:
    """The same for a person: what is under-replicated, why, and what happens next."""
    if not report["running"]:
        say("The cloud is not running.")
        return
    for name in report["silent"]:
        say(f"Device {name} does not answer: what it holds has a copy less until it comes back.")
    for row in report["lagging"]:
        size = format_bytes(row["missing_bytes"])
        say(
            f"Device {row['device']} lacks {row['missing']} pieces or ranges ({size}): repair copies them."
        )
    if report["replicated_in_s"]:
        rate = format_bytes(report["repair_bytes_s"])
        say(f"At {rate}/s that takes about {format_seconds(report['replicated_in_s'])}.")
    if report["stray_pieces"] or report["stray_registers"]:
        say(
            f"{report['stray_pieces']} pieces ({format_bytes(report['stray_bytes'])}) and "
            f"{report['stray_registers']} registers are on devices that they are about to leave."
        )
    if report["replicated"]:
        say("Everything is where it belongs, in full.")
