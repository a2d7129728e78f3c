"""How limits of projects and of their domain depend on each other. Pure.

`flat`: not at all. `strict_two_level`: no project of a domain may have more than the domain (OpenStack Identity API,
"Unified limits").
"""

from __future__ import annotations

from collections.abc import Iterable

from core.api.fault import forbidden

DESCRIPTIONS = {
    "flat": "Limits of a project do not depend on those of any other project or domain.",
    "strict_two_level": (
        "The limit of a project may not exceed that of its domain, which is two levels in all; usage of"
        " the projects of a domain counts against the limit of the domain."
    ),
}
UNLIMITED = -1


def exceeds(limit: int, bound: int) -> bool:
    """Whether a limit is more than a bound; -1 is without end."""
    if bound == UNLIMITED:
        return False
    return limit == UNLIMITED or limit > bound


def check_project(model: str, limit: int, domain_limit: int) -> None:
    """Refuse a project's limit that its domain's does not cover. Raises Fault 403."""
    if model == "strict_two_level" and exceeds(limit, domain_limit):
        raise forbidden(
            f"Invalid resource limit: {limit} of the project is more than {domain_limit} of its domain."
        )


def check_domain(model: str, limit: int, project_limits: Iterable[int]) -> None:
    """Refuse a domain's limit that does not cover those of its projects. Raises Fault 403."""
    for one in project_limits:
        if model == "strict_two_level" and exceeds(one, limit):
            raise forbidden(
                f"Invalid resource limit: {limit} of the domain is less than {one} of a project in it."
            )
