"""The Swift dialect's door: every request enters here and every answer leaves here.

It names the transaction, parses the path, finds out who asks and whether they may, picks the handler,
and turns every error of ours into Swift's form. Nothing a client sends in internal headers
(`X-Backend-*` and their kin) is ever read, so there is nothing to strip.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from core.env import Env
from core.errors import RingstackError
from core.http import Request, Response
from proxy.gate import Gate
from proxy.store.port import Store
from proxy.swift import account, bulk, container, copy, cors, formpost, info, temporary, tempurl
from proxy.swift import object as objects
from proxy.swift.auth import LOGIN_PATHS, Authority, authorise
from proxy.swift.call import Call, Site
from proxy.swift.errors import HTML, TEXT, SwiftError, response_of, status_page
from proxy.swift.names import parse_path
from proxy.swift.query import parse_query

Handler = Callable[[Call], Awaitable[Response]]
VERSION = "0.1.0"

ACCOUNT: dict[str, Handler] = {
    "GET": account.get,
    "HEAD": account.get,
    "POST": account.post,
    "PUT": account.put,
    "DELETE": account.delete,
}
CONTAINER: dict[str, Handler] = {
    "GET": container.get,
    "HEAD": container.get,
    "PUT": container.put,
    "POST": container.post,
    "DELETE": container.delete,
}
OBJECT: dict[str, Handler] = {
    "GET": objects.get,
    "HEAD": objects.get,
    "PUT": objects.put,
    "POST": objects.post,
    "DELETE": objects.delete,
    "COPY": copy.copy,
}


def is_bulk(call: Call) -> bool:
    """A request that names its objects in the body: each is authorised by itself."""
    return (call.method in {"POST", "DELETE"} and "bulk-delete" in call.params) or (
        call.method == "PUT" and "extract-archive" in call.params
    )


class SwiftFront:
    """Answers the paths /v1/..., /auth/..., /info and /healthcheck."""

    def __init__(self, store: Store, env: Env, gate: Gate, *, scheme: str = "http") -> None:
        self._site = Site(store, env, scheme=scheme)
        self._authority = Authority(self._site, gate)
        self._info = msgspec.json.encode(info.capabilities(store.policies, VERSION))

    async def handle(self, request: Request) -> Response:
        """Answer a request; never raises but for a client or connection that went away."""
        try:
            response = await self._route(request)
        except RingstackError as error:
            response = response_of(error)
        transaction = request.context.get("id") or self._transaction()
        headers = response.headers
        headers.append(("X-Trans-Id", transaction))
        headers.append(("X-Openstack-Request-Id", transaction))
        return response

    def _transaction(self) -> str:
        env = self._site.env
        return f"tx{env.random_bytes(11).hex()[:21]}-{env.wall_us() // 1_000_000:010x}"

    async def _route(self, request: Request) -> Response:
        path = request.path
        if path.startswith(("/v1/", "/v1.0/")):
            return await self._storage(request)
        if path in LOGIN_PATHS or path.rstrip("/") in LOGIN_PATHS:
            return await self._authority.login(request)
        if path == "/info":
            return self._about(request)
        if path == "/healthcheck":
            return Response(200, [TEXT], b"OK")
        if path in {"/v1", "/v1.0"}:
            raise SwiftError(412, "Bad URL", html=True)
        raise SwiftError(404)

    async def _storage(self, request: Request) -> Response:
        call = Call(self._site, request, parse_path(request.path), parse_query(request.query))
        table = OBJECT if call.name else CONTAINER if call.container else ACCOUNT
        if request.method == "OPTIONS":
            return await cors.options(call, table)
        if b"origin" not in call.headers:
            return await self._perform(call, table)
        container = call.container  # of the path, wherever the handler may lead
        try:
            response = await self._perform(call, table)
        except RingstackError as error:
            response = response_of(error)
        await cors.decorate(call, container, response)
        return response

    async def _perform(self, call: Call, table: dict[str, Handler]) -> Response:
        """Find out who asks, whether they may, and do it."""
        handler = table.get(call.method)
        if call.params and tempurl.is_temporary(call.params):
            return await temporary.serve(call, handler)
        if formpost.is_form(call):
            return await formpost.serve(call)
        await self._authority.identify(call)
        if call.params and is_bulk(call):
            return await bulk.handle(call)
        if not call.owner:
            await authorise(call)
        if handler is None:
            raise SwiftError(405, headers=[("Allow", ", ".join([*table, "OPTIONS"]))])
        return await handler(call)

    def _about(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(200, [HTML, ("Allow", "HEAD, GET, OPTIONS")])
        if request.method not in {"GET", "HEAD"}:
            return status_page(405, [("Allow", "HEAD, GET, OPTIONS")])
        return Response(200, [("Content-Type", "application/json; charset=UTF-8")], self._info)
