"""GET, HEAD, PUT and DELETE of one object, and its ACL and tags."""

from __future__ import annotations

from collections.abc import Mapping

from core.errors import NotFound
from core.http import Response
from proxy.s3 import acl, checksum, metadata, tagging, xml
from proxy.s3.call import Call, http_date, owner_id, xml_response
from proxy.s3.condition import delete_condition, read_condition, write_condition
from proxy.s3.errors import S3Error, invalid_argument
from proxy.s3.payload import Payload, require_length
from proxy.s3.range import Span, span_of
from proxy.s3.source import Source, check_version, open_source, primed
from proxy.store.record import BodyDigest, Draft, ObjectRecord, PartMark

PART_NUMBER_MAX = 10_000
_OVERRIDES = {
    "response-cache-control": "Cache-Control",
    "response-content-disposition": "Content-Disposition",
    "response-content-encoding": "Content-Encoding",
    "response-content-language": "Content-Language",
    "response-content-type": "Content-Type",
    "response-expires": "Expires",
}


async def get_object(call: Call) -> Response:
    """GetObject."""
    return await _read(call, with_body=True)


async def head_object(call: Call) -> Response:
    """HeadObject."""
    return await _read(call, with_body=False)


async def _read(call: Call, *, with_body: bool) -> Response:
    query = call.query
    if query:
        check_version(query.get("versionId"))
    source = await open_source(call, call.where)
    record = source.record
    etag = f'"{source.etag}"'
    modified = http_date(record.modified_us)
    condition = read_condition(call.headers)
    if condition is not None and condition.decide(source.etag, record.modified_us) is not None:
        return Response(304, [("ETag", etag), ("Last-Modified", modified)])
    headers = metadata.response_headers(record)
    headers += (("ETag", etag), ("Last-Modified", modified), ("Accept-Ranges", "bytes"))
    if query:
        _override(headers, query)
    span, part = _selection(call, source, headers)
    if call.headers.get(b"x-amz-checksum-mode", b"").upper() == b"ENABLED":
        _show_checksum(headers, record, part=part, whole=span is None)
    if span is None:
        status, start, length = 200, 0, source.size
    else:
        status, (start, length) = 206, span
        if length:
            headers.append(("Content-Range", span.content_range(source.size)))
    if not with_body or not length:
        return Response(status, headers, length=length)
    if source.large is None and not record.manifest:
        inline = source.found.inline
        body = inline if length == len(inline) else inline[start : start + length]
        return Response(status, headers, body)
    return Response(status, headers, await primed(source.read(start, length)), length=length)


def _selection(
    call: Call, source: Source, headers: list[tuple[str, str]]
) -> tuple[Span | None, PartMark | None]:
    """The bytes asked for, by range or by part; and the part. Raises InvalidRange and others."""
    number = call.query.get("partNumber")
    header = call.headers.get(b"range")
    if number is not None:
        if header is not None:
            raise S3Error(
                "InvalidRequest", "Cannot specify both Range header and partNumber query parameter"
            )
        return _part(number, source, headers)
    if header is None or not _range_applies(call, source):
        return None, None
    return span_of(header.decode("latin-1"), source.size), None


def _range_applies(call: Call, source: Source) -> bool:
    """False when If-Range names another version (RFC 9110 section 13.1.5)."""
    condition = call.headers.get(b"if-range")
    if condition is None:
        return True
    text = condition.decode("latin-1").strip()
    return text in {f'"{source.etag}"', http_date(source.record.modified_us)}


def _part(
    text: str, source: Source, headers: list[tuple[str, str]]
) -> tuple[Span | None, PartMark | None]:
    number = part_number(text)
    parts = source.record.parts
    if not parts:
        if number != 1:
            raise S3Error("InvalidPartNumber")
        return Span(0, source.size), None
    headers.append(("x-amz-mp-parts-count", str(len(parts))))
    start = 0
    for part in parts:
        if part.number == number:
            return Span(start, part.size), part
        start += part.size
    raise S3Error("InvalidPartNumber")


def part_number(text: str | None) -> int:
    """A part number, 1 to 10,000. Raises InvalidArgument."""
    if text is not None and text.isascii() and text.isdigit() and len(text) < 10:
        number = int(text)
        if 1 <= number <= PART_NUMBER_MAX:
            return number
    raise invalid_argument(
        "partNumber",
        text or "",
        "Part number must be an integer between 1 and 10000, inclusive",
    )


def _override(headers: list[tuple[str, str]], query: Mapping[str, str]) -> None:
    """response-* parameters replace headers (only signed requests get here)."""
    for name, header in _OVERRIDES.items():
        value = query.get(name)
        if value is not None:
            if not value.isprintable():
                raise invalid_argument(name, value, "Header value cannot be represented.")
            headers[:] = [pair for pair in headers if pair[0] != header]
            headers.append((header, value))


def _show_checksum(
    headers: list[tuple[str, str]], record: ObjectRecord, *, part: PartMark | None, whole: bool
) -> None:
    """The checksum of what is sent: the object's, or the part's; that of other ranges is unknown."""
    known = checksum.stored(record.attributes)
    if known is None:
        return
    algorithm, value, kind = known
    if part is not None:
        value = part.checksum
    elif not whole:
        return
    if value:
        headers += ((algorithm.header, value), ("x-amz-checksum-type", kind))


async def put_object(call: Call) -> Response:
    """PutObject."""
    headers = call.headers
    require_length(call.body, headers)
    attributes = metadata.attributes(headers)
    payload = Payload(call.body, headers, call.verified)
    condition = write_condition(headers)
    kind = metadata.content_type(headers)

    def finish(digest: BodyDigest) -> Draft:
        payload.check_md5(digest.md5)
        if payload.algorithm is not None:
            attributes.update(checksum.attributes_of(payload.algorithm, payload.checksum))
        return Draft(kind, attributes)

    found = await call.store.put_object(
        call.where, payload.stream(), finish, check=None if condition is None else condition.check
    )
    answer = [("ETag", f'"{found.record.etag}"')]
    if payload.algorithm is not None:
        answer += [
            (payload.algorithm.header, payload.checksum),
            ("x-amz-checksum-type", checksum.FULL_OBJECT),
        ]
    return Response(200, answer)


async def delete_object(call: Call) -> Response:
    """DeleteObject: deleting what is not there succeeds, unless a condition was given."""
    if call.query:
        check_version(call.query.get("versionId"))
    condition = delete_condition(call.headers)
    try:
        await call.store.delete_object(
            call.where, check=None if condition is None else condition.check
        )
    except NotFound as error:
        if error.code != "NoSuchObject":
            raise
    return Response(204)


# -- access control and tags ---------------------------------------------------------------------


async def get_object_acl(call: Call) -> Response:
    """GetObjectAcl."""
    check_version(call.query.get("versionId"))
    await call.store.get_object(call.where)
    return xml_response(acl.render(owner_id(call.account), call.identity.user))


async def put_object_acl(call: Call) -> Response:
    """PutObjectAcl: only what is the case already."""
    check_version(call.query.get("versionId"))
    await call.store.get_object(call.where)
    await check_acl(call)
    return Response(200)


async def check_acl(call: Call) -> None:
    """Decide on the ACL a request brings, in headers or in its body."""
    if not acl.check_headers(call.headers):
        acl.check_document(await call.document("AccessControlPolicy"), owner_id(call.account))


async def get_object_tagging(call: Call) -> Response:
    """GetObjectTagging: an object without tags has an empty set."""
    check_version(call.query.get("versionId"))
    found = await call.store.get_object(call.where)
    return xml_response(tagging.render(found.record.attributes.get(tagging.ATTRIBUTE, "")))


async def put_object_tagging(call: Call) -> Response:
    """PutObjectTagging."""
    check_version(call.query.get("versionId"))
    kept = tagging.of_document(await call.document("Tagging"), tagging.OBJECT_TAGS_MAX)
    await _set_tags(call, kept)
    return Response(200)


async def delete_object_tagging(call: Call) -> Response:
    """DeleteObjectTagging."""
    check_version(call.query.get("versionId"))
    await _set_tags(call, "")
    return Response(204)


async def _set_tags(call: Call, kept: str) -> None:
    def change(record: ObjectRecord) -> Draft:
        attributes = dict(record.attributes)
        attributes.pop(tagging.ATTRIBUTE, None)
        if kept:
            attributes[tagging.ATTRIBUTE] = kept
        return redraft(record, attributes)

    await call.store.update_object(call.where, change)


def redraft(record: ObjectRecord, attributes: dict[str, str]) -> Draft:
    """The record as it is, with other attributes."""
    return Draft(
        record.content_type,
        attributes,
        record.expires_s,
        etag=record.etag,
        size=record.size,
        parts=record.parts,
    )


def render_checksum(attributes: Mapping[str, str]) -> str:
    """Elements of a stored checksum, for the documents that show one."""
    known = checksum.stored(attributes)
    if known is None:
        return ""
    algorithm, value, kind = known
    return xml.element(algorithm.tag, value) + xml.element("ChecksumType", kind)
