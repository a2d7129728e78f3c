"""Blobs on the ring: quorum writes with hand-off, hedged and verified reads.

A blob is written once under a fresh random id. A read asks one copy, then the next when it fails, is
missing, does not verify, or takes long; bytes that do not match their checksums never leave here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator

import msgspec

from core import checksum
from core.env import Env
from core.errors import Corrupt, Full, Unavailable
from core.frame import Frame
from objectd import wire
from proxy.store.cluster import Cluster, Target
from proxy.store.erasure import codec_of
from proxy.store.quorum import BlobWrite, Send, pieces_needed
from proxy.store.record import Extent
from ring.policy import Policy

SLOW_S = 1.0  # a write that takes longer is also sent to a hand-off
WRITE_TIMEOUT_S = 15.0
HEDGE_S = 0.15  # a read that takes longer asks another copy too
READ_TIMEOUT_S = 15.0
OFFLOAD_BYTES = 256 * 1024
DROP_EVERYWHERE_MAX = 16  # in small clusters a drop goes to every device, hand-offs included


class Blobs:
    """Blob client of one process."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._env: Env = cluster.env
        self._turn = 0

    # -- writing -------------------------------------------------------------------------------

    async def write(self, policy: Policy, owner: bytes, stripe: bytes) -> Extent:
        """Store a stripe durably under a new id.

        Raises Full when devices have no room, Unavailable when too few answer.
        """
        blob = self._env.random_bytes(wire.BLOB_ID_BYTES)
        if policy.kind == "replicated":
            head = _put_head(policy, blob, owner, 0, stripe, len(stripe))
            pieces = [(head, stripe)] * policy.replicas
        else:
            pieces = await self._fragments(policy, blob, owner, stripe)
        writing = BlobWrite(
            self._cluster.blob_targets(blob, policy),
            self._cluster.blob_handoffs(blob, policy),
            pieces_needed(policy),
        )
        await _WriteShell(writing, pieces).run()
        return Extent(blob, policy.id, len(stripe), 0, len(stripe))

    async def _fragments(
        self, policy: Policy, blob: bytes, owner: bytes, stripe: bytes
    ) -> list[tuple[bytes, bytes]]:
        fragments = await self._encode(policy, stripe)
        return [
            (_put_head(policy, blob, owner, number, fragment, len(stripe)), fragment)
            for number, fragment in enumerate(fragments)
        ]

    async def _encode(self, policy: Policy, stripe: bytes) -> list[bytes]:
        codec = codec_of(policy)
        if len(stripe) > OFFLOAD_BYTES:
            return await self._env.offload(lambda: codec.encode(stripe))
        return codec.encode(stripe)

    async def restore(self, extent: Extent, piece: int, target: Target, owner: bytes) -> None:
        """Put one missing piece of a blob where it belongs, from the other pieces.

        Raises Corrupt and Unavailable as `read`, Unavailable when the device does not take it.
        """
        policy = self._cluster.policies[extent.policy]
        stripe = bytes(await self.read(extent, 0, extent.length))
        if policy.kind == "replicated":
            body = stripe
        else:
            body = (await self._encode(policy, stripe))[piece]
        head = _put_head(policy, extent.blob, owner, piece, body, len(stripe))
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            frame = await target.bulk.ask(wire.PUT_BLOB, target.device, head, body)
        if frame.status != wire.OK:
            raise Unavailable("NotTaken", "a device did not take a restored piece")

    def drop(self, blobs: Iterable[tuple[bytes, int]]) -> None:
        """Ask the devices of (blob, policy id) to forget them; best effort, the sweep finds the rest."""
        wanted: dict[int, tuple[Target, list[bytes]]] = {}
        everywhere = self._cluster.targets
        for blob, policy_id in blobs:
            policy = self._cluster.policies[policy_id]
            targets: Iterable[Target] = everywhere
            if len(everywhere) > DROP_EVERYWHERE_MAX:
                targets = self._cluster.blob_targets(blob, policy)
            for target in targets:
                wanted.setdefault(target.device, (target, []))[1].append(blob)
        for target, ids in wanted.values():
            head = wire.encode(wire.DropBlobs(ids))
            target.bulk.call(wire.DROP_BLOBS, target.device, head, b"", _ignore)

    # -- reading -------------------------------------------------------------------------------

    async def read(self, extent: Extent, start: int, length: int) -> bytes | memoryview:
        """Bytes [start, start+length) of an extent, verified.

        Raises Corrupt when no copy verifies, Unavailable when too few copies answer.
        """
        policy = self._cluster.policies[extent.policy]
        if policy.kind == "replicated":
            return await self._read_replica(policy, extent.blob, extent.start + start, length)
        stripe = await self._read_fragments(policy, extent)
        return memoryview(stripe)[extent.start + start : extent.start + start + length]

    async def _read_replica(
        self, policy: Policy, blob: bytes, start: int, length: int
    ) -> bytes | memoryview:
        head = wire.encode(wire.GetBlob(blob, 0, start, length))
        frame = await _Hunt(self._candidates(policy, blob), head).run()
        answer = wire.decode_blob_bytes(frame.head)
        skip = start - answer.start
        return memoryview(frame.body)[skip : skip + length]

    def _candidates(self, policy: Policy, blob: bytes) -> Iterator[Target]:
        """Copies to ask, connected primaries first, in an order that spreads load by blob id."""
        primaries = self._cluster.blob_targets(blob, policy)
        turn = blob[0] % len(primaries)
        order = primaries[turn:] + primaries[:turn]
        yield from sorted(order, key=lambda target: not target.bulk.up)
        yield from self._cluster.blob_handoffs(blob, policy)

    async def _read_fragments(self, policy: Policy, extent: Extent) -> bytes:
        """The whole stripe from any k fragments, data fragments first."""
        primaries = self._cluster.blob_targets(extent.blob, policy)
        order = sorted(range(policy.width), key=lambda n: (not primaries[n].bulk.up, n))
        wanted, spare = order[: policy.data], order[policy.data :]
        found: dict[int, bytes] = {}
        error: BaseException | None = None
        while True:
            results = await asyncio.gather(
                *(self._fragment(primaries, extent.blob, number, policy) for number in wanted),
                return_exceptions=True,
            )
            failed = [result for result in results if isinstance(result, BaseException)]
            found.update(
                (number, result)
                for number, result in zip(wanted, results, strict=True)
                if not isinstance(result, BaseException)
            )
            if len(found) >= policy.data:
                break
            error = failed[0] if failed else error
            assert error is not None, "too few fragments were asked for"
            if not isinstance(error, (Corrupt, Unavailable)) or not spare:
                raise error
            wanted, spare = spare[: len(failed)], spare[len(failed) :]
        codec = codec_of(policy)
        return await self._env.offload(lambda: codec.decode(found, extent.blob_size))

    async def _fragment(
        self, primaries: tuple[Target, ...], blob: bytes, number: int, policy: Policy
    ) -> bytes:
        head = wire.encode(wire.GetBlob(blob, number, 0, 1 << 40))

        def candidates() -> Iterator[Target]:
            yield primaries[number]
            yield from self._cluster.blob_handoffs(blob, policy)

        frame = await _Hunt(candidates(), head).run()
        return bytes(frame.body)


class _WriteShell:
    """Performs the sends of a `BlobWrite`, and keeps late pieces going after it is done."""

    def __init__(self, writing: BlobWrite[Target], pieces: list[tuple[bytes, bytes]]) -> None:
        self._writing = writing
        self._pieces = pieces
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        timer = self._loop.call_later(WRITE_TIMEOUT_S, self._expire)
        for send in self._writing.start():
            self._send(send)
        try:
            await self._future
        finally:
            timer.cancel()

    def _send(self, send: Send[Target]) -> None:
        # the pieces are small in number: a task each lets a clogged link wait without the others
        task = self._loop.create_task(self._perform(send))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _perform(self, send: Send[Target]) -> None:
        head, body = self._pieces[send.piece]
        target = send.device
        asking = asyncio.ensure_future(self._ask(target, head, body))
        try:
            status = await asyncio.wait_for(asyncio.shield(asking), SLOW_S)
        except TimeoutError:
            other = self._writing.slow(send.piece)
            if other is not None:
                self._send(other)
            try:
                status = await asyncio.wait_for(asking, WRITE_TIMEOUT_S)
            except TimeoutError:
                status = wire.FAILED
        if status == wire.OK:
            self._writing.stored(send.piece)
        else:
            following = self._writing.failed(send.piece, full=status == wire.FULL)
            if following is not None:
                self._send(following)
        self._judge()

    @staticmethod
    async def _ask(target: Target, head: bytes, body: bytes) -> int:
        await target.bulk.writable()
        return (await target.bulk.ask(wire.PUT_BLOB, target.device, head, body)).status

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


def _put_head(
    policy: Policy, blob: bytes, owner: bytes, piece: int, body: bytes, total: int
) -> bytes:
    sums = checksum.block_sums(body)
    return wire.encode(wire.PutBlob(blob, piece, owner, total, sums, policy.id))


def _no_quorum(*, full: bool) -> Exception:
    if full:
        return Full("InsufficientStorage", "the devices have no room left for this data")
    return Unavailable("NoQuorum", "too few storage devices answer to keep this data safe")


class _Hunt:
    """Asks copies one after another, and beside each other when slow, until one verifies."""

    def __init__(self, candidates: Iterator[Target], head: bytes) -> None:
        self._candidates = candidates
        self._head = head
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[Frame] = self._loop.create_future()
        self._open = 0
        self._corrupt = False
        self._calls: list[tuple[Target, int]] = []
        self._timer: asyncio.TimerHandle | None = None

    async def run(self) -> Frame:
        """The first answer that verifies."""
        limit = self._loop.call_later(READ_TIMEOUT_S, self._expire)
        self._ask_next()
        try:
            return await self._future
        finally:
            limit.cancel()
            if self._timer is not None:
                self._timer.cancel()
            for target, number in self._calls:
                target.bulk.forget(number)

    def _ask_next(self) -> None:
        if self._future.done():
            return
        if self._timer is not None:
            self._timer.cancel()
        target = next(self._candidates, None)
        if target is None:
            if not self._open:
                self._fail()
            return
        self._open += 1
        self._timer = self._loop.call_later(HEDGE_S, self._ask_next)
        reply: Callable[[Frame], None] = self._answered
        number = target.bulk.call(wire.GET_BLOB, target.device, self._head, b"", reply)
        self._calls.append((target, number))

    def _answered(self, frame: Frame) -> None:
        self._open -= 1
        if self._future.done():
            return
        if frame.status == wire.OK and self._verifies(frame):
            self._future.set_result(frame)
            return
        self._corrupt = self._corrupt or frame.status in {wire.OK, wire.CORRUPT}
        self._ask_next()

    @staticmethod
    def _verifies(frame: Frame) -> bool:
        try:
            answer = wire.decode_blob_bytes(frame.head)
        except msgspec.MsgspecError:
            return False
        return checksum.sums_match(frame.body, answer.sums)

    def _expire(self) -> None:
        if not self._future.done():
            self._fail()

    def _fail(self) -> None:
        if self._corrupt:
            error: Exception = Corrupt("NoGoodCopy", "no copy of this data verifies")
        else:
            error = Unavailable("NoCopy", "no copy of this data can be reached")
        self._future.set_exception(error)


def _ignore(frame: Frame) -> None:
    """A drop needs no answer."""
    del frame
