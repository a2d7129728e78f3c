"""One request on its way through an API: what was matched, who asks, and the gate of policy.

A handler gets the call, asks `allow` with what the rule is about, and returns a body, an Answer or None.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from core.api.fault import forbidden, unauthorized
from core.api.microversion import Version
from core.api.query import Query
from core.api.route import ANY_VERSION, OWN, PUBLIC, Route
from core.http import Request
from core.identity import Identity
from core.policy import Policy

NOTHING: Mapping[str, Any] = MappingProxyType({})


class Answer(NamedTuple):
    """A response: `body` is encoded as JSON unless it is None, bytes or an iterator of `length` bytes."""

    body: Any = None
    status: int = 0  # 0: the route's own
    headers: tuple[tuple[str, str], ...] = ()
    length: int | None = None


class Call:
    """A request that has been routed and authenticated."""

    def __init__(
        self,
        request: Request,
        route: Route,
        *,
        variables: dict[str, str],
        base: str,
        policy: Policy,
        identity: Identity | None,
        microversion: Version = ANY_VERSION,
    ) -> None:
        self.request = request
        self.route = route
        self.variables = variables
        self.microversion = microversion
        self.base = base  # public address of the API, without a slash at the end
        self.query = Query(request.query)
        self.body: dict[str, Any] = {}
        self.raw = b""  # the body as it came
        self.allowed = route.rule in {PUBLIC, OWN}
        self.absence_is_open = False  # who may not see a thing may still learn that it is not there
        self._policy = policy
        self._identity = identity

    @property
    def identity(self) -> Identity:
        """The caller. Raises Fault 401 when the call carries no token."""
        if self._identity is None:
            raise unauthorized()
        return self._identity

    @property
    def anonymous(self) -> bool:
        """No token came with it."""
        return self._identity is None

    def may(self, rule: str, of: Mapping[str, Any] = NOTHING, **target: Any) -> bool:
        """Whether the caller passes a rule for a target."""
        return self._policy.allows(rule, self.identity, {**self._target(target), **of})

    def allow(
        self, rule: str | None = None, of: Mapping[str, Any] = NOTHING, **target: Any
    ) -> None:
        """Pass the route's rule (or another) for a target, or raise Fault 403.

        `target` becomes `%(target.<name>.<attribute>)s` of the rule; path variables are `%(<name>)s`, and so are the
        attributes of what the rule is about (`of`), which come first.
        """
        name = rule or self.route.rule
        if not self.may(name, of, **target):
            raise forbidden(f"You are not authorized to perform the requested action: {name}.")
        self.allowed = True

    def may_know_absence(self) -> bool:
        """Whether the caller may learn that something is not there: as what is there, with nothing of it to go by."""
        return self.allowed or self.absence_is_open or self.may(self.route.rule)

    def _target(self, target: Mapping[str, Any]) -> dict[str, Any]:
        return {**self.variables, "target": dict(target)}

    def part(self, name: str) -> dict[str, Any]:
        """The object under the body's one key, already checked by the route's shape."""
        found: dict[str, Any] = self.body[name]
        return found

    def url(self, *segments: str) -> str:
        """Public address of something in this API."""
        return "/".join((self.base, *segments))
