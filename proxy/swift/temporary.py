"""Serving a request that carries a temporary URL: look up the keys, verify, run, tidy the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from core.errors import NotFound, RingstackError
from core.http import Response
from proxy.swift import tempurl
from proxy.swift.auth import unauthorized
from proxy.swift.call import Call
from proxy.swift.errors import SwiftError, response_of
from proxy.swift.names import Target
from proxy.swift.timestamp import http_date

Handler = Callable[[Call], Awaitable[Response]]


def invalid(call: Call) -> SwiftError:
    """401 that does not say what was wrong."""
    refused = unauthorized(call.account)
    text = "" if call.method == "HEAD" else tempurl.INVALID
    return SwiftError(401, text, headers=refused.headers, html=True)


async def serve(call: Call, handler: Handler | None) -> Response:
    """Answer a request with `temp_url_sig`; raises SwiftError 401, or 400 for pointers in uploads."""
    try:
        ticket = tempurl.read_ticket(call.params)
    except ValueError:
        raise invalid(call) from None
    target = Target(call.account, call.container, call.name)
    now_s = call.now_us / 1_000_000
    if (
        handler is None
        or call.method not in tempurl.METHODS
        or not tempurl.in_force(ticket, target, now_s=now_s, peer=call.request.peer)
    ):
        raise invalid(call)
    scope = tempurl.signed_by(ticket, call.method, target, await keys_by_scope(call))
    if scope is None:
        raise invalid(call)
    if call.method in {"PUT", "POST"}:
        for header in tempurl.FORBIDDEN:
            if header in call.headers:
                name = header.decode().title()
                raise SwiftError(400, f"The header {name!r} is not allowed in this tempurl")
    call.identity, call.owner = None, False
    call.scope = (call.account, "" if scope == "account" else call.container)
    call.params = {}
    try:
        response = await handler(call)
    except RingstackError as error:
        response = response_of(error)
    if call.method in {"GET", "HEAD"} and response.status < 300:
        expires = http_date(ticket.expires_s * 1_000_000)
        response.headers = tempurl.shown(response.headers, ticket, call.name, expires)
    return response


async def keys_by_scope(call: Call) -> dict[str, list[str]]:
    """Signing keys of the account and of the container; a container that is not there has none."""
    account = await call.store.get_account(call.account)
    keys = {"account": tempurl.keys_of(account.record.attributes), "container": []}
    try:
        info = await call.store.get_container(call.account, call.container)
        keys["container"] = tempurl.keys_of(info.record.attributes)
    except NotFound:
        pass
    return keys
