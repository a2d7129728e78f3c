"""Which bucket, key and operation a request means. Pure.

Path style and virtual-host style; names are percent-decoded once and are opaque from then on. The
table `OPERATIONS` lists every operation of the S3 API with what selects it; what is not built
answers 501, and so does a query flag that no operation knows (a configuration document must never be
stored as an object because its subresource is unknown here).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from core import limits
from proxy.s3.errors import S3Error, not_implemented

SERVICE = "service"
BUCKET = "bucket"
OBJECT = "object"

_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Target(NamedTuple):
    """The bucket and key of a request; empty when the request names none."""

    bucket: str
    key: str

    @property
    def level(self) -> str:
        """What is addressed."""
        if self.key:
            return OBJECT
        return BUCKET if self.bucket else SERVICE


class Operation(NamedTuple):
    """What selects an operation, and whether it is built."""

    method: str
    level: str
    selector: str  # a query name, `:` and a header name for copies, or empty
    built: bool = True


def _table() -> dict[str, Operation]:
    table = {
        "ListBuckets": Operation("GET", SERVICE, ""),
        "CreateBucket": Operation("PUT", BUCKET, ""),
        "HeadBucket": Operation("HEAD", BUCKET, ""),
        "DeleteBucket": Operation("DELETE", BUCKET, ""),
        "ListObjects": Operation("GET", BUCKET, ""),
        "ListObjectsV2": Operation("GET", BUCKET, "list-type"),
        "ListObjectVersions": Operation("GET", BUCKET, "versions"),
        "ListMultipartUploads": Operation("GET", BUCKET, "uploads"),
        "DeleteObjects": Operation("POST", BUCKET, "delete"),
        "PostObject": Operation("POST", BUCKET, ""),
        "GetBucketLocation": Operation("GET", BUCKET, "location"),
        "GetBucketVersioning": Operation("GET", BUCKET, "versioning"),
        "GetBucketAcl": Operation("GET", BUCKET, "acl"),
        "PutBucketAcl": Operation("PUT", BUCKET, "acl"),
        "GetBucketTagging": Operation("GET", BUCKET, "tagging"),
        "PutBucketTagging": Operation("PUT", BUCKET, "tagging"),
        "DeleteBucketTagging": Operation("DELETE", BUCKET, "tagging"),
        "GetBucketPolicyStatus": Operation("GET", BUCKET, "policyStatus"),
        "GetBucketAccelerateConfiguration": Operation("GET", BUCKET, "accelerate"),
        "GetBucketLogging": Operation("GET", BUCKET, "logging"),
        "GetBucketNotificationConfiguration": Operation("GET", BUCKET, "notification"),
        "GetBucketRequestPayment": Operation("GET", BUCKET, "requestPayment"),
        "GetObjectLockConfiguration": Operation("GET", BUCKET, "object-lock"),
        "GetObject": Operation("GET", OBJECT, ""),
        "HeadObject": Operation("HEAD", OBJECT, ""),
        "PutObject": Operation("PUT", OBJECT, ""),
        "DeleteObject": Operation("DELETE", OBJECT, ""),
        "CopyObject": Operation("PUT", OBJECT, ":x-amz-copy-source"),
        "GetObjectAcl": Operation("GET", OBJECT, "acl"),
        "PutObjectAcl": Operation("PUT", OBJECT, "acl"),
        "GetObjectTagging": Operation("GET", OBJECT, "tagging"),
        "PutObjectTagging": Operation("PUT", OBJECT, "tagging"),
        "DeleteObjectTagging": Operation("DELETE", OBJECT, "tagging"),
        "GetObjectAttributes": Operation("GET", OBJECT, "attributes"),
        "CreateMultipartUpload": Operation("POST", OBJECT, "uploads"),
        "UploadPart": Operation("PUT", OBJECT, "uploadId"),
        "UploadPartCopy": Operation("PUT", OBJECT, "uploadId:x-amz-copy-source"),
        "ListParts": Operation("GET", OBJECT, "uploadId"),
        "CompleteMultipartUpload": Operation("POST", OBJECT, "uploadId"),
        "AbortMultipartUpload": Operation("DELETE", OBJECT, "uploadId"),
    }
    for name, selector in CONFIGURATIONS.items():
        table[f"Get{name}"] = Operation("GET", BUCKET, selector)
        table[f"Put{name}"] = Operation("PUT", BUCKET, selector, built=False)
    for name, selector in DELETABLE.items():
        table[f"Delete{name}"] = Operation("DELETE", BUCKET, selector)
    for name, (method, level, selector) in NOT_BUILT.items():
        table[name] = Operation(method, level, selector, built=False)
    return table


# configurations that are never set here: reading answers the documented "no such", deleting 204
CONFIGURATIONS = {
    "BucketPolicy": "policy",
    "BucketLifecycleConfiguration": "lifecycle",
    "BucketCors": "cors",
    "BucketEncryption": "encryption",
    "BucketWebsite": "website",
    "BucketReplication": "replication",
    "PublicAccessBlock": "publicAccessBlock",
    "BucketOwnershipControls": "ownershipControls",
}
DELETABLE = {
    "BucketPolicy": "policy",
    "BucketLifecycle": "lifecycle",
    "BucketCors": "cors",
    "BucketEncryption": "encryption",
    "BucketWebsite": "website",
    "BucketReplication": "replication",
    "PublicAccessBlock": "publicAccessBlock",
    "BucketOwnershipControls": "ownershipControls",
}
NOT_BUILT = {
    "CreateBucketMetadataConfiguration": ("POST", BUCKET, "metadataConfiguration"),
    "CreateBucketMetadataTableConfiguration": ("POST", BUCKET, "metadataTable"),
    "CreateSession": ("GET", BUCKET, "session"),
    "DeleteBucketAnalyticsConfiguration": ("DELETE", BUCKET, "analytics"),
    "DeleteBucketIntelligentTieringConfiguration": ("DELETE", BUCKET, "intelligent-tiering"),
    "DeleteBucketInventoryConfiguration": ("DELETE", BUCKET, "inventory"),
    "DeleteBucketMetadataConfiguration": ("DELETE", BUCKET, "metadataConfiguration"),
    "DeleteBucketMetadataTableConfiguration": ("DELETE", BUCKET, "metadataTable"),
    "DeleteBucketMetricsConfiguration": ("DELETE", BUCKET, "metrics"),
    "DeleteObjectAnnotation": ("DELETE", OBJECT, "annotation"),
    "GetBucketAbac": ("GET", BUCKET, "abac"),
    "GetBucketAnalyticsConfiguration": ("GET", BUCKET, "analytics"),
    "GetBucketIntelligentTieringConfiguration": ("GET", BUCKET, "intelligent-tiering"),
    "GetBucketInventoryConfiguration": ("GET", BUCKET, "inventory"),
    "GetBucketMetadataConfiguration": ("GET", BUCKET, "metadataConfiguration"),
    "GetBucketMetadataTableConfiguration": ("GET", BUCKET, "metadataTable"),
    "GetBucketMetricsConfiguration": ("GET", BUCKET, "metrics"),
    "GetObjectAnnotation": ("GET", OBJECT, "annotation"),
    "GetObjectLegalHold": ("GET", OBJECT, "legal-hold"),
    "GetObjectRetention": ("GET", OBJECT, "retention"),
    "GetObjectTorrent": ("GET", OBJECT, "torrent"),
    "PutBucketAbac": ("PUT", BUCKET, "abac"),
    "PutBucketAccelerateConfiguration": ("PUT", BUCKET, "accelerate"),
    "PutBucketAnalyticsConfiguration": ("PUT", BUCKET, "analytics"),
    "PutBucketIntelligentTieringConfiguration": ("PUT", BUCKET, "intelligent-tiering"),
    "PutBucketInventoryConfiguration": ("PUT", BUCKET, "inventory"),
    "PutBucketLogging": ("PUT", BUCKET, "logging"),
    "PutBucketMetricsConfiguration": ("PUT", BUCKET, "metrics"),
    "PutBucketNotificationConfiguration": ("PUT", BUCKET, "notification"),
    "PutBucketRequestPayment": ("PUT", BUCKET, "requestPayment"),
    "PutBucketVersioning": ("PUT", BUCKET, "versioning"),
    "PutObjectAnnotation": ("PUT", OBJECT, "annotation"),
    "PutObjectLegalHold": ("PUT", OBJECT, "legal-hold"),
    "PutObjectLockConfiguration": ("PUT", BUCKET, "object-lock"),
    "PutObjectRetention": ("PUT", OBJECT, "retention"),
    "RenameObject": ("PUT", OBJECT, "renameObject"),
    "RestoreObject": ("POST", OBJECT, "restore"),
    "SelectObjectContent": ("POST", OBJECT, "select"),
    "UpdateBucketMetadataAnnotationTableConfiguration": (
        "PUT",
        BUCKET,
        "metadataAnnotationTable",
    ),
    "UpdateBucketMetadataInventoryTableConfiguration": ("PUT", BUCKET, "metadataInventoryTable"),
    "UpdateBucketMetadataJournalTableConfiguration": ("PUT", BUCKET, "metadataJournalTable"),
    "UpdateObjectEncryption": ("PUT", OBJECT, "encryption"),
}

OPERATIONS = _table()
_BY_SELECTOR = {
    (operation.method, operation.level, operation.selector): name
    for name, operation in OPERATIONS.items()
}
_SELECTORS = frozenset(
    operation.selector.partition(":")[0]
    for operation in OPERATIONS.values()
    if operation.selector.partition(":")[0]
)
# parameters of an operation already selected
_PARAMETERS = frozenset(
    {
        "continuation-token", "delimiter", "encoding-type", "fetch-owner", "key-marker", "marker",
        "max-buckets", "bucket-region", "max-keys", "max-parts", "max-uploads", "partNumber",
        "part-number-marker", "prefix", "select-type", "start-after", "upload-id-marker",
        "version-id-marker", "versionId", "id", "x-id", "bypass-governance-retention",
        "response-cache-control", "response-content-disposition", "response-content-encoding",
        "response-content-language", "response-content-type", "response-expires",
    }
)  # fmt: skip


def target_of(path: str, host: str, domains: Sequence[str]) -> Target:
    """Bucket and key of a raw path under a Host header (without its port).

    `domains` are the names under which buckets are host labels; any other host means path style.
    Raises InvalidURI for a malformed or undecodable path, KeyTooLongError.
    """
    bucket = bucket_of_host(host, domains)
    rest = path[1:]
    if not bucket:
        bucket, _, rest = rest.partition("/")
        bucket = decoded(bucket)
    key = decoded(rest)
    if len(key) > limits.OBJECT_NAME_BYTES_MAX // 4:
        check_key(key)
    if not bucket and key:
        raise S3Error("InvalidBucketName", fields=(("BucketName", ""),))
    return Target(bucket, key)


def is_selector(name: str) -> bool:
    """The query name selects an operation of its own."""
    return name in _SELECTORS


def check_key(key: str) -> None:
    """Raise KeyTooLongError beyond 1024 bytes of UTF-8."""
    size = len(key.encode())
    if size > limits.OBJECT_NAME_BYTES_MAX:
        raise S3Error(
            "KeyTooLongError",
            fields=(
                ("Size", str(size)),
                ("MaxSizeAllowed", str(limits.OBJECT_NAME_BYTES_MAX)),
            ),
        )


def bucket_of_host(host: str, domains: Sequence[str]) -> str:
    """The bucket in front of one of `domains` (the longest that fits), or empty."""
    best = ""
    length = 0
    for domain in domains:
        if host == domain:
            return ""
        if len(domain) > length and host.endswith("." + domain):
            best = host[: -len(domain) - 1]
            length = len(domain)
    return best


def decoded(text: str) -> str:
    """Percent-decode a part of a path. Raises InvalidURI for bad escapes, bad UTF-8 and NUL."""
    if "%" not in text:
        return text
    if _BAD_PERCENT.search(text):
        raise S3Error("InvalidURI")
    try:
        result = unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise S3Error("InvalidURI") from None
    if "\0" in result:
        raise S3Error("InvalidURI")
    return result


def query_pairs(query: str) -> list[tuple[str, str]]:
    """Decoded name and value pairs of a raw query, in order. Bytes that are not UTF-8 are escaped."""
    if not query:
        return []
    pairs = []
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            pairs.append((_query_text(name), _query_text(value)))
    return pairs


def _query_text(text: str) -> str:
    if "+" in text:
        text = text.replace("+", " ")
    if "%" not in text:
        return text
    return unquote_to_bytes(text).decode("utf-8", "surrogateescape")


def parameters(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """The query as a dictionary; the first of repeated names wins. Raises InvalidURI."""
    result: dict[str, str] = {}
    for name, value in pairs:
        if not (value.isascii() or _is_text(value)) or "\0" in value:
            raise S3Error("InvalidURI")
        result.setdefault(name, value)
    return result


def _is_text(value: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in value)


def operation_of(
    method: str, level: str, query: Mapping[str, str], headers: Mapping[bytes, bytes]
) -> str:
    """Name of the operation. Raises NotImplemented, MethodNotAllowed, InvalidArgument."""
    selector = _selector(query, method) if query else ""
    if method == "PUT" and level == OBJECT and b"x-amz-copy-source" in headers:
        if selector not in {"", "uploadId"}:
            raise not_implemented("x-amz-copy-source")
        selector += ":x-amz-copy-source"
    name = _BY_SELECTOR.get((method, level, selector))
    if name is None:
        if selector in {"uploadId", "uploads"} or not selector:
            raise S3Error(
                "MethodNotAllowed", fields=(("Method", method), ("ResourceType", level.upper()))
            )
        raise not_implemented(selector)
    if not OPERATIONS[name].built:
        raise not_implemented(selector)
    return name


def _selector(query: Mapping[str, str], method: str) -> str:
    """The one query name that selects an operation."""
    found = []
    for name, value in query.items():
        if name in _SELECTORS:
            found.append(name)
        elif not value and name not in _PARAMETERS and not name.startswith("X-Amz-"):
            raise not_implemented(name)
    if "list-type" in found and (method != "GET" or query["list-type"] != "2"):
        if method == "GET" and len(found) == 1:
            raise S3Error("InvalidArgument", "Invalid List Type specified in the request.")
        found.remove("list-type")
    if len(found) > 1:
        found = [name for name in found if name != "select-type"]
    if len(found) > 1:
        raise S3Error(
            "InvalidArgument",
            "Conflicting query string parameters: " + ", ".join(sorted(found)),
        )
    if not found and "partNumber" in query and method == "PUT":
        raise S3Error("InvalidArgument", "This operation does not accept a partNumber alone.")
    return found[0] if found else ""
