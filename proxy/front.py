"""The door of the object store: one port, two dialects.

Each request gets its id here (sent back as X-Trans-Id and x-amz-request-id, and written in the access
log), is routed to a dialect, and is counted. A request that carries S3 authorisation is S3's; otherwise
Swift's own paths are Swift's; everything else is S3's.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from core.env import Env
from core.http import Request, Response
from core.log import AccessLog
from core.metrics import Metrics

SWIFT_PATHS = ("/v1", "/auth", "/info", "/healthcheck")
S3_QUERY_MARKS = ("X-Amz-Algorithm=", "X-Amz-Signature=", "AWSAccessKeyId=")


class Dialect(Protocol):
    """A front end: every error is already in its own form when `handle` returns."""

    async def handle(self, request: Request) -> Response:
        """Answer a request."""
        ...


class Front:
    """Names, routes, counts and logs requests."""

    def __init__(
        self, env: Env, s3: Dialect, swift: Dialect, *, metrics: Metrics, access: AccessLog
    ) -> None:
        self._env = env
        self._s3 = s3
        self._swift = swift
        self._metrics = metrics
        self._access = access

    async def handle(self, request: Request) -> Response:
        """Answer a request through its dialect."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        wall_us = self._env.wall_us()
        request_id = f"tx{self._env.random_bytes(10).hex()}0-{wall_us // 1_000_000:010x}"
        request.context["id"] = request_id
        swift = is_swift(request)
        response = await (self._swift if swift else self._s3).handle(request)
        seconds = loop.time() - start
        self._metrics.request("swift" if swift else "s3", request.method, response.status, seconds)
        self._access.add(
            (
                str(wall_us),
                request_id,
                request.method,
                request.path,
                response.status,
                int(seconds * 1e6),
                request.peer,
            )
        )
        return response


def is_swift(request: Request) -> bool:
    """Which dialect a request speaks."""
    authorization = request.headers.get(b"authorization")
    if authorization is not None and authorization.startswith(b"AWS"):
        return False
    if request.query and any(mark in request.query for mark in S3_QUERY_MARKS):
        return False
    path = request.path
    return any(path == known or path.startswith(known + "/") for known in SWIFT_PATHS)
