"""The executable specification of `volume.port.Volumes`: blocks in dictionaries, no faults, no crashes.

Promises: the same answers as the library on the store, at once. It is the model of the contract suite and
the volumes under the tests of services. Nothing survives the process.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from core.errors import Conflict, NotFound, Refused
from volume.naming import check_id, check_range, check_size
from volume.port import BLOCK_BYTES, Extent, Fenced, SnapshotInfo, VolumeInfo

ZEROS = bytes(BLOCK_BYTES)


class Image(NamedTuple):
    """Content at a position: blocks that hold data, and where each block was last written or zeroed."""

    size: int
    position: int
    blocks: dict[int, bytes]
    touched: dict[int, int]

    def copy(self) -> Image:
        """Another one that may change."""
        return Image(self.size, self.position, dict(self.blocks), dict(self.touched))


class Pin(NamedTuple):
    """A snapshot: when it was made and of what."""

    info: SnapshotInfo
    image: Image


class MemoryVolume:
    """One volume."""

    def __init__(
        self,
        volume_id: str,
        image: Image,
        created_us: int,
        *,
        policy: str,
        encrypted: bool,
        retention_s: int,
        origin: tuple[str, str] | None = None,
    ) -> None:
        self.id = volume_id
        self.image = image
        self.created_us = created_us
        self.first_size = image.size
        self.policy = policy
        self.encrypted = encrypted
        self.retention_s = retention_s
        self.origin = origin  # volume and snapshot of which it is a clone
        self.parent = None if origin is None else origin[0]
        self.first_position = image.position
        self.attachment = 0
        self.owner = ""
        self.pins: dict[str, Pin] = {}
        self.past: list[tuple[int, Image]] = []  # (time, image), as long as retention asks for it

    def info(self) -> VolumeInfo:
        """State as the port shows it."""
        own = [at for at in self.image.touched.values() if at > self.first_position]
        return VolumeInfo(
            self.id,
            self.image.size,
            self.created_us,
            self.image.position,
            len(own) * BLOCK_BYTES,
            self.policy,
            self.parent,
            self.encrypted,
            self.retention_s,
            tuple(pin.info for pin in self.pins.values()),
            self.owner,
        )

    def advance(self, now_us: int) -> None:
        """A change is about to be made: the next position begins."""
        if self.retention_s:
            self.past.append((now_us, self.image.copy()))
        self.image = self.image._replace(position=self.image.position + 1)

    def resize(self, size: int) -> None:
        """Grow. Raises Conflict("Shrink")."""
        check_size(size)
        if size < self.image.size:
            raise Conflict("Shrink", f"volume {self.id} has {self.image.size} bytes already")
        self.image = self.image._replace(size=size)


class MemoryDisk:
    """An attachment, or a view of an image."""

    def __init__(
        self, volume: MemoryVolume, clock: Callable[[], int], image: Image | None = None
    ) -> None:
        self._volume = volume
        self._clock = clock
        self._fixed = image
        if image is None:
            volume.attachment += 1
        self._attachment = volume.attachment

    @property
    def _image(self) -> Image:
        return self._volume.image if self._fixed is None else self._fixed

    @property
    def size(self) -> int:
        """See the port."""
        return self._image.size

    @property
    def read_only(self) -> bool:
        """See the port."""
        return self._fixed is not None

    def _writable(self) -> None:
        if self.read_only:
            raise Refused("ReadOnly", "a view of a volume cannot be written")
        if self._attachment != self._volume.attachment:
            raise Fenced(self._volume.id)

    async def read(self, offset: int, length: int) -> bytes:
        """See the port."""
        check_range(self.size, offset, length)
        first, last = offset // BLOCK_BYTES, -(-(offset + length) // BLOCK_BYTES)
        blocks = self._image.blocks
        data = b"".join([blocks.get(block, ZEROS) for block in range(first, last)])
        skip = offset - first * BLOCK_BYTES
        return data[skip : skip + length]

    async def write(self, offset: int, data: bytes | memoryview, *, durable: bool = False) -> None:
        """See the port."""
        del durable
        self._writable()
        check_range(self.size, offset, len(data))
        if data:
            self._volume.advance(self._clock())
            self._put(offset, bytes(data))

    def _put(self, offset: int, data: bytes) -> None:
        image, end = self._image, offset + len(data)
        for block in range(offset // BLOCK_BYTES, -(-end // BLOCK_BYTES)):
            start = block * BLOCK_BYTES
            low, high = max(start, offset), min(start + BLOCK_BYTES, end)
            old = image.blocks.get(block, ZEROS)
            piece = data[low - offset : high - offset]
            image.blocks[block] = old[: low - start] + piece + old[high - start :]
            image.touched[block] = image.position

    async def zero(
        self, offset: int, length: int, *, durable: bool = False, allocate: bool = False
    ) -> None:
        """See the port."""
        del durable, allocate
        self._writable()
        check_range(self.size, offset, length)
        if not length:
            return
        self._volume.advance(self._clock())
        image, end = self._image, offset + length
        first = -(-offset // BLOCK_BYTES)
        last = -(-end // BLOCK_BYTES) if end == self.size else end // BLOCK_BYTES
        if first > last or first * BLOCK_BYTES > end:
            self._put(offset, bytes(length))
            return
        self._put(offset, bytes(first * BLOCK_BYTES - offset))
        for block in range(first, last):
            image.blocks.pop(block, None)
            image.touched[block] = image.position
        tail = last * BLOCK_BYTES
        if tail < end:
            self._put(tail, bytes(end - tail))

    async def flush(self) -> int:
        """See the port."""
        if not self.read_only:
            self._writable()
        return self._image.position

    async def extents(self, offset: int, length: int) -> list[Extent]:
        """See the port."""
        return self._runs(offset, length, self._image.blocks.__contains__)

    async def changed(self, since: int, offset: int, length: int) -> list[Extent]:
        """See the port."""
        touched = self._image.touched
        return self._runs(offset, length, lambda block: touched.get(block, 0) > since)

    def _runs(self, offset: int, length: int, holds: Callable[[int], bool]) -> list[Extent]:
        check_range(self.size, offset, length)
        end = offset + length
        runs: list[Extent] = []
        known = sorted({block for block in self._image.touched if holds(block)})
        at = offset
        for block in known:
            low, high = max(block * BLOCK_BYTES, at), min((block + 1) * BLOCK_BYTES, end)
            if low >= high:
                continue
            if low > at:
                runs.append(Extent(at, low - at, data=False))
            if runs and runs[-1].data and runs[-1].offset + runs[-1].length == low:
                runs[-1] = runs[-1]._replace(length=runs[-1].length + high - low)
            else:
                runs.append(Extent(low, high - low, data=True))
            at = high
        if at < end:
            runs.append(Extent(at, end - at, data=False))
        return runs

    async def resize(self, size: int) -> None:
        """See the port."""
        self._writable()
        self._volume.resize(size)

    async def close(self) -> None:
        """See the port."""


class MemoryVolumes:
    """All volumes, in memory. `clock` gives microseconds."""

    def __init__(self, clock: Callable[[], int], *, policy: str = "replicated-3") -> None:
        self._clock = clock
        self._policy = policy
        self._volumes: dict[str, MemoryVolume] = {}

    def _volume(self, volume_id: str) -> MemoryVolume:
        check_id(volume_id)
        found = self._volumes.get(volume_id)
        if found is None:
            raise NotFound("NoSuchVolume", f"there is no volume {volume_id}")
        return found

    def _pin(self, volume_id: str, snapshot_id: str) -> Pin:
        check_id(snapshot_id)
        found = self._volume(volume_id).pins.get(snapshot_id)
        if found is None:
            raise NotFound("NoSuchSnapshot", f"volume {volume_id} has no snapshot {snapshot_id}")
        return found

    async def create(
        self,
        volume_id: str,
        size: int,
        *,
        policy: str | None = None,
        encrypted: bool = False,
        retention_s: int = 0,
    ) -> VolumeInfo:
        """See the port."""
        check_id(volume_id)
        check_size(size)
        old = self._volumes.get(volume_id)
        if old is not None:
            same = (old.first_size, old.encrypted, old.origin) == (size, encrypted, None)
            if not same or policy not in {None, old.policy}:
                raise Conflict("VolumeExists", f"volume {volume_id} exists and is another")
            return old.info()
        self._volumes[volume_id] = volume = MemoryVolume(
            volume_id,
            Image(size, 0, {}, {}),
            self._clock(),
            policy=policy or self._policy,
            encrypted=encrypted,
            retention_s=retention_s,
        )
        return volume.info()

    async def clone(
        self, volume_id: str, source_id: str, snapshot_id: str, *, size: int | None = None
    ) -> VolumeInfo:
        """See the port."""
        check_id(volume_id)
        old = self._volumes.get(volume_id)
        if old is not None:
            if old.origin != (source_id, snapshot_id) or size not in {None, old.first_size}:
                raise Conflict("VolumeExists", f"volume {volume_id} exists and is another")
            return old.info()
        source, pin = self._volume(source_id), self._pin(source_id, snapshot_id)
        image = pin.image.copy()
        if size is not None:
            check_size(size)
            if size < image.size:
                raise Conflict("Shrink", f"the snapshot has {image.size} bytes")
            image = image._replace(size=size)
        self._volumes[volume_id] = volume = MemoryVolume(
            volume_id,
            image,
            self._clock(),
            policy=source.policy,
            encrypted=source.encrypted,
            retention_s=0,
            origin=(source_id, snapshot_id),
        )
        return volume.info()

    async def describe(self, volume_id: str) -> VolumeInfo:
        """See the port."""
        return self._volume(volume_id).info()

    async def delete(self, volume_id: str) -> None:
        """See the port."""
        volume = self._volume(volume_id)
        if volume.pins:
            raise Conflict("HasSnapshots", f"volume {volume_id} has snapshots")
        volume.attachment += 1
        del self._volumes[volume_id]

    async def resize(self, volume_id: str, size: int) -> VolumeInfo:
        """See the port."""
        volume = self._volume(volume_id)
        volume.resize(size)
        return volume.info()

    async def snapshot(self, volume_id: str, snapshot_id: str) -> SnapshotInfo:
        """See the port."""
        check_id(snapshot_id)
        volume = self._volume(volume_id)
        if snapshot_id not in volume.pins:
            image = volume.image.copy()
            info = SnapshotInfo(snapshot_id, image.position, image.size, self._clock())
            volume.pins[snapshot_id] = Pin(info, image)
        return volume.pins[snapshot_id].info

    async def drop_snapshot(self, volume_id: str, snapshot_id: str) -> None:
        """See the port."""
        check_id(snapshot_id)
        self._volume(volume_id).pins.pop(snapshot_id, None)

    async def revert(self, volume_id: str, snapshot_id: str) -> None:
        """See the port."""
        volume, pin = self._volume(volume_id), self._pin(volume_id, snapshot_id)
        volume.attachment += 1
        position = volume.image.position + 1
        volume.image = pin.image.copy()._replace(position=position)

    async def flatten(self, volume_id: str) -> None:
        """See the port."""
        self._volume(volume_id).parent = None

    async def attach(self, volume_id: str, owner: str) -> MemoryDisk:
        """See the port."""
        volume = self._volume(volume_id)
        volume.owner = owner
        return MemoryDisk(volume, self._clock)

    async def view(
        self, volume_id: str, *, snapshot_id: str | None = None, time_us: int | None = None
    ) -> MemoryDisk:
        """See the port."""
        volume = self._volume(volume_id)
        image = volume.image.copy()
        if snapshot_id is not None:
            image = self._pin(volume_id, snapshot_id).image
        elif time_us is not None:
            if time_us < self._clock() - volume.retention_s * 1_000_000:
                raise Refused("OutOfRange", "that time is not inside the retention window")
            image = next((past for at, past in volume.past if at > time_us), image)
        return MemoryDisk(volume, self._clock, image)

    async def changes(
        self, volume_id: str, from_snapshot: str | None, to_snapshot: str
    ) -> AsyncIterator[Extent]:
        """See the port."""
        pin = self._pin(volume_id, to_snapshot)
        base = Image(0, 0, {}, {})
        if from_snapshot is not None:
            base = self._pin(volume_id, from_snapshot).image
        image = pin.image
        run: Extent | None = None
        for block in sorted(image.touched.keys() | base.touched.keys()):
            if image.touched.get(block) == base.touched.get(block):
                continue
            start = block * BLOCK_BYTES
            length = min(BLOCK_BYTES, image.size - start)
            data = block in image.blocks
            if run is not None and (run.offset + run.length, run.data) == (start, data):
                run = run._replace(length=run.length + length)
                continue
            if run is not None:
                yield run
            run = Extent(start, length, data)
        if run is not None:
            yield run
