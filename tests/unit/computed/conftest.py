"""One compute service for each test of the module's databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compute_site import ComputeSite


@pytest.fixture(params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ComputeSite]:
    """A service with two hosts, on SQLite and again on PostgreSQL."""
    url = ""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").new_database()
    made = ComputeSite(tmp_path, url)
    yield made
    made.close()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[ComputeSite]:
    """The same on SQLite alone, for what does not depend on the database."""
    made = ComputeSite(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComputeSite]:
    """One for all tests of a module that leave nothing behind."""
    made = ComputeSite(tmp_path_factory.mktemp("compute"))
    yield made
    made.close()
