"""Clients that contend for a few names with every kind of operation, and note what they saw."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator

from core.errors import NotFound, PreconditionFailed, Refused, RingstackError
from core.limits import STRIPE_BYTES
from proxy.store.port import Check
from proxy.store.record import BodyDigest, Draft, ListQuery, ObjectName, ObjectRecord
from proxy.store.verbs import ClusterStore
from sim import history as h
from sim.cluster import SimCluster
from sim.history import History, Operation

ACCOUNT = "AUTH_sim"
CONTAINERS = ("plain", "coded")
KINDS = (
    *([h.GET] * 5),
    *([h.PUT] * 3),
    "copy",
    *([h.PUT_IF_MATCH] * 4),
    *([h.PUT_IF_ABSENT] * 2),
    *([h.DELETE] * 2),
    h.DELETE_IF_MATCH,
    "list",
)
OPERATION_TIMEOUT_S = 40.0
LARGE_RATE = 0.01


class Wrong(Exception):
    """A client saw something that must never happen."""


def etag_is(expected: str | None) -> Check:
    """Condition: the object exists with this ETag."""

    def check(record: ObjectRecord | None) -> None:
        if record is None or record.etag != expected:
            raise PreconditionFailed("PreconditionFailed", "it has another ETag")

    return check


def absent(record: ObjectRecord | None) -> None:
    """Condition: there is no object."""
    if record is not None:
        raise PreconditionFailed("PreconditionFailed", "it exists")


async def pieces(body: bytes, pause_s: float = 0.0) -> AsyncIterator[bytes]:
    """A body in a few pieces; with a pause before the last."""
    for start in range(0, len(body), 7000):
        if pause_s and start + 7000 >= len(body):
            await asyncio.sleep(pause_s)
        yield body[start : start + 7000]


def draft_of(digest: BodyDigest) -> Draft:
    """No metadata."""
    del digest
    return Draft("text/plain", {})


async def read_etag(store: ClusterStore, key: ObjectName) -> str:
    """Read an object whole and return its ETag. Raises NotFound, or Wrong when the body is not right."""
    found = await store.get_object(key)
    body = b"".join([bytes(piece) async for piece in store.read(found)])
    etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
    if etag != found.record.etag or len(body) != found.record.size:
        raise Wrong(f"{key.name}: the body is not the one that was written")
    return etag


class Client:
    """One client; each operation goes through a proxy drawn at random."""

    def __init__(
        self, cluster: SimCluster, history: History, name: str, keys: list[ObjectName]
    ) -> None:
        self._cluster = cluster
        self._history = history
        self._rng = cluster.fork_rng()
        self._name = name
        self._keys = keys
        self._seen: dict[ObjectName, str | None] = {}
        self._count = 0

    async def run(self, count: int) -> None:
        """Perform operations one after another."""
        for _ in range(count):
            await asyncio.sleep(self._rng.random() * 0.03)
            await self.step()

    async def step(self) -> None:
        """One operation."""
        proxies = [proxy for proxy in self._cluster.proxies if proxy.store is not None]
        if not proxies:
            return
        proxy = self._rng.choice(proxies)
        assert proxy.store is not None
        key = self._rng.choice(self._keys)
        kind = self._rng.choice(KINDS)
        if kind == "list":
            work = self._list(proxy.store, key.container)
        elif kind == "copy":
            work = self._copy(proxy.store, key)
        else:
            work = self._act(proxy.store, kind, key)
        task = self._cluster.loop.run_as(
            proxy.name, lambda: asyncio.ensure_future(asyncio.wait_for(work, OPERATION_TIMEOUT_S))
        )
        # the proxy may die with the operation; the client only sees that no answer comes
        await asyncio.wait([task])
        if not task.cancelled() and isinstance(task.exception(), Wrong):
            raise task.exception()

    def _body(self) -> bytes:
        self._count += 1
        tag = f"{self._name}/{self._count}/".encode()
        size = self._rng.choice((40, 40, 600, 9000, 30_000))
        if self._rng.random() < LARGE_RATE:
            size = STRIPE_BYTES + 9000
        return (tag * (size // len(tag) + 1))[:size]

    async def _act(self, store: ClusterStore, kind: str, key: ObjectName) -> None:
        operation = self._history.call(self._name, kind, "/".join(key[1:3]), self._cluster.loop.now)
        operation.expected = self._seen.get(key)
        try:
            await self._perform(store, operation, key)
            operation.finish(self._cluster.loop.now, h.OK)
        except NotFound:
            self._seen[key] = None
            outcome = h.OK if kind == h.GET else h.REFUSED
            operation.finish(self._cluster.loop.now, outcome)
        except PreconditionFailed:
            operation.finish(self._cluster.loop.now, h.REFUSED)
        except (RingstackError, TimeoutError):
            operation.outcome = h.UNKNOWN

    async def _perform(self, store: ClusterStore, operation: Operation, key: ObjectName) -> None:
        kind = operation.kind
        if kind == h.GET:
            operation.value = self._seen[key] = await read_etag(store, key)
            return
        if kind in {h.DELETE, h.DELETE_IF_MATCH}:
            check = None if kind == h.DELETE else etag_is(operation.expected)
            await store.delete_object(key, check=check)
            self._seen[key] = None
            return
        body = self._body()
        operation.value = hashlib.md5(body, usedforsecurity=False).hexdigest()
        check = {
            h.PUT: None,
            h.PUT_IF_MATCH: etag_is(operation.expected),
            h.PUT_IF_ABSENT: absent,
        }[kind]
        pause_s = 0.0
        if len(body) > STRIPE_BYTES:  # slow: its first blob is there long before its record
            pause_s = self._rng.choice((0.0, 0.3, 2.0))
        await store.put_object(key, pieces(body, pause_s), draft_of, check=check)
        self._seen[key] = operation.value

    async def _copy(self, store: ClusterStore, key: ObjectName) -> None:
        """A write of what another name (or this one) has, naming its blobs."""
        loop = self._cluster.loop
        try:
            source = await store.get_object(self._rng.choice(self._keys))
        except (RingstackError, TimeoutError):
            return
        operation = self._history.call(self._name, h.PUT, "/".join(key[1:3]), loop.now)
        operation.value = source.record.etag
        draft = Draft("text/plain", {}, etag=source.record.etag)
        try:
            await store.copy_object(source, key, draft)
            operation.finish(loop.now, h.OK)
            self._seen[key] = operation.value
        except Refused:  # the source has changed: nothing was written
            operation.kind, operation.outcome = h.GET, h.UNKNOWN
        except (RingstackError, TimeoutError):
            operation.outcome = h.UNKNOWN

    async def _list(self, store: ClusterStore, container: str) -> None:
        """A listing is a read of every name in it, each at its own instant."""
        keys = [key for key in self._keys if key.container == container]
        operations = [
            self._history.call(self._name, h.GET, "/".join(key[1:3]), self._cluster.loop.now)
            for key in keys
        ]
        try:
            page = await store.list_objects(ACCOUNT, container, ListQuery())
        except (RingstackError, TimeoutError):
            return
        shown = {row.name: row.summary.etag for row in page.rows if row.summary is not None}
        for key, operation in zip(keys, operations, strict=True):
            operation.value = shown.get(key.name)
            operation.finish(self._cluster.loop.now, h.OK)


def make_keys(rng: random.Random) -> list[ObjectName]:
    """A few names in a replicated and an erasure-coded container."""
    count = rng.randint(1, 4)
    return [
        ObjectName(ACCOUNT, container, f"key{number}")
        for container in CONTAINERS
        for number in range(count)
    ]
