"""Reading erasure-coded stripes: any k fragments, or only those that hold what is wanted.

Codecs are systematic: the first k fragments carry the stripe itself. A short range is read from the data
fragments that cover it; when one of them is missing, slow or bad, the stripe is made from any k.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Container, Iterator

from core.errors import Corrupt, Unavailable
from objectd import wire
from proxy.store.cluster import Cluster, Target
from proxy.store.erasure import codec_of
from proxy.store.hunt import Hunt, hedge_of
from proxy.store.record import Extent
from proxy.store.slowness import Slowness
from ring.policy import Policy

WHOLE_PIECE = 1 << 40  # more than any piece has


def reluctance(slowness: Slowness, target: Target) -> tuple[bool, bool]:
    """Sorts whom to ask: connected first, and of those the ones that answer in time."""
    now_s = asyncio.get_running_loop().time()
    return not target.bulk.up, slowness.slow(target.device, now_s)


class CodedReader:
    """Reads stripes of erasure-coded policies."""

    def __init__(self, cluster: Cluster, slowness: Slowness) -> None:
        self._cluster = cluster
        self._slowness = slowness

    async def read(
        self, policy: Policy, extent: Extent, start: int, length: int
    ) -> bytes | memoryview:
        """Bytes [start, start+length) of a stripe, verified. Raises Corrupt, Unavailable."""
        ranged = await self._read_range(policy, extent, start, length)
        if ranged is not None:
            return ranged
        found = await self.gather(policy, extent)
        codec = codec_of(policy)
        stripe = await self._cluster.env.offload(lambda: codec.decode(found, extent.blob_size))
        return memoryview(stripe)[start : start + length]

    async def _read_range(
        self, policy: Policy, extent: Extent, start: int, length: int
    ) -> bytes | None:
        """The range from the data fragments that cover it; None when that is no gain or does not succeed."""
        skip, share = codec_of(policy).share(extent.blob_size)
        if length <= 0:
            return b""
        numbers = range(start // share, (start + length - 1) // share + 1)
        if len(numbers) >= policy.data:
            return None
        primaries = self._cluster.blob_targets(extent.blob, policy)
        if any(any(reluctance(self._slowness, primaries[number])) for number in numbers):
            return None
        asking = []
        for number in numbers:
            low = max(start, number * share) - number * share
            high = min(start + length, (number + 1) * share) - number * share
            work = self._part(primaries[number], extent.blob, number, skip + low, high - low)
            asking.append(asyncio.get_running_loop().create_task(work))
        try:
            done, late = await asyncio.wait(asking, timeout=hedge_of(self._cluster))
        finally:
            for task in asking:
                task.cancel()
        errors = [task.exception() for task in done]
        for error in errors:
            if error is not None and not isinstance(error, (Corrupt, Unavailable)):
                raise error
        if late or any(errors):
            return None
        return b"".join(task.result() for task in asking)

    async def _part(
        self, target: Target, blob: bytes, number: int, start: int, length: int
    ) -> bytes | memoryview:
        head = wire.encode(wire.GetBlob(blob, number, start, length))
        frame = await Hunt(iter((target,)), head, self._slowness, hedge_of(self._cluster)).run()
        answer = wire.decode_blob_bytes(frame.head)
        skip = start - answer.start
        return memoryview(frame.body)[skip : skip + length]

    async def gather(
        self, policy: Policy, extent: Extent, *, last: Container[int] = ()
    ) -> dict[int, bytes]:
        """Any k fragments of a stripe by number. Raises Corrupt, Unavailable.

        Data fragments are asked for first, the others when those are slow or fail, each at its home; only
        when all homes together have too few, stand-ins are looked through. Those in `last` are known to
        be missing.
        """
        gathering = _Gathering(self._cluster, self._slowness, policy, extent.blob)
        return await gathering.run(last)


class _Gathering:
    """One stripe's fragments on their way."""

    def __init__(self, cluster: Cluster, slowness: Slowness, policy: Policy, blob: bytes) -> None:
        self._cluster = cluster
        self._slowness = slowness
        self._hedge_s = hedge_of(cluster)
        self._policy = policy
        self._blob = blob
        self._primaries = cluster.blob_targets(blob, policy)
        self._asking: dict[asyncio.Task[bytes], int] = {}
        self._found: dict[int, bytes] = {}
        self._failure: BaseException | None = None

    async def run(self, last: Container[int]) -> dict[int, bytes]:
        homes = self._primaries
        numbers = sorted(
            range(self._policy.width),
            key=lambda n: (n in last, *reluctance(self._slowness, homes[n]), n),
        )
        try:
            await self._collect(iter(numbers), home=True)
            if self._missing:
                rest = [number for number in numbers if number not in self._found]
                await self._collect(iter(rest), home=False)
        finally:
            for task in self._asking:
                task.cancel()
        if self._missing:
            assert self._failure is not None, "too few fragments were asked for"
            raise self._failure
        return self._found

    @property
    def _missing(self) -> int:
        return max(0, self._policy.data - len(self._found))

    async def _collect(self, numbers: Iterator[int], *, home: bool) -> None:
        """Ask for as many as are missing, and for more as they fail or take long, until there are enough."""
        more = max(0, self._missing - len(self._asking))
        self._ask(itertools.islice(numbers, more), home=home)
        while self._missing and self._asking:
            await asyncio.wait(
                self._asking, timeout=self._hedge_s, return_when=asyncio.FIRST_COMPLETED
            )
            ended = [task for task in self._asking if task.done()]
            for task in ended:
                self._take(self._asking.pop(task), task)
            # one more for each that failed, and one when nothing came in time
            more = max(0, self._missing - len(self._asking)) if ended else 1
            following = list(itertools.islice(numbers, more))
            if not following and not ended and home:
                return  # those that are under way may still come while stand-ins are asked
            self._ask(iter(following), home=home)

    def _ask(self, numbers: Iterator[int], *, home: bool) -> None:
        for number in numbers:
            work = self._fragment(number, home=home)
            self._asking[asyncio.get_running_loop().create_task(work)] = number

    def _take(self, number: int, task: asyncio.Task[bytes]) -> None:
        error = task.exception()
        if error is None:
            self._found[number] = task.result()
        elif isinstance(error, (Corrupt, Unavailable)):
            if not isinstance(self._failure, Corrupt):
                self._failure = error
        else:
            raise error

    async def _fragment(self, number: int, *, home: bool) -> bytes:
        head = wire.encode(wire.GetBlob(self._blob, number, 0, WHOLE_PIECE))
        targets: Iterator[Target] = iter((self._primaries[number],))
        if not home:
            targets = self._cluster.blob_handoffs(self._blob, self._policy)
        frame = await Hunt(targets, head, self._slowness).run()
        self._cluster.heard(wire.decode_blob_bytes(frame.head).stamp)
        return bytes(frame.body)
