"""PostObject: a browser's form upload.

The form's fields are read first, within bounds; the policy's signature is verified before its contents
are looked at, every condition before the file's first byte is stored, and the length range while it
streams.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from core.env import Env
from core.http import Body, Response
from proxy.identity import KeyOf
from proxy.s3 import acl, checksum, metadata, policy, tagging
from proxy.s3.call import Call, xml_response
from proxy.s3.checksum import Algorithm, Hasher
from proxy.s3.errors import S3Error, invalid_argument, not_implemented
from proxy.s3.form import Form, boundary_of
from proxy.s3.payload import PUT_BYTES_MAX, hex_of_md5, too_large
from proxy.s3.policy import LengthRange, Policy
from proxy.s3.route import check_key
from proxy.s3.xml import document, element, parse, url_encoded
from proxy.store.port import Store
from proxy.store.record import BodyDigest, Draft, Found, ObjectName

_HEADERS = ("cache-control", "content-disposition", "content-encoding", "expires")


class Upload(NamedTuple):
    """A form upload under way: where to, with whose secrets, on whose behalf when they fit."""

    store: Store
    env: Env
    key_of: KeyOf
    region: str
    bucket: str
    host: str
    body: Body


def is_form(headers: Mapping[bytes, bytes]) -> bool:
    """The request is a form."""
    return headers.get(b"content-type", b"").lower().startswith(b"multipart/form-data")


async def refuse_signed(call: Call) -> Response:
    """A POST to a bucket whose headers are signed is no form upload: a form signs itself."""
    raise S3Error("MethodNotAllowed", fields=(("Method", call.method), ("ResourceType", "BUCKET")))


async def post_object(upload: Upload, content_type: str) -> Response:
    """PostObject. Raises S3Error; nothing is stored before the policy has been decided."""
    form = Form(boundary_of(content_type))
    first = await _read_fields(upload.body, form)
    fields = form.fields
    signer = await upload.key_of(policy.access_key_of(fields))
    signed = policy.verify(fields, secret=signer.secret if signer else None, region=upload.region)
    assert signer is not None, "a signature without a secret never verifies"
    if not signer.identity.operator:
        raise S3Error("AccessDenied")
    rules = policy.parse(signed)
    key = _key(form)
    rules.check({**fields, "key": key, "bucket": upload.bucket}, upload.env.wall_us() / 1e6)
    draft = _draft(form)
    where = ObjectName(signer.identity.account, upload.bucket, key)
    found = await _store(upload, form, first, rules=rules, where=where, draft=draft)
    return _answer(upload, fields, key, found)


async def _read_fields(body: Body, form: Form) -> list[bytes]:
    """Read up to the file; return what of the file has come already."""
    while chunk := await body.read():
        pieces = form.feed(chunk)
        if form.in_file:
            return pieces + form.feed(b"")
    form.finish()
    raise S3Error("MalformedPOSTRequest")


def _key(form: Form) -> str:
    """The object key, with `${filename}` replaced. Raises InvalidArgument, KeyTooLongError."""
    template = form.fields.get("key")
    if template is None:
        raise S3Error(
            "InvalidArgument",
            "Bucket POST must contain a field named 'key'.  If it is specified, please check the "
            "order of the fields.",
        )
    key = template.replace("${filename}", form.filename)
    if not key or "\0" in key:
        raise S3Error("UserKeyMustBeSpecified")
    check_key(key)
    return key


def _draft(form: Form) -> Draft:
    """What the object is to be, from the fields. Raises what the same headers of a PUT would."""
    fields = form.fields
    for name, value in fields.items():
        if _kept(name) and not value.isprintable():
            raise invalid_argument(name, value, "The field cannot be a header value.")
        if name.encode("utf-8", "replace") in metadata.UNSUPPORTED_HEADERS:
            raise not_implemented(name)
    if "acl" in fields:
        acl.check_canned(fields["acl"])
    headers = {name.encode(): value.encode() for name, value in fields.items() if _kept(name)}
    attributes = metadata.attributes(headers, tags=False)
    if "tagging" in fields:
        kept = tagging.of_document(
            parse(fields["tagging"].encode(), "Tagging"), tagging.OBJECT_TAGS_MAX
        )
        if kept:
            attributes[tagging.ATTRIBUTE] = kept
    return Draft(metadata.content_type(headers), attributes)


def _kept(name: str) -> bool:
    """Fields that stand for headers of a PUT."""
    return (
        name in _HEADERS
        or name in {"content-type", "x-amz-storage-class"}
        or name.startswith("x-amz-meta-")
    )


async def _store(
    upload: Upload,
    form: Form,
    first: list[bytes],
    *,
    rules: Policy,
    where: ObjectName,
    draft: Draft,
) -> Found:
    headers = {name.encode("utf-8", "replace"): v.encode() for name, v in form.fields.items()}
    announced = checksum.of_headers(headers)
    algorithm = None if announced is None else announced[0]
    md5 = form.fields.get("content-md5")
    expected = None if md5 is None else hex_of_md5(md5.encode())
    hasher = None if algorithm is None else algorithm.new()

    def finish(digest: BodyDigest) -> Draft:
        _check_length(rules.length, digest.size)
        if expected is not None and digest.md5 != expected:
            raise S3Error("BadDigest")
        if announced is not None and hasher is not None:
            _check_checksum(announced, hasher)
            draft.attributes.update(checksum.attributes_of(*announced))
        return draft

    stream = _file(upload.body, form, first, limit=rules.length, hasher=hasher)
    return await upload.store.put_object(where, stream, finish)


def _check_checksum(announced: tuple[Algorithm, str], hasher: Hasher) -> None:
    algorithm, value = announced
    if checksum.check_value(algorithm, value) != checksum.encode(hasher.digest()):
        raise checksum.mismatch(algorithm)


def _check_length(limit: LengthRange | None, size: int) -> None:
    """The policy's content-length-range. Raises EntityTooSmall, EntityTooLarge."""
    if limit is None:
        return
    if size > limit.high:
        raise too_large(size, limit.high)
    if size < limit.low:
        raise S3Error(
            "EntityTooSmall",
            fields=(("ProposedSize", str(size)), ("MinSizeAllowed", str(limit.low))),
        )


async def _file(
    body: Body,
    form: Form,
    first: list[bytes],
    *,
    limit: LengthRange | None,
    hasher: Hasher | None,
) -> AsyncIterator[bytes]:
    """The file's bytes, never more than allowed."""
    size_max = PUT_BYTES_MAX if limit is None else min(PUT_BYTES_MAX, limit.high)
    total = 0
    pieces = first
    while True:
        for piece in pieces:
            total += len(piece)
            if total > size_max:
                raise too_large(total, size_max)
            if hasher is not None:
                hasher.update(piece)
            yield piece
        chunk = await body.read()
        if not chunk:
            break
        pieces = form.feed(chunk)
    form.finish()


def _answer(upload: Upload, fields: Mapping[str, str], key: str, found: Found) -> Response:
    """What success_action_redirect and success_action_status ask for."""
    etag = f'"{found.record.etag}"'
    location = f"http://{upload.host}/{url_encoded(f'{upload.bucket}/{key}')}"
    redirect = fields.get("success_action_redirect") or fields.get("redirect")
    if redirect and _is_url(redirect):
        mark = "&" if urlsplit(redirect).query else "?"
        told = urlencode({"bucket": upload.bucket, "key": key, "etag": etag})
        return Response(303, [("ETag", etag), ("Location", redirect + mark + told)])
    headers = [("ETag", etag), ("Location", location)]
    status = fields.get("success_action_status")
    if status == "201":
        body = document(
            "PostResponse",
            element("Location", location),
            element("Bucket", upload.bucket),
            element("Key", key),
            element("ETag", etag),
        )
        return xml_response(body, headers, 201)
    return Response(200 if status == "200" else 204, headers)


def _is_url(text: str) -> bool:
    """An absolute http(s) URL that can stand in a header."""
    if not text.isprintable() or not text.isascii() or " " in text:
        return False
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.netloc)
