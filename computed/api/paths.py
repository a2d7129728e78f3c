"""Every operation has two addresses: below `/v2.1`, and with the project in the path as it was before 2.18."""

from __future__ import annotations

from collections.abc import Iterable
from functools import wraps
from typing import Any

from core.api.call import Call
from core.api.fault import Fault, bad_request
from core.api.microversion import Version
from core.api.route import Handler, Route

ROOT = "/v2.1"


def both(routes: Iterable[Route], *, until: Version | None = None) -> list[Route]:
    """Routes whose paths are given below `/v2.1`, at both addresses; after the version `until` they are not there."""
    found = []
    for route in routes:
        handler = within_project(route.handler, until)
        found.append(route._replace(path=f"{ROOT}{route.path}", handler=handler))
        found.append(route._replace(path=f"{ROOT}/{{url_project}}{route.path}", handler=handler))
    return found


def within_project(handler: Handler, until: Version | None) -> Handler:
    """Refuse a path that names another project than the token's, and a version that has the operation no more."""

    @wraps(handler)
    async def checked(call: Call) -> Any:
        own = call.identity.project_id
        named = call.variables.pop("url_project", own)
        if named != own and named.replace("-", "") != own:
            raise bad_request("Malformed request URL: URL's project_id doesn't match the token's")
        call.variables["project_id"] = own
        call.variables["user_id"] = call.identity.user_id
        if until is not None and call.microversion > until:
            raise Fault(404, "The resource could not be found.")
        return await handler(call)

    return checked


def links(call: Call, *segments: str) -> list[dict[str, str]]:
    """The links of one thing: with the version, and without as a bookmark."""
    return [
        {"rel": "self", "href": call.url(ROOT[1:], *segments)},
        {"rel": "bookmark", "href": call.url(*segments)},
    ]


def bookmark(call: Call, *segments: str) -> list[dict[str, str]]:
    """The bookmark alone."""
    return [{"rel": "bookmark", "href": call.url(*segments)}]
