"""The S3 dialect's front: target, signature, operation, handler, and every error in S3's own form.

Nothing but parsing happens before the signature is verified. A browser's form upload carries its
signature in the form; it is the one request that reaches a handler unsigned, and that handler verifies
it before it touches anything.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from core.env import Env
from core.errors import RingstackError
from core.http import Request, Response
from proxy.gate import Gate
from proxy.identity import AccessKey, Identity
from proxy.s3 import (
    attributes,
    bucket,
    complete,
    copy,
    delete,
    listing,
    metadata,
    multipart,
    multipart_listing,
    post,
    sigv2,
    sigv4,
)
from proxy.s3 import object as object_
from proxy.s3.call import XML_TYPE, Call
from proxy.s3.errors import S3Error, of_failure
from proxy.s3.route import (
    BUCKET,
    OPERATIONS,
    Target,
    bucket_of_host,
    operation_of,
    parameters,
    query_pairs,
    target_of,
)
from proxy.s3.sigv4 import Message, Verified
from proxy.s3.xml import error_document
from proxy.store.port import Store

Handler = Callable[[Call], Awaitable[Response]]
HOSTS_MAX = 1024
READS = frozenset({"GET", "HEAD"})


def _handlers() -> dict[str, Handler]:
    table: dict[str, Handler] = {
        "ListBuckets": bucket.list_buckets,
        "CreateBucket": bucket.create_bucket,
        "HeadBucket": bucket.head_bucket,
        "DeleteBucket": bucket.delete_bucket,
        "GetBucketLocation": bucket.get_bucket_location,
        "GetBucketAcl": bucket.get_bucket_acl,
        "PutBucketAcl": bucket.put_bucket_acl,
        "GetBucketTagging": bucket.get_bucket_tagging,
        "PutBucketTagging": bucket.put_bucket_tagging,
        "DeleteBucketTagging": bucket.delete_bucket_tagging,
        "ListObjects": listing.list_objects,
        "ListObjectsV2": listing.list_objects_v2,
        "ListObjectVersions": listing.list_object_versions,
        "ListMultipartUploads": multipart_listing.list_uploads,
        "DeleteObjects": delete.delete_objects,
        "GetObject": object_.get_object,
        "HeadObject": object_.head_object,
        "PostObject": post.refuse_signed,
        "PutObject": object_.put_object,
        "DeleteObject": object_.delete_object,
        "CopyObject": copy.copy_object,
        "GetObjectAcl": object_.get_object_acl,
        "PutObjectAcl": object_.put_object_acl,
        "GetObjectTagging": object_.get_object_tagging,
        "PutObjectTagging": object_.put_object_tagging,
        "DeleteObjectTagging": object_.delete_object_tagging,
        "GetObjectAttributes": attributes.get_object_attributes,
        "CreateMultipartUpload": multipart.create_upload,
        "UploadPart": multipart.upload_part,
        "UploadPartCopy": multipart.upload_part_copy,
        "ListParts": multipart_listing.list_parts,
        "CompleteMultipartUpload": complete.complete_upload,
        "AbortMultipartUpload": multipart.abort_upload,
    }
    for name, operation in OPERATIONS.items():
        if name in bucket.ABSENT:
            table[name] = partial(bucket.absent, operation=name)
        elif name in bucket.EMPTY:
            table[name] = partial(bucket.empty, operation=name)
        elif operation.built and operation.method == "DELETE" and name not in table:
            table[name] = partial(bucket.forget, operation=name)
    return table


HANDLERS = _handlers()


class S3Front:
    """The dialect over one store. `domains`: names under which buckets are host labels."""

    def __init__(
        self,
        store: Store,
        env: Env,
        gate: Gate,
        *,
        region: str = "us-east-1",
        domains: Sequence[str] = ("localhost", "s3.localhost"),
    ) -> None:
        self._store = store
        self._env = env
        self._gate = gate
        self._region = region
        self._domains = tuple(domain.lower() for domain in domains)
        self._hosts: dict[bytes, str] = {}

    async def handle(self, request: Request) -> Response:
        """Answer a request; every failure becomes an S3 error document."""
        request_id = request.context.get("id")
        if request_id is None:
            request_id = self._env.random_bytes(8).hex().upper()
            request.context["id"] = request_id
        try:
            response = await self._handle(request)
        except RingstackError as error:
            response = self._refuse(request, of_failure(error), request_id)
        response.headers.append(("x-amz-request-id", request_id))
        response.headers.append(("x-amz-id-2", _host_id(request_id)))
        return response

    async def _handle(self, request: Request) -> Response:
        pairs = query_pairs(request.query)
        if request.method == "OPTIONS":  # a preflight is never signed, and no bucket has CORS rules
            raise S3Error("AccessForbidden")
        message = Message(request.method, request.path, pairs, request.headers)
        headers = request.headers
        proven = await self._verify(message)
        if proven is None:
            return await self._unsigned(request)
        verified, key = proven
        target = self._target(request)
        query = parameters(pairs)
        operation = operation_of(request.method, target.level, query, headers)
        metadata.check_supported(headers)
        check_role(key.identity, request.method)
        call = Call(
            self._store,
            self._env,
            target,
            identity=key.identity,
            verified=verified,
        )
        call.method = request.method
        call.region = self._region
        call.query = query
        call.headers = headers
        call.body = request.body
        owner = headers.get(b"x-amz-expected-bucket-owner")
        if owner is not None:
            call.check_owner(owner)
        return await HANDLERS[operation](call)

    async def _unsigned(self, request: Request) -> Response:
        """A form signs itself; anything else unsigned is refused. Raises AccessDenied."""
        headers = request.headers
        if request.method != "POST" or request.query or not post.is_form(headers):
            raise S3Error("AccessDenied")
        target = self._target(request)
        if target.level != BUCKET:
            raise S3Error("AccessDenied")
        upload = post.Upload(
            self._store,
            self._env,
            self._gate.access_key,
            self._region,
            target.bucket,
            headers.get(b"host", b"localhost").decode("latin-1"),
            request.body,
        )
        return await post.post_object(upload, headers[b"content-type"].decode("latin-1"))

    def _target(self, request: Request) -> Target:
        host = self._host(request.headers.get(b"host", b""))
        return target_of(request.path, host, self._domains)

    async def _verify(self, message: Message) -> tuple[Verified, AccessKey] | None:
        """The verified signature and whose it is, or None for a request without any. Raises S3Error."""
        now_s = self._env.wall_us() // 1_000_000
        if sigv2.is_used(message):
            key = await self._gate.access_key(sigv2.access_key_of(message))
            host = self._host(message.headers.get(b"host", b""))
            verified = sigv2.verify(
                message,
                bucket=bucket_of_host(host, self._domains),
                secret=key.secret if key else None,
                now_s=now_s,
            )
        else:
            signed = sigv4.parse(message)
            if signed is None:
                return None
            key = await self._gate.access_key(signed.scope.access_key)
            verified = sigv4.verify(
                message,
                signed,
                secret=key.secret if key else None,
                region=self._region,
                now_s=now_s,
            )
        assert key is not None, "a signature without a secret never verifies"
        return verified, key

    def _host(self, header: bytes) -> str:
        """The host of a Host header without its port, lower-case; remembered, it seldom changes."""
        host = self._hosts.get(header)
        if host is None:
            host = header.decode("latin-1").strip().lower()
            if not host.endswith("]"):
                head, colon, port = host.rpartition(":")
                host = head if colon and port.isdigit() else host
            if len(self._hosts) < HOSTS_MAX and len(header) < HOSTS_MAX:
                self._hosts[header] = host
        return host

    def _subject(self, request: Request, code: str) -> tuple[tuple[str, str], ...]:
        """What an error is about, for the codes that say so."""
        if code == "NoSuchKey":
            return (("Key", self._target(request).key),)
        if code in {"NoSuchBucket", "BucketNotEmpty"}:
            return (("BucketName", self._target(request).bucket),)
        return ()

    def _refuse(self, request: Request, error: S3Error, request_id: str) -> Response:
        """The error document; HEAD has no body to put it in."""
        if request.method == "HEAD":
            return Response(error.status, [XML_TYPE])
        fields = (*error.fields, *self._subject(request, error.code), ("Resource", request.path))
        body = error_document(error.code, error.message, fields, request_id, _host_id(request_id))
        return Response(error.status, [XML_TYPE], body)


def check_role(identity: Identity, method: str) -> None:
    """Operators may do everything in their own account, readers read. Raises AccessDenied."""
    if not (identity.operator or (identity.reader and method in READS)):
        raise S3Error("AccessDenied")


def _host_id(request_id: str) -> str:
    return base64.b64encode(request_id.encode()).decode()
