"""Property protection: which roles may create, read, update and delete which properties of an image. Pure.

As Glance's property protections: rules in order, the first whose pattern fits the whole name decides; `@` lets
everybody, `!` nobody. With rules, a property that none of them names is nobody's; without rules all is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

EVERYBODY, NOBODY = "@", "!"
VERBS = ("create", "read", "update", "delete")


class PropertyRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A pattern of names (a regular expression), and the roles for each verb."""

    pattern: str
    create: tuple[str, ...] = (NOBODY,)
    read: tuple[str, ...] = (NOBODY,)
    update: tuple[str, ...] = (NOBODY,)
    delete: tuple[str, ...] = (NOBODY,)


def check_rules(rules: Iterable[PropertyRule]) -> None:
    """Refuse a pattern that is none. Raises ValueError."""
    for rule in rules:
        try:
            re.compile(rule.pattern)
        except re.error as error:
            raise ValueError(f"{rule.pattern!r} is no regular expression: {error}") from None


def may(rules: Sequence[PropertyRule], verb: str, name: str, roles: Iterable[str]) -> bool:
    """Whether somebody with these roles may do `verb` (one of VERBS) with a property."""
    if not rules:
        return True
    for rule in rules:
        if re.fullmatch(rule.pattern, name):
            allowed = getattr(rule, verb)
            return NOBODY not in allowed and (EVERYBODY in allowed or bool(set(allowed) & {*roles}))
    return False
