"""CompleteMultipartUpload: the parts become one object, moving no data.

The order makes it safe to die anywhere and to be asked again: (1) the upload record enters
`completing` with the chosen parts, from when on nothing frees their blobs; (2) the object is composed,
unless it carries this upload's id already; (3) part records go, the chosen ones without their blobs;
(4) the upload record goes. A repetition resumes where the first try stopped, and after (4) the object
itself tells that it came from this upload.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from typing import NamedTuple

from core import limits
from core.errors import NotFound, RingstackError
from core.http import Response
from proxy.s3 import checksum, upload
from proxy.s3.call import Call, xml_response
from proxy.s3.concurrent import each
from proxy.s3.condition import WriteCondition, write_condition
from proxy.s3.errors import S3Error
from proxy.s3.multipart import CONCURRENT_MAX, clear, find_upload, no_such_upload, part_rows
from proxy.s3.object import render_checksum
from proxy.s3.upload import Part
from proxy.s3.xml import Node, document, element, url_encoded
from proxy.store.record import PARTS, Draft, Found, ObjectRecord, PartMark

DOCUMENT_BYTES_MAX = 4 * limits.MIB


class Claim(NamedTuple):
    """What the client says of one part."""

    number: int
    etag: str
    checksum: str  # base64, or empty


class AlreadyComposedError(RingstackError):
    """The object at the key came from this upload already; nothing is to be done."""

    def __init__(self, record: ObjectRecord) -> None:
        super().__init__("AlreadyComposed")
        self.record = record


async def complete_upload(call: Call) -> Response:
    """CompleteMultipartUpload."""
    # x-amz-checksum-* headers are about the object here, not about this document
    node = await call.document(
        "CompleteMultipartUpload", size_max=DOCUMENT_BYTES_MAX, announced=False
    )
    claims = read_claims(node)
    upload_id = call.query.get("uploadId", "")
    try:
        found = await find_upload(call, states=(upload.OPEN, upload.COMPLETING))
    except S3Error as error:
        return _answer(call, await _finished(call, upload_id, error))
    rows = await part_rows(call, upload_id)
    current = upload.current(rows)
    resumed = upload.state_of(found.record) == upload.COMPLETING
    if resumed:
        result = await _composed(call, upload_id)
        if result is not None:
            await clear(call, found, rows, upload.chosen_names(found.record, upload_id))
            return _answer(call, result)
    parts = choose(claims, current)
    draft = _draft(call, found.record, parts)
    found = await _enter(call, found, parts, draft)
    record = await _compose(call, parts, draft, resumed=resumed)
    await clear(call, found, rows, upload.chosen_names(found.record, upload_id))
    return _answer(call, record)


def read_claims(node: Node) -> list[Claim]:
    """The part list of the request. Raises MalformedXML, InvalidPartOrder, InvalidPart."""
    claims = []
    for child in node.all("Part"):
        number = child.number("PartNumber")
        etag = child.value("ETag")
        if number is None or etag is None:
            raise S3Error("MalformedXML")
        values = [
            value
            for algorithm in checksum.ALGORITHMS.values()
            if (value := child.value(algorithm.tag))
        ]
        claims.append(Claim(number, etag.strip().strip('"'), values[0] if values else ""))
    if not 1 <= len(claims) <= limits.MULTIPART_PARTS_MAX:
        raise S3Error("MalformedXML")
    numbers = [claim.number for claim in claims]
    if any(later <= earlier for earlier, later in itertools.pairwise(numbers)):
        raise S3Error("InvalidPartOrder")
    return claims


def choose(claims: Sequence[Claim], current: dict[int, Part]) -> list[Part]:
    """The parts that the client names. Raises InvalidPart, EntityTooSmall, EntityTooLarge."""
    parts = []
    for claim in claims:
        part = current.get(claim.number)
        if (
            part is None
            or part.etag != claim.etag
            or (claim.checksum and part.checksum and claim.checksum != part.checksum)
        ):
            raise S3Error(
                "InvalidPart", fields=(("PartNumber", str(claim.number)), ("ETag", claim.etag))
            )
        parts.append(part)
    for part in parts[:-1]:
        if part.size < upload.PART_BYTES_MIN:
            raise S3Error(
                "EntityTooSmall",
                fields=(
                    ("ProposedSize", str(part.size)),
                    ("MinSizeAllowed", str(upload.PART_BYTES_MIN)),
                    ("PartNumber", str(part.number)),
                    ("ETag", part.etag),
                ),
            )
    if sum(part.size for part in parts) > limits.OBJECT_BYTES_MAX:
        raise S3Error("EntityTooLarge")
    return parts


def multipart_etag(parts: Sequence[Part]) -> str:
    """MD5 of the parts' MD5s, and their number."""
    digests = b"".join(bytes.fromhex(part.etag) for part in parts)
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"


def _draft(call: Call, record: ObjectRecord, parts: Sequence[Part]) -> Draft:
    """The final object. Raises what its announced size and checksum refuse."""
    size = sum(part.size for part in parts)
    announced = call.header(b"x-amz-mp-object-size")
    if announced is not None and announced.strip() != str(size):
        raise S3Error(
            "InvalidRequest",
            f"The provided 'x-amz-mp-object-size' header value {announced} does not match what was "
            f"computed: {size}",
        )
    attributes = upload.final_attributes(record, call.query["uploadId"])
    attributes.update(_checksum(call, record, parts))
    marks = tuple(PartMark(part.number, part.size, part.etag, part.checksum) for part in parts)
    return Draft(record.content_type, attributes, etag=multipart_etag(parts), parts=marks)


def _checksum(call: Call, record: ObjectRecord, parts: Sequence[Part]) -> dict[str, str]:
    """The final checksum, compared with what the client expects. Raises BadDigest, InvalidRequest."""
    algorithm = upload.algorithm_of(record.attributes)
    kind = record.attributes.get(upload.TYPE, "")
    expected = checksum.of_headers(call.headers)
    asked = call.header(b"x-amz-checksum-type")
    if asked is not None and asked.upper() != kind:
        raise S3Error(
            "InvalidRequest",
            f"The upload was created using the {kind or 'default'} checksum mode. The complete "
            "request must use the same checksum mode.",
        )
    if algorithm is None:
        return {}
    if kind == checksum.COMPOSITE:
        value = checksum.composite(algorithm, [part.checksum for part in parts])
    else:
        value = checksum.combined(algorithm, [(part.checksum, part.size) for part in parts])
    if expected is not None:
        same = expected[1] in {value, value.partition("-")[0]}
        if expected[0] is not algorithm or not same:
            raise checksum.mismatch(expected[0])
    return checksum.attributes_of(algorithm, value, kind)


async def _enter(call: Call, found: Found, parts: Sequence[Part], draft: Draft) -> Found:
    """Mark the upload `completing` with its choice of parts; the condition is looked at first."""
    condition = write_condition(call.headers)
    if condition is not None:
        condition.check(await _current(call))
    chosen = ",".join(part.token for part in parts)
    assert draft.etag is not None
    etag = draft.etag
    try:
        return await call.store.update_object(
            found.where, lambda record: upload.completing(record, chosen, etag)
        )
    except NotFound as error:
        if error.code != "NoSuchObject":
            raise
        raise no_such_upload(call.query["uploadId"]) from None


async def _compose(
    call: Call, parts: Sequence[Part], draft: Draft, *, resumed: bool
) -> ObjectRecord:
    """Write the object, once. Raises PreconditionFailed and NoSuchUpload."""
    pieces = await _open_parts(call, parts)
    if resumed:
        await _probe(call, pieces)
    upload_id = call.query["uploadId"]
    condition = write_condition(call.headers)
    try:
        found = await call.store.compose_object(
            call.where,
            [(piece, 0, piece.record.size) for piece in pieces],
            draft,
            check=lambda record: _check(record, upload_id, condition),
            adopt=True,
        )
    except AlreadyComposedError as done:
        return done.record
    return found.record


def _check(record: ObjectRecord | None, upload_id: str, condition: WriteCondition | None) -> None:
    """Decided at the commit: never compose twice, and only under the client's condition."""
    if record is not None and record.attributes.get(upload.UPLOAD_ID) == upload_id:
        raise AlreadyComposedError(record)
    if condition is not None:
        condition.check(record)


async def _open_parts(call: Call, parts: Sequence[Part]) -> list[Found]:
    async def work(part: Part) -> Found:
        return await call.store.get_object(call.name_of(part.record_name, PARTS))

    try:
        return await each(parts, work, at_once=CONCURRENT_MAX)
    except NotFound:
        raise no_such_upload(call.query["uploadId"]) from None


async def _probe(call: Call, pieces: Sequence[Found]) -> None:
    """After an interrupted completion the blobs may be gone with the object it made: look first."""
    for piece in pieces:
        if piece.record.size:
            async for _ in call.store.read(piece, 0, 1):
                break


async def _current(call: Call) -> ObjectRecord | None:
    try:
        return (await call.store.get_object(call.where)).record
    except NotFound as error:
        if error.code != "NoSuchObject":
            raise
        return None


async def _finished(call: Call, upload_id: str, error: S3Error) -> ObjectRecord:
    """The object of an upload that is gone, if it still is that object; else the error."""
    if error.code != "NoSuchUpload" or not upload.is_id(upload_id):
        raise error
    record = await _composed(call, upload_id)
    if record is None:
        raise error
    return record


async def _composed(call: Call, upload_id: str) -> ObjectRecord | None:
    """The object at the key, if it came from this upload."""
    record = await _current(call)
    if record is not None and record.attributes.get(upload.UPLOAD_ID) == upload_id:
        return record
    return None


def _answer(call: Call, record: ObjectRecord) -> Response:
    host = call.header(b"host") or "localhost"
    return xml_response(
        document(
            "CompleteMultipartUploadResult",
            element("Location", f"http://{host}/{url_encoded(f'{call.bucket}/{call.key}')}"),
            element("Bucket", call.bucket),
            element("Key", call.key),
            element("ETag", f'"{record.etag}"'),
            render_checksum(record.attributes),
        )
    )
