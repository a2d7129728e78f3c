"""The `immutable` option of domains, projects and roles: what bears it neither changes nor goes."""

from __future__ import annotations

from typing import Any

from core.api.fault import forbidden
from core.api.shape import Shape, boolean, nullable
from core.rows import Row

OPTIONS = Shape({"immutable": nullable(boolean)}, more=False)


def check_update(kind: str, row: Row, changes: dict[str, Any]) -> None:
    """Refuse a change, unless all it does is to lift the option."""
    if row["options"].get("immutable") is not True:
        return
    lifts = set(changes) == {"options"} and changes["options"].get("immutable", True) is not True
    if not lifts:
        raise forbidden(f"The {kind} {row['id']} is immutable: set that option to false first.")


def check_delete(kind: str, row: Row) -> None:
    """Refuse removal."""
    if row["options"].get("immutable") is True:
        raise forbidden(f"The {kind} {row['id']} is immutable: set that option to false first.")


def merged(old: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Options after a change: null takes one away."""
    both = {**old, **changes}
    return {name: value for name, value in both.items() if value is not None}
