"""docs/conformance-image.md lists what is served, operation by operation, with the rule that guards it."""

from __future__ import annotations

import re
from pathlib import Path

from core.api.route import OWN, PUBLIC
from tests.image_site import ImageSite

PAGE = Path(__file__).parents[3] / "docs" / "conformance-image.md"
ROW = re.compile(r"^\| `(?P<method>[A-Z]+) (?P<path>[^`]+)` \| (?P<rule>[^|]+) \|$", re.MULTILINE)
GUARDS = {PUBLIC: "nobody: public", OWN: "any valid token"}


def test_the_page_lists_every_operation_and_no_other(tmp_path: Path) -> None:
    """Compared with the routing table itself."""
    site = ImageSite(tmp_path)
    page = PAGE.read_text()
    listed = [(row["method"], row["path"], row["rule"]) for row in ROW.finditer(page)]
    served = [
        (route.method, route.path, GUARDS.get(route.rule, f"`{route.rule}`"))
        for route in site.app.table.routes
    ]
    known = site.library.policy.names
    site.close()
    assert sorted(listed) == sorted(served)
    assert f"{len(served)} operations" in page
    assert {rule.strip("`") for _, _, rule in listed} - {*GUARDS.values()} <= known
