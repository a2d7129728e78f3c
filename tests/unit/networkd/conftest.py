"""One Networking service for each test, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.network_site import NetworkSite

DATABASES = ["sqlite", "postgresql"]


@pytest.fixture(params=DATABASES)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NetworkSite]:
    """A service with empty tables, on SQLite and again on PostgreSQL."""
    url = ""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").new_database()
    made = NetworkSite(tmp_path, url)
    yield made
    made.close()
