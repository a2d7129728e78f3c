"""Windows and slices of a manifest name exactly the bytes that were asked for."""

from __future__ import annotations

import contextlib
import hashlib
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from core.limits import INLINE_BYTES_MAX, STRIPE_BYTES
from proxy.store.blobs import Written
from proxy.store.body import BodyWriter, read_extents, slice_extents
from proxy.store.record import Extent
from ring.policy import Policy
from tests.virtual import World, run

POLICY = Policy(0, "p", "replicated", replicas=3)


class MemoryBlobs:
    """Blobs in a dictionary: what `Blobs` promises, without a ring."""

    def __init__(self) -> None:
        self.stored: dict[bytes, bytes] = {}
        self.dropped: list[bytes] = []
        self.fail_at = -1

    async def write(self, policy: Policy, owner: bytes, stripe: bytes) -> Written:
        if len(self.stored) == self.fail_at:
            raise OSError("no room")
        blob = b"%016d" % len(self.stored)
        self.stored[blob] = stripe
        return Written(Extent(blob, policy.id, len(stripe), 0, len(stripe)), 7 + len(self.stored))

    def drop(self, blobs) -> None:
        self.dropped += [blob for blob, _ in blobs]

    def window_bytes(self, extent: Extent) -> int:
        return 64

    async def read(self, extent: Extent, start: int, length: int) -> bytes:
        assert length > 0
        assert start >= 0
        assert start + length <= extent.length
        at = extent.start + start
        return self.stored[extent.blob][at : at + length]


@st.composite
def manifests(draw: st.DrawFn) -> tuple[MemoryBlobs, tuple[Extent, ...], bytes]:
    """Blobs, a manifest of parts of them, and the bytes it stands for."""
    blobs = MemoryBlobs()
    extents: list[Extent] = []
    whole = b""
    for number in range(draw(st.integers(0, 6))):
        data = random.Random(draw(st.integers(0, 99))).randbytes(draw(st.integers(1, 200)))
        blob = b"%016d" % number
        blobs.stored[blob] = data
        start = draw(st.integers(0, len(data) - 1))
        length = draw(st.integers(1, len(data) - start))
        extents.append(Extent(blob, 0, len(data), start, length))
        whole += data[start : start + length]
    return blobs, tuple(extents), whole


@st.composite
def ranges(draw: st.DrawFn) -> tuple[MemoryBlobs, tuple[Extent, ...], bytes, int, int]:
    blobs, manifest, whole = draw(manifests())
    start = draw(st.integers(0, len(whole)))
    return blobs, manifest, whole, start, draw(st.integers(0, len(whole) - start))


@given(ranges())
def test_a_range_is_read_as_bytes_would_be_sliced(case) -> None:
    """Across extents, from their middles, empty and whole."""
    blobs, manifest, whole, start, length = case

    async def work(_: World) -> bytes:
        return b"".join([bytes(p) async for p in read_extents(blobs, manifest, start, length)])

    assert run(work) == whole[start : start + length]


@given(ranges())
def test_a_slice_of_a_manifest_names_the_same_bytes(case) -> None:
    """Composing copies no data: the extents alone must be right."""
    blobs, manifest, whole, start, length = case
    sliced = slice_extents(manifest, start, length)
    assert sum(extent.length for extent in sliced) == length
    named = b"".join(
        blobs.stored[e.blob][e.start : e.start + e.length] for e in sliced if e.length > 0
    )
    assert named == whole[start : start + length]
    assert all(extent.length > 0 for extent in sliced)


sizes = st.one_of(
    st.integers(0, 20_000),
    st.sampled_from(
        [
            INLINE_BYTES_MAX,
            INLINE_BYTES_MAX + 1,
            STRIPE_BYTES,
            STRIPE_BYTES + 1,
            3 * STRIPE_BYTES - 1,
        ]
    ),
)


@settings(max_examples=40)
@given(sizes, st.integers(4096, 2**20), st.integers(0, 2**32))
def test_a_body_is_stored_as_it_came(size: int, piece: int, seed: int) -> None:
    """Inline up to the limit, in whole stripes above it; size and MD5 are the body's own."""
    data = random.Random(seed).randbytes(size)
    blobs = MemoryBlobs()

    async def chunks():
        for start in range(0, size, piece):
            yield data[start : start + piece]

    async def work(world: World):
        return await BodyWriter(world.env(), blobs, POLICY, bytes(16)).write(chunks())

    stored = run(work)
    assert stored.size == size
    assert stored.md5 == hashlib.md5(data).hexdigest()
    assert bool(stored.manifest) == (size > INLINE_BYTES_MAX)
    named = b"".join(blobs.stored[extent.blob] for extent in stored.manifest)
    assert stored.inline + named == data
    assert all(extent.length == STRIPE_BYTES for extent in stored.manifest[:-1])


@given(st.integers(0, 3))
def test_a_write_that_fails_gives_its_stripes_back(fail_at: int) -> None:
    """Whatever fails, nothing that was stored stays behind."""
    blobs = MemoryBlobs()
    blobs.fail_at = fail_at

    async def chunks():
        for _ in range(4):
            yield bytes(STRIPE_BYTES)

    async def work(world: World) -> str:
        async with contextlib.aclosing(chunks()) as body:
            try:
                await BodyWriter(world.env(), blobs, POLICY, bytes(16)).write(body)
            except OSError as error:
                return str(error)
        return ""

    assert run(work) == "no room"
    assert sorted(blobs.dropped) == sorted(blobs.stored)
