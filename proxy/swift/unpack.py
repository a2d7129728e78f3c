"""Unpacking an archive into objects: `PUT ?extract-archive=tar|tar.gz|tar.bz2`.

The path of the request, then the name in the archive, give container and object; below an account the
first directory names the container, which is made when it is missing. Names are decoded first and
authorised then, entry by entry, and dots in them lead nowhere. Extended attributes become metadata.
"""

from __future__ import annotations

from typing import Any

from core import limits
from core.errors import NotFound, Refused, RingstackError
from core.http import BodyTruncated, Response
from proxy.store.record import BodyDigest, Draft, ObjectName
from proxy.swift import archive, draft, metadata
from proxy.swift.auth import authorise_in, require_owner
from proxy.swift.call import Call
from proxy.swift.errors import SwiftError, status_line
from proxy.swift.info import ARCHIVE_CONTAINERS_MAX, ARCHIVE_FAILURES_MAX
from proxy.swift.names import BAD_NAME, check_container, check_object, is_name
from proxy.swift.quota import check_quota
from proxy.swift.report import Report, reported
from proxy.swift.tally import Tally


async def extract(call: Call) -> Response:
    """Every regular file of the archive becomes an object; the answer is a report."""
    form = call.params["extract-archive"].strip(".").lower()
    if form not in archive.INFLATERS:
        raise SwiftError(400, "Unsupported archive format", html=True)
    return await reported(call.header(b"accept"), 200, "extract", _extract(call, form))


async def _extract(call: Call, form: str) -> Report:
    if not call.has_length:
        raise SwiftError(411)
    unpacker = Unpacker(call, form)
    try:
        await unpacker.run()
    except BodyTruncated:
        raise
    except Refused as error:
        fields, errors = unpacker.report()
        fields["Response Status"] = status_line(400)
        fields["Response Body"] = error.message
        return fields, errors
    return unpacker.report()


class Unpacker:
    """One archive on its way into the store."""

    def __init__(self, call: Call, form: str) -> None:
        self._call = call
        self._tar = archive.Archive(archive.inflated(call.request.body.__aiter__(), form))
        self._base = "/".join(part for part in (call.container, call.name.rstrip("/")) if part)
        attributes = metadata.object_attributes(call.headers)
        self._plan = Draft("", attributes, draft.expiry_of(call.headers, call.now_us))
        self._tally = Tally(ARCHIVE_FAILURES_MAX)
        self._made: dict[str, bool] = {}  # containers seen, and whether they are new
        self._created = 0

    async def run(self) -> None:
        """Store entry after entry; raises Refused("BadArchive"), BodyTruncated."""
        while not self._tally.full and (entry := await self._tar.next()) is not None:
            path = entry.name.removeprefix("./").lstrip("/")
            if self._base:
                path = f"{self._base}/{path}"
            if "/" not in path:
                continue  # a file outside of any container
            try:
                await self._store(entry, path)
            except RingstackError as error:
                if isinstance(error, BodyTruncated) or error.code == "BadArchive":
                    raise
                self._tally.fail(path, error)

    def report(self) -> Report:
        """What was done."""
        fields: dict[str, Any] = {
            "Number Files Created": self._created,
            "Response Body": "",
            "Response Status": status_line(201),
        }
        if self._tally.errors:
            fields["Response Status"] = status_line(self._tally.worst)
        elif not self._created:
            fields["Response Status"] = status_line(400)
            fields["Response Body"] = "Invalid Tar File: No Valid Files"
        return fields, self._tally.errors

    async def _store(self, entry: archive.Entry, path: str) -> None:
        call = self._call
        container, _, name = path.partition("/")
        if not is_name(path) or not container or not name:
            raise SwiftError(412, BAD_NAME)
        check_container(container)
        check_object(name)
        if entry.size > limits.PUT_BYTES_MAX:
            raise SwiftError(413)
        await authorise_in(call, call.account, container, write=True)
        await self._make_container(container)
        await check_quota(call, call.account, container, entry.size)
        plan = self._draft(entry, name)

        def finish(digest: BodyDigest) -> Draft:
            del digest
            return plan

        where = ObjectName(call.account, container, name)
        await call.store.put_object(where, self._tar.body(), finish)
        self._created += 1

    def _draft(self, entry: archive.Entry, name: str) -> Draft:
        """Type and metadata: the file's own extended attributes win over the request's headers."""
        attributes = dict(self._plan.attributes)
        content_type = draft.content_type_of(self._call.headers, name)
        for key, value in entry.attributes.items():
            raw = value.encode("utf-8", "surrogateescape")
            if key == "mime_type":
                content_type = metadata.text_of(raw)
            elif key.startswith("meta."):
                item = key[5:].lower()
                metadata.check_token(item)
                metadata.check_item("object", item, raw)
                attributes["meta:" + item] = metadata.text_of(raw)
        metadata.check_totals((k[5:], v) for k, v in attributes.items() if k.startswith("meta:"))
        return Draft(content_type, attributes, self._plan.expires_s)

    async def _make_container(self, container: str) -> None:
        """Create a container that the archive needs, once."""
        call, made = self._call, self._made
        if container in made:
            return
        try:
            await call.store.get_container(call.account, container)
            made[container] = False
        except NotFound:
            require_owner(call)
            if sum(made.values()) >= ARCHIVE_CONTAINERS_MAX:
                raise SwiftError(
                    400, f"More than {ARCHIVE_CONTAINERS_MAX} containers to create from tar."
                ) from None
            await call.store.create_container(call.account, container, policy=None, change={})
            made[container] = True
