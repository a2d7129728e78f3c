"""No handler is reached without a good signature: every place, every payload mode, every handler.

In exploit form: CVE-2025-31489, CVE-2026-40344 and GHSA-hv4r-mvr4-25vw (an unsigned trailer skipped the
signature, in headers, then in the query), SeaweedFS #2180 (streaming uploads skipped it), and forged
"unsigned" requests of every other kind. The store counts what reaches it: nothing may.
"""

from __future__ import annotations

import pytest

from proxy.s3.route import BUCKET, OBJECT, OPERATIONS
from tests.model.memory_store import MemoryStore
from tests.unit.proxy_s3.signer import HEADER, MODES, NONE, PLACES, QUERY, Signer
from tests.unit.proxy_s3.site import POLICIES, Site

QUERIES = {
    "UploadPart": [("partNumber", "1"), ("uploadId", "0" * 32)],
    "UploadPartCopy": [("partNumber", "1"), ("uploadId", "0" * 32)],
    "ListParts": [("uploadId", "0" * 32)],
    "CompleteMultipartUpload": [("uploadId", "0" * 32)],
    "AbortMultipartUpload": [("uploadId", "0" * 32)],
    "ListObjectsV2": [("list-type", "2")],
}


class Untouched:
    """A store that must not be called: it remembers every verb."""

    def __init__(self, store):
        self.store = store
        self.calls = []

    def __getattr__(self, name):
        if not name.startswith("_") and name != "policies":
            self.calls.append(name)
        return getattr(self.store, name)


@pytest.fixture(scope="module")
def site():
    store = Untouched(None)
    running = Site(store)
    store.store = MemoryStore(running.env.wall_us, POLICIES)
    yield running
    running.stop()


def request_of(name):
    """Method, path, query and headers that select an operation."""
    operation = OPERATIONS[name]
    path = {"service": "/", BUCKET: "/bucket", OBJECT: "/bucket/key"}[operation.level]
    selector, _, header = operation.selector.partition(":")
    query = QUERIES.get(name) or ([(selector, "")] if selector else [])
    headers = {"x-amz-copy-source": "bucket/other"} if header else {}
    return operation.method, path, query, headers


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("mode", MODES)
def test_a_wrong_secret_is_403_at_every_handler(site, place, mode):
    """{header, query, none} x {every payload mode} x {every operation}; the store is never called."""
    signer = Signer(site.host, secret="not the secret")
    for name in OPERATIONS:
        method, path, query, headers = request_of(name)
        wire = signer.sign(method, path, query, headers, b"<X/>", mode=mode, place=place)
        answer = site.send(wire)
        assert answer.status == 403, (name, answer.status)
        if method != "HEAD":
            expected = "AccessDenied" if place == NONE else "SignatureDoesNotMatch"
            assert answer.code == expected, (name, answer.code)
    assert site.store.calls == []


@pytest.mark.parametrize("place", [HEADER, QUERY])
@pytest.mark.parametrize("mode", MODES)
def test_an_unknown_key_is_403_at_every_handler(site, place, mode):
    """The right secret under another key is worth nothing."""
    signer = Signer(site.host, access_key="AKIDOTHER00000000000")
    for name in OPERATIONS:
        method, path, query, headers = request_of(name)
        wire = signer.sign(method, path, query, headers, b"<X/>", mode=mode, place=place)
        assert site.send(wire).status == 403, name
    assert site.store.calls == []


@pytest.mark.parametrize("place", [HEADER, QUERY])
def test_each_part_of_the_request_is_under_the_signature(site, place):
    """Method, path, query, host, headers, payload hash: changing one is 403."""
    wire = site.signer.sign(
        "PUT", "/bucket/key", [("a", "b")], {"x-amz-meta-a": "b"}, b"body", place=place
    )
    headers = wire.headers
    changes = [
        wire._replace(method="DELETE"),
        wire._replace(target=wire.target.replace("/bucket/key", "/bucket/kez")),
        wire._replace(target=wire.target.replace("/bucket/key", "/bucket//key")),
        wire._replace(target=wire.target.replace("a=b", "a=c")),
        wire._replace(target=wire.target + "&c=d" if "?" in wire.target else wire.target + "?c=d"),
        wire._replace(headers={**headers, "host": "elsewhere"}),
        wire._replace(headers={**headers, "x-amz-meta-a": "c"}),
        wire._replace(headers={**headers, "x-amz-meta-b": "c"}),
        wire._replace(headers={**headers, "x-amz-copy-source": "bucket/secret"}),
        wire._replace(headers={**headers, "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}),
        wire._replace(
            headers={**headers, "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
        ),
    ]
    for change in changes:
        answer = site.send(change)
        assert (answer.status, change) == (403, change)
    assert site.store.calls == []


def test_a_signature_cannot_be_lifted_out_of_another_mode(site):
    """A presigned signature in a header, and a header's signature in a query, are worth nothing."""
    query = site.signer.sign("GET", "/bucket/key", place=QUERY)
    fields = dict(pair.split("=", 1) for pair in query.target.partition("?")[2].split("&"))
    from urllib.parse import unquote

    header = {
        "host": site.host,
        "x-amz-date": fields["X-Amz-Date"],
        "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
        "authorization": f"AWS4-HMAC-SHA256 Credential={unquote(fields['X-Amz-Credential'])}, "
        f"SignedHeaders=host, Signature={fields['X-Amz-Signature']}",
    }
    assert site.send(query._replace(target="/bucket/key", headers=header)).status == 403
    assert site.store.calls == []


@pytest.mark.parametrize(
    "signature", ["", "0" * 64, "x", "0" * 63, "é" * 32, "0" * 100_000, "' or 1=1", "%00"]
)
def test_forged_signatures_are_refused_whatever_their_form(site, signature):
    """SeaweedFS #8878: nothing that is not the MAC of the request passes."""
    for place in (HEADER, QUERY):
        wire = site.signer.sign("GET", "/bucket/key", place=place)
        if place == HEADER:
            head = wire.headers["authorization"].partition("Signature=")[0]
            wire = wire._replace(
                headers={**wire.headers, "authorization": f"{head}Signature={signature}"[:60_000]}
            )
        else:
            from urllib.parse import quote

            head = wire.target.partition("X-Amz-Signature=")[0]
            wire = wire._replace(target=f"{head}X-Amz-Signature={quote(signature)}"[:16_000])
        assert site.send(wire).status in {400, 403}
    assert site.store.calls == []


def test_an_expired_url_is_refused(site):
    """Also one second late; and one that would hold longer than a week."""
    from datetime import UTC, datetime, timedelta

    signer = Signer(site.host)
    signer.now = datetime.now(UTC) - timedelta(seconds=301)
    assert site.send(signer.sign("GET", "/bucket/key", place=QUERY)).code == "AccessDenied"
    signer.expires = 604_801
    assert site.send(signer.sign("GET", "/bucket/key", place=QUERY)).status == 400
    assert site.store.calls == []


@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_request_from_another_time_is_refused(site, minutes):
    """A recorded request is no use after a quarter of an hour."""
    from datetime import UTC, datetime, timedelta

    signer = Signer(site.host)
    signer.now = datetime.now(UTC) + timedelta(minutes=minutes)
    answer = site.send(signer.sign("GET", "/bucket/key"))
    assert (answer.status, answer.code) == (403, "RequestTimeTooSkewed")
    assert site.store.calls == []


def test_a_key_for_another_region_or_service_is_refused(site):
    """The scope binds the derived key."""
    for region, service in (("eu-west-1", "s3"), ("us-east-1", "ec2")):
        signer = Signer(site.host, region=region)
        signer.service = service
        for place in (HEADER, QUERY):
            answer = site.send(signer.sign("GET", "/bucket/key", place=place))
            assert answer.status == 400
    assert site.store.calls == []


@pytest.mark.parametrize(
    "authorization",
    [
        "AWS AKID:c2ln",
        "Basic YTpi",
        "Bearer x",
        "AWS4-ECDSA-P256-SHA256 Credential=a",
        "x",
        "AWS4-HMAC-SHA256",
    ],
)
def test_other_authorisations_are_refused(site, authorization):
    """Signature version 2, version 4A and strangers."""
    wire = site.signer.sign("GET", "/bucket/key", place=NONE)
    wire = wire._replace(headers={**wire.headers, "authorization": authorization})
    assert site.send(wire).status in {400, 403}
    assert site.store.calls == []


def test_no_answer_tells_the_secret_or_the_right_signature(site):
    """Error documents quote what was signed, never what would have been right."""
    good = site.signer.sign("GET", "/bucket/key")
    right = good.headers["authorization"].partition("Signature=")[2]
    bad = good.headers["authorization"].replace(right, "0" * 64)
    answer = site.send(good._replace(headers={**good.headers, "authorization": bad}))
    assert answer.status == 403
    assert right.encode() not in answer.body
    assert site.signer.secret.encode() not in answer.body


def test_version_two_is_no_way_around(site):
    """The older signature at every handler: a wrong secret or key is 403, in header and query."""
    from botocore.auth import HmacV1Auth, HmacV1QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    from tests.unit.proxy_s3.signer import ACCESS_KEY, SECRET_KEY, Wire

    for key, secret in ((ACCESS_KEY, "wrong"), ("AKIDOTHER00000000000", SECRET_KEY)):
        for kind in (HmacV1Auth, HmacV1QueryAuth):
            for name in OPERATIONS:
                method, path, query, headers = request_of(name)
                text = "&".join(f"{n}={v}" if v else n for n, v in query)
                url = f"http://{site.host}{path}" + (f"?{text}" if text else "")
                request = AWSRequest(method=method, url=url, headers=headers)
                kind(Credentials(key, secret)).add_auth(request)
                target = request.url.removeprefix(f"http://{site.host}")
                given = {"host": site.host, "content-length": "0", **dict(request.headers.items())}
                answer = site.send(Wire(method, target, given, b""))
                assert answer.status == 403, (name, kind, answer.status)
    assert site.store.calls == []
