"""One image service for each test, on SQLite and again on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import USUAL
from tests.image_site import ImageSite


@pytest.fixture(params=USUAL)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ImageSite]:
    """A service with empty tables, on SQLite and again on PostgreSQL."""
    url = ""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").new_database()
    made = ImageSite(tmp_path, url)
    yield made
    made.close()
