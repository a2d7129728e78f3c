"""Every operation has two addresses: with the project in the path (as ever) and without (since 3.67)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import wraps
from typing import Any

from core.api.call import Call
from core.api.fault import bad_request
from core.api.route import Handler, Route


def both(routes: Iterable[Route]) -> list[Route]:
    """Routes whose paths are given below `/v3`, at both addresses."""
    found = []
    for route in routes:
        handler = within_project(route.handler)
        found.append(route._replace(path=f"/v3{route.path}", handler=handler))
        found.append(route._replace(path=f"/v3/{{project_id}}{route.path}", handler=handler))
    return found


def within_project(handler: Handler) -> Handler:
    """Refuse a path that names another project than the token's."""

    @wraps(handler)
    async def checked(call: Call) -> Any:
        own = call.identity.project_id
        named = call.variables.setdefault("project_id", own)
        if named != own and named.replace("-", "") != own:
            raise bad_request("Malformed request url")
        call.variables["project_id"] = own
        return await handler(call)

    return checked


def links(call: Call, *segments: str) -> list[dict[str, str]]:
    """The links of one thing: with the version, and without as a bookmark."""
    own = call.identity.project_id
    inner = (own, *segments) if own else segments
    return [
        {"rel": "self", "href": call.url("v3", *inner)},
        {"rel": "bookmark", "href": call.url(*inner)},
    ]
