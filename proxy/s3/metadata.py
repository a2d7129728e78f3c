"""What S3 keeps with an object, between request headers, attributes and response headers.

User metadata is `meta:<name>`, standard headers `header:<name>` (both shared with the other dialect),
tags and checksums are `s3:`. Headers whose function is not built are refused, never ignored.
"""

from __future__ import annotations

from collections.abc import Mapping

from core.http import header_text
from proxy.s3 import acl, tagging
from proxy.s3.errors import S3Error, not_implemented
from proxy.store.record import ObjectRecord

DEFAULT_TYPE = "binary/octet-stream"
METADATA_BYTES_MAX = 2048
STORAGE_CLASS = "STANDARD"
# classes that promise no more than ours does; archive classes promise less and differently
STORAGE_CLASSES = frozenset(
    {
        "STANDARD",
        "REDUCED_REDUNDANCY",
        "STANDARD_IA",
        "ONEZONE_IA",
        "INTELLIGENT_TIERING",
        "GLACIER_IR",
    }
)
UNSUPPORTED_HEADERS = frozenset(
    {
        b"x-amz-copy-source-server-side-encryption-customer-algorithm",
        b"x-amz-copy-source-server-side-encryption-customer-key",
        b"x-amz-copy-source-server-side-encryption-customer-key-md5",
        b"x-amz-object-annotation-directive",
        b"x-amz-object-lock-event-hold",
        b"x-amz-object-lock-event-hold-duration-days",
        b"x-amz-object-lock-event-hold-duration-years",
        b"x-amz-object-lock-legal-hold",
        b"x-amz-object-lock-mode",
        b"x-amz-object-lock-retain-until-date",
        b"x-amz-server-side-encryption",
        b"x-amz-server-side-encryption-aws-kms-key-id",
        b"x-amz-server-side-encryption-bucket-key-enabled",
        b"x-amz-server-side-encryption-context",
        b"x-amz-server-side-encryption-customer-algorithm",
        b"x-amz-server-side-encryption-customer-key",
        b"x-amz-server-side-encryption-customer-key-md5",
        b"x-amz-website-redirect-location",
        b"x-amz-write-offset-bytes",
    }
)
_META = b"x-amz-meta-"
_KEPT = {
    b"cache-control": "header:cache-control",
    b"content-disposition": "header:content-disposition",
    b"content-encoding": "header:content-encoding",
    b"content-language": "header:content-language",
    b"expires": "header:expires",
}
_SHOWN = {
    "header:cache-control": "Cache-Control",
    "header:content-disposition": "Content-Disposition",
    "header:content-encoding": "Content-Encoding",
    "header:content-language": "Content-Language",
    "header:expires": "Expires",
}


def check_supported(headers: Mapping[bytes, bytes]) -> None:
    """Raise NotImplemented when a header asks for a function that does not exist here."""
    if not UNSUPPORTED_HEADERS.isdisjoint(headers):
        name = next(name for name in headers if name in UNSUPPORTED_HEADERS)
        raise not_implemented(name.decode())


def content_type(headers: Mapping[bytes, bytes]) -> str:
    """Content-Type of a new object."""
    value = headers.get(b"content-type")
    return header_text(value) if value else DEFAULT_TYPE


def attributes(headers: Mapping[bytes, bytes], *, tags: bool = True) -> dict[str, str]:
    """What a new object keeps of its request. `tags`: take x-amz-tagging too.

    Raises MetadataTooLarge, InvalidStorageClass, InvalidTag, AccessControlListNotSupported.
    """
    result: dict[str, str] = {}
    meta_bytes = 0
    for name, value in headers.items():
        if name.startswith(_META):
            meta_bytes += len(name) - len(_META) + len(value)
            result["meta:" + header_text(name[len(_META) :])] = header_text(value)
        elif name in _KEPT:
            result[_KEPT[name]] = header_text(value)
    if meta_bytes > METADATA_BYTES_MAX:
        raise S3Error(
            "MetadataTooLarge",
            fields=(("Size", str(meta_bytes)), ("MaxSizeAllowed", str(METADATA_BYTES_MAX))),
        )
    if "header:content-encoding" in result:
        _strip_transfer(result)
    if b"x-amz-storage-class" in headers:
        check_storage_class(header_text(headers[b"x-amz-storage-class"]))
    acl.check_headers(headers)
    if tags and b"x-amz-tagging" in headers:
        kept = tagging.of_header(header_text(headers[b"x-amz-tagging"]))
        if kept:
            result[tagging.ATTRIBUTE] = kept
    return result


def check_storage_class(name: str) -> None:
    """Raise InvalidStorageClass unless STANDARD storage satisfies the class."""
    if name not in STORAGE_CLASSES:
        raise S3Error("InvalidStorageClass", fields=(("StorageClassRequested", name),))


def _strip_transfer(result: dict[str, str]) -> None:
    """`aws-chunked` is how the body travelled, not how it is encoded."""
    encodings = [part.strip() for part in result.pop("header:content-encoding").split(",")]
    kept = [part for part in encodings if part and part.lower() != "aws-chunked"]
    if kept:
        result["header:content-encoding"] = ",".join(kept)


def is_described(key: str) -> bool:
    """True for attributes that MetadataDirective governs."""
    return key.startswith(("meta:", "header:"))


def response_headers(record: ObjectRecord) -> list[tuple[str, str]]:
    """The headers of a GET or HEAD that come from the record's attributes."""
    result = [("Content-Type", record.content_type)]
    for key, value in record.attributes.items():
        if key.startswith("meta:"):
            result.append(("x-amz-meta-" + key[5:], value))
        elif key in _SHOWN:
            result.append((_SHOWN[key], value))
        elif key == tagging.ATTRIBUTE:
            result.append(("x-amz-tagging-count", str(tagging.count(value))))
    return result
