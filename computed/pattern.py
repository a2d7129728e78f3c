r"""Patterns of list filters: the regular expressions that names and addresses are filtered by, in linear time. Pure.

Characters, `.`, classes (`[a-z0-9]`, `\d`, `\w`, `\s`), `*`, `+`, `?` and the anchors; neither groups nor alternatives. All states are
followed at once, so no pattern is slow, whoever wrote it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from core.api.fault import bad_request

PATTERN_CHARS = 255
Fits = Callable[[str], bool]
CLASSES: dict[str, Fits] = {
    "d": lambda char: char.isdigit(),
    "w": lambda char: char.isalnum() or char == "_",
    "s": lambda char: char.isspace(),
}


class _Atom(NamedTuple):
    fits: Fits
    least: int
    many: bool


class Pattern:
    """A compiled pattern. Raises Fault 400 for one that cannot be read."""

    def __init__(self, text: str) -> None:
        if len(text) > PATTERN_CHARS:
            raise bad_request("The pattern is too long.")
        self._from_start = text.startswith("^")
        self._to_end = text.endswith("$") and not text.endswith("\\$")
        inner = text[1 if self._from_start else 0 : -1 if self._to_end else None]
        self._atoms = _parse(inner)

    def found_in(self, text: str) -> bool:
        """Whether it matches somewhere in a text (where anchors do not say more)."""
        last = len(self._atoms)
        live = self._reach({0})
        for char in text:
            if last in live and not self._to_end:
                return True
            following: set[int] = set()
            for at in live:
                if at < last and self._atoms[at].fits(char):
                    following.add(at + 1)
                    if self._atoms[at].many:
                        following.add(at)
            live = self._reach(following | (set() if self._from_start else {0}))
        return last in live

    def _reach(self, states: set[int]) -> set[int]:
        """States with those that need no character more. A repeated atom is left once it has had its least."""
        found: set[int] = set()
        waiting = sorted(states)
        while waiting:
            at = waiting.pop()
            if at in found:
                continue
            found.add(at)
            if at < len(self._atoms) and self._atoms[at].least == 0:
                waiting.append(at + 1)
        return found


def _parse(text: str) -> list[_Atom]:
    atoms: list[_Atom] = []
    at = 0
    while at < len(text):
        fits, at = _one(text, at)
        quantifier = text[at] if at < len(text) and text[at] in "*+?" else ""
        at += len(quantifier)
        if quantifier == "+":  # x+ is x x*
            atoms.append(_Atom(fits, 1, many=False))
        atoms.append(
            _Atom(fits, 0 if quantifier else 1, many=quantifier in {"*", "+"} and quantifier != "")
        )
    return atoms


def _one(text: str, at: int) -> tuple[Fits, int]:
    char = text[at]
    if char == "\\":
        if at + 1 >= len(text):
            raise bad_request("The pattern ends with a backslash.")
        escaped = text[at + 1]
        return CLASSES.get(escaped, _same(escaped)), at + 2
    if char == ".":
        return (lambda _: True), at + 1
    if char == "[":
        return _class(text, at + 1)
    if char in "()|{}*+?":
        raise bad_request(f"'{char}' is not allowed there in a pattern.")
    return _same(char), at + 1


def _same(wanted: str) -> Fits:
    return lambda char: char == wanted


def _class(text: str, at: int) -> tuple[Fits, int]:
    end = text.find("]", at + 1)
    if end < 0:
        raise bad_request("A class of the pattern does not end.")
    inside = text[at:end]
    negated = inside.startswith("^")
    chars, ranges = _members(inside.removeprefix("^"))

    def fits(char: str) -> bool:
        return negated != (char in chars or any(low <= char <= high for low, high in ranges))

    return fits, end + 1


def _members(inside: str) -> tuple[set[str], list[tuple[str, str]]]:
    chars: set[str] = set()
    ranges: list[tuple[str, str]] = []
    at = 0
    while at < len(inside):
        if at + 2 < len(inside) and inside[at + 1] == "-":
            ranges.append((inside[at], inside[at + 2]))
            at += 3
        else:
            chars.add(inside[at])
            at += 1
    return chars, ranges
