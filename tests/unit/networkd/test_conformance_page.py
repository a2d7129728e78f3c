"""docs/conformance-network.md lists what is served, operation by operation, and every extension."""

from __future__ import annotations

import re
from pathlib import Path

from core.api.route import OWN, PUBLIC
from networkd.extensions import EXTENSIONS
from tests.network_site import NetworkSite

PAGE = Path(__file__).parents[3] / "docs" / "conformance-network.md"
ROW = re.compile(r"^\| `(?P<operation>[A-Z]+ /[^`]*)` \| (?P<rule>[^|]+) \|$", re.MULTILINE)
GUARDS = {PUBLIC: "nobody: public", OWN: "any valid token"}


def served(site: NetworkSite) -> list[tuple[str, str]]:
    """Every operation with what guards it."""
    return sorted(
        (f"{route.method} {route.path}", GUARDS.get(route.rule, f"`{route.rule}`"))
        for route in site.app.table.routes
    )


def test_the_page_lists_every_operation_and_no_other(strict: NetworkSite) -> None:
    """Compared with the routing table itself."""
    page = PAGE.read_text()
    listed = [(row["operation"], row["rule"]) for row in ROW.finditer(page)]
    expected = served(strict)
    assert sorted(listed) == expected
    assert f"{len(expected)} operations" in page


def test_the_page_lists_every_extension(strict: NetworkSite) -> None:
    """By alias, in order."""
    page = PAGE.read_text()
    listed = page.partition("## Extensions")[2].partition("## ")[0]
    assert re.findall(r"`([a-z0-9_-]+)`", listed) == sorted(EXTENSIONS)
    assert f"{len(EXTENSIONS)} extensions" in page
