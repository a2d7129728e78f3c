"""docs/conformance-identity.md lists what is served, operation by operation, with the rule that guards it."""

from __future__ import annotations

import re
from pathlib import Path

from core.api.route import OWN, PUBLIC
from tests.identity_site import IdentitySite

PAGE = Path(__file__).parents[3] / "docs" / "conformance-identity.md"
ROW = re.compile(r"^\| `(?P<method>[A-Z]+) (?P<path>[^`]+)` \| (?P<rule>[^|]+) \|$", re.MULTILINE)
GUARDS = {PUBLIC: "nobody: public", OWN: "any valid token"}


def test_the_page_lists_every_operation_and_no_other(site: IdentitySite) -> None:
    """Compared with the routing table itself."""
    page = PAGE.read_text()
    listed = [(row["method"], row["path"], row["rule"]) for row in ROW.finditer(page)]
    served = [
        (route.method, route.path, GUARDS.get(route.rule, f"`{route.rule}`"))
        for route in site.app.table.routes
    ]
    assert sorted(listed) == sorted(served)
    assert f"{len(served)} operations" in page
