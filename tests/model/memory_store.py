"""The executable specification of `proxy.store.port.Store`: one dictionary, no faults.

It is the reference model of the contract suite, and the store under the dialects' unit tests.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple

from core.errors import Conflict, NotFound, Refused
from proxy.store.names import check_names
from proxy.store.port import AttributeChange, Change, Check, Finish
from proxy.store.record import (
    OBJECTS,
    AccountInfo,
    AccountRecord,
    BodyDigest,
    ContainerInfo,
    ContainerPage,
    ContainerRecord,
    ContainerRow,
    Draft,
    Found,
    ListQuery,
    ObjectName,
    ObjectPage,
    ObjectRecord,
    ObjectRow,
    Summary,
)
from ring.policy import Policy


class Entry(NamedTuple):
    record: ObjectRecord
    body: bytes
    version: bytes


def merged(attributes: dict[str, str], change: AttributeChange) -> dict[str, str]:
    result = {**attributes, **{key: value for key, value in change.items() if value is not None}}
    return {key: value for key, value in result.items() if change.get(key, value) is not None}


def select(names: Sequence[str], query: ListQuery) -> tuple[list[tuple[str, bool]], bool]:
    """Names and common prefixes (True) of a page, and whether more follow."""
    rows: list[tuple[str, bool]] = []
    if query.limit <= 0:
        return rows, False
    ordered = sorted(names, key=str.encode, reverse=query.reverse)
    seen: set[str] = set()
    for name in ordered:
        if not name.startswith(query.prefix):
            continue
        key = name.encode()
        low, high = query.marker, query.end_marker
        if query.reverse:
            low, high = high, low
        if low and key <= low.encode():
            continue
        if high and key >= high.encode():
            continue
        row = (name, False)
        if query.delimiter:
            cut = name.find(query.delimiter, len(query.prefix))
            if cut >= 0:
                row = (name[: cut + len(query.delimiter)], True)
        if row[1] and row[0] == query.marker and not query.reverse:
            continue
        if row[1] and row[0] in seen:
            continue
        seen.add(row[0])
        if len(rows) >= query.limit:
            return rows, True
        rows.append(row)
    return rows, False


class MemoryStore:
    """A store in memory. `clock` gives microseconds; `policies` as the ring would."""

    def __init__(self, clock: Callable[[], int], policies: Sequence[Policy]) -> None:
        self._clock = clock
        self._policies = tuple(policies)
        self._accounts: dict[str, AccountRecord] = {}
        self._containers: dict[tuple[str, str], ContainerRecord] = {}
        self._objects: dict[ObjectName, Entry] = {}
        self._count = itertools.count(1)

    @property
    def policies(self) -> Sequence[Policy]:
        return self._policies

    async def get_account(self, account: str) -> AccountInfo:
        check_names(account)
        record = self._accounts.get(account) or AccountRecord(0, 0, {})
        infos = [self._info(*key) for key in self._containers if key[0] == account]
        return AccountInfo(
            account,
            record,
            len(infos),
            sum(info.object_count for info in infos),
            sum(info.bytes_used for info in infos),
        )

    async def update_account(self, account: str, change: AttributeChange) -> None:
        check_names(account)
        now = self._clock()
        old = self._accounts.get(account) or AccountRecord(now, now, {})
        self._accounts[account] = AccountRecord(now, old.created_us, merged(old.attributes, change))

    async def list_containers(self, account: str, query: ListQuery) -> ContainerPage:
        check_names(account)
        names = [name for owner, name in self._containers if owner == account]
        rows, more = select(names, query)
        return ContainerPage(
            [ContainerRow(n, None if p else self._info(account, n)) for n, p in rows], more
        )

    def _info(self, account: str, container: str) -> ContainerInfo:
        check_names(account, container)
        record = self._containers.get((account, container))
        if record is None:
            raise NotFound("NoSuchContainer", f"there is no container {container!r}")
        sizes = [
            entry.record.size
            for where, entry in self._objects.items()
            if where[:2] == (account, container) and where.space == OBJECTS
        ]
        return ContainerInfo(container, record, len(sizes), sum(sizes))

    async def create_container(
        self, account: str, container: str, *, policy: str | None, change: AttributeChange
    ) -> bool:
        check_names(account, container)
        wanted = self._policies[0]
        if policy is not None:
            found = [p for p in self._policies if p.name.lower() == policy.lower()]
            if not found:
                raise Refused("NoSuchPolicy", f"there is no storage policy {policy!r}")
            wanted = found[0]
        old = self._containers.get((account, container))
        now = self._clock()
        if old is None:
            self._containers[account, container] = ContainerRecord(
                now, now, wanted.id, merged({}, change), b"%016d" % next(self._count)
            )
            return True
        if policy is not None and old.policy != wanted.id:
            raise Conflict("PolicyMismatch", "the container exists with another storage policy")
        await self.update_container(account, container, change)
        return False

    async def get_container(self, account: str, container: str) -> ContainerInfo:
        return self._info(account, container)

    async def update_container(self, account: str, container: str, change: AttributeChange) -> None:
        old = self._info(account, container).record
        self._containers[account, container] = ContainerRecord(
            self._clock(),
            old.created_us,
            old.policy,
            merged(old.attributes, change),
            old.incarnation,
            old.stage,
        )

    async def delete_container(self, account: str, container: str) -> None:
        if self._info(account, container).object_count:
            raise Conflict("ContainerNotEmpty", f"container {container!r} is not empty")
        del self._containers[account, container]
        for where in [w for w in self._objects if w[:2] == (account, container)]:
            del self._objects[where]

    async def list_objects(
        self, account: str, container: str, query: ListQuery, *, space: str = OBJECTS
    ) -> ObjectPage:
        self._info(account, container)
        names = [
            w.name for w in self._objects if w[:2] == (account, container) and w.space == space
        ]
        rows, more = select(names, query)
        result = []
        for name, is_prefix in rows:
            summary = None
            if not is_prefix:
                record = self._objects[ObjectName(account, container, name, space)].record
                summary = Summary(record.modified_us, record.size, record.etag, record.content_type)
            result.append(ObjectRow(name, summary))
        return ObjectPage(result, more)

    def _current(self, where: ObjectName) -> Entry | None:
        check_names(where.account, where.container, where.name)
        self._info(where.account, where.container)
        entry = self._objects.get(where)
        return None if entry is None or entry.record.expired(self._clock()) else entry

    def _require(self, where: ObjectName) -> Entry:
        entry = self._current(where)
        if entry is None:
            raise NotFound("NoSuchObject", f"there is no object {where.name!r}")
        return entry

    def _put(self, where: ObjectName, record: ObjectRecord, body: bytes) -> Found:
        version = b"%016d" % next(self._count)
        self._objects[where] = Entry(record, body, version)
        return Found(where, record, body, version)

    async def get_object(self, where: ObjectName) -> Found:
        entry = self._require(where)
        return Found(where, entry.record, entry.body, entry.version)

    async def read(
        self, found: Found, start: int = 0, length: int | None = None
    ) -> AsyncIterator[bytes]:
        end = len(found.inline) if length is None else start + length
        for offset in range(start, end, 65536):
            await asyncio.sleep(0)
            yield found.inline[offset : min(end, offset + 65536)]

    def _check(self, where: ObjectName, check: Check | None) -> None:
        current = self._current(where)
        if check is not None:
            check(None if current is None else current.record)

    def _record(self, draft: Draft, body: bytes, etag: str) -> ObjectRecord:
        return ObjectRecord(
            self._clock(),
            len(body) if draft.size is None else draft.size,
            draft.etag or etag,
            draft.content_type,
            draft.attributes,
            (),
            len(body),
            draft.expires_s,
            shared=False,
            parts=draft.parts,
        )

    async def put_object(
        self,
        where: ObjectName,
        body: AsyncIterator[bytes],
        finish: Finish,
        *,
        check: Check | None = None,
    ) -> Found:
        self._check(where, check)
        data = b"".join([chunk async for chunk in body])
        md5 = hashlib.md5(data).hexdigest()
        draft = finish(BodyDigest(len(data), md5))
        self._check(where, check)
        return self._put(where, self._record(draft, data, md5), data)

    async def put_bytes(
        self, where: ObjectName, body: bytes, draft: Draft, *, check: Check | None = None
    ) -> Found:
        if draft.etag is None:
            raise Refused("EtagRequired", "a body stored at once needs an ETag")
        self._check(where, check)
        return self._put(where, self._record(draft, body, ""), body)

    async def copy_object(
        self, source: Found, where: ObjectName, draft: Draft, *, check: Check | None = None
    ) -> Found:
        self._check(where, check)
        size = source.record.size if draft.size is None else draft.size
        record = self._record(draft._replace(size=size), source.inline, source.record.etag)
        return self._put(where, record, source.inline)

    async def compose_object(
        self,
        where: ObjectName,
        pieces: Sequence[tuple[Found, int, int]],
        draft: Draft,
        *,
        check: Check | None = None,
        adopt: bool = False,
    ) -> Found:
        del adopt
        if draft.etag is None:
            raise Refused("EtagRequired", "a composed object needs an ETag")
        self._check(where, check)
        data = b"".join(found.inline[start : start + length] for found, start, length in pieces)
        return self._put(where, self._record(draft, data, ""), data)

    async def update_object(self, where: ObjectName, change: Change) -> Found:
        entry = self._require(where)
        draft, old = change(entry.record), entry.record
        draft = draft._replace(
            size=old.size if draft.size is None else draft.size, parts=draft.parts or old.parts
        )
        return self._put(where, self._record(draft, entry.body, old.etag), entry.body)

    async def delete_object(
        self, where: ObjectName, *, check: Check | None = None, keep_blobs: bool = False
    ) -> ObjectRecord:
        del keep_blobs
        self._check(where, check)
        entry = self._require(where)
        del self._objects[where]
        return entry.record
