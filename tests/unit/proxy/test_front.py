"""The door of the object store: who answers what, under which id, and what is written down."""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from core.http import Request, Response
from core.log import AccessLog
from core.metrics import Metrics
from core.real import RealEnv
from proxy.front import Front, is_swift

CANARY = "canary-7f3a"


def request(path: str, query: str = "", authorization: bytes | None = None) -> Request:
    headers = {} if authorization is None else {b"authorization": authorization}
    return Request("GET", path, query, headers)


@pytest.mark.parametrize(
    ("path", "query", "authorization", "swift"),
    [
        ("/v1/AUTH_a/c/o", "", None, True),
        ("/v1", "", None, True),
        ("/v1/", "", None, True),
        ("/auth/v1.0", "", None, True),
        ("/info", "", None, True),
        ("/healthcheck", "", None, True),
        ("/v1x/o", "", None, False),
        ("/v12", "", None, False),
        ("/information", "", None, False),
        ("/", "", None, False),
        ("/bucket/v1/o", "", None, False),
        ("/v1/key", "", b"AWS4-HMAC-SHA256 Credential=x", False),
        ("/v1/key", "", b"AWS key:signature", False),
        ("/v1/key", "", b"Bearer x", True),
        ("/v1/key", "X-Amz-Signature=x", None, False),
        ("/v1/key", "X-Amz-Algorithm=AWS4-HMAC-SHA256&x=1", None, False),
        ("/v1/key", "AWSAccessKeyId=x&Signature=y", None, False),
        ("/v1/AUTH_a/c/o", "temp_url_sig=x&temp_url_expires=1", None, True),
        ("/auth", "format=json", None, True),
        ("/AUTH_a", "", None, False),
    ],
)
def test_each_request_has_one_dialect(path, query, authorization, swift) -> None:
    """A signature of S3 wins over the path; Swift's own paths are Swift's; all else is S3's."""
    assert is_swift(request(path, query, authorization)) is swift


class Answering:
    """A dialect that answers with its name."""

    def __init__(self, name: str, status: int) -> None:
        self.name = name
        self.status = status

    async def handle(self, request: Request) -> Response:
        return Response(self.status, [("X-Who", self.name), ("X-Id", request.context["id"])], b"")


def answers(*requests: Request) -> tuple[list[Response], Metrics]:
    metrics = Metrics()
    access = AccessLog()
    front = Front(
        RealEnv(),
        Answering("s3", 404),
        Answering("swift", 201),
        metrics=metrics,
        access=access,
    )

    async def work() -> list[Response]:
        result = [await front.handle(one) for one in requests]
        access.flush()
        return result

    return asyncio.run(work()), metrics


def test_requests_are_named_counted_and_logged(capfdbinary) -> None:
    """Every id is new; the log has method, path, status and time of each."""
    found, metrics = answers(request("/v1/a"), request("/bucket/key"), request("/bucket/key"))
    headers = [dict(one.headers) for one in found]
    assert [one["X-Who"] for one in headers] == ["swift", "s3", "s3"]
    ids = [one["X-Id"] for one in headers]
    assert len(set(ids)) == 3
    assert all(re.fullmatch(r"tx[0-9a-f]{21}-[0-9a-f]{10}", one) for one in ids)
    lines = [json.loads(line) for line in capfdbinary.readouterr().err.splitlines()]
    assert [(line[1], line[2], line[3], line[4]) for line in lines] == [
        (ids[0], "GET", "/v1/a", 201),
        (ids[1], "GET", "/bucket/key", 404),
        (ids[2], "GET", "/bucket/key", 404),
    ]
    text = asyncio.run(metrics.handle(Request("GET", "/metrics", "", {}))).body.decode()
    assert 'ringstack_request_seconds_count{api="s3",method="GET",status="4xx"} 2.0' in text
    assert 'ringstack_request_seconds_count{api="swift",method="GET",status="2xx"} 1.0' in text


def test_no_secret_reaches_the_log(capfdbinary) -> None:
    """Neither headers nor query strings are given to it."""
    answers(
        request("/v1/a", f"temp_url_sig={CANARY}", f"Bearer {CANARY}".encode()),
        request("/b", f"X-Amz-Signature={CANARY}", f"AWS {CANARY}".encode()),
    )
    written = capfdbinary.readouterr().err.decode()
    assert written.count("\n") == 2
    assert CANARY not in written
