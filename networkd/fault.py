"""Refusals in the Networking API's form: {"NeutronError": {"type", "message", "detail"}}. Pure.

Types are the names of Neutron's exceptions, which clients look at.
"""

from __future__ import annotations

import msgspec

from core.api.fault import JSON, Fault
from core.http import Response

TYPES = {
    400: "HTTPBadRequest",
    401: "HTTPUnauthorized",
    403: "PolicyNotAuthorized",
    404: "HTTPNotFound",
    405: "HTTPMethodNotAllowed",
    409: "HTTPConflict",
    412: "HTTPPreconditionFailed",
    413: "HTTPRequestEntityTooLarge",
    501: "HTTPNotImplemented",
    503: "HTTPServiceUnavailable",
}


class NetworkFault(Fault):
    """A refusal with the name of Neutron's exception."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(status, message)
        self.kind = kind


def refusal(fault: Fault) -> Response:
    """The response to a refusal."""
    kind = TYPES.get(fault.status, "HTTPInternalServerError")
    if isinstance(fault, NetworkFault):
        kind = fault.kind
    detail = {"type": kind, "message": fault.message, "detail": ""}
    return Response(
        fault.status, [JSON, *fault.headers], msgspec.json.encode({"NeutronError": detail})
    )


def bad(message: str, kind: str = "BadRequest") -> NetworkFault:
    """400: the request cannot be meant so."""
    return NetworkFault(400, kind, message)


def invalid(message: str) -> NetworkFault:
    """400: a value that does not fit, as Neutron words it."""
    return NetworkFault(400, "InvalidInput", f"Invalid input for operation: {message}")


def malformed(message: str) -> NetworkFault:
    """400: the body is not what the operation takes."""
    return NetworkFault(400, "HTTPBadRequest", message)


def in_use(kind: str, message: str) -> NetworkFault:
    """409: something stands in the way."""
    return NetworkFault(409, kind, message)


def absent(what: str, name: str) -> NetworkFault:
    """404 as Neutron words it; `what` is a resource in words ("Security group")."""
    kind = "".join(word.capitalize() if word.islower() else word for word in what.split())
    return NetworkFault(404, f"{kind}NotFound", f"{what} {name[:80]} could not be found.")


def over_quota(*resources: str) -> NetworkFault:
    """409: a quota would be exceeded."""
    return NetworkFault(409, "OverQuota", f"Quota exceeded for resources: {list(resources)}.")
