"""Routes as data, and the table that finds one for a request. Pure.

A route is a method, a path template (`/v3/users/{user_id}`), the name of the policy rule that guards it, and its
handler. HEAD is answered through GET's route unless a route of its own is given. The table tells apart "no such
path" (404) and "not with this method" (405 with Allow).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import unquote

from core.api.fault import Fault, bad_request
from core.api.microversion import Version
from core.api.shape import Check

A = TypeVar("A")

# Instead of a rule's name. PUBLIC: no token is looked at before the handler; OWN: any valid token will do,
# because the answer holds only what belongs to the caller.
PUBLIC = "@public"
OWN = "@own"

ANY_VERSION: Version = (0, 0)

Handler = Callable[[Any], Awaitable[Any]]


class Route(NamedTuple):
    """One operation of an API.

    `rule` is a policy rule, PUBLIC or OWN. `success` is the status of an answer that does not say otherwise.
    `body` checks the decoded JSON body; without it the operation takes none. With `streams` the handler reads the
    body itself, however long it is, from `call.request.body`. Before the microversion `since` it is
    as if it were not there.
    """

    method: str
    path: str
    rule: str
    handler: Handler
    success: int = 200
    body: Check | None = None
    since: Version = ANY_VERSION
    streams: bool = False


class Match(NamedTuple):
    """A route and the values of its template's variables, decoded."""

    route: Route
    variables: dict[str, str]


class _Node(Generic[A]):
    """One level of the tree of path segments."""

    __slots__ = ("fixed", "names", "routes", "variable")

    def __init__(self) -> None:
        self.fixed: dict[str, _Node[A]] = {}
        self.variable: _Node[A] | None = None
        self.routes: dict[str, Route] = {}
        self.names: dict[str, tuple[str, ...]] = {}


class RouteTable:
    """All routes of one API. `not_built`: paths below which a documented API begins that is not there."""

    def __init__(self, routes: Iterable[Route], *, not_built: Iterable[str] = ()) -> None:
        self.routes = tuple(routes)
        self._not_built = tuple(f"{path.strip('/')}/" for path in not_built)
        self._root: _Node[Any] = _Node()
        for route in self.routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        node = self._root
        names = []
        for segment in route.path.strip("/").split("/"):
            if segment.startswith("{"):
                names.append(segment[1:-1])
                node.variable = node.variable or _Node()
                node = node.variable
            else:
                node = node.fixed.setdefault(segment, _Node())
        assert route.method not in node.routes, f"{route.method} {route.path} is given twice"
        node.routes[route.method] = route
        node.names[route.method] = tuple(names)

    def find(self, method: str, path: str) -> Match:
        """Route of a request; `path` is raw. Raises Fault 400, 404, 405 or 501."""
        if f"{path.strip('/')}/".startswith(self._not_built):
            raise Fault(501, "This extension of the API is not built.")
        found = self._walk(self._root, path.strip("/").split("/"), 0, ())
        if found is None:
            raise Fault(404, "The resource could not be found.")
        node, values = found
        route = node.routes.get(method)
        if route is None and method == "HEAD":
            route = node.routes.get("GET")
        if route is None:
            methods = set(node.routes) | ({"HEAD"} if "GET" in node.routes else set())
            raise Fault(
                405,
                "The method is not allowed for the requested URL.",
                headers=(("Allow", ", ".join(sorted(methods))),),
            )
        return Match(route, dict(zip(node.names[route.method], values, strict=True)))

    def _walk(
        self, node: _Node[Any], segments: list[str], at: int, values: tuple[str, ...]
    ) -> tuple[_Node[Any], tuple[str, ...]] | None:
        if at == len(segments):
            return (node, values) if node.routes else None
        raw = segments[at]
        fixed = node.fixed.get(raw)
        if fixed is not None:
            found = self._walk(fixed, segments, at + 1, values)
            if found is not None:
                return found
        if node.variable is None or not raw:
            return None
        return self._walk(node.variable, segments, at + 1, (*values, decoded(raw)))


def decoded(segment: str) -> str:
    """A path segment or query value as text. Raises Fault 400 on what is not UTF-8 or holds NUL."""
    try:
        value = unquote(segment, errors="strict")
    except UnicodeDecodeError:
        raise bad_request("The request target is not UTF-8.") from None
    if "\0" in value:
        raise bad_request("The request target holds a NUL character.")
    return value
