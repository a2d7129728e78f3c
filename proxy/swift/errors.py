"""Swift's form of an error: a status, a short HTML page or one line of text, and few headers.

`SwiftError` is raised anywhere in the dialect, including in the store's `check` callbacks, and turned
into a response at the front. Errors of the store keep their own types and are translated by
`response_of` only. Plain status pages are built once.
"""

from __future__ import annotations

from core.errors import (
    Conflict,
    Full,
    NotFound,
    PreconditionFailed,
    Refused,
    RingstackError,
    Unavailable,
)
from core.http import REASONS, BodyTruncated, Headers, Response

HTML = ("Content-Type", "text/html; charset=UTF-8")
TEXT = ("Content-Type", "text/plain; charset=UTF-8")

EXPLANATIONS = {
    400: "The server could not comply with the request since it is either malformed or otherwise "
    "incorrect.",
    401: "This server could not verify that you are authorized to access the document you requested.",
    403: "Access was denied to this resource.",
    404: "The resource could not be found.",
    405: "The method is not allowed for this resource.",
    406: "The resource is not available in a format acceptable to your client.",
    409: "There was a conflict when trying to complete your request.",
    411: "Content-Length header required.",
    412: "A precondition for this request was not met.",
    413: "The body of your request was too large for this server.",
    416: "The Range requested is not available.",
    422: "Unable to process the contained instructions",
    500: "The server has erred or is incapable of performing the requested operation.",
    501: "The requested feature is not implemented by this server.",
    503: "The server is currently unavailable. Please try again at a later time.",
    507: "There was not enough space to save the resource.",
}
TITLES = {413: "Request Entity Too Large", 416: "Requested Range Not Satisfiable"}
STATUS_OF_CODE = {
    "NameTooLong": 400,
    "BadName": 412,
    "EntityTooLarge": 413,
    "NotImplemented": 501,
}


class SwiftError(Refused):
    """Ends a request with `status`; `text` is the body, or empty for the status's standard page."""

    def __init__(
        self, status: int, text: str = "", *, headers: Headers = (), html: bool = False
    ) -> None:
        super().__init__(f"Swift{status}", text or title(status))
        self.status = status
        self.text = text
        self.headers = headers
        self.html = html

    @property
    def response(self) -> Response:
        """The answer to send."""
        if not self.text:
            return status_page(self.status, self.headers)
        kind = HTML if self.html else TEXT
        return Response(self.status, [kind, *self.headers], self.text.encode())


def title(status: int) -> str:
    """Name of a status as Swift prints it."""
    return TITLES.get(status) or REASONS.get(status, "Status")


def status_line(status: int) -> str:
    """`404 Not Found`, as bulk answers quote it."""
    return f"{status} {title(status)}"


def explanation(status: int) -> str:
    """Title and explanation of a status as two lines, for the body of a report."""
    return f"{title(status)}\n{EXPLANATIONS.get(status, '')}"


def status_page(status: int, headers: Headers = ()) -> Response:
    """The standard page of a status."""
    body = f"<html><h1>{title(status)}</h1><p>{EXPLANATIONS.get(status, '')}</p></html>"
    return Response(status, [HTML, *headers], body.encode())


def status_of(error: RingstackError) -> int:
    """HTTP status that tells a Swift client what an error means."""
    if isinstance(error, SwiftError):
        return error.status
    if isinstance(error, NotFound):
        return 404
    if isinstance(error, Conflict):
        return 409
    if isinstance(error, PreconditionFailed):
        return 412
    if isinstance(error, BodyTruncated):
        return 400
    if isinstance(error, Refused):
        return STATUS_OF_CODE.get(error.code, 400)
    if isinstance(error, Full):
        return 507
    return 503 if isinstance(error, Unavailable) else 500


def response_of(error: RingstackError) -> Response:
    """Translate any error of ours into Swift's form."""
    if isinstance(error, SwiftError):
        return error.response
    status = status_of(error)
    if status in {400, 412} and isinstance(error, Refused):
        return Response(status, [TEXT], error.message.encode())
    headers = [("Retry-After", "1")] if status == 503 else []
    return status_page(status, headers)
