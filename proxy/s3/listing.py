"""ListObjects, ListObjectsV2 and ListObjectVersions: pages of a bucket's keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from core.http import Response
from proxy.s3.call import Call, owner_id, xml_date, xml_response
from proxy.s3.errors import invalid_argument
from proxy.s3.metadata import STORAGE_CLASS
from proxy.s3.token import decode_token, encode_token
from proxy.s3.xml import document, element, escape, url_encoded
from proxy.store.record import ListQuery, ObjectPage, Summary

KEYS_MAX = 1000


class Form(NamedTuple):
    """How names are written: plain, or URL-encoded on the client's wish."""

    encoding: str
    name: Callable[[str], str]

    def element(self, tag: str, name: str) -> str:
        """An element holding a name."""
        return f"<{tag}>{self.name(name)}</{tag}>"

    def optional(self, tag: str, name: str | None) -> str:
        """The element, or nothing for an empty name."""
        return self.element(tag, name) if name else ""

    @property
    def encoding_element(self) -> str:
        """`<EncodingType>` when the client asked for one."""
        return element("EncodingType", self.encoding) if self.encoding else ""


def form_of(query: Mapping[str, str]) -> Form:
    """The form a client asked for. Raises InvalidArgument."""
    encoding = query.get("encoding-type", "")
    if encoding not in {"", "url"}:
        raise invalid_argument(
            "encoding-type", encoding, "Invalid Encoding Method specified in Request"
        )
    return Form(encoding, url_encoded if encoding else escape)


def limit_of(query: Mapping[str, str], name: str) -> int:
    """A page size, at most 1000, 0 included. Raises InvalidArgument."""
    text = query.get(name)
    if not text:
        return KEYS_MAX
    if text.isascii() and text.isdigit() and len(text) <= 10 and int(text) < 2**31:
        return min(int(text), KEYS_MAX)
    raise invalid_argument(name, text, f"Provided {name} not an integer or within integer range")


async def _page(call: Call, marker: str, limit: int) -> ObjectPage:
    query = ListQuery(
        prefix=call.query.get("prefix", ""),
        delimiter=call.query.get("delimiter", ""),
        marker=marker,
        limit=limit,
    )
    if not limit:
        await call.store.get_container(call.account, call.bucket)
        return ObjectPage([], truncated=False)
    return await call.store.list_objects(call.account, call.bucket, query)


def _owner(call: Call) -> str:
    who = element("ID", owner_id(call.account)) + element("DisplayName", call.identity.user)
    return f"<Owner>{who}</Owner>"


def _contents(
    page: ObjectPage, form: Form, row: Callable[[str, Summary], str], *variant: str
) -> str:
    """Keys, then common prefixes, both in order; made once for each variant of an unchanged page."""
    memo = {} if page.memo is None else page.memo
    key = ("s3", form.encoding, *variant)
    known: str | None = memo.get(key)
    if known is None:
        known = memo[key] = _rendered(page, form, row)
    return known


def _rendered(page: ObjectPage, form: Form, row: Callable[[str, Summary], str]) -> str:
    keys = [row(form.name(name), summary) for name, summary in page.rows if summary is not None]
    prefixes = [
        f"<CommonPrefixes><Prefix>{form.name(name)}</Prefix></CommonPrefixes>"
        for name, summary in page.rows
        if summary is None
    ]
    return "".join(keys + prefixes)


def _describe(summary: Summary) -> str:
    return (
        f"<LastModified>{xml_date(summary.modified_us)}</LastModified>"
        f"<ETag>&quot;{escape(summary.etag)}&quot;</ETag><Size>{summary.size}</Size>"
    )


def _boolean(value: object) -> str:
    return "true" if value else "false"


async def list_objects(call: Call) -> Response:
    """ListObjects (version 1): NextMarker only with a delimiter, as documented."""
    query = call.query
    form = form_of(query)
    limit = limit_of(query, "max-keys")
    marker = query.get("marker", "")
    delimiter = query.get("delimiter", "")
    page = await _page(call, marker, limit)
    owner = _owner(call)

    def row(key: str, summary: Summary) -> str:
        return (
            f"<Contents><Key>{key}</Key>{_describe(summary)}{owner}"
            f"<StorageClass>{STORAGE_CLASS}</StorageClass></Contents>"
        )

    following = page.rows[-1].name if page.truncated and delimiter and page.rows else None
    return xml_response(
        document(
            "ListBucketResult",
            element("Name", call.bucket),
            form.element("Prefix", query.get("prefix", "")),
            form.element("Marker", marker),
            form.optional("NextMarker", following),
            element("MaxKeys", limit),
            form.optional("Delimiter", delimiter),
            element("IsTruncated", _boolean(page.truncated)),
            form.encoding_element,
            _contents(page, form, row, "v1", owner),
        )
    )


async def list_objects_v2(call: Call) -> Response:
    """ListObjectsV2."""
    query = call.query
    form = form_of(query)
    limit = limit_of(query, "max-keys")
    token = query.get("continuation-token")
    start_after = query.get("start-after", "")
    marker = start_after if token is None else decode_token(token)
    page = await _page(call, marker, limit)
    owner = _owner(call) if query.get("fetch-owner") == "true" else ""

    def row(key: str, summary: Summary) -> str:
        return (
            f"<Contents><Key>{key}</Key>{_describe(summary)}{owner}"
            f"<StorageClass>{STORAGE_CLASS}</StorageClass></Contents>"
        )

    following = ""
    if page.truncated and page.rows:
        following = element("NextContinuationToken", encode_token(page.rows[-1].name))
    return xml_response(
        document(
            "ListBucketResult",
            element("Name", call.bucket),
            form.element("Prefix", query.get("prefix", "")),
            "" if token is None else element("ContinuationToken", token),
            following,
            form.optional("StartAfter", start_after),
            element("KeyCount", len(page.rows)),
            element("MaxKeys", limit),
            form.optional("Delimiter", query.get("delimiter")),
            element("IsTruncated", _boolean(page.truncated)),
            form.encoding_element,
            _contents(page, form, row, "v2", owner),
        )
    )


async def list_object_versions(call: Call) -> Response:
    """ListObjectVersions: every object has the one version `null`."""
    query = call.query
    form = form_of(query)
    limit = limit_of(query, "max-keys")
    key_marker = query.get("key-marker", "")
    version_marker = query.get("version-id-marker", "")
    if version_marker and not key_marker:
        raise invalid_argument(
            "version-id-marker",
            version_marker,
            "A version-id marker cannot be specified without a key marker.",
        )
    page = await _page(call, key_marker, limit)
    owner = _owner(call)

    def row(key: str, summary: Summary) -> str:
        return (
            f"<Version><Key>{key}</Key><VersionId>null</VersionId><IsLatest>true</IsLatest>"
            f"{_describe(summary)}{owner}<StorageClass>{STORAGE_CLASS}</StorageClass></Version>"
        )

    following = ""
    if page.truncated and page.rows:
        last = page.rows[-1]
        following = form.element("NextKeyMarker", last.name)
        if last.summary is not None:
            following += element("NextVersionIdMarker", "null")
    return xml_response(
        document(
            "ListVersionsResult",
            element("Name", call.bucket),
            form.element("Prefix", query.get("prefix", "")),
            form.element("KeyMarker", key_marker),
            element("VersionIdMarker", version_marker),
            following,
            element("MaxKeys", limit),
            form.optional("Delimiter", query.get("delimiter")),
            element("IsTruncated", _boolean(page.truncated)),
            form.encoding_element,
            _contents(page, form, row, "versions", owner),
        )
    )
