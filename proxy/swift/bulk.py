"""Bulk deletes: many names in one request, or a manifest with all its segments.

The answer is 200 with a report of what happened (Swift API, "Bulk operations"). Every name is decoded
first and authorised then, one by one; a name that fails does not stop the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from urllib.parse import unquote_to_bytes

from core import limits
from core.errors import NotFound, RingstackError
from core.http import Response
from proxy.large import SLO
from proxy.store.record import ObjectName
from proxy.swift import slo, unpack
from proxy.swift.accept import PLAIN
from proxy.swift.auth import authorise_in, denied, require_owner
from proxy.swift.call import Call
from proxy.swift.errors import SwiftError, status_line
from proxy.swift.info import BULK_DELETES_MAX, BULK_FAILURES_MAX
from proxy.swift.names import BAD_NAME, is_name, quoted
from proxy.swift.report import Report, reported
from proxy.swift.tally import Tally

CONCURRENCY = 16
LINE_BYTES_MAX = 3 * (limits.CONTAINER_NAME_BYTES_MAX + limits.OBJECT_NAME_BYTES_MAX + 2)


async def handle(call: Call) -> Response:
    """`bulk-delete` or `extract-archive`, whatever the path below the account."""
    if call.identity is None:
        raise denied(call)
    return await (unpack.extract(call) if call.method == "PUT" else delete_many(call))


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
        if not is_name(path) or not container:
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
