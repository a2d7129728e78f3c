"""Refusals in the Block Storage API's form: {"badRequest": {"code", "message"}}. Pure."""

from __future__ import annotations

import msgspec

from core.api.fault import JSON, Fault
from core.http import Response

NAMES = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
    429: "overLimit",
    501: "notImplemented",
    503: "serviceUnavailable",
}


def refusal(fault: Fault) -> Response:
    """The response to a refusal."""
    detail: dict[str, object] = {"code": fault.status, "message": fault.message}
    if fault.status in {413, 429}:
        detail["retryAfter"] = "0"
    body = msgspec.json.encode({NAMES.get(fault.status, "computeFault"): detail})
    return Response(fault.status, [JSON, *fault.headers], body)


def absent(what: str, name: str) -> Fault:
    """404 as Cinder words it."""
    return Fault(404, f"{what} {name} could not be found.")


def over_quota(resource: str, *, wanted: int, used: int, limit: int) -> Fault:
    """413: a quota would be exceeded."""
    return Fault(
        413,
        f"Requested {resource} exceed the allowed quota: requested {wanted}, used {used}, limit {limit}.",
        headers=(("Retry-After", "0"),),
    )


def wrong_status(what: str, name: str, status: str, allowed: str) -> Fault:
    """400: an operation that a status forbids."""
    return Fault(400, f"Invalid {what}: {name} is {status}; it must be {allowed}.")
