"""Shapes of JSON bodies: what each attribute may be, checked strictly and told precisely. Pure.

A subset of JSON Schema with the meaning of JSON Schema: `"true"` is not a boolean, `1` is not a boolean, `True`
is not an integer. Lengths are characters. A refusal is Fault 400 and names the attribute.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.api.fault import bad_request

Check = Callable[[Any, str], None]
Attributes = Mapping[str, Check]

INTEGER_MAX = 2**63 - 1
ID_PATTERN = r"[a-zA-Z0-9-]+"


@dataclass(frozen=True, slots=True)
class Shape:
    """An object: its known attributes, those that must be there, and whether others may be."""

    attributes: Attributes
    required: Sequence[str] = ()
    more: bool = True
    least: int = 0  # attributes

    def __call__(self, value: Any, where: str) -> None:
        """Refuse a value that does not fit."""
        if not isinstance(value, dict):
            raise wrong(where, value, "is not of type 'object'")
        for name in self.required:
            if name not in value:
                raise bad_request(f"'{name}' is a required property of '{where}'")
        if len(value) < self.least:
            raise bad_request(f"'{where}' does not have enough properties")
        for name, item in value.items():
            check = self.attributes.get(name)
            if check is not None:
                check(item, f"{where}.{name}" if where else name)
            elif not self.more:
                raise bad_request(
                    f"Additional properties are not allowed ('{name}' was unexpected)"
                )


def wrong(where: str, value: Any, why: str) -> Exception:
    """The refusal of one value; long values are cut."""
    shown = repr(value)
    if len(shown) > 80:
        shown = shown[:77] + "..."
    return bad_request(f"Invalid input for field '{where}': {shown} {why}")


def text(least: int = 0, most: int | None = None, *, pattern: str | None = None) -> Check:
    """A string of `least` to `most` characters, matching all of `pattern`."""
    compiled = re.compile(pattern) if pattern else None

    def check(value: Any, where: str) -> None:
        if not isinstance(value, str):
            raise wrong(where, value, "is not of type 'string'")
        if len(value) < least:
            raise wrong(where, value, "is too short")
        if most is not None and len(value) > most:
            raise wrong(where, value, "is too long")
        if compiled is not None and not compiled.fullmatch(value):
            raise wrong(where, value, "does not match what is allowed")
        if "\0" in value:
            raise wrong(where, value, "holds a NUL character")

    return check


def boolean(value: Any, where: str) -> None:
    """True or False, and nothing that merely reads like it."""
    if not isinstance(value, bool):
        raise wrong(where, value, "is not of type 'boolean'")


def integer(least: int = -INTEGER_MAX, most: int = INTEGER_MAX) -> Check:
    """A whole number."""

    def check(value: Any, where: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong(where, value, "is not of type 'integer'")
        if not least <= value <= most:
            raise wrong(where, value, f"is not between {least} and {most}")

    return check


def choice(*values: str) -> Check:
    """One of some strings."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, str) or value not in values:
            raise wrong(where, value, f"is not one of {list(values)}")

    return check


def nullable(inner: Check) -> Check:
    """The same, or null."""

    def check(value: Any, where: str) -> None:
        if value is not None:
            inner(value, where)

    return check


def array(inner: Check, *, least: int = 0, most: int = 10_000, unique: bool = False) -> Check:
    """A list of values that fit."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, list):
            raise wrong(where, value, "is not of type 'array'")
        if not least <= len(value) <= most:
            raise wrong(where, value, f"does not have {least} to {most} items")
        for number, item in enumerate(value):
            inner(item, f"{where}[{number}]")
        if unique and len({repr(item) for item in value}) != len(value):
            raise wrong(where, value, "has non-unique elements")

    return check


def anything(value: Any, where: str) -> None:
    """Whatever JSON can say."""
    del value, where


def plain_object(value: Any, where: str) -> None:
    """Any object."""
    if not isinstance(value, dict):
        raise wrong(where, value, "is not of type 'object'")


NAME = text(1, 255, pattern=r"[\s\S]*\S[\s\S]*")
SHORT_NAME = text(1, 64, pattern=r"[\s\S]*\S[\s\S]*")
ID = text(1, 64, pattern=ID_PATTERN)
DESCRIPTION = text()
URL = text(0, 225, pattern=r"[a-zA-Z0-9+.-]+:[\s\S]+")
