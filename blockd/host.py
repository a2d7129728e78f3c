"""The volumes that a node serves: disks, their exports, and how they come back after a crash.

What is served is written down durably before it is served, so that a daemon that was killed serves the same again
under the same names, and clients that try again go on where they were, with all that they had written (`spool`). All
exports of a volume share its one writer. A volume that has been attached elsewhere meanwhile is not taken back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from blockd.export import Export, secret_of
from blockd.nbd.server import NbdServer
from blockd.port import ExportInfo
from blockd.spool import Spool, resume, spool_root
from blockd.wire import ExportRow, OpenCall
from core.errors import Conflict, Corrupt, NotFound, Refused, RingstackError
from core.real import write_durably
from volume.port import Disk, Volumes

log = logging.getLogger("ringstack.block")

NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")
NAME_MAX = 64
REOPEN_S = (0.5, 1.0, 2.0, 5.0)


class Served(msgspec.Struct, forbid_unknown_fields=True):
    """What the file says."""

    exports: list[OpenCall] = []


@dataclass(slots=True)
class _Shared:
    """A disk and the names of the exports that use it."""

    disk: Disk
    users: set[str] = field(default_factory=set)


class Host:
    """All exports of one node. `address` and `port`: where TLS clients find them, port 0 when they do not."""

    def __init__(
        self, volumes: Volumes, server: NbdServer, path: Path, *, owner: str, key: bytes
    ) -> None:
        self._volumes = volumes
        self._server = server
        self._path = path
        self._owner = owner
        self._key = key
        spools = spool_root(path.with_name("spool"))
        if spools is None:
            raise Corrupt("NoBootId", "the kernel does not say which boot this is (no /proc?)")
        self._spools = spools
        self._calls = {call.name: call for call in read_served(path)}  # the file holds no others
        self._disks: dict[tuple[str, str, int], _Shared] = {}
        self._lock = asyncio.Lock()  # exports come and go one after the other
        self.address = "127.0.0.1"
        self.port = 0

    # -- coming and going ----------------------------------------------------------------------

    async def open(self, call: OpenCall) -> ExportInfo:
        """Serve a volume. Raises NotFound, Conflict when the name is used for another one, Unavailable."""
        check_name(call.name)
        async with self._lock:
            before = self._calls.get(call.name)
            export = self._server.export(call.name)
            if before is not None and export is not None:
                if before != msgspec.structs.replace(call, limits=before.limits):
                    raise Conflict("ExportExists", f"{call.name} is an export of something else")
                if before.limits != call.limits:
                    export.limit(call.limits)
                    self._calls[call.name] = call
                    self._write()
                return self._info(export)
            if before is None:
                await self._volumes.describe(call.volume_id)
            try:
                if before is None:
                    self._calls[call.name] = call
                    self._write()
                return self._info(await self._serve(call))
            except (RingstackError, OSError):
                if before is None:
                    del self._calls[call.name]
                    self._write()
                raise

    async def close(self, name: str) -> None:
        """Serve it no longer: clients are cut off, what they wrote is flushed when the disk is let go.

        What cannot be flushed goes with the attachment: clients were never told that it is safe.
        """
        async with self._lock:
            await self._server.remove(name)
            call = self._calls.get(name)
            if call is None:
                return
            await self._let_go(call)
            if place_of(call) not in self._disks and not is_view(call):
                self._spool(call).remove()
            del self._calls[name]
            self._write()

    async def _serve(self, call: OpenCall) -> Export:
        place = place_of(call)
        shared = self._disks.get(place)
        if shared is None:
            shared = self._disks[place] = _Shared(await self._disk(call))
        shared.users.add(call.name)
        try:
            return await self._export(call, shared.disk)
        except (RingstackError, OSError):
            await self._let_go(call)
            raise

    async def _export(self, call: OpenCall, shared: Disk) -> Export:
        disk: Disk = _ReadOnly(shared) if call.read_only else shared
        info = await self._volumes.describe(call.volume_id)
        export = Export(
            call.name,
            call.volume_id,
            disk,
            snapshots={one.id: one.position for one in info.snapshots},
            secret=self.secret(call.name),
        )
        export.limit(call.limits)
        await self._server.add(export)
        return export

    async def _disk(self, call: OpenCall) -> Disk:
        if call.snapshot_id:
            return await self._volumes.view(call.volume_id, snapshot_id=call.snapshot_id)
        if call.time_us:
            return await self._volumes.view(call.volume_id, time_us=call.time_us)
        spool, info = self._spool(call), await self._volumes.describe(call.volume_id)
        if info.owner != self._owner:
            spool.remove()  # it was somebody else's since: what is left here is of a time before
        return await resume(await self._volumes.attach(call.volume_id, self._owner), spool)

    def _spool(self, call: OpenCall) -> Spool:
        return Spool(self._spools / call.volume_id)

    async def _let_go(self, call: OpenCall) -> None:
        place = place_of(call)
        shared = self._disks.get(place)
        if shared is None:
            return
        shared.users.discard(call.name)
        if not shared.users:
            del self._disks[place]
            try:
                await shared.disk.close()
            except RingstackError as error:
                log.warning("volume %s: %s", call.volume_id, error.message)

    async def restore(self) -> None:
        """Serve again what was served when the process ended; what cannot be is tried again for as long as it is wanted."""
        await asyncio.gather(*(self._restore(call) for call in list(self._calls.values())))

    async def _restore(self, call: OpenCall) -> None:
        attempt = 0
        while call.name in self._calls:
            async with self._lock:
                if call.name not in self._calls or self._server.export(call.name) is not None:
                    return
                try:
                    await self._take_back(call)
                except (NotFound, Conflict) as error:
                    log.warning("%s is served no longer: %s", call.name, error.message)
                    del self._calls[call.name]
                    self._write()
                except (RingstackError, OSError) as error:
                    log.warning("%s cannot be served yet: %s", call.name, error)
                else:
                    return
            await asyncio.sleep(REOPEN_S[min(attempt, len(REOPEN_S) - 1)])
            attempt += 1

    async def _take_back(self, call: OpenCall) -> None:
        """Serve again, unless somebody else has attached the volume since."""
        info = await self._volumes.describe(call.volume_id)
        if not is_view(call) and info.owner != self._owner:
            self._spool(call).remove()
            raise Conflict("AttachedElsewhere", f"it was attached for {info.owner} since")
        await self._serve(call)

    async def stop(self) -> None:
        """End in order: clients are cut off, disks flushed; what is written down stays."""
        await self._server.close()
        for shared in list(self._disks.values()):
            try:
                await shared.disk.close()
            except RingstackError as error:
                log.warning("a volume could not be flushed: %s", error.message)

    # -- what is served ------------------------------------------------------------------------

    async def flush(self, volume_ids: Sequence[str]) -> None:
        """Make durable what clients have written."""
        await asyncio.gather(*(one.disk.flush() for one in self._writers(volume_ids)))

    async def resize(self, volume_id: str, size: int) -> None:
        """Grow a volume; new connections see it at once, others when they ask again."""
        writers = self._writers([volume_id])
        if not writers:
            await self._volumes.resize(volume_id, size)
        for shared in writers:
            await shared.disk.resize(size)

    async def snapshot(self, pairs: Sequence[tuple[str, str]]) -> None:
        """One cut through several volumes: no write that came after one that is in it is missing from another."""
        exports = [
            export
            for volume_id, _ in pairs
            for name in sorted(self._names(volume_id))
            if (export := self._server.export(name)) is not None
        ]
        for export in exports:
            export.hold()
        try:
            await self.flush([volume_id for volume_id, _ in pairs])
            await asyncio.gather(*(self._volumes.snapshot(*pair) for pair in pairs))
        finally:
            for export in exports:
                export.release()

    def rows(self) -> tuple[ExportRow, ...]:
        """What is served."""
        found = []
        for name in self._server.names:
            export = self._server.export(name)
            assert export is not None
            found.append(
                ExportRow(
                    name,
                    export.volume_id,
                    export.disk.read_only,
                    export.disk.size,
                    self._server.clients(name),
                    str(self._server.socket(name)),
                )
            )
        return tuple(found)

    def secret(self, name: str) -> bytes:
        """The pre-shared key of an export."""
        return secret_of(self._key, name)

    def _names(self, volume_id: str) -> set[str]:
        shared = self._disks.get((volume_id, "", 0))
        return set() if shared is None else shared.users

    def _writers(self, volume_ids: Sequence[str]) -> list[_Shared]:
        found = (self._disks.get((volume_id, "", 0)) for volume_id in dict.fromkeys(volume_ids))
        return [one for one in found if one is not None]

    def _info(self, export: Export) -> ExportInfo:
        return ExportInfo(
            export.name,
            self.address,
            self.port,
            tls=self.port != 0,
            unix_socket=str(self._server.socket(export.name)),
        )

    def _write(self) -> None:
        served = Served(sorted(self._calls.values(), key=lambda call: call.name))
        write_durably(self._path, msgspec.json.format(msgspec.json.encode(served)) + b"\n")


def read_served(path: Path) -> list[OpenCall]:
    """What was served when the file was written."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Served).exports
    except FileNotFoundError:
        return []


def is_view(call: OpenCall) -> bool:
    """It is of a snapshot or a time, and needs no writer."""
    return bool(call.snapshot_id or call.time_us)


def place_of(call: OpenCall) -> tuple[str, str, int]:
    """What exports of the same disk have in common."""
    return call.volume_id, call.snapshot_id, call.time_us


def check_name(name: str) -> None:
    """Names become file names of sockets. Raises Refused."""
    if not 0 < len(name) <= NAME_MAX or not NAME_CHARACTERS.issuperset(name):
        raise Refused("BadName", "an export's name has 1 to 64 letters, digits, - and _")


class _ReadOnly:
    """A disk that others write to, for a client that may not."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.read_only = True
        self.read = disk.read
        self.extents = disk.extents
        self.changed = disk.changed
        self.flush = disk.flush
        self.close = disk.close

    @property
    def size(self) -> int:
        """Bytes."""
        return self._disk.size

    async def write(self, offset: int, data: bytes | memoryview, *, durable: bool = False) -> None:
        """Refused."""
        del offset, data, durable
        raise Refused("ReadOnly", "the export is read-only")

    async def zero(
        self, offset: int, length: int, *, durable: bool = False, allocate: bool = False
    ) -> None:
        """Refused."""
        del offset, length, durable, allocate
        raise Refused("ReadOnly", "the export is read-only")

    async def resize(self, size: int) -> None:
        """Refused."""
        del size
        raise Refused("ReadOnly", "the export is read-only")
