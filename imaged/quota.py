"""Unified limits of the Image API: what a project has, and whether there is room for more. Pure but for the port.

Names and units are Glance's: `image_size_total` and `image_stage_total` in MiB, `image_count_total` and
`image_count_uploading` in pieces. A resource without a registered limit is not limited.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from core.api.fault import Fault

MIB = 1 << 20
SIZE, STAGED = "image_size_total", "image_stage_total"
COUNT, UPLOADING = "image_count_total", "image_count_uploading"
RESOURCES = (SIZE, STAGED, COUNT, UPLOADING)
STORED = frozenset({"active", "deactivated", "saving", "importing"})
UNDER_WAY = frozenset({"saving", "uploading", "importing"})


Given = Mapping[str, int]


class Limits(Protocol):
    """Where limits come from: the identity service."""

    async def of_project(self, project_id: str) -> Mapping[str, int]:
        """Limits of a project by resource; -1 is no limit."""
        ...


def usage(images: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """What a project's images amount to."""
    rows = list(images)
    size = sum(row["size"] or 0 for row in rows if row["status"] in STORED)
    staged = sum(row["size"] or 0 for row in rows if row["status"] == "uploading")
    return {
        SIZE: -(-size // MIB),
        STAGED: -(-staged // MIB),
        COUNT: len(rows),
        UPLOADING: sum(row["status"] in UNDER_WAY for row in rows),
    }


def check(limits: Mapping[str, int], used: Mapping[str, int], resource: str, more: int = 1) -> None:
    """Refuse what goes beyond a limit. Raises Fault 413."""
    limit = limits.get(resource, -1)
    if limit >= 0 and used[resource] + more > limit:
        raise Fault(
            413,
            f"Project is over its limit for {resource}: it has {used[resource]} and asks for {more} more,"
            f" of {limit}.",
        )
