"""Uploads by an HTML form with a signature instead of a token (Swift API, "FormPost").

The form carries `redirect`, `max_file_size`, `max_file_count`, `expires` and `signature`, an HMAC over them
and the path under a temporary-URL key; then files, each stored under the path plus its name. Fields
after the first file are not looked at. Every file is signed for anew, sizes are enforced while a file
arrives, and what is over the limit is not stored.
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Mapping
from urllib.parse import quote

from core import limits
from core.errors import Refused, RingstackError
from core.http import BodyTruncated, Response
from proxy.store.record import BodyDigest, Draft, ObjectName
from proxy.swift import draft, metadata, tempurl
from proxy.swift.call import Call
from proxy.swift.errors import TEXT, SwiftError, status_line, status_of
from proxy.swift.form import Form, Part, boundary_of
from proxy.swift.names import BAD_NAME, check_object
from proxy.swift.quota import check_quota
from proxy.swift.temporary import keys_by_scope

VALUE_BYTES_MAX = 4096
FIELDS_MAX = 64


def is_form(call: Call) -> bool:
    """A browser's form below a container, without a token."""
    return (
        call.method == "POST"
        and bool(call.container)
        and b"x-auth-token" not in call.headers
        and call.headers.get(b"content-type", b"").lower().startswith(b"multipart/form-data")
    )


async def serve(call: Call) -> Response:
    """Answer a form; raises SwiftError 400, 401 in plain words."""
    boundary = boundary_of(call.header(b"content-type") or "")
    if boundary is None:
        raise SwiftError(400, "FormPost: invalid starting boundary")
    fields: dict[str, str] = {}
    try:
        status, message = await _store_files(call, boundary, fields)
    except BodyTruncated:
        raise
    except Refused as error:
        if isinstance(error, SwiftError) or error.code != "BadForm":
            raise
        raise SwiftError(400, f"FormPost: {error.message}") from None
    redirect = fields.get("redirect")
    if redirect and not any(ord(char) < 32 for char in redirect):
        separator = "&" if "?" in redirect else "?"
        target = f"{redirect}{separator}status={status}&message={quote(message)}"
        return Response(303, [TEXT, ("Location", quote(target, safe="!#$%&'()*+,/:;=?@[]~"))])
    body = status_line(status)
    if message:
        body += f"\r\nFormPost: {message.title()}"
    return Response(status, [TEXT], body.encode())


async def _store_files(call: Call, boundary: str, fields: dict[str, str]) -> tuple[int, str]:
    """Status and message of the whole form; `fields` is filled on the way."""
    form = Form(call.request.body.__aiter__(), boundary)
    count = 0
    status, message = 400, "no files to process"
    while (part := await form.next()) is not None:
        if not part.filename:
            await _read_field(form, part, fields, count)
            continue
        count += 1
        await _check_signature(call, fields)
        if count > _number(fields, "max_file_count"):
            return 400, "max file count exceeded"
        try:
            await _store(call, form, part, fields)
        except (BodyTruncated, ConnectionError):
            raise
        except RingstackError as error:
            if error.code == "BadForm":
                raise
            return status_of(error), error.message
        status, message = 201, ""
    return status, message


async def _read_field(form: Form, part: Part, fields: dict[str, str], count: int) -> None:
    value = b""
    async for chunk in form.body():
        value = (value + chunk)[:VALUE_BYTES_MAX]
    if part.name and not count and len(fields) < FIELDS_MAX:
        fields[part.name] = value.decode("utf-8", "replace").rstrip("\r\n")


def _number(fields: Mapping[str, str], name: str) -> int:
    text = fields.get(name) or "0"
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise SwiftError(400, f"FormPost: {name} not an integer")
    return int(text)


async def _check_signature(call: Call, fields: Mapping[str, str]) -> None:
    """Raises SwiftError 401 unless the form is signed and in force."""
    if _number(fields, "expires") < call.now_us / 1_000_000:
        raise SwiftError(401, "FormPost: Form Expired")
    try:
        algorithm, digest = tempurl.read_digest(fields.get("signature", ""))
    except ValueError:
        raise SwiftError(401, "FormPost: Invalid Signature") from None
    path = f"/v1/{call.account}/{call.container}"
    if call.name or call.request.path.endswith("/"):
        path += f"/{call.name}"
    values = [fields.get(name) or "0" for name in ("max_file_size", "max_file_count", "expires")]
    text = "\n".join([path, fields.get("redirect") or "", *values]).encode()
    valid = False
    for keys in (await keys_by_scope(call)).values():
        for key in keys:
            actual = hmac.digest(key.encode(), text, algorithm)
            valid = hmac.compare_digest(actual, digest) or valid
    if not valid:
        raise SwiftError(401, "FormPost: Invalid Signature")


async def _store(call: Call, form: Form, part: Part, fields: Mapping[str, str]) -> None:
    size_max = min(_number(fields, "max_file_size"), limits.PUT_BYTES_MAX)
    name = call.name + (part.filename or "")
    if "\0" in name:
        raise SwiftError(412, BAD_NAME)
    check_object(name)
    headers = _headers(part, fields)
    plan = Draft(
        draft.content_type_of(headers, name),
        metadata.object_attributes(headers),
        draft.expiry_of(headers, call.now_us),
    )
    left = await check_quota(call, call.account, call.container, None)
    size_max = size_max if left is None else min(size_max, left)

    def finish(digest: BodyDigest) -> Draft:
        del digest
        return plan

    where = ObjectName(call.account, call.container, name)
    await call.store.put_object(where, _capped(form, size_max), finish)


def _headers(part: Part, fields: Mapping[str, str]) -> dict[bytes, bytes]:
    """Headers that a PUT of the file would carry."""
    headers: dict[bytes, bytes] = {}
    for name in ("content-type", "content-encoding"):
        value = fields.get(name) or part.headers.get(name)
        if value:
            headers[name.encode()] = value.encode()
    for name in ("x_delete_at", "x_delete_after"):
        if name in fields:
            headers[name.replace("_", "-").encode()] = fields[name].encode()
    return headers


async def _capped(form: Form, size_max: int) -> AsyncIterator[bytes]:
    left = size_max
    async for chunk in form.body():
        left -= len(chunk)
        if left < 0:
            raise SwiftError(413, "max_file_size exceeded")
        yield chunk
