"""Cross-origin requests (Fetch standard, CORS): preflights, and headers on the real answers.

A container allows origins in `X-Container-Meta-Access-Control-Allow-Origin` (a list separated by spaces,
or `*`). Strict: to an origin that is not allowed nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from core.errors import NotFound
from core.http import Response
from proxy.swift.auth import unauthorized
from proxy.swift.call import Call
from proxy.swift.errors import HTML

ALLOW_ORIGIN = "meta:access-control-allow-origin"
EXPOSE_HEADERS = "meta:access-control-expose-headers"
MAX_AGE = "meta:access-control-max-age"
EXPOSED = (
    "cache-control",
    "content-language",
    "content-type",
    "etag",
    "expires",
    "last-modified",
    "pragma",
    "x-openstack-request-id",
    "x-timestamp",
    "x-trans-id",
)


def allowed_origin(attributes: Mapping[str, str], origin: str) -> str | None:
    """Value of Access-Control-Allow-Origin, None when the origin is not allowed."""
    allowed = attributes.get(ALLOW_ORIGIN, "").split()
    if "*" in allowed:
        return "*"
    return origin if origin in allowed else None


async def _attributes(call: Call) -> Mapping[str, str]:
    try:
        return (await call.store.get_container(call.account, call.container)).record.attributes
    except NotFound:
        return {}


async def options(call: Call, methods: Iterable[str]) -> Response:
    """OPTIONS: what may be done here, and to a preflight whether a page may do it."""
    allow = ", ".join([*methods, "OPTIONS"])
    headers = [HTML, ("Allow", allow)]
    origin = call.header(b"origin")
    if origin is None or not call.container:
        return Response(200, headers)
    attributes = await _attributes(call)
    allowed = allowed_origin(attributes, origin)
    wanted = call.header(b"access-control-request-method")
    if allowed is None or wanted not in allow.split(", "):
        return Response(401, [*headers, *unauthorized(call.account).headers])
    headers.append(("Access-Control-Allow-Origin", allowed))
    headers.append(("Access-Control-Allow-Methods", allow))
    vary = [] if allowed == "*" else ["Origin"]
    if attributes.get(MAX_AGE):
        headers.append(("Access-Control-Max-Age", attributes[MAX_AGE]))
    asked = call.header(b"access-control-request-headers")
    if asked:
        headers.append(("Access-Control-Allow-Headers", asked))
        vary.append("Access-Control-Request-Headers")
    if vary:
        headers.append(("Vary", ", ".join(vary)))
    return Response(200, headers)


async def decorate(call: Call, container: str, response: Response) -> None:
    """Add what a page of an allowed origin needs to read the answer."""
    origin = call.header(b"origin")
    if origin is None or not container:
        return
    attributes = await _attributes(call)
    allowed = allowed_origin(attributes, origin)
    if allowed is None:
        return
    exposed = dict.fromkeys(EXPOSED)
    for name, _ in response.headers:
        if name.startswith(("X-Container-Meta", "X-Object-Meta")):
            exposed[name.lower()] = None
    for name in attributes.get(EXPOSE_HEADERS, "").split():
        exposed[name.lower()] = None
    response.headers.append(("Access-Control-Expose-Headers", ", ".join(exposed)))
    response.headers.append(("Access-Control-Allow-Origin", allowed))
    if allowed != "*":
        response.headers.append(("Vary", "Origin"))
