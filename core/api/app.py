"""An API as a whole: match, authenticate, decode, let a handler answer, and never leak what went wrong inside.

Every answer is JSON with a request id, and is not to be cached. A handler that returns without having passed its
policy rule is answered 403 and logged: forgetting the rule closes the door instead of opening it.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import msgspec

from core.api.call import Answer, Call
from core.api.fault import JSON, Fault, bad_request, forbidden
from core.api.microversion import HEADER, Microversions, Version
from core.api.route import ANY_VERSION, PUBLIC, Route, RouteTable
from core.env import Env
from core.errors import Refused, Unavailable
from core.http import BodyTruncated, Request, Response
from core.identity import Identity
from core.policy import Policy

log = logging.getLogger("ringstack.api")

BODY_BYTES_MAX = 112 * 1024
HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")

Authenticate = Callable[[Request], Awaitable[Identity | None]]
Refuse = Callable[[Fault], Response]


def refusal(fault: Fault) -> Response:
    """The response to a refusal, in the form of the Identity API."""
    return Response(fault.status, [JSON, *fault.headers], fault.body())


class Dialect(NamedTuple):
    """What differs between the services' APIs: the form of a refusal, and microversions if there are any."""

    refuse: Refuse = refusal
    microversions: Microversions | None = None


IDENTITY = Dialect()


class App:
    """One service's API under its prefix (`/identity`)."""

    def __init__(
        self,
        env: Env,
        table: RouteTable,
        *,
        prefix: str,
        policy: Policy,
        authenticate: Authenticate,
        address: str,
        dialect: Dialect = IDENTITY,
    ) -> None:
        self.env = env
        self.table = table
        self.prefix = prefix
        self.policy = policy
        self._authenticate = authenticate
        self._address = address
        self._refuse, self._microversions = dialect

    async def handle(self, request: Request) -> Response:
        """Answer a request whose path begins with the prefix."""
        request_id = f"req-{uuid_text(self.env)}"
        request.context["id"] = request_id
        try:
            response = await self._answer(request)
        except Fault as fault:
            response = self._refuse(fault)
        except BodyTruncated:
            raise
        except Unavailable as error:
            response = self._refuse(Fault(503, error.message))
        except Refused as error:
            response = self._refuse(bad_request(error.message))
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("%s %s failed (%s)", request.method, request.path, request_id)
            response = self._refuse(
                Fault(500, "An unexpected error prevented the server from answering.")
            )
        response.headers += [("x-openstack-request-id", request_id), ("Vary", "X-Auth-Token")]
        version = request.context.get("microversion")
        if self._microversions is not None and version is not None:
            response.headers += self._microversions.headers(version)
        return response

    async def _answer(self, request: Request) -> Response:
        path = request.path[len(self.prefix) :]
        match = self.table.find(request.method, path)
        route = match.route
        identity = None if route.rule == PUBLIC else await self._authenticate(request)
        call = Call(
            request,
            route,
            variables=match.variables,
            base=self.base(request),
            policy=self.policy,
            identity=identity,
            microversion=self._microversion(request),
        )
        if route.rule != PUBLIC:
            _ = call.identity  # 401 comes before anything that a body could provoke
        if call.microversion < route.since:
            raise Fault(404, "The resource could not be found.")
        raw = b"" if route.streams else await self._raw_body(request)
        call.raw = raw
        if route.body is not None:
            call.body = decode_body(request, raw)
            route.body(call.body, "")
        try:
            answer = await route.handler(call)
        except Fault as fault:
            if fault.status == 404 and not call.may_know_absence():
                raise forbidden() from None
            raise
        if not call.allowed:
            log.error("%s %s answered without passing %s", route.method, route.path, route.rule)
            raise forbidden()
        return respond(route, answer)

    def _microversion(self, request: Request) -> Version:
        if self._microversions is None:
            return ANY_VERSION
        version = self._microversions.chosen(request.header(HEADER))
        request.context["microversion"] = version
        return version

    async def _raw_body(self, request: Request) -> bytes:
        try:
            return await request.body.read_all(BODY_BYTES_MAX)
        except BodyTruncated:
            raise
        except Refused as error:
            raise Fault(413, error.message) from None

    def base(self, request: Request) -> str:
        """Public address of this API, as the client named it."""
        host = request.header("host") or ""
        address = f"http://{host}" if HOST.fullmatch(host) else self._address
        return address + self.prefix


def decode_body(request: Request, raw: bytes) -> dict[str, Any]:
    """JSON object of a body. Raises Fault 400."""
    kind = (request.header("content-type") or "").partition(";")[0].strip().lower()
    if raw and kind and kind != "application/json":
        raise bad_request(
            "Expecting to find application/json in Content-Type header. The server could not comply with"
            " the request since it is either malformed or otherwise incorrect. The client is assumed to"
            " be in error."
        )
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise bad_request("Expecting to find valid JSON in the request body.") from None
    if not isinstance(body, dict):
        raise bad_request("Expecting to find a JSON object in the request body.")
    return body


def respond(route: Route, answer: Any) -> Response:
    """The response to what a handler returned."""
    if not isinstance(answer, Answer):
        answer = Answer(answer)
    status = answer.status or route.success
    if answer.body is None:
        return Response(status, list(answer.headers))
    if isinstance(answer.body, AsyncIterator):
        return Response(status, list(answer.headers), answer.body, length=answer.length)
    body = answer.body if isinstance(answer.body, bytes) else msgspec.json.encode(answer.body)
    typed = any(name == JSON[0] for name, _ in answer.headers)
    return Response(status, [*(() if typed else (JSON,)), *answer.headers], body)


def uuid_text(env: Env) -> str:
    """A random UUID (version 4) in its usual form."""
    raw = bytearray(env.random_bytes(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
