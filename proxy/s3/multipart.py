"""Multipart uploads: create, upload and copy parts, list, abort.

Completion has its own file, `complete.py`; the records and their states are in `upload.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Collection, Sequence

from core.errors import NotFound
from core.http import Response
from core.limits import LISTING_LIMIT_MAX
from proxy.s3 import checksum, metadata, upload
from proxy.s3.call import Call, xml_date, xml_response
from proxy.s3.checksum import Algorithm
from proxy.s3.concurrent import each
from proxy.s3.copy import checksum_of, with_source
from proxy.s3.errors import S3Error
from proxy.s3.object import part_number
from proxy.s3.payload import PUT_BYTES_MAX, Payload, require_length, too_large
from proxy.s3.range import Span, copy_span
from proxy.s3.source import Source
from proxy.s3.xml import document, element
from proxy.store.record import PARTS, UPLOADS, BodyDigest, Draft, Found, ListQuery, ObjectRow

CONCURRENT_MAX = 16


async def nothing() -> AsyncIterator[bytes]:
    """An empty body."""
    pieces: tuple[bytes, ...] = ()
    for piece in pieces:
        yield piece


async def create_upload(call: Call) -> Response:
    """CreateMultipartUpload."""
    attributes = metadata.attributes(call.headers)
    asked = call.header(b"x-amz-checksum-algorithm")
    kind = call.header(b"x-amz-checksum-type")
    answer = []
    if asked is not None:
        algorithm = checksum.named(asked)
        kind = checksum.multipart_type(algorithm, kind)
        attributes[upload.ALGORITHM] = algorithm.name
        attributes[upload.TYPE] = kind
        answer = [
            ("x-amz-checksum-algorithm", algorithm.name),
            ("x-amz-checksum-type", kind),
        ]
    elif kind is not None:
        raise S3Error(
            "InvalidRequest",
            "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
        )
    upload_id = call.env.random_bytes(upload.ID_DIGITS // 2).hex()
    draft = Draft(metadata.content_type(call.headers), attributes)
    where = call.name_of(upload.upload_name(call.key, upload_id), UPLOADS)
    await call.store.put_object(where, nothing(), lambda _: draft)
    return xml_response(
        document(
            "InitiateMultipartUploadResult",
            element("Bucket", call.bucket),
            element("Key", call.key),
            element("UploadId", upload_id),
        ),
        answer,
    )


async def find_upload(call: Call, *, states: Collection[str] = (upload.OPEN,)) -> Found:
    """The upload that the query names, in one of `states`. Raises NoSuchUpload."""
    upload_id = call.query.get("uploadId", "")
    if not upload.is_id(upload_id):
        raise no_such_upload(upload_id)
    try:
        found = await call.store.get_object(
            call.name_of(upload.upload_name(call.key, upload_id), UPLOADS)
        )
    except NotFound as error:
        if error.code != "NoSuchObject":
            raise
        raise no_such_upload(upload_id) from None
    if upload.state_of(found.record) not in states:
        raise no_such_upload(upload_id)
    return found


def no_such_upload(upload_id: str) -> S3Error:
    """NoSuchUpload that names the id."""
    return S3Error("NoSuchUpload", fields=(("UploadId", upload_id),))


# -- parts ---------------------------------------------------------------------------------------


async def upload_part(call: Call) -> Response:
    """UploadPart."""
    number = part_number(call.query.get("partNumber"))
    require_length(call.body, call.headers)
    found = await find_upload(call)
    expected = upload.algorithm_of(found.record.attributes)
    payload = Payload(call.body, call.headers, call.verified, algorithm=expected)
    given = payload.algorithm
    if expected is not None and given is not expected:
        raise S3Error(
            "InvalidRequest",
            "Checksum Type mismatch occurred, expected checksum Type: "
            f"{expected.name.lower()}, actual checksum Type: {given.name.lower() if given else 'null'}",
        )

    def finish(digest: BodyDigest) -> Draft:
        payload.check_md5(digest.md5)
        value = "" if given is None else payload.checksum
        return Draft(upload.part_type(given, value), {})

    where = call.name_of(_part_name(call, number), PARTS)
    part = await call.store.put_object(where, payload.stream(), finish)
    await _confirm_part(call, part)
    answer = [("ETag", f'"{part.record.etag}"')]
    if given is not None:
        answer.append((given.header, payload.checksum))
    return Response(200, answer)


def _part_name(call: Call, number: int) -> str:
    return upload.part_name(call.query["uploadId"], number, call.env.random_bytes(5).hex())


async def _confirm_part(call: Call, part: Found) -> None:
    """A part that landed after its upload ended is taken away again. Raises NoSuchUpload."""
    try:
        await find_upload(call)
    except S3Error:
        await delete_part(call, part.where.name, keep_blobs=False)
        raise


async def upload_part_copy(call: Call) -> Response:
    """UploadPartCopy: names the source's bytes; reads them only to compute a checksum."""
    number = part_number(call.query.get("partNumber"))
    found = await find_upload(call)
    algorithm = upload.algorithm_of(found.record.attributes)
    header = call.header(b"x-amz-copy-source-range")

    async def work(source: Source) -> Found:
        span = Span(0, source.size) if header is None else copy_span(header, source.size)
        if span.length > PUT_BYTES_MAX:
            raise too_large(span.length, PUT_BYTES_MAX)
        return await _store_copy(call, source, span, algorithm=algorithm, number=number)

    part = await with_source(call, work)
    await _confirm_part(call, part)
    value = part.record.content_type.partition(":")[2]
    return xml_response(
        document(
            "CopyPartResult",
            element("LastModified", xml_date(part.record.modified_us)),
            element("ETag", f'"{part.record.etag}"'),
            "" if algorithm is None else element(algorithm.tag, value),
        )
    )


async def _store_copy(
    call: Call, source: Source, span: Span, *, algorithm: Algorithm | None, number: int
) -> Found:
    where = call.name_of(_part_name(call, number), PARTS)
    value = ""
    if algorithm is not None:
        value = await checksum_of(source, algorithm, span.start, span.length)
    kind = upload.part_type(algorithm, value)
    if source.large is None:
        draft = Draft(kind, {}, etag=_part_etag(source, span))
        return await call.store.compose_object(where, [(source.found, *span)], draft)

    def finish(digest: BodyDigest) -> Draft:
        if digest.size != span.length:
            raise S3Error("OperationAborted", "The source changed while it was copied.")
        return Draft(kind, {})

    return await call.store.put_object(where, source.read(*span), finish)


def _part_etag(source: Source, span: Span) -> str:
    """Entity tag of a part that was named, not read: the source's when it is all of a plain object."""
    etag = source.etag
    if span.length == source.size and upload.is_id(etag):  # 32 hex digits, an MD5
        return etag
    told = source.found.version + f":{span.start}:{span.length}:{etag}".encode()
    return hashlib.md5(told, usedforsecurity=False).hexdigest()


async def part_rows(call: Call, upload_id: str) -> list[ObjectRow]:
    """All part records of an upload, superseded ones too, in order of number."""
    rows: list[ObjectRow] = []
    marker = ""
    while True:
        page = await call.store.list_objects(
            call.account,
            call.bucket,
            ListQuery(prefix=f"{upload_id}/", marker=marker, limit=LISTING_LIMIT_MAX),
            space=PARTS,
        )
        rows += page.rows
        if not page.truncated or not page.rows:
            return rows
        marker = page.rows[-1].name


async def delete_part(call: Call, name: str, *, keep_blobs: bool) -> None:
    """Delete a part record if it is there."""
    try:
        await call.store.delete_object(call.name_of(name, PARTS), keep_blobs=keep_blobs)
    except NotFound:
        return


async def clear(call: Call, found: Found, rows: Sequence[ObjectRow], kept: Collection[str]) -> None:
    """Delete the part records, with their blobs except for `kept`, and then the upload record."""

    async def work(row: ObjectRow) -> None:
        await delete_part(call, row.name, keep_blobs=row.name in kept)

    await each(rows, work, at_once=CONCURRENT_MAX)
    try:
        await call.store.delete_object(found.where)
    except NotFound:
        return


async def abort_upload(call: Call) -> Response:
    """AbortMultipartUpload. After a completion has begun, only the bookkeeping goes."""
    found = await find_upload(call, states=(upload.OPEN, upload.COMPLETING, upload.ABORTING))
    try:
        found = await call.store.update_object(found.where, upload.aborting)
    except NotFound as error:
        if error.code != "NoSuchObject":
            raise
        raise no_such_upload(call.query["uploadId"]) from None
    upload_id = call.query["uploadId"]
    rows = await part_rows(call, upload_id)
    await clear(call, found, rows, upload.chosen_names(found.record, upload_id))
    return Response(204)
