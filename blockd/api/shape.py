"""Shapes that many bodies of the Block Storage API share. Pure.

Cinder takes several spellings of a boolean and numbers as text; so do these.
"""

from __future__ import annotations

import re
from typing import Any

from core.api.fault import bad_request
from core.api.shape import Check, Shape, anything, nullable, plain_object, text, wrong

UUID = re.compile(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
TRUE = frozenset({True, "1", "true", "True", "TRUE", "on", "ON", "t", "T", "yes", "YES", "y"})
FALSE = frozenset({False, "0", "false", "False", "FALSE", "off", "OFF", "f", "F", "no", "NO", "n"})
METADATA_MAX = 128

NAME = nullable(text(0, 255))
DESCRIPTION = nullable(text(0, 255))
FULL_NAME = text(1, 255, pattern=r"[\s\S]*\S[\s\S]*")
LONG_TEXT = nullable(text(0, 4096))


def uuid(value: Any, where: str) -> None:
    """A UUID, with dashes or without."""
    if not isinstance(value, str) or not UUID.fullmatch(value):
        raise wrong(where, value, "is not a 'uuid'")


def flag(value: Any, where: str) -> None:
    """A boolean in one of its spellings."""
    if isinstance(value, (bool, int, str)) and (value in TRUE or value in FALSE):
        return
    raise wrong(where, value, "is not a boolean")


def truth(value: Any) -> bool:
    """What a flag that fits says; missing is no."""
    return value in TRUE


def whole(least: int, most: int) -> Check:
    """A whole number, or one written as text."""

    def check(value: Any, where: str) -> None:
        number(value, where, least, most)

    return check


def number(value: Any, where: str, least: int, most: int) -> int:
    """Such a number. Raises Fault 400."""
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong(where, value, "is not an integer")
    if not least <= value <= most:
        raise wrong(where, value, f"is not between {least} and {most}")
    return value


def metadata(value: Any, where: str) -> None:
    """An object of short texts."""
    plain_object(value, where)
    if len(value) > METADATA_MAX:
        raise bad_request(f"'{where}' has more than {METADATA_MAX} items")
    for key, item in value.items():
        text(1, 255, pattern=r"[\s\S]*\S[\s\S]*")(key, f"{where} key")
        text(0, 255)(item, f"{where}.{key[:80]}")


def specs(value: Any, where: str) -> None:
    """Extra specs: keys of letters, digits and a few marks, values that are text or null."""
    plain_object(value, where)
    for key, item in value.items():
        text(1, 255, pattern=r"[A-Za-z0-9 :_.-]+")(key, f"{where} key")
        nullable(text(0, 255))(item, f"{where}.{key[:80]}")


def stripped(value: str | None) -> str | None:
    """A name without the blanks around it."""
    return value.strip() if isinstance(value, str) else None


def one(name: str, inner: Check) -> Shape:
    """A body with one key."""
    return Shape({name: inner}, [name], more=False)


# where a volume will be used; hosts add what they like
CONNECTOR = Shape({"host": nullable(text(0, 255)), "mountpoint": nullable(text(0, 255))})


def nothing(value: Any, where: str) -> None:
    """What stands under an action that takes no arguments: mostly null or {}."""
    anything(value, where)
