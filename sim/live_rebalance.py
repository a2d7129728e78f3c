"""`ringstack check rebalance`: does data move as planned, as fast as said, and without clients noticing?

Two changes of the ring under load. First nodes join, while clients only read, so that what moves can be
compared with the plan to the byte: bytes moved, the time that was foretold after the first tenth, and how much
slower clients became. Then a node is emptied, while clients read and write: the operator's command is
killed, the keeper's noded is killed, everything is paused and goes on; nothing may move twice.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from cli.rebalance import Watch
from core.errors import RingstackError, Unavailable
from ring.store import RingStore
from sim.live_check import Wanted, make_buckets
from sim.live_cluster import LiveCluster
from sim.live_load import Load, Tally
from sim.live_node import LiveNode

POLL_S = 0.5
PAUSED_S = 4.0
PAUSED_MAX = 0.01  # of the plan: what clients delete and write meanwhile changes what is left
MOVED_MAX = 1.02  # of the plan
ETA_MAX = 0.2  # of the whole time
P99_MAX = 3.0  # of the quiet one
P99_FLOOR_MS = 50.0  # below this nobody waits
Say = Callable[[str], None]


class Figures(msgspec.Struct):
    """What one change of the ring was like. Bytes are those of pieces; records are not planned."""

    change: str
    planned_bytes: int = 0
    moved_bytes: int = 0
    written_bytes: int = 0  # by clients meanwhile, all replicas
    seconds: float = 0.0
    eta_error: float | None = None  # share of the whole time
    operations: int = 0
    attempts_failed: int = 0
    p99_quiet_ms: float = 0.0
    p99_ms: float = 0.0
    paused_bytes: int | None = None  # by which what is left became less while it was paused
    failures: list[str] = []

    @property
    def good(self) -> bool:
        """Every promise held."""
        return not self.failures

    @property
    def moved_share(self) -> float:
        """Bytes moved beside the plan, without what clients wrote meanwhile."""
        return max(0, self.moved_bytes - self.written_bytes) / max(1, self.planned_bytes)


Disturb = Callable[[Figures, Watch], Awaitable[None]]


class Rebalance:
    """A run over one cluster."""

    def __init__(self, cluster: LiveCluster, wanted: Wanted, say: Say) -> None:
        self.cluster = cluster
        self.wanted = wanted
        self.say = say
        self.results: list[Figures] = []
        self._rng = random.Random(wanted.seed)
        self._moved_before: dict[str, int] = {}  # of noded processes that have ended
        self._load: Load | None = None

    async def run(self, joiners: int) -> list[Figures]:
        """Fill the cluster, then both changes. Raises Unavailable when it cannot begin."""
        await self.cluster.wait_serving()
        endpoints = [node.endpoints() for node in self.cluster.nodes]
        coded = "erasure-4-2" if self.cluster.first_count >= 6 else "erasure-2-1"
        await make_buckets(endpoints[0], coded=coded)
        wanted = self.wanted
        load = self._load = Load(
            endpoints,
            writers=wanted.writers,
            names=wanted.objects,
            rate=wanted.rate,
            seed=wanted.seed,
        )
        self.say(f"writing {wanted.objects} objects")
        await load.fill()
        running = asyncio.create_task(load.run())
        try:
            await self._whole()
            load.read_only = True
            quiet = await self._quiet(load)
            await self._join(load, quiet, joiners)
            await self._whole()
            load.read_only = False
            quiet = await self._quiet(load)
            await self._leave(load, quiet)
            await load.pause()
            await self._audit(load)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            load.doors.close()
        return self.results

    async def _whole(self) -> None:
        """Until repair has nothing to do, so that it does not count as movement."""
        load = self._load
        assert load is not None
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.wanted.whole_s
        while True:
            await load.pause()
            await self.cluster.repair_now()
            await asyncio.sleep(2.0)
            health = await self.cluster.health()
            if health.whole:
                return
            if loop.time() > deadline:
                raise Unavailable("NotWhole", "the cluster did not become whole")

    async def _quiet(self, load: Load) -> Tally:
        """The load alone, for comparison."""
        load.new_tally()
        load.go()
        await asyncio.sleep(self.wanted.hold_s)
        return load.new_tally()

    async def _join(self, load: Load, quiet: Tally, joiners: int) -> None:
        figures = Figures(f"{joiners} nodes join")
        self.results.append(figures)
        for _ in range(joiners):
            await asyncio.to_thread(self.cluster.join_node)
        await self._change(figures, load, quiet, None)

    async def _leave(self, load: Load, quiet: Tally) -> None:
        leaver = self.cluster.nodes[1]
        figures = Figures(f"{leaver.name} leaves; pause, kills")
        self.results.append(figures)
        for device in leaver.devices():
            await asyncio.to_thread(self._ring, "remove", str(device.id))
        await self._change(figures, load, quiet, self._disturb)

    async def _change(
        self,
        figures: Figures,
        load: Load,
        quiet: Tally,
        disturb: Disturb | None,
    ) -> None:
        """Apply what is staged and watch it arrive."""
        keeper = self.cluster.nodes[0]
        plan = await asyncio.to_thread(keeper.json, "ring", "plan")
        figures.planned_bytes = int(plan["bytes"] or 0)
        before = await self._moved()
        load.new_tally()
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.to_thread(self._ring, "apply", "--detach")
        try:
            foretold = await self._watch(figures, disturb)
        except RingstackError as error:
            figures.failures.append(error.message)
            foretold = None
        figures.seconds = round(loop.time() - began, 1)
        tally = load.new_tally()
        figures.moved_bytes = await self._moved() - before
        figures.written_bytes = tally.bytes_written * 3
        if foretold is not None and disturb is None:
            figures.eta_error = round(abs(foretold - loop.time()) / (loop.time() - began), 3)
        self._judge(figures, tally, quiet)
        self.say(line_of(figures))

    async def _watch(self, figures: Figures, disturb: Disturb | None) -> float | None:
        """Until everything has moved; returns when that was foretold to be, after the first tenth."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.wanted.whole_s * 3
        foretold: float | None = None
        with self.cluster.links() as cluster:
            watch = Watch(RingStore(self.cluster.nodes[0].installation.ring), cluster)
            await cluster.wait_up(5.0)
            while (stand := await watch.stand()) is not None:
                done = figures.planned_bytes - stand.left_bytes
                if disturb is not None and done > figures.planned_bytes / 4:
                    await disturb(figures, watch)
                    disturb = None
                if (
                    foretold is None
                    and stand.left_s is not None
                    and done >= figures.planned_bytes / 10
                ):
                    foretold = loop.time() + stand.left_s
                if loop.time() > deadline:
                    raise Unavailable("NotMoved", f"{stand.left_bytes} bytes have not moved")
                await asyncio.sleep(POLL_S)
        if disturb is not None:
            figures.failures.append("it was over before it could be disturbed: use more objects")
        return foretold

    async def _disturb(self, figures: Figures, watch: Watch) -> None:
        """Kill the command that watches, and the daemon that leads; pause; go on."""
        keeper = self.cluster.nodes[0]
        await asyncio.to_thread(keeper.kill_command, "ring", "follow")
        await asyncio.to_thread(self._ring, "pause")
        await asyncio.sleep(3.0)  # until every node has heard of it and finished its last copies
        before = await watch.stand()
        self._moved_before[keeper.name] = await asyncio.to_thread(repair_bytes, keeper) + (
            self._moved_before.get(keeper.name, 0)
        )
        await asyncio.to_thread(keeper.kill_daemon, "noded")
        await asyncio.sleep(PAUSED_S)
        after = await watch.stand()
        if before is not None and after is not None:
            figures.paused_bytes = before.left_bytes - after.left_bytes
        await asyncio.to_thread(self._ring, "resume")

    async def _moved(self) -> int:
        """Bytes that all nodes have copied since they started."""
        counts = await asyncio.gather(
            *(asyncio.to_thread(repair_bytes, node) for node in self.cluster.nodes)
        )
        return sum(counts) + sum(self._moved_before.values())

    def _ring(self, *arguments: str) -> None:
        self.cluster.nodes[0].command("ring", *arguments)

    def _judge(self, figures: Figures, tally: Tally, quiet: Tally) -> None:
        load = self._load
        assert load is not None
        figures.operations = tally.operations
        figures.attempts_failed = tally.attempts_failed
        figures.p99_quiet_ms = round(quiet.quantile_ms(0.99), 1)
        figures.p99_ms = round(tally.quantile_ms(0.99), 1)
        say = figures.failures.append
        if figures.moved_share > MOVED_MAX:
            say(f"{figures.moved_share:.3f} times the planned bytes moved")
        if figures.eta_error is not None and figures.eta_error > ETA_MAX:
            say(f"the time foretold was wrong by {figures.eta_error:.0%}")
        if tally.attempts_failed or tally.given_up:
            say(f"{tally.attempts_failed} requests failed")
        if figures.p99_ms > max(P99_FLOOR_MS, P99_MAX * figures.p99_quiet_ms):
            say(f"the 99th percentile went from {figures.p99_quiet_ms} to {figures.p99_ms} ms")
        if (figures.paused_bytes or 0) > PAUSED_MAX * figures.planned_bytes:
            say(f"{figures.paused_bytes} bytes moved while it was paused")
        figures.failures += load.wrong[:5]

    async def _audit(self, load: Load) -> None:
        load.wrong.clear()
        count = await load.audit()
        self.say(f"{count} objects read back, {len(load.wrong)} wrong")
        if load.wrong:
            self.results[-1].failures += load.wrong[:5]


def repair_bytes(node: LiveNode) -> int:
    """What a node's daemon has copied since it started."""
    return int(node.metric("noded", "repair_bytes"))


def line_of(figures: Figures) -> str:
    """One row of the table."""
    eta = "-" if figures.eta_error is None else f"{figures.eta_error:.0%}"
    text = (
        f"{figures.change:<26} {figures.planned_bytes / 1e6:>8.1f} {figures.moved_bytes / 1e6:>8.1f} "
        f"{figures.moved_share:>6.3f} {figures.seconds:>7.1f} {eta:>5} {figures.operations:>6} "
        f"{figures.attempts_failed:>6} {figures.p99_quiet_ms:>8.0f} {figures.p99_ms:>6.0f}  "
        f"{'ok' if figures.good else 'FAILED'}"
    )
    return "\n".join([text, *(f"    {failure}" for failure in figures.failures)])


HEADER = (
    f"{'change':<26} {'plan':>8} {'moved':>8} {'share':>6} {'time':>7} {'ETA':>5} {'ops':>6} "
    f"{'failed':>6} {'p99':>8} {'p99':>6}  verdict\n"
    f"{'':<26} {'MB':>8} {'MB':>8} {'':>6} {'s':>7} {'off':>5} {'':>6} {'tries':>6} "
    f"{'quiet ms':>8} {'ms':>6}"
)


def to_json(results: Sequence[Figures]) -> str:
    """All rows as JSON, with the verdict."""
    good = all(result.good for result in results)
    rows: list[Any] = [
        {**msgspec.to_builtins(result), "moved_share": round(result.moved_share, 4)}
        for result in results
    ]
    return json.dumps({"verdict": "valid" if good else "INVALID", "changes": rows}, indent=2)
