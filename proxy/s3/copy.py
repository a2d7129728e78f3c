"""CopyObject and the source of every copy.

Copies name the source's blobs and move no data, unless a new checksum must be computed or the source
is a large object of the other dialect. Both kinds of copy find, authorise and condition their source
through `open_copy_source`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import unquote_to_bytes

from core.errors import PreconditionFailed
from core.http import Response
from proxy.s3 import checksum, metadata, tagging
from proxy.s3.call import Call, xml_date, xml_response
from proxy.s3.checksum import Algorithm
from proxy.s3.condition import decide_copy_source, read_condition, write_condition
from proxy.s3.errors import S3Error, invalid_argument
from proxy.s3.object import render_checksum
from proxy.s3.payload import PUT_BYTES_MAX
from proxy.s3.route import check_key
from proxy.s3.source import Source, check_version, open_source
from proxy.s3.xml import document, element
from proxy.store.record import BodyDigest, Draft, Found, ObjectName

COPY = "COPY"
REPLACE = "REPLACE"
TRIES_MAX = 5


def copy_source(header: str) -> tuple[str, str]:
    """Bucket and key of an x-amz-copy-source header. Raises InvalidArgument.

    `[/]bucket/key[?versionId=null]`, percent-encoded; other version ids do not exist here.
    """
    path, mark, query = header.partition("?versionId=")
    if mark:
        check_version(query)
    try:
        text = unquote_to_bytes(path).decode()
    except (UnicodeError, ValueError):
        text = ""
    bucket, slash, key = text.removeprefix("/").partition("/")
    if not bucket or not slash or not key or "\0" in text:
        raise invalid_argument(
            "x-amz-copy-source",
            header,
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
        )
    check_key(key)
    return bucket, key


async def open_copy_source(call: Call) -> Source:
    """Find the source, within the caller's account, and decide the x-amz-copy-source-if-* headers."""
    owner = call.headers.get(b"x-amz-source-expected-bucket-owner")
    if owner is not None:
        call.check_owner(owner)
    bucket, key = copy_source(call.header(b"x-amz-copy-source") or "")
    source = await open_source(call, ObjectName(call.account, bucket, key))
    condition = read_condition(call.headers, b"x-amz-copy-source-")
    if condition is not None:
        decide_copy_source(condition, source.etag, source.record.modified_us)
    return source


async def with_source(call: Call, work: Callable[[Source], Awaitable[Found]]) -> Found:
    """Do `work` on the source; again with the new one when it was replaced meanwhile."""
    for _ in range(TRIES_MAX):
        source = await open_copy_source(call)
        try:
            return await work(source)
        except PreconditionFailed as error:
            if error.code != "SourceChanged":
                raise
    raise S3Error("OperationAborted", "The source keeps changing while it is copied.")


async def copy_object(call: Call) -> Response:
    """CopyObject."""
    headers = call.headers
    replace = _directive(call, b"x-amz-metadata-directive") == REPLACE
    replace_tags = _directive(call, b"x-amz-tagging-directive") == REPLACE
    new = metadata.attributes(headers, tags=replace_tags)
    asked = call.header(b"x-amz-checksum-algorithm")
    algorithm = None if asked is None else checksum.named(asked)

    async def work(source: Source) -> Found:
        _check_source(call, source, changes=replace or _changes(call, algorithm))
        attributes = _attributes(source, new, replace=replace, replace_tags=replace_tags)
        kind = metadata.content_type(headers) if replace else source.record.content_type
        return await _store(call, source, Draft(kind, attributes), algorithm)

    found = await with_source(call, work)
    return xml_response(
        document(
            "CopyObjectResult",
            element("LastModified", xml_date(found.record.modified_us)),
            element("ETag", f'"{found.record.etag}"'),
            render_checksum(found.record.attributes),
        )
    )


def _check_source(call: Call, source: Source, *, changes: bool) -> None:
    """Too large, or a copy onto itself that changes nothing: InvalidRequest."""
    if source.size > PUT_BYTES_MAX:
        raise S3Error(
            "InvalidRequest",
            "The specified copy source is larger than the maximum allowable size for a copy "
            f"source: {PUT_BYTES_MAX}",
        )
    if source.found.where == call.where and not changes:
        raise S3Error(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself without "
            "changing the object's metadata, storage class, website redirect location or encryption "
            "attributes.",
        )


def _changes(call: Call, algorithm: Algorithm | None) -> bool:
    """A copy onto itself that says what to change besides metadata."""
    return algorithm is not None or b"x-amz-storage-class" in call.headers


def _directive(call: Call, name: bytes) -> str:
    value = call.headers.get(name, b"COPY").decode("latin-1")
    if value not in {COPY, REPLACE}:
        raise invalid_argument(name.decode(), value, f"Unknown directive: {value}")
    return value


def _attributes(
    source: Source, new: dict[str, str], *, replace: bool, replace_tags: bool
) -> dict[str, str]:
    """Attributes of the copy: what the directives say, and what belongs to the bytes."""
    result = {}
    for key, value in source.record.attributes.items():
        if metadata.is_described(key):
            keep = not replace
        elif key == tagging.ATTRIBUTE:
            keep = not replace_tags
        else:
            keep = key.startswith(checksum.ATTRIBUTE_PREFIX)
        if keep:
            result[key] = value
    return result | {
        key: value
        for key, value in new.items()
        if (replace if metadata.is_described(key) else replace_tags)
    }


async def _store(call: Call, source: Source, draft: Draft, algorithm: Algorithm | None) -> Found:
    """Name the source's bytes, or stream them when they must be read."""
    condition = write_condition(call.headers)
    check = None if condition is None else condition.check
    if algorithm is not None:
        known = checksum.stored(draft.attributes)
        if known is not None and (known[0] is not algorithm or known[2] != checksum.FULL_OBJECT):
            for key in (known[0].attribute, checksum.TYPE_ATTRIBUTE):
                draft.attributes.pop(key)
            known = None
        if known is None:
            value = await checksum_of(source, algorithm)
            draft.attributes.update(checksum.attributes_of(algorithm, value))
    if source.large is None:
        draft = draft._replace(parts=source.record.parts, expires_s=0)
        return await call.store.copy_object(source.found, call.where, draft, check=check)
    final = draft

    def finish(digest: BodyDigest) -> Draft:
        if digest.size != source.size:
            raise S3Error("OperationAborted", "The source changed while it was copied.")
        return final

    body = source.read(0, source.size)
    return await call.store.put_object(call.where, body, finish, check=check)


async def checksum_of(
    source: Source, algorithm: Algorithm, start: int = 0, length: int = -1
) -> str:
    """Base64 checksum of bytes of a source (all of them by default), by reading them."""
    hasher = algorithm.new()
    async for piece in source.read(start, source.size if length < 0 else length):
        hasher.update(piece)
    return checksum.encode(hasher.digest())
