"""Choosing the form of an answer from `format=` and `Accept` (RFC 9110 section 12.5.1). Pure.

`format=` wins over `Accept`, and an unknown `format=` means plain text, as the API has always done.
Among what a client accepts, higher quality wins, then exact types over wildcards.
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.swift.errors import SwiftError

PLAIN = "text/plain"
JSON = "application/json"
XML = "application/xml"
TEXT_XML = "text/xml"
TYPES = (PLAIN, JSON, XML, TEXT_XML)
OF_FORMAT = {"plain": PLAIN, "json": JSON, "xml": XML}
_TOKEN_EXTRA = frozenset("!#$%&'*+-.^_`|~")


def _is_token(text: str) -> bool:
    return bool(text) and all((c.isascii() and c.isalnum()) or c in _TOKEN_EXTRA for c in text)


def _quality(parameters: list[str]) -> float:
    quality = None
    for parameter in parameters:
        name, equals, value = (part.strip() for part in parameter.partition("="))
        if not equals or not _is_token(name) or not value:
            raise ValueError(f"bad parameter {parameter!r}")
        if name == "q":
            if quality is not None:
                raise ValueError("two qualities")
            quality = float(value)
    return 1.0 if quality is None else quality


def _ranges(header: str) -> list[tuple[float, bool, str, str]]:
    """Media ranges, best first; raises ValueError on bad syntax."""
    ranges: list[tuple[float, bool, str, str]] = []
    for item in header.split(","):
        media, *parameters = item.split(";")
        main, slash, sub = media.strip().partition("/")
        if not slash or not _is_token(main) or not _is_token(sub):
            raise ValueError(f"bad media range {media!r}")
        exact = main != "*" and sub != "*"
        ranges.append((_quality([p for p in parameters if p.strip()]), exact, main, sub))
    ranges.sort(key=lambda r: r[:2], reverse=True)
    return ranges


def best(header: str | None, types: tuple[str, ...] = TYPES) -> str | None:
    """The first of `types` that the client likes best, None when it accepts none.

    Raises ValueError on a malformed header.
    """
    if not header or header == "*/*":
        return types[0]
    if header in types:
        return header
    for _, _, main, sub in _ranges(header):
        for candidate in types:
            known_main, _, known_sub = candidate.partition("/")
            if main in {"*", known_main} and sub in {"*", known_sub}:
                return candidate
    return None


def listing_type(params: Mapping[str, str], header: str | None) -> str:
    """Content type of a listing; SwiftError 400 on a malformed header, 406 when nothing fits."""
    wanted = params.get("format")
    if wanted:
        return OF_FORMAT.get(wanted.lower(), PLAIN)
    try:
        chosen = best(header)
    except ValueError:
        raise SwiftError(400, "Invalid Accept header", html=True) from None
    if chosen is None:
        raise SwiftError(406)
    return chosen


def report_type(header: str | None) -> str:
    """Content type of a bulk or manifest report: plain text unless the client can be pleased."""
    try:
        return best(header) or PLAIN
    except ValueError:
        return PLAIN
