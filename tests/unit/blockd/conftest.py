"""One Block Storage service for each test of the module's databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.block_site import BlockSite
from tests.databases import USUAL


@pytest.fixture(params=USUAL)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BlockSite]:
    """A service with empty tables, on SQLite and again on PostgreSQL."""
    url = ""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").new_database()
    made = BlockSite(tmp_path, url)
    yield made
    made.close()
