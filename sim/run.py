"""One seed: a cluster, a workload under faults, healing, and the verdict of the checkers.

Properties: *linear* and *durable* and *deleted* (every answer, listings and the final reads included, fits
one order of register operations), *whole* (no body other than one written), *listing* and *converged*
(after healing, two listings and the reads agree), *alive* (after healing, every name answers), *swept* (nothing is
left that no record names, no tombstone, and every blob that is named).
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

import xxhash

from core.errors import NotFound, RingstackError, Unavailable
from objectd import rows, wire
from objectd.device import Device
from proxy.store import envelope, names
from proxy.store.record import ListQuery, ObjectName
from proxy.store.verbs import ClusterStore
from proxy.sweep.tombstones import EVERYTHING
from sim import history as h
from sim import linear
from sim.cluster import SimCluster
from sim.faults import Faults, swarm
from sim.history import History, Operation
from sim.loop import SimLoop
from sim.nemesis import Nemesis
from sim.workload import ACCOUNT, CONTAINERS, Client, Wrong, make_keys, read_etag

CLIENTS = 5
OPERATIONS = 30
HEAL_S = 90.0
PASSES_MAX = 6
CLOCK_ERROR_US = 100_000_000  # more than any clock of a simulation is wrong


class Outcome(NamedTuple):
    """Result of a seed. `problem` is empty when every property holds."""

    seed: int
    trace_hash: str
    problem: str
    operations: int
    answered: int
    virtual_s: float
    log: tuple[str, ...]


def run_seed(
    seed: int, broken: frozenset[str] = frozenset(), *, faults: Faults | None = None
) -> Outcome:
    """Simulate one seed from start to verdict."""
    rng = random.Random(seed)
    chosen = faults or swarm(rng)
    loop = SimLoop()
    log: list[str] = []
    history = History()
    problem = ""
    try:
        asyncio.set_event_loop(loop)
        cluster = SimCluster(
            loop,
            rng.getrandbits(64),
            chosen,
            spares=2 if chosen.ring_every_s else 0,
            proxies=rng.randint(2, 3),
            broken=broken,
        )
        loop.run_until_complete(_live(cluster, history, log))
    except Wrong as wrong:
        problem = f"whole: {wrong}"
    finally:
        _bury(loop)
        asyncio.set_event_loop(None)
    problem = problem or _judge(history, loop)
    return Outcome(
        seed,
        _hash(history, log, loop),
        problem,
        len(history.operations),
        sum(operation.outcome != h.UNKNOWN for operation in history.operations),
        loop.now - 1000.0,
        tuple(log),
    )


async def _live(cluster: SimCluster, history: History, log: list[str]) -> None:
    cluster.start()
    store = cluster.proxies[0].store
    assert store is not None
    for number, container in enumerate(CONTAINERS):
        # an acknowledged stripe of 2+1 may stand on two fragments, of which none may be lost
        coded = number and not (cluster.faults.wipe_after_s or cluster.faults.rot_every_s)
        policy = cluster.epoch.policies[1 if coded else 0].name
        await _until_done(
            partial(store.create_container, ACCOUNT, container, policy=policy, change={})
        )
    keys = make_keys(cluster.fork_rng())
    nemesis = Nemesis(cluster, log)
    nemesis.start()
    clients = [Client(cluster, history, f"c{number}", keys) for number in range(CLIENTS)]
    await asyncio.gather(*(client.run(OPERATIONS) for client in clients))
    await nemesis.stop()
    await _final_reads(cluster, history, keys)
    await _scrub(cluster)
    await _until_done(partial(_rest, cluster))
    await _until_done(partial(_repair, cluster))
    await _until_done(partial(_reclaim, cluster))
    await _sweep_all(cluster)
    await _final_reads(cluster, history, keys)


async def _until_done(act: Callable[[], Awaitable[object]]) -> None:
    """Repeat until it succeeds: after healing, everything must."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + HEAL_S
    while True:
        try:
            await act()
            return
        except RingstackError as error:
            if loop.time() > deadline:
                raise Wrong(f"alive: not healed after {HEAL_S:.0f} s: {error!r}") from None
            await asyncio.sleep(0.1)


async def _final_reads(cluster: SimCluster, history: History, keys: list[ObjectName]) -> None:
    """After healing: every name answers, and two listings through different proxies agree with it."""
    for proxy in (cluster.proxies[0], cluster.proxies[-1]):
        store = proxy.store
        assert store is not None
        for key in keys:
            operation = history.call("final", h.GET, "/".join(key[1:3]), cluster.loop.now)
            await _until_done(partial(_read, store, key, operation))
            operation.finish(cluster.loop.now, h.OK)
        for container in CONTAINERS:
            listed = [key for key in keys if key.container == container]
            await _until_done(partial(_compare, store, listed, history, cluster.loop))


async def _rest(cluster: SimCluster) -> None:
    """The ring has reached its goal, and devices that have been replaced are back, empty."""
    keeper = cluster.keeper
    for node in cluster.nodes:
        if node.lost:
            node.start()
    if keeper is not None and (keeper.active or keeper.epoch.joint):
        raise Unavailable("Moving", f"epoch {keeper.epoch.number} is on its way")


async def _scrub(cluster: SimCluster) -> None:
    """Find all rot, so that repair can bring everything back."""
    for node in cluster.nodes:
        await node.scrubbed()


async def _repair(cluster: SimCluster) -> None:
    """Repair until a pass finds nothing to do; then every replica must hold the same."""
    done = await cluster.proxies[0].repair()
    epoch = cluster.newest
    if not done.complete or done.registers or done.blobs or done.handoffs:
        raise Unavailable("Unrepaired", f"{done}")
    if cluster.proxies[0].epoch.number != epoch.number:
        raise Unavailable("OldRing", "the proxy has not heard of the newest ring")
    for range_id in sorted({r for node in cluster.nodes for r in node.device().ranges()}):
        replicas = epoch.primaries(epoch.partition(range_id), epoch.index_replicas)
        contents = {held(cluster.nodes[one.id].device(), range_id) for one in replicas}
        if len(contents) > 1:
            raise Unavailable("Unrepaired", f"replicas of range {range_id.hex()} differ")


def held(device: Device, range_id: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Every name of a range with its ballot, as one device holds them."""
    base = rows.REGISTER_TABLE + range_id
    found = device.index.scan(base, base + b"\xff" * 24)
    return tuple((key, rows.peek_ballot(value)) for key, value in found)


async def _reclaim(cluster: SimCluster) -> None:
    """Every tombstone goes, and the replicas still hold the same."""
    await _repair(cluster)
    done = await cluster.proxies[0].reclaim(-CLOCK_ERROR_US)
    if not done.complete or done.names:
        raise Unavailable("Unreclaimed", f"{done}")
    for number in [device.id for device in cluster.newest.devices]:
        node = cluster.nodes[number]
        device = node.device()
        for range_id in device.ranges():
            if device.reclaim.tombstones(
                wire.TombstonesCall(range_id, wire.ANY_CONFIG, b"", EVERYTHING)
            ).rows:
                raise Unavailable("Unreclaimed", f"{node.name} has tombstones")
    await _repair(cluster)


async def _sweep_all(cluster: SimCluster) -> None:
    """After a few passes nothing is left that no record names; what repair moved lately is a little younger."""
    for _ in range(PASSES_MAX):
        await _until_done(partial(_sweep, cluster))
        left = _orphans(cluster)
        if not left:
            return
    raise Wrong(f"swept: {left[0]} holds a blob that nothing names")


async def _sweep(cluster: SimCluster) -> None:
    """A whole pass of the orphan sweep."""
    done = await cluster.proxies[0].sweep()
    if done.problem:
        raise Unavailable("Unswept", done.problem)


def _orphans(cluster: SimCluster) -> list[str]:
    """The nodes of all pieces, on devices of the ring, of blobs that no record there names."""
    members = {device.id for device in cluster.newest.devices}
    nodes = [node for node in cluster.nodes if node.number in members]
    named: set[bytes] = set()
    for node in nodes:
        for one in node.device().generation.held(b""):
            if one.row is not None:
                record = names.decode_object(envelope.unseal(one.row.meta).record)
                named |= {extent.blob for extent in record.manifest}
    return [
        node.name
        for node in nodes
        for key, _ in node.device().index.scan(b"B", b"C")
        if key[5:21] not in named
    ]


async def _read(store: ClusterStore, key: ObjectName, operation: Operation) -> None:
    with contextlib.suppress(NotFound):
        operation.value = await read_etag(store, key)


async def _compare(
    store: ClusterStore, keys: list[ObjectName], history: History, loop: SimLoop
) -> None:
    """A listing is a read of every name in it: the history tells whether it agrees with the others.

    (A write whose proxy died may still take effect between a read and the listing.)
    """
    container = keys[0].container
    called_at = loop.now
    page = await store.list_objects(ACCOUNT, container, ListQuery())
    shown = {row.name: row.summary.etag for row in page.rows if row.summary is not None}
    for key in keys:
        operation = history.call("final", h.GET, "/".join(key[1:3]), called_at)
        operation.value = shown.get(key.name)
        operation.finish(loop.now, h.OK)
    info = await store.get_container(ACCOUNT, container)
    if info.object_count != len(shown):
        raise Wrong(f"converged: {container} counts {info.object_count} but lists {len(shown)}")


def _judge(history: History, loop: SimLoop) -> str:
    if loop.failures:
        return f"crash: {loop.failures[0]}"
    verdict = linear.check(history.by_key().items())
    if verdict.operation is not None:
        return f"linear: {verdict.key} cannot place {verdict.operation}"
    return "linear: undecided" if verdict.undecided else ""


def _hash(history: History, log: list[str], loop: SimLoop) -> str:
    state = xxhash.xxh3_128()
    for operation in history.operations:
        state.update(repr(operation).encode())
    for line in log:
        state.update(line.encode())
    state.update(f"{loop.now!r} {loop.net.delivered if loop.net else 0}".encode())
    return state.hexdigest()


def _bury(loop: SimLoop) -> None:
    """Cancel what is left, so that nothing outlives its loop."""
    loop.failures, kept = [], loop.failures
    for tasks in list(loop.tasks_of.values()):
        for task in list(tasks):
            task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        loop.run_until_complete(asyncio.sleep(0))
    loop.failures = kept
    loop.close()
