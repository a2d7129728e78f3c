"""GetObjectAttributes: what is known of an object, in one document and without its body."""

from __future__ import annotations

from core.http import Response
from proxy.s3 import checksum
from proxy.s3.call import Call, http_date, xml_response
from proxy.s3.errors import invalid_argument
from proxy.s3.listing import KEYS_MAX
from proxy.s3.metadata import STORAGE_CLASS
from proxy.s3.object import render_checksum
from proxy.s3.source import check_version, open_source
from proxy.s3.xml import document, element
from proxy.store.record import ObjectRecord, PartMark

NAMES = frozenset({"ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"})


async def get_object_attributes(call: Call) -> Response:
    """GetObjectAttributes."""
    check_version(call.query.get("versionId"))
    asked = _asked(call)
    source = await open_source(call, call.where)
    record = source.record
    parts: list[str] = []
    if "ETag" in asked:
        parts.append(element("ETag", source.etag))
    if "Checksum" in asked:
        known = render_checksum(record.attributes)
        parts.append(f"<Checksum>{known}</Checksum>" if known else "")
    if "ObjectParts" in asked and record.parts:
        parts.append(_parts(call, record))
    if "StorageClass" in asked:
        parts.append(element("StorageClass", STORAGE_CLASS))
    if "ObjectSize" in asked:
        parts.append(element("ObjectSize", source.size))
    return xml_response(
        document("GetObjectAttributesResponse", *parts),
        [("Last-Modified", http_date(record.modified_us))],
    )


def _asked(call: Call) -> frozenset[str]:
    header = call.header(b"x-amz-object-attributes") or ""
    names = frozenset(name.strip() for name in header.split(",") if name.strip())
    if not names or not names <= NAMES:
        raise invalid_argument(
            "x-amz-object-attributes", header, "Invalid attribute name specified."
        )
    return names


def _number(call: Call, name: bytes, default: int) -> int:
    text = call.header(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise invalid_argument(name.decode(), text, "The value is not a number.")
    return int(text)


def _parts(call: Call, record: ObjectRecord) -> str:
    """`<ObjectParts>`; single parts are listed only when they carry checksums, as S3 does."""
    limit = min(_number(call, b"x-amz-max-parts", KEYS_MAX), KEYS_MAX)
    marker = _number(call, b"x-amz-part-number-marker", 0)
    total = element("PartsCount", len(record.parts))
    known = checksum.stored(record.attributes)
    if known is None:
        return f"<ObjectParts>{total}</ObjectParts>"
    rest = [part for part in record.parts if part.number > marker]
    shown = rest[:limit]
    fields = (
        total
        + element("PartNumberMarker", marker)
        + element("NextPartNumberMarker", shown[-1].number if shown else marker)
        + element("MaxParts", limit)
        + element("IsTruncated", "true" if len(rest) > len(shown) else "false")
    )
    tag = known[0].tag
    return f"<ObjectParts>{fields}{''.join(_part(part, tag) for part in shown)}</ObjectParts>"


def _part(part: PartMark, tag: str) -> str:
    value = element(tag, part.checksum) if part.checksum else ""
    return f"<Part>{element('PartNumber', part.number)}{element('Size', part.size)}{value}</Part>"
