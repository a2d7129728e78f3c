"""Shapes that many bodies of the Compute API share. Pure.

Nova takes several spellings of a boolean and numbers as text; so do these.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from typing import Any

from core.api.fault import bad_request
from core.api.shape import Check, Shape, nullable, plain_object, text, wrong

UUID = re.compile(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
TRUE = frozenset(
    {True, "1", "true", "True", "TRUE", "on", "ON", "On", "yes", "YES", "Yes", "t", "y"}
)
FALSE = frozenset(
    {False, "0", "false", "False", "FALSE", "off", "OFF", "Off", "no", "NO", "No", "f", "n"}
)
INT_MAX = 0x7FFFFFFF
PRINTABLE = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]*")
KEY = r"[a-zA-Z0-9-_:. ]{1,255}"
TAG_CHARS = 60


def uuid(value: Any, where: str) -> None:
    """A UUID, with dashes or without."""
    if not isinstance(value, str) or not UUID.fullmatch(value):
        raise wrong(where, value, "is not a 'uuid'")


def flag(value: Any, where: str) -> None:
    """A boolean in one of its spellings."""
    if isinstance(value, (bool, str)) and (value in TRUE or value in FALSE):
        return
    raise wrong(where, value, "is not a boolean")


def truth(value: Any) -> bool:
    """What a flag that fits says; missing is no."""
    return value in TRUE


def whole(least: int, most: int = INT_MAX) -> Check:
    """A whole number, or one written as text."""

    def check(value: Any, where: str) -> None:
        number(value, where, least, most)

    return check


def number(value: Any, where: str, least: int, most: int = INT_MAX) -> int:
    """Such a number. Raises Fault 400."""
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong(where, value, "is not an integer")
    if not least <= value <= most:
        raise wrong(where, value, f"is not between {least} and {most}")
    return value


def name(value: Any, where: str) -> None:
    """A name: 1 to 255 characters that can be printed, and not blank."""
    text(1, 255)(value, where)
    if not PRINTABLE.fullmatch(value) or not value.strip():
        raise wrong(where, value, "does not match what is allowed")


def edged_name(value: Any, where: str) -> None:
    """Such a name without blanks at its ends."""
    name(value, where)
    if value != value.strip():
        raise wrong(where, value, "has blanks at its ends")


def described(value: Any, where: str) -> None:
    """A description: up to 255 characters that can be printed."""
    text(0, 255)(value, where)
    if not PRINTABLE.fullmatch(value):
        raise wrong(where, value, "does not match what is allowed")


def metadata(value: Any, where: str) -> None:
    """An object of short texts."""
    plain_object(value, where)
    for key, item in value.items():
        text(1, 255, pattern=KEY)(key, f"{where} key")
        text(0, 255)(item, f"{where}.{key[:80]}")


def aggregate_metadata(value: Any, where: str) -> None:
    """The same, where null removes a key."""
    plain_object(value, where)
    for key, item in value.items():
        text(1, 255, pattern=KEY)(key, f"{where} key")
        nullable(text(0, 255))(item, f"{where}.{key[:80]}")


def address(version: int) -> Check:
    """An IP address of a version."""

    def check(value: Any, where: str) -> None:
        text(0, 64)(value, where)
        if value == "":
            return
        try:
            fits = ipaddress.ip_address(value).version == version
        except ValueError:
            fits = False
        if not fits:
            raise wrong(where, value, f"is not a 'ipv{version}'")

    return check


def any_address(value: Any, where: str) -> None:
    """An IP address."""
    text(1, 64)(value, where)
    try:
        ipaddress.ip_address(value)
    except ValueError:
        raise wrong(where, value, "is not an IP address") from None


def base64_text(most: int) -> Check:
    """Base64 of at most so many characters."""

    def check(value: Any, where: str) -> None:
        text(0, most)(value, where)
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise wrong(where, value, "is not a 'base64'") from None

    return check


def one(key: str, inner: Check) -> Shape:
    """A body with one key."""
    return Shape({key: inner}, [key], more=False)


def tag(value: Any, where: str) -> None:
    """A tag: up to 60 characters without slash and comma."""
    text(1, TAG_CHARS, pattern=r"[^,/]*")(value, where)


def empty(value: Any, where: str) -> None:
    """What stands under an action that takes no arguments: null, mostly; some clients send more."""
    if value is not None and not isinstance(value, (dict, str)):
        raise bad_request(f"Invalid input for field '{where}'")


def null(value: Any, where: str) -> None:
    """Nothing but null."""
    if value is not None:
        raise wrong(where, value, "is not of type 'null'")
