"""An API's refusal in OpenStack's form: {"error": {"code", "message", "title"}}. Pure.

Raised anywhere below a handler; turned into a response in one place. The message is for a person and never
holds a secret, another tenant's data or a traceback.
"""

from __future__ import annotations

from http import HTTPStatus

import msgspec

from core.errors import Refused

JSON = ("Content-Type", "application/json")


class Fault(Refused):
    """A refusal with an HTTP status (400 to 503)."""

    def __init__(
        self, status: int, message: str, *, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(f"Http{status}", message)
        self.status = status
        self.headers = headers

    def body(self) -> bytes:
        """The JSON to send."""
        error = {
            "code": self.status,
            "message": self.message,
            "title": HTTPStatus(self.status).phrase,
        }
        return msgspec.json.encode({"error": error})


def bad_request(message: str) -> Fault:
    """400: the request itself is wrong."""
    return Fault(400, message)


def unauthorized(message: str = "The request you have made requires authentication.") -> Fault:
    """401: who is asking is not known."""
    return Fault(401, message)


def forbidden(message: str = "You are not authorized to perform the requested action.") -> Fault:
    """403: who is asking is known and may not."""
    return Fault(403, message)


def not_found(what: str, name: str) -> Fault:
    """404: the thing named does not exist, or must look as if it did not."""
    return Fault(404, f"Could not find {what}: {name}.")


def conflict(message: str) -> Fault:
    """409: the thing's state forbids the change."""
    return Fault(409, message)
