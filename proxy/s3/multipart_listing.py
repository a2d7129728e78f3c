"""ListParts and ListMultipartUploads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

from core.http import Response
from proxy.s3 import upload
from proxy.s3.call import Call, owner_id, xml_date, xml_response
from proxy.s3.errors import invalid_argument
from proxy.s3.listing import KEYS_MAX, Form, form_of, limit_of
from proxy.s3.metadata import STORAGE_CLASS
from proxy.s3.multipart import find_upload, part_rows
from proxy.s3.upload import Part
from proxy.s3.xml import document, element
from proxy.store.record import UPLOADS, ListQuery, ObjectRow


def _people(call: Call) -> str:
    who = element("ID", owner_id(call.account)) + element("DisplayName", call.identity.user)
    return f"<Initiator>{who}</Initiator><Owner>{who}</Owner>"


async def list_parts(call: Call) -> Response:
    """ListParts."""
    query = call.query
    limit = limit_of(query, "max-parts")
    marker = _marker(query.get("part-number-marker"))
    found = await find_upload(call, states=(upload.OPEN, upload.COMPLETING))
    rows = await part_rows(call, query["uploadId"])
    parts = [part for number, part in upload.current(rows).items() if number > marker]
    shown = parts[:limit]
    truncated = len(parts) > len(shown) and limit > 0
    attributes = found.record.attributes
    algorithm = upload.algorithm_of(attributes)
    tag = "" if algorithm is None else algorithm.tag
    described = ""
    if algorithm is not None:
        described = element("ChecksumAlgorithm", algorithm.name)
        described += element("ChecksumType", attributes[upload.TYPE])
    return xml_response(
        document(
            "ListPartsResult",
            element("Bucket", call.bucket),
            element("Key", call.key),
            element("UploadId", query["uploadId"]),
            _people(call),
            element("StorageClass", STORAGE_CLASS),
            element("PartNumberMarker", marker),
            element("NextPartNumberMarker", shown[-1].number if shown else marker),
            element("MaxParts", limit),
            element("IsTruncated", "true" if truncated else "false"),
            described,
            *[_part(part, tag) for part in shown],
        )
    )


def _marker(text: str | None) -> int:
    if not text:
        return 0
    if text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    raise invalid_argument(
        "part-number-marker",
        text,
        "Provided part-number-marker not an integer or within integer range",
    )


def _part(part: Part, tag: str) -> str:
    fields = (
        element("PartNumber", part.number)
        + element("LastModified", xml_date(part.modified_us))
        + element("ETag", f'"{part.etag}"')
        + element("Size", part.size)
    )
    if tag and part.checksum:
        fields += element(tag, part.checksum)
    return f"<Part>{fields}</Part>"


class Row(NamedTuple):
    """An upload, or a common prefix (then `upload_id` is empty)."""

    key: str
    upload_id: str
    initiated_us: int


async def list_uploads(call: Call) -> Response:
    """ListMultipartUploads.

    Names are rolled up here, not in the store: an upload's record is named by key and id, and a
    delimiter may occur in the id.
    """
    query = call.query
    form = form_of(query)
    limit = limit_of(query, "max-uploads")
    key_marker = query.get("key-marker", "")
    id_marker = query.get("upload-id-marker", "") if key_marker else ""
    rows: list[Row] = []
    truncated = False
    if limit:
        async for row in _rows(call, key_marker, id_marker):
            if len(rows) == limit:
                truncated = True
                break
            rows.append(row)
    else:
        await call.store.get_container(call.account, call.bucket)
    following = ""
    if truncated:
        following = form.element("NextKeyMarker", rows[-1].key)
        following += element("NextUploadIdMarker", rows[-1].upload_id)
    return xml_response(
        document(
            "ListMultipartUploadsResult",
            element("Bucket", call.bucket),
            form.element("KeyMarker", key_marker),
            element("UploadIdMarker", id_marker),
            following,
            form.optional("Delimiter", query.get("delimiter")),
            form.element("Prefix", query.get("prefix", "")),
            element("MaxUploads", limit),
            element("IsTruncated", "true" if truncated else "false"),
            form.encoding_element,
            *[_upload(call, row, form) for row in rows if row.upload_id],
            *[
                f"<CommonPrefixes>{form.element('Prefix', row.key)}</CommonPrefixes>"
                for row in rows
                if not row.upload_id
            ],
        )
    )


def _upload(call: Call, row: Row, form: Form) -> str:
    fields = form.element("Key", row.key) + element("UploadId", row.upload_id)
    return (
        f"<Upload>{fields}{_people(call)}{element('StorageClass', STORAGE_CLASS)}"
        f"{element('Initiated', xml_date(row.initiated_us))}</Upload>"
    )


async def _rows(call: Call, key_marker: str, id_marker: str) -> AsyncIterator[Row]:
    """Uploads and common prefixes after the markers, in order of key, then of id."""
    prefix = call.query.get("prefix", "")
    delimiter = call.query.get("delimiter", "")
    last_prefix = ""
    async for stored in _stored(call, prefix, key_marker, id_marker):
        key, upload_id = upload.split_name(stored.name)
        if not key.startswith(prefix):
            continue
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        if cut < 0:
            assert stored.summary is not None
            yield Row(key, upload_id, stored.summary.modified_us)
            continue
        common = key[: cut + len(delimiter)]
        if common != last_prefix and common.encode() > key_marker.encode():
            last_prefix = common
            yield Row(common, "", 0)


async def _stored(
    call: Call, prefix: str, key_marker: str, id_marker: str
) -> AsyncIterator[ObjectRow]:
    """Upload records after the markers. DEL sorts after every upload id."""
    marker = upload.upload_name(key_marker, id_marker or "\x7f") if key_marker else ""
    while True:
        page = await call.store.list_objects(
            call.account,
            call.bucket,
            ListQuery(prefix=prefix, marker=marker, limit=KEYS_MAX),
            space=UPLOADS,
        )
        for row in page.rows:
            yield row
        if not page.truncated or not page.rows:
            return
        marker = page.rows[-1].name
