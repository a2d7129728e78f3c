"""EC2 and S3 signatures, which services have verified here."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.identity_site import IdentitySite

HOST = "ec2.cloud.test:8773"
ACCESS, SECRET = "ROOT" * 5, "root-secret"


def signed_v4(site: IdentitySite, *, service: str = "ec2", query: bool = False) -> dict[str, Any]:
    """A request as botocore signs it, described as a front would."""
    del site
    request = AWSRequest("GET", f"http://{HOST}/", params={"Action": "DescribeInstances"})
    maker = SigV4QueryAuth if query else SigV4Auth
    options = {"expires": 300} if query else {}
    maker(Credentials(ACCESS, SECRET), service, "us-east-1", **options).add_auth(request)
    prepared = request.prepare()
    params = dict(
        pair.split("=", 1) for pair in (prepared.url.partition("?")[2] or "").split("&") if pair
    )

    params = {name: unquote(value) for name, value in params.items()}
    headers = {name: str(value) for name, value in prepared.headers.items()}
    headers.setdefault("Host", HOST)
    signature = (
        params.get("X-Amz-Signature") or headers["Authorization"].rpartition("Signature=")[2]
    )
    return {
        "access": ACCESS,
        "signature": signature,
        "host": HOST,
        "verb": "GET",
        "path": "/",
        "params": params,
        "headers": headers,
        "body_hash": hashlib.sha256(b"").hexdigest(),
    }


def signed_v2() -> dict[str, Any]:
    params = {
        "Action": "DescribeInstances",
        "AWSAccessKeyId": ACCESS,
        "SignatureVersion": "2",
        "SignatureMethod": "HmacSHA256",
        "Timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }

    query = "&".join(f"{n}={quote(params[n], safe='-_.~')}" for n in sorted(params))
    text = f"GET\n{HOST}\n/\n{query}".encode()
    signature = base64.b64encode(hmac.digest(SECRET.encode(), text, "sha256")).decode()
    return {
        "access": ACCESS,
        "signature": signature,
        "host": HOST,
        "verb": "GET",
        "path": "/",
        "params": {**params, "Signature": signature},
        "headers": {},
        "body_hash": "",
    }


@pytest.mark.parametrize("query", [False, True])
def test_a_version_4_signature_is_known(site: IdentitySite, query: bool) -> None:
    """In the header or in the query."""
    body = {"ec2Credentials": signed_v4(site, query=query)}
    reply = site.admin("POST", "/v3/ec2tokens", body)
    assert reply.status == 200, reply
    assert reply.body["token"]["user"]["name"] == "admin"
    token = reply.headers["x-subject-token"]
    assert site.call("GET", "/v3/auth/catalog", token=token).status == 200


def test_a_version_2_signature_is_known(site: IdentitySite) -> None:
    """With SHA-256."""
    assert site.admin("POST", "/v3/ec2tokens", {"ec2Credentials": signed_v2()}).status == 200


def test_only_services_may_ask(site: IdentitySite) -> None:
    """CVE-2025-65073: 401 without a token, 403 for users."""
    for path in ("/v3/ec2tokens", "/v3/s3tokens"):
        body = {"ec2Credentials": signed_v4(site)}
        assert site.call("POST", path, body).status == 401
        assert site.demo("POST", "/v3/ec2tokens", body).status == 403


def test_anything_changed_is_401(site: IdentitySite) -> None:
    """Path, verb, host, parameters, age, key."""
    good = signed_v4(site)
    for change in (
        {"path": "/other"},
        {"verb": "PUT"},
        {"params": {**good["params"], "Action": "TerminateInstances"}},
        {"access": "nobody"},
        {"signature": "0" * 64},
        {"headers": {**good["headers"], "X-Amz-Date": "20200101T000000Z"}},
        {"headers": {}},
        {"body_hash": ""},
    ):
        body = {"ec2Credentials": {**good, **change}}
        assert site.admin("POST", "/v3/ec2tokens", body).status == 401, change


def test_a_signature_for_s3_opens_nothing_else(site: IdentitySite) -> None:
    """A presigned URL is not a token, and does not become one."""
    for query in (False, True):
        body = {"ec2Credentials": signed_v4(site, service="s3", query=query)}
        assert site.admin("POST", "/v3/ec2tokens", body).status == 401


def test_s3_signatures_are_verified_and_buy_no_token(site: IdentitySite) -> None:
    """Version 2 and version 4 strings to sign."""
    plain = b"GET\n\n\nSun, 22 Nov 2026 12:00:00 GMT\n/bucket/key"
    one = base64.b64encode(hmac.digest(SECRET.encode(), plain, "sha1")).decode()
    scope = b"20261122/us-east-1/s3/aws4_request"
    four = b"AWS4-HMAC-SHA256\n20261122T120000Z\n" + scope + b"\n" + b"0" * 64
    key = b"AWS4" + SECRET.encode()
    for part in scope.split(b"/"):
        key = hmac.digest(key, part, "sha256")
    for text, signature in ((plain, one), (four, hmac.digest(key, four, "sha256").hex())):
        credentials = {
            "access": ACCESS,
            "token": base64.urlsafe_b64encode(text).decode(),
            "signature": signature,
        }
        reply = site.admin("POST", "/v3/s3tokens", {"credentials": credentials})
        assert reply.status == 200
        assert reply.body["token"]["project"]["name"] == "admin"
        assert "x-subject-token" not in reply.headers
        wrong = {**credentials, "signature": signature[:-2] + "00"}
        assert site.admin("POST", "/v3/s3tokens", {"credentials": wrong}).status == 401


def test_what_a_signature_buys_cannot_be_rescoped(site: IdentitySite) -> None:
    """An EC2 key is for one project; it must not become the whole system."""
    reply = site.admin("POST", "/v3/ec2tokens", {"ec2Credentials": signed_v4(site)})
    token = reply.headers["x-subject-token"]
    for scope in ({"system": {"all": True}}, {"domain": {"id": "default"}}, "unscoped"):
        auth = {"identity": {"methods": ["token"], "token": {"id": token}}, "scope": scope}
        assert site.call("POST", "/v3/auth/tokens", {"auth": auth}).status == 403
