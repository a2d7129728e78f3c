"""Bodies of requests that the kit's shapes do not cover: JSON of any kind, decoded strictly."""

from __future__ import annotations

from typing import Any

import msgspec

from core.api.call import Call
from core.api.fault import bad_request


def decoded(call: Call) -> Any:
    """Whatever JSON the body is. Raises Fault 400."""
    if not call.raw:
        raise bad_request("Body expected in request.")
    try:
        return msgspec.json.decode(call.raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise bad_request("Malformed JSON in request body.") from None


def json_object(call: Call) -> dict[str, Any]:
    """The body when it is an object. Raises Fault 400."""
    body = decoded(call)
    if not isinstance(body, dict):
        raise bad_request("Expected a JSON object in the request body.")
    return body


def kind(call: Call) -> str:
    """The media type of the body, without parameters."""
    return (call.request.header("content-type") or "").partition(";")[0].strip().lower()
