"""Refusals in the Placement API's form: {"errors": [{"status", "title", "detail", "code"}]}. Pure."""

from __future__ import annotations

from http import HTTPStatus

import msgspec

from core.api.fault import JSON, Fault
from core.http import Response

CONCURRENT = "placement.concurrent_update"
IN_USE = "placement.inventory.inuse"
DUPLICATE = "placement.duplicate_name"


class CodedFault(Fault):
    """A refusal whose reason programs can tell (1.23)."""

    def __init__(self, status: int, message: str, code: str) -> None:
        super().__init__(status, message)
        self.reason = code


def refusal(fault: Fault) -> Response:
    """The response to a refusal."""
    code = fault.reason if isinstance(fault, CodedFault) else "placement.undefined_code"
    error = {
        "status": fault.status,
        "title": HTTPStatus(fault.status).phrase,
        "detail": fault.message,
        "code": code,
    }
    return Response(fault.status, [JSON, *fault.headers], msgspec.json.encode({"errors": [error]}))


def concurrent(what: str) -> CodedFault:
    """409: somebody else has changed it since."""
    return CodedFault(409, f"{what} has been changed concurrently: read it again.", CONCURRENT)
