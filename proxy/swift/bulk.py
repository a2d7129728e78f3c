"""Bulk operations: many deletes in one request, unpacking an archive, deleting a manifest whole.

The answer is 200 with a report of what happened (Swift API, "Bulk operations"). Every name is decoded
first and authorised then, one by one; a name that fails does not stop the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

from core import limits
from core.errors import NotFound, Refused, RingstackError
from core.http import BodyTruncated, Response
from proxy.large import SLO
from proxy.store.record import BodyDigest, Draft, ObjectName
from proxy.swift import archive, draft, metadata, slo
from proxy.swift.accept import PLAIN
from proxy.swift.auth import authorise_in, denied, owns
from proxy.swift.call import Call
from proxy.swift.errors import SwiftError, status_line, status_of
from proxy.swift.info import (
    ARCHIVE_CONTAINERS_MAX,
    ARCHIVE_FAILURES_MAX,
    BULK_DELETES_MAX,
    BULK_FAILURES_MAX,
)
from proxy.swift.names import BAD_NAME, check_container, check_object, quoted
from proxy.swift.quota import check_quota
from proxy.swift.report import Report, reported

CONCURRENCY = 16
LINE_BYTES_MAX = 3 * (limits.CONTAINER_NAME_BYTES_MAX + limits.OBJECT_NAME_BYTES_MAX + 2)


class Tally:
    """What a bulk request has done so far."""

    def __init__(self, failures_max: int) -> None:
        self.deleted = 0
        self.missing = 0
        self.created = 0
        self.errors: list[tuple[str, str]] = []
        self.worst = 400
        self._failures_max = failures_max

    def fail(self, name: str, error: RingstackError) -> None:
        """Note a failure."""
        status = status_of(error)
        if status >= 500:
            self.worst = 502
        self.errors.append((quoted(name), status_line(status)))

    @property
    def full(self) -> bool:
        """So much has failed that going on makes no sense."""
        return len(self.errors) >= self._failures_max

    def deletes(self) -> Report:
        """Report of deletes."""
        fields: dict[str, Any] = {
            "Number Deleted": self.deleted,
            "Number Not Found": self.missing,
            "Response Body": "",
            "Response Status": status_line(200),
        }
        if self.full:
            fields["Response Status"] = status_line(400)
            fields["Response Body"] = "Max delete failures exceeded"
        elif self.errors:
            fields["Response Status"] = status_line(self.worst)
        elif not (self.deleted or self.missing):
            fields["Response Status"] = status_line(400)
            fields["Response Body"] = "Invalid bulk delete."
        return fields, self.errors

    def creations(self) -> Report:
        """Report of an unpacked archive."""
        fields: dict[str, Any] = {
            "Number Files Created": self.created,
            "Response Body": "",
            "Response Status": status_line(201),
        }
        if self.errors:
            fields["Response Status"] = status_line(self.worst)
        elif not self.created:
            fields["Response Status"] = status_line(400)
            fields["Response Body"] = "Invalid Tar File: No Valid Files"
        return fields, self.errors


async def handle(call: Call) -> Response:
    """`bulk-delete` or `extract-archive`, whatever the path below the account."""
    if call.identity is None:
        raise denied(call)
    return await (extract(call) if call.method == "PUT" else delete_many(call))


# -- deletes -----------------------------------------------------------------------------------


async def delete_many(call: Call) -> Response:
    """`POST ?bulk-delete` with one percent-encoded `/container[/object]` per line."""
    return await reported(call.header(b"accept"), 200, "delete", _delete_many(call))


async def _delete_many(call: Call) -> Report:
    kind = call.header(b"content-type")
    if kind and not kind.startswith(PLAIN):
        raise SwiftError(406)
    names = await read_names(call)
    tally = Tally(BULK_FAILURES_MAX)
    await delete_names(call, [n for n in names if "/" in n.strip("/")], tally)
    await delete_names(call, [n for n in names if "/" not in n.strip("/")], tally)
    return tally.deletes()


async def read_names(call: Call) -> list[str]:
    """Decoded lines of the body; undecodable bytes stay as surrogates and fail later."""
    if not call.has_length:
        raise SwiftError(411)
    names: list[str] = []
    rest = b""
    body = call.request.body
    while True:
        chunk = await body.read()
        *lines, rest = (rest + chunk).split(b"\n")
        if not chunk:
            lines.append(rest)
        for line in lines:
            if len(line) > LINE_BYTES_MAX:
                raise SwiftError(400, "Invalid File Name")
            name = unquote_to_bytes(line.strip()).decode("utf-8", "surrogateescape")
            if name:
                names.append(name)
        if len(names) > BULK_DELETES_MAX:
            raise SwiftError(413, f"Maximum Bulk Deletes: {BULK_DELETES_MAX} per request")
        if len(rest) > LINE_BYTES_MAX:
            raise SwiftError(400, "Invalid File Name")
        if not chunk:
            return names


async def delete_names(call: Call, names: Sequence[str], tally: Tally) -> None:
    """Delete objects or containers, some at a time."""
    for start in range(0, len(names), CONCURRENCY):
        if tally.full:
            return
        group = names[start : start + CONCURRENCY]
        await asyncio.gather(*(_delete_one(call, name, tally) for name in group))


async def _delete_one(call: Call, path: str, tally: Tally) -> None:
    try:
        container, _, name = path.lstrip("/").partition("/")
        if not _is_name(path) or not container:
            raise SwiftError(412, BAD_NAME)
        if name:
            await authorise_in(call, call.account, container, write=True)
            await call.store.delete_object(ObjectName(call.account, container, name))
        else:
            require_owner(call)
            await call.store.delete_container(call.account, container)
        tally.deleted += 1
    except NotFound:
        tally.missing += 1
    except RingstackError as error:
        tally.fail(path, error)


def _is_name(text: str) -> bool:
    return "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def require_owner(call: Call) -> None:
    """Containers are made and deleted by the account's owner only."""
    if call.identity is None or not owns(call.identity, call.account):
        raise denied(call)


async def delete_large(call: Call) -> Response:
    """`DELETE ?multipart-manifest=delete`: a static manifest and all its segments."""
    return await reported(call.header(b"accept"), 200, "delete", _delete_large(call))


async def _delete_large(call: Call) -> Report:
    tally = Tally(BULK_FAILURES_MAX)
    own = f"/{call.container}/{call.name}"
    try:
        found = await call.store.get_object(call.where)
    except NotFound:
        tally.missing += 1
        return tally.deletes()
    if SLO not in found.record.attributes and not found.record.parts:
        fields, _ = tally.deletes()
        fields["Response Status"] = status_line(400)
        fields["Response Body"] = ""
        return fields, [(quoted(own), "Not an SLO manifest")]
    names = await slo.all_segments(call, found)
    await delete_names(call, names[:-1], tally)
    await delete_names(call, names[-1:], tally)
    return tally.deletes()


# -- archives ----------------------------------------------------------------------------------


async def extract(call: Call) -> Response:
    """`PUT ?extract-archive=tar|tar.gz|tar.bz2`: every regular file becomes an object."""
    form = call.params["extract-archive"].strip(".").lower()
    if form not in archive.INFLATERS:
        raise SwiftError(400, "Unsupported archive format", html=True)
    return await reported(call.header(b"accept"), 200, "extract", _extract(call, form))


async def _extract(call: Call, form: str) -> Report:
    if not call.has_length:
        raise SwiftError(411)
    base = "/".join(part for part in (call.container, call.name.rstrip("/")) if part)
    attributes = metadata.object_attributes(call.headers)
    expires_s = draft.expiry_of(call.headers, call.now_us)
    tally = Tally(ARCHIVE_FAILURES_MAX)
    made: dict[str, bool] = {}
    tar = archive.Archive(archive.inflated(call.request.body.__aiter__(), form))
    try:
        while not tally.full and (entry := await tar.next()) is not None:
            path = entry.name.removeprefix("./").lstrip("/")
            if base:
                path = f"{base}/{path}"
            if "/" not in path:
                continue  # a file outside of any container
            await _store_entry(
                call, tar, entry, path, (Draft("", attributes, expires_s), tally, made)
            )
    except BodyTruncated:
        raise
    except Refused as error:
        fields, errors = tally.creations()
        fields["Response Status"] = status_line(400)
        fields["Response Body"] = error.message
        return fields, errors
    return tally.creations()


async def _store_entry(
    call: Call,
    tar: archive.Archive,
    entry: archive.Entry,
    path: str,
    job: tuple[Draft, Tally, dict[str, bool]],
) -> None:
    plan, tally, made = job
    container, _, name = path.partition("/")
    try:
        if not _is_name(path) or not container or not name:
            raise SwiftError(412, BAD_NAME)
        check_container(container)
        check_object(name)
        if entry.size > limits.PUT_BYTES_MAX:
            raise SwiftError(413)
        await authorise_in(call, call.account, container, write=True)
        await _make_container(call, container, made)
        await check_quota(call, call.account, container, entry.size)
        full = _entry_draft(call, entry, name, plan)

        def finish(digest: BodyDigest) -> Draft:
            del digest
            return full

        await call.store.put_object(ObjectName(call.account, container, name), tar.body(), finish)
        tally.created += 1
    except RingstackError as error:
        if isinstance(error, BodyTruncated) or error.code == "BadArchive":
            raise
        tally.fail(path, error)


def _entry_draft(call: Call, entry: archive.Entry, name: str, plan: Draft) -> Draft:
    """Type and metadata of one file: its own extended attributes win over the request's headers."""
    attributes = dict(plan.attributes)
    content_type = draft.content_type_of(call.headers, name)
    for key, value in entry.attributes.items():
        if key == "mime_type":
            content_type = metadata.text_of(value.encode("utf-8", "surrogateescape"))
        elif key.startswith("meta."):
            raw = value.encode("utf-8", "surrogateescape")
            metadata.check_item("object", key[5:].lower(), raw)
            attributes["meta:" + key[5:].lower()] = metadata.text_of(raw)
    metadata.check_totals((k[5:], v) for k, v in attributes.items() if k.startswith("meta:"))
    return Draft(content_type, attributes, plan.expires_s)


async def _make_container(call: Call, container: str, made: dict[str, bool]) -> None:
    """Create a container that the archive needs, once."""
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
