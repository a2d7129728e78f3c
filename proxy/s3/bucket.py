"""Buckets: create, list, look at, delete, and the configurations a bucket can be asked for.

A bucket is the container of the same name. Creating one follows S3's naming rules; every other
operation also reaches containers whose names only the other dialect allows. Configurations that are
never set answer what S3 documents for "not configured", and deleting them succeeds.
"""

from __future__ import annotations

import ipaddress
import re

from core.http import Response
from proxy.s3 import acl, tagging
from proxy.s3.call import Call, owner_id, xml_date, xml_response
from proxy.s3.errors import S3Error, invalid_argument
from proxy.s3.object import check_acl
from proxy.s3.token import decode_token, encode_token
from proxy.s3.xml import document, element, optional
from proxy.store.record import ContainerInfo, ListQuery

BUCKETS_MAX = 10_000
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
_RESERVED_STARTS = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_ENDS = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
DEFAULT_REGION = "us-east-1"
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d\Z|EU\Z")

# what GET answers for a configuration that was never set
ABSENT = {
    "GetBucketPolicy": "NoSuchBucketPolicy",
    "GetBucketPolicyStatus": "NoSuchBucketPolicy",
    "GetBucketLifecycleConfiguration": "NoSuchLifecycleConfiguration",
    "GetBucketCors": "NoSuchCORSConfiguration",
    "GetBucketEncryption": "ServerSideEncryptionConfigurationNotFoundError",
    "GetBucketWebsite": "NoSuchWebsiteConfiguration",
    "GetBucketReplication": "ReplicationConfigurationNotFoundError",
    "GetPublicAccessBlock": "NoSuchPublicAccessBlockConfiguration",
    "GetBucketOwnershipControls": "OwnershipControlsNotFoundError",
    "GetObjectLockConfiguration": "ObjectLockConfigurationNotFoundError",
}
# documents that say "default" by being (nearly) empty
EMPTY = {
    "GetBucketVersioning": document("VersioningConfiguration"),
    "GetBucketAccelerateConfiguration": document("AccelerateConfiguration"),
    "GetBucketLogging": document("BucketLoggingStatus"),
    "GetBucketNotificationConfiguration": document("NotificationConfiguration"),
    "GetBucketRequestPayment": document(
        "RequestPaymentConfiguration", element("Payer", "BucketOwner")
    ),
}


def check_name(name: str) -> None:
    """S3's rules for new buckets. Raises InvalidBucketName."""
    good = (
        _NAME.match(name) is not None
        and ".." not in name
        and not name.startswith(_RESERVED_STARTS)
        and not name.endswith(_RESERVED_ENDS)
        and not _is_address(name)
    )
    if not good:
        raise S3Error("InvalidBucketName", fields=(("BucketName", name),))


def _is_address(name: str) -> bool:
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True


async def list_buckets(call: Call) -> Response:
    """ListBuckets."""
    query = call.query
    prefix = query.get("prefix", "")
    limit = _limit(query.get("max-buckets"))
    token = query.get("continuation-token")
    marker = "" if token is None else decode_token(token)
    region = query.get("bucket-region", call.region)
    page = await call.store.list_containers(
        call.account, ListQuery(prefix=prefix, marker=marker, limit=limit)
    )
    rows = [_bucket(call, row.info) for row in page.rows if row.info is not None]
    if region != call.region:
        rows = []
    more = ""
    if page.truncated and page.rows:
        more = element("ContinuationToken", encode_token(page.rows[-1].name))
    owner = element("ID", owner_id(call.account)) + element("DisplayName", call.identity.user)
    return xml_response(
        document(
            "ListAllMyBucketsResult",
            f"<Owner>{owner}</Owner><Buckets>{''.join(rows)}</Buckets>",
            optional("Prefix", prefix),
            more,
        )
    )


def _bucket(call: Call, info: ContainerInfo) -> str:
    created = xml_date(info.record.created_us)
    fields = element("Name", info.name) + element("CreationDate", created)
    return f"<Bucket>{fields}{element('BucketRegion', call.region)}</Bucket>"


def _limit(text: str | None) -> int:
    if text is None:
        return BUCKETS_MAX
    if text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= BUCKETS_MAX:
        return int(text)
    raise invalid_argument(
        "max-buckets", text, f"Argument max-buckets must be an integer between 1 and {BUCKETS_MAX}."
    )


async def create_bucket(call: Call) -> Response:
    """CreateBucket. In us-east-1 creating one's own bucket again succeeds, as S3 documents."""
    check_name(call.bucket)
    acl.check_headers(call.headers)
    if call.headers.get(b"x-amz-bucket-object-lock-enabled", b"").lower() == b"true":
        raise S3Error("NotImplemented", fields=(("Header", "x-amz-bucket-object-lock-enabled"),))
    ownership = call.headers.get(b"x-amz-object-ownership", b"BucketOwnerEnforced")
    if ownership != b"BucketOwnerEnforced":
        raise S3Error("NotImplemented", fields=(("Header", "x-amz-object-ownership"),))
    change: dict[str, str | None] = {}
    if call.body.length != 0:
        change = await _configuration(call)
    created = await call.store.create_container(
        call.account, call.bucket, policy=None, change=change
    )
    if not created and call.region != DEFAULT_REGION:
        raise S3Error("BucketAlreadyOwnedByYou", fields=(("BucketName", call.bucket),))
    return Response(200, [("Location", f"/{call.bucket}")])


async def _configuration(call: Call) -> dict[str, str | None]:
    """Attributes from the body of CreateBucket, which may be empty."""
    try:
        node = await call.document("CreateBucketConfiguration")
    except S3Error as error:
        if error.code == "MissingRequestBodyError":
            return {}
        raise
    region = (node.value("LocationConstraint") or "").strip()
    if region and region != call.region:
        code = "InvalidLocationConstraint"
        if _REGION.match(region):
            code = "IllegalLocationConstraintException"
        raise S3Error(code, fields=(("LocationConstraint", region),))
    if node.one("Location") is not None or node.one("Bucket") is not None:
        raise S3Error("NotImplemented", "Directory buckets are not supported.")
    tags = node.one("Tags")
    if tags is None:
        return {}
    pairs = [(tag.value("Key") or "", tag.value("Value") or "") for tag in tags.all("Tag")]
    kept = tagging.encoded(tagging.checked(pairs, tagging.BUCKET_TAGS_MAX))
    return {tagging.ATTRIBUTE: kept} if kept else {}


async def head_bucket(call: Call) -> Response:
    """HeadBucket."""
    await call.store.get_container(call.account, call.bucket)
    return Response(200, [("x-amz-bucket-region", call.region)])


async def delete_bucket(call: Call) -> Response:
    """DeleteBucket."""
    await call.store.delete_container(call.account, call.bucket)
    return Response(204)


async def get_bucket_location(call: Call) -> Response:
    """GetBucketLocation: us-east-1 is written as nothing."""
    await call.store.get_container(call.account, call.bucket)
    region = "" if call.region == DEFAULT_REGION else call.region
    return xml_response(document("LocationConstraint", region))


async def get_bucket_acl(call: Call) -> Response:
    """GetBucketAcl."""
    await call.store.get_container(call.account, call.bucket)
    return xml_response(acl.render(owner_id(call.account), call.identity.user))


async def put_bucket_acl(call: Call) -> Response:
    """PutBucketAcl: only what is the case already."""
    await call.store.get_container(call.account, call.bucket)
    await check_acl(call)
    return Response(200)


async def get_bucket_tagging(call: Call) -> Response:
    """GetBucketTagging: a bucket without tags has no set."""
    info = await call.store.get_container(call.account, call.bucket)
    kept = info.record.attributes.get(tagging.ATTRIBUTE)
    if not kept:
        raise S3Error("NoSuchTagSet", fields=(("BucketName", call.bucket),))
    return xml_response(tagging.render(kept))


async def put_bucket_tagging(call: Call) -> Response:
    """PutBucketTagging."""
    kept = tagging.of_document(await call.document("Tagging"), tagging.BUCKET_TAGS_MAX)
    await call.store.update_container(call.account, call.bucket, {tagging.ATTRIBUTE: kept or None})
    return Response(204)


async def delete_bucket_tagging(call: Call) -> Response:
    """DeleteBucketTagging."""
    await call.store.update_container(call.account, call.bucket, {tagging.ATTRIBUTE: None})
    return Response(204)


async def absent(call: Call, operation: str) -> Response:
    """A configuration that was never set."""
    await call.store.get_container(call.account, call.bucket)
    raise S3Error(ABSENT[operation], fields=(("BucketName", call.bucket),))


async def empty(call: Call, operation: str) -> Response:
    """A configuration at its default."""
    await call.store.get_container(call.account, call.bucket)
    return xml_response(EMPTY[operation])


async def forget(call: Call, operation: str) -> Response:
    """Deleting what was never set."""
    del operation
    await call.store.get_container(call.account, call.bucket)
    return Response(204)
