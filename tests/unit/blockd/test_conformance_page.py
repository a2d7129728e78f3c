"""docs/conformance-block.md lists what is served, operation by operation, with its version and the rule that guards it."""

from __future__ import annotations

import re
from pathlib import Path

from core.api.action import Action, Actions
from core.api.microversion import version_text
from core.api.route import OWN, PUBLIC, Route
from tests.block_site import BlockSite

PAGE = Path(__file__).parents[3] / "docs" / "conformance-block.md"
ROW = re.compile(
    r"^\| `(?P<operation>[A-Z]+ /[^`]*)` \| (?P<since>3\.\d+) \| (?P<rule>[^|]+) \|$", re.MULTILINE
)
GUARDS = {PUBLIC: "nobody: public", OWN: "any valid token"}


def row_of(route: Route | Action, operation: str) -> tuple[str, str, str]:
    """What the page says of one."""
    since = version_text(max(route.since, (3, 0)))
    return operation, since, GUARDS.get(route.rule, f"`{route.rule}`")


def served(site: BlockSite) -> list[tuple[str, str, str]]:
    """Every operation once, actions by their names."""
    found = []
    for route in site.app.table.routes:
        if "{project_id}" in route.path:
            continue  # each has that second address
        operation = f"{route.method} {route.path}"
        inner = getattr(getattr(route.handler, "__wrapped__", None), "__self__", None)
        if isinstance(inner, Actions):
            found += [row_of(one, f"{operation} {one.name}") for one in inner.actions.values()]
        else:
            found.append(row_of(route, operation))
    return sorted(found)


def test_the_page_lists_every_operation_and_no_other(site: BlockSite) -> None:
    """Compared with the routing table itself."""
    page = PAGE.read_text()
    listed = [(row["operation"], row["since"], row["rule"]) for row in ROW.finditer(page)]
    expected = served(site)
    assert sorted(listed) == expected
    assert f"{len(expected)} operations" in page
