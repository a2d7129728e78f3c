"""Blobs on the ring: quorum writes with hand-off, hedged and verified reads.

A blob is written once under a fresh random id. A read asks one copy, then the next when it fails, is
missing, does not verify, or takes long; bytes that do not match their checksums never leave here. Devices
that kept us waiting lately are asked last, and are not sent what they would only leave in our memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from core import checksum
from core.env import Buffer, Env
from core.errors import Full, RingstackError, Unavailable
from core.frame import Frame
from objectd import wire
from proxy.store.cluster import Cluster, Target
from proxy.store.coded import CodedReader, reluctance
from proxy.store.erasure import codec_of
from proxy.store.hunt import Hunt, hedge_of
from proxy.store.layout import Layout, layout_of
from proxy.store.quorum import BlobWrite, Send
from proxy.store.record import Extent
from proxy.store.slowness import Slowness
from proxy.store.touch import touch
from ring.policy import Policy

SLOW_S = 1.0  # a write that takes longer is also sent to a hand-off
WRITE_TIMEOUT_S = 15.0
READ_WINDOW_BYTES = 1024 * 1024  # what one read of a replicated blob asks for at a time
OFFLOAD_BYTES = 256 * 1024
NO_OWNER = bytes(wire.RANGE_BYTES)
DROP_IDS_MAX = 10_000  # in one call
DROP_EVERYWHERE_MAX = 16  # in small clusters a drop goes to every device, hand-offs included


class Written(NamedTuple):
    """A blob that is durable, and the lowest generation of the devices that say so."""

    extent: Extent
    stamp: int


class Blobs:
    """Blob client of one process."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._env: Env = cluster.env
        self._slowness = Slowness()
        self._hedge_s = hedge_of(cluster)
        self._coded = CodedReader(cluster, self._slowness)

    # -- writing -------------------------------------------------------------------------------

    async def write(self, policy: Policy, owner: bytes, stripe: bytes) -> Written:
        """Store a stripe durably under a new id.

        Raises Full when devices have no room, Unavailable when too few answer.
        """
        blob = self._env.random_bytes(wire.BLOB_ID_BYTES)
        layout = layout_of(policy, len(stripe))
        if layout.coded:
            pieces = await self._fragments(policy, blob, owner, stripe)
        else:
            head = self._put_head(policy, blob, owner, layout.pieces[0], stripe, len(stripe))
            pieces = [(head, stripe)] * len(layout.pieces)
        primaries, others = self._places(policy, blob, layout)
        writing = BlobWrite(primaries, others, layout.needed)
        try:
            stamp = await _WriteShell(writing, pieces, self._slowness).run()
        except BaseException:
            self.drop([(blob, policy.id)])  # what was stored of it is of no use to anybody
            raise
        self._cluster.heard(stamp)
        return Written(Extent(blob, policy.id, len(stripe), 0, len(stripe)), stamp)

    async def touch(self, extents: Sequence[Extent]) -> int:
        """Stamp blobs anew before another record names them; returns the lowest stamp.

        Raises Unavailable when too few of their devices answer.
        """
        return await touch(self._cluster, extents) if extents else wire.NOTHING_NEW

    def _put_head(
        self, policy: Policy, blob: bytes, owner: bytes, piece: int, body: bytes, total: int
    ) -> bytes:
        sums = checksum.block_sums(body)
        stamp = self._cluster.generation
        return wire.encode(wire.PutBlob(blob, piece, owner, total, sums, policy.id, stamp))

    async def _fragments(
        self, policy: Policy, blob: bytes, owner: bytes, stripe: bytes
    ) -> list[tuple[bytes, bytes]]:
        fragments = await self._encode(policy, stripe)
        return [
            (self._put_head(policy, blob, owner, number, fragment, len(stripe)), fragment)
            for number, fragment in enumerate(fragments)
        ]

    async def _encode(self, policy: Policy, stripe: bytes) -> list[bytes]:
        codec = codec_of(policy)
        if len(stripe) > OFFLOAD_BYTES:
            return await self._env.offload(lambda: codec.encode(stripe))
        return codec.encode(stripe)

    async def copy_piece(
        self, extent: Extent, piece: int, sources: Sequence[Target], target: Target
    ) -> None:
        """Copy one piece of a blob as it is, from the first of the sources that has it good.

        Raises Corrupt and Unavailable as `read`, Full, and Unavailable when the device does not take it.
        """
        head = wire.encode(wire.GetBlob(extent.blob, piece, 0, 1 << 40))
        frame = await Hunt(iter(sources), head, self._slowness, self._hedge_s).run()
        answer = wire.decode_blob_bytes(frame.head)
        self._cluster.heard(answer.stamp)  # a copy must not look older than its source
        put = wire.PutBlob(
            extent.blob,
            piece,
            answer.owner,
            answer.total,
            answer.sums,
            extent.policy,
            self._cluster.generation,
        )
        await self._give(target, wire.encode(put), frame.body)

    async def rebuild(self, extent: Extent, missing: Mapping[int, Target]) -> int:
        """Make missing fragments of a stripe from k others and put them where they belong, by number.

        Returns how many were taken. Raises Corrupt and Unavailable as `read`, and when none was taken.
        """
        policy = self._cluster.policies[extent.policy]
        found = await self._coded.gather(policy, extent, last=missing)
        codec, numbers, total = codec_of(policy), sorted(missing), extent.blob_size
        fragments = await self._env.offload(lambda: codec.restore(found, total, numbers))
        giving = [
            self._give(
                target,
                self._put_head(policy, extent.blob, NO_OWNER, number, fragments[number], total),
                fragments[number],
            )
            for number, target in missing.items()
        ]
        results = await asyncio.gather(*giving, return_exceptions=True)
        failures = [result for result in results if result is not None]
        for failure in failures:
            if len(failures) == len(results) or not isinstance(failure, RingstackError):
                raise failure
        return len(results) - len(failures)

    @staticmethod
    async def _give(target: Target, head: bytes, body: Buffer) -> None:
        """Put a piece on one device. Raises Full, Unavailable."""
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await target.bulk.writable()
                frame = await target.bulk.ask(wire.PUT_BLOB, target.device, head, body)
        except TimeoutError:
            raise Unavailable("NotTaken", "a device did not take a restored piece") from None
        if frame.status == wire.FULL:
            raise Full("InsufficientStorage", "a device has no room for a restored piece")
        if frame.status != wire.OK:
            raise Unavailable("NotTaken", "a device did not take a restored piece")

    def drop(self, blobs: Iterable[tuple[bytes, int]]) -> None:
        """Ask the devices of (blob, policy id) to forget them; best effort, the sweep finds the rest."""
        for target, head in self._drops(blobs):
            target.bulk.call(wire.DROP_BLOBS, target.device, head, b"", _ignore)

    async def drop_now(self, blobs: Iterable[tuple[bytes, int]], timeout_s: float) -> None:
        """The same, waiting until the devices have answered or the time is over."""
        asking = [
            target.bulk.ask(wire.DROP_BLOBS, target.device, head)
            for target, head in self._drops(blobs)
        ]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await asyncio.gather(*asking)

    def _drops(self, blobs: Iterable[tuple[bytes, int]]) -> list[tuple[Target, bytes]]:
        wanted: dict[int, tuple[Target, list[bytes]]] = {}
        everywhere = self._cluster.targets
        for blob, policy_id in blobs:
            policy = self._cluster.policies[policy_id]
            targets: Iterable[Target] = everywhere
            if len(everywhere) > DROP_EVERYWHERE_MAX:
                targets = self._cluster.blob_targets(blob, policy)
            for target in targets:
                wanted.setdefault(target.device, (target, []))[1].append(blob)
        return [
            (target, wire.encode(wire.DropBlobs(ids[start : start + DROP_IDS_MAX])))
            for target, ids in wanted.values()
            for start in range(0, len(ids), DROP_IDS_MAX)
        ]

    # -- reading -------------------------------------------------------------------------------

    async def read(self, extent: Extent, start: int, length: int) -> bytes | memoryview:
        """Bytes [start, start+length) of an extent, verified.

        Raises Corrupt when no copy verifies, Unavailable when too few copies answer.
        """
        policy = self._cluster.policies[extent.policy]
        layout = layout_of(policy, extent.blob_size)
        if layout.coded:
            return await self._coded.read(policy, extent, extent.start + start, length)
        return await self._read_copy(policy, extent.blob, layout, extent.start + start, length)

    async def _read_copy(
        self, policy: Policy, blob: bytes, layout: Layout, start: int, length: int
    ) -> bytes | memoryview:
        head = wire.encode(wire.GetBlob(blob, layout.pieces[0], start, length))
        frame = await Hunt(
            self._candidates(policy, blob, layout), head, self._slowness, self._hedge_s
        ).run()
        answer = wire.decode_blob_bytes(frame.head)
        skip = start - answer.start
        return memoryview(frame.body)[skip : skip + length]

    def _candidates(self, policy: Policy, blob: bytes, layout: Layout) -> Iterator[Target]:
        """Copies to ask, connected primaries first, in an order that spreads load by blob id."""
        primaries, others = self._places(policy, blob, layout)
        turn = blob[0] % len(primaries)
        order = primaries[turn:] + primaries[:turn]
        yield from sorted(order, key=partial(reluctance, self._slowness))
        yield from others

    def _places(
        self, policy: Policy, blob: bytes, layout: Layout
    ) -> tuple[tuple[Target, ...], Iterator[Target]]:
        """The homes of a blob's pieces, and where to go when one of them cannot take or give one."""
        devices = self._cluster.blob_targets(blob, policy)
        homes, rest = devices[: len(layout.pieces)], devices[len(layout.pieces) :]
        return homes, itertools.chain(rest, self._cluster.blob_handoffs(blob, policy))

    def window_bytes(self, extent: Extent) -> int:
        """How much of an extent one read should ask for: a coded stripe is read at once."""
        policy = self._cluster.policies[extent.policy]
        coded = layout_of(policy, extent.blob_size).coded
        return extent.length if coded else READ_WINDOW_BYTES


class _WriteShell:
    """Performs the sends of a `BlobWrite`, and keeps late pieces going after it is done."""

    def __init__(
        self,
        writing: BlobWrite[Target],
        pieces: list[tuple[bytes, bytes]],
        slowness: Slowness,
    ) -> None:
        self._writing = writing
        self._pieces = pieces
        self._slowness = slowness
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stamp = wire.NOTHING_NEW

    async def run(self) -> int:
        """Until enough pieces are durable; the lowest generation of the devices that have them."""
        timer = self._loop.call_later(WRITE_TIMEOUT_S, self._expire)
        for send in self._writing.start():
            self._send(send)
        try:
            await self._future
            return self._stamp
        finally:
            timer.cancel()

    def _send(self, send: Send[Target]) -> None:
        # the pieces are small in number: a task each lets a clogged link wait without the others
        task = self._loop.create_task(self._perform(send))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _perform(self, send: Send[Target]) -> None:
        device = send.device.device
        if self._slowness.full(device, self._loop.time()):
            other = self._writing.instead(send.piece)
            if other is not None:
                self._send(other)
                return
        status = await self._ask(send) if await self._may_send(send) else wire.FAILED
        if status == wire.OK:
            self._writing.stored(send.piece)
        else:
            if status == wire.FULL:
                self._slowness.no_room(device, self._loop.time())
            following = self._writing.failed(send.piece, full=status == wire.FULL)
            if following is not None:
                self._send(following)
        self._judge()

    async def _may_send(self, send: Send[Target]) -> bool:
        """Wait for room in the link. False when the piece should go elsewhere.

        While nothing is decided yet, waiting costs no memory that the client's own body does not hold anyway;
        after that a device that takes nothing must not make us keep piece after piece.
        """
        device, bulk = send.device.device, send.device.bulk
        if not bulk.congested:
            return True
        if self._slowness.slow(device, self._loop.time()):
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SLOW_S):
                await bulk.writable()
            return True
        self._slowness.kept_waiting(device, self._loop.time())
        if self._writing.done:
            return False
        self._send_beside(send)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await bulk.writable()
            return True
        return False

    def _send_beside(self, send: Send[Target]) -> None:
        other = self._writing.slow(send.piece)
        if other is not None:
            self._send(other)

    async def _ask(self, send: Send[Target]) -> int:
        head, body = self._pieces[send.piece]
        device, _, bulk = send.device
        slow = self._loop.call_later(SLOW_S, self._send_beside, send)
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                frame = await bulk.ask(wire.PUT_BLOB, device, head, body)
            if frame.status == wire.OK and not self._future.done():
                self._stamp = min(self._stamp, wire.decode_count(frame.head))
            return frame.status
        except TimeoutError:
            return wire.FAILED
        finally:
            slow.cancel()

    def _judge(self) -> None:
        if self._future.done():
            return
        if self._writing.done:
            self._future.set_result(None)
        elif self._writing.hopeless:
            self._future.set_exception(_no_quorum(full=self._writing.full))

    def _expire(self) -> None:
        if not self._future.done():
            self._future.set_exception(_no_quorum(full=self._writing.full))


def _no_quorum(*, full: bool) -> Exception:
    if full:
        return Full("InsufficientStorage", "the devices have no room left for this data")
    return Unavailable("NoQuorum", "too few storage devices answer to keep this data safe")


def _ignore(frame: Frame) -> None:
    """A drop needs no answer."""
    del frame
