"""Access control lists, of which there is one: the owner has full control. Pure.

Canned lists and documents that say just that are accepted; anything that would grant somebody else
access is refused, as Amazon does for buckets that do not take ACLs.
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.s3.errors import S3Error, invalid_argument
from proxy.s3.xml import Node, document, element

PRIVATE = frozenset({"private", "bucket-owner-full-control", "bucket-owner-read"})
CANNED = PRIVATE | {
    "public-read",
    "public-read-write",
    "authenticated-read",
    "aws-exec-read",
    "log-delivery-write",
}
GRANT_HEADERS = frozenset(
    {
        b"x-amz-grant-full-control",
        b"x-amz-grant-read",
        b"x-amz-grant-read-acp",
        b"x-amz-grant-write",
        b"x-amz-grant-write-acp",
    }
)
_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"


def check_headers(headers: Mapping[bytes, bytes]) -> bool:
    """True when headers name an acceptable canned ACL. Raises AccessControlListNotSupported."""
    canned = headers.get(b"x-amz-acl")
    if canned is not None:
        check_canned(canned.decode("latin-1"))
    if not GRANT_HEADERS.isdisjoint(headers):
        raise S3Error("AccessControlListNotSupported")
    return canned is not None


def check_canned(canned: str) -> None:
    """Raise unless the canned ACL leaves the owner alone in control."""
    if canned not in CANNED:
        raise invalid_argument("x-amz-acl", canned, "The canned ACL is not known.")
    if canned not in PRIVATE:
        raise S3Error("AccessControlListNotSupported")


def check_document(policy: Node, owner: str) -> None:
    """Accept the document that says what is the case. Raises AccessControlListNotSupported."""
    grants = policy.one("AccessControlList")
    if grants is None:
        raise S3Error("MalformedXML")
    for grant in grants.children:
        grantee = grant.one("Grantee")
        if grantee is None or grant.value("Permission") is None:
            raise S3Error("MalformedXML")
        if grantee.value("ID") != owner or grant.value("Permission") != "FULL_CONTROL":
            raise S3Error("AccessControlListNotSupported")
    if not grants.children:
        raise S3Error("AccessControlListNotSupported")


def render(owner: str, name: str) -> bytes:
    """The `<AccessControlPolicy>` document."""
    who = element("ID", owner) + element("DisplayName", name)
    return document(
        "AccessControlPolicy",
        f"<Owner>{who}</Owner><AccessControlList><Grant>"
        f'<Grantee xmlns:xsi="{_INSTANCE}" xsi:type="CanonicalUser">{who}</Grantee>'
        "<Permission>FULL_CONTROL</Permission></Grant></AccessControlList>",
    )
