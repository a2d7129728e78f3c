"""Query strings of the Swift API: parameters, truth values and listing queries. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from core import limits
from proxy.store.record import ListQuery
from proxy.swift.errors import SwiftError

TRUE = frozenset({"true", "1", "yes", "on", "t", "y"})
EMPTY: Mapping[str, str] = {}


def _decode(text: str) -> str:
    text = text.replace("+", " ")
    if "%" not in text:
        return text
    return unquote_to_bytes(text).decode()


def parse_query(query: str) -> Mapping[str, str]:
    """Parameters by name, the last of a repeated one; raises SwiftError 400 on bad UTF-8."""
    if not query:
        return EMPTY
    params: dict[str, str] = {}
    for field in query.split("&"):
        raw_name, _, raw_value = field.partition("=")
        try:
            name = _decode(raw_name)
        except UnicodeDecodeError:
            continue
        try:
            value = _decode(raw_value)
        except UnicodeDecodeError:
            raise SwiftError(400, f'"{name}" parameter not valid UTF-8') from None
        if name:
            params[name] = value
    return params


def is_true(value: str | None) -> bool:
    """Swift's idea of a true value: true, 1, yes, on, t, y in any case."""
    return value is not None and value.lower() in TRUE


def listing_limit(params: Mapping[str, str]) -> int:
    """`limit` of a listing; SwiftError 412 beyond the maximum, the maximum when absent or odd."""
    text = params.get("limit", "")
    if not (text.isascii() and text.isdigit()):
        return limits.LISTING_LIMIT_MAX
    if len(text) > 9 or int(text) > limits.LISTING_LIMIT_MAX:
        raise SwiftError(412, f"Maximum limit is {limits.LISTING_LIMIT_MAX}", html=True)
    return int(text)


def list_query(params: Mapping[str, str]) -> ListQuery:
    """The listing that GET on an account or container asks for."""
    if not params:
        return ListQuery(limit=limits.LISTING_LIMIT_MAX)
    return ListQuery(
        prefix=params.get("prefix", ""),
        delimiter=params.get("delimiter", ""),
        marker=params.get("marker", ""),
        end_marker=params.get("end_marker", ""),
        limit=listing_limit(params),
        reverse=is_true(params.get("reverse")),
    )
