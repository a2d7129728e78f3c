"""Changes to an image as a client sends them, in either of the API's two forms of JSON patch. Pure.

`application/openstack-images-v2.1-json-patch` is RFC 6902 with the operations add, remove and replace;
`…-v2.0-json-patch` names the operation by its key (`{"replace": "/name", "value": …}`). A pointer (RFC 6901) names one
attribute. Raises Fault 400, 403 or 415.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from core.api.fault import Fault, bad_request
from imaged.attributes import check_name, check_value

OLD, NEW = (f"application/openstack-images-v2.{minor}-json-patch" for minor in "01")
KINDS = (OLD, NEW)
OPERATIONS = ("add", "remove", "replace")
CHANGE_COUNT_MAX = 1000


class Change(NamedTuple):
    """One operation on one attribute; `fresh_only`: adding refuses what is there (the old form)."""

    operation: str
    name: str
    value: Any = None
    fresh_only: bool = False
    place: str = ""  # in `locations`


def parse(content_type: str, body: Any) -> list[Change]:
    """All changes of a request, checked."""
    if content_type not in KINDS:
        allowed = ", ".join(KINDS)
        raise Fault(
            415,
            f"Image PATCH expects Content-Type one of: {allowed}",
            headers=(("Accept-Patch", allowed),),
        )
    if not isinstance(body, list):
        raise bad_request("Request body must be a JSON array of operation objects.")
    if len(body) > CHANGE_COUNT_MAX:
        raise bad_request("There are too many operations.")
    return [_change(one, old=content_type == OLD) for one in body]


def _change(raw: Any, *, old: bool) -> Change:
    if not isinstance(raw, dict):
        raise bad_request("Operations must be JSON objects.")
    operation, pointer = _old_operation(raw) if old else _operation(raw)
    if not isinstance(pointer, str):
        raise bad_request("A pointer must be a string.")
    name, place = _attribute(operation, pointer)
    if name != "locations":
        check_name(name)
    if operation == "remove":
        return Change(operation, name, place=place)
    if "value" not in raw:
        raise bad_request(f'Operation "{operation}" requires a member named "value".')
    if name != "locations":
        check_value(name, raw["value"])
    return Change(operation, name, raw["value"], old, place)


def _operation(raw: dict[str, Any]) -> tuple[str, Any]:
    operation = raw.get("op")
    if operation not in OPERATIONS:
        raise bad_request(
            f"Invalid operation: `{str(operation)[:80]}`. It must be one of the following: "
            f"{', '.join(OPERATIONS)}."
        )
    if "path" not in raw:
        raise bad_request("Unable to find 'path' in JSON Schema change")
    return str(operation), raw["path"]


def _old_operation(raw: dict[str, Any]) -> tuple[str, Any]:
    found = [name for name in OPERATIONS if name in raw]
    if len(found) != 1:
        raise bad_request(
            'Operation objects must contain exactly one member named "add", "remove", or "replace".'
        )
    return found[0], raw[found[0]]


def _attribute(operation: str, pointer: str) -> tuple[str, str]:
    path = pointed(pointer)
    depth = 2 if path[0] == "locations" and operation != "replace" else 1
    if len(path) != depth:
        raise bad_request(f"Invalid JSON pointer for this resource: '{pointer[:80]}'")
    return path[0], path[1] if depth == 2 else ""


def pointed(pointer: str) -> list[str]:
    """The steps of a JSON pointer, unescaped; never empty."""
    shown = pointer[:80]
    if not pointer.startswith("/"):
        raise bad_request(f'Pointer `{shown}` does not start with "/".')
    if re.search(r"/\s*/", pointer[1:]):
        raise bad_request(f'Pointer `{shown}` contains adjacent "/".')
    if pointer.endswith("/"):
        raise bad_request(f'Pointer `{shown}` end with "/".')
    if re.search(r"~(?![01])", pointer):
        raise bad_request(
            f'Pointer `{shown}` contains "~" not part of a recognized escape sequence.'
        )
    return [part.replace("~1", "/").replace("~0", "~").strip() for part in pointer[1:].split("/")]
