"""Refusals in the Compute API's form: {"badRequest": {"code", "message"}}. Pure."""

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
    detail = {"code": fault.status, "message": fault.message}
    body = msgspec.json.encode({NAMES.get(fault.status, "computeFault"): detail})
    return Response(fault.status, [JSON, *fault.headers], body)


def absent(what: str, name: str) -> Fault:
    """404 as Nova words it."""
    return Fault(404, f"{what} {name[:80]} could not be found.")


def not_built(what: str) -> Fault:
    """501: documented, and not built here."""
    return Fault(501, f"{what} is not built.")
