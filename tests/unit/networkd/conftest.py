"""Networking services: one for each test, one on each database for what databases differ in, one for refusals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.network_site import NetworkSite


@pytest.fixture
def site(tmp_path: Path) -> Iterator[NetworkSite]:
    """A service with empty tables."""
    made = NetworkSite(tmp_path)
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NetworkSite]:
    """The same, on SQLite and again on PostgreSQL."""
    url = ""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").new_database()
    made = NetworkSite(tmp_path, url)
    yield made
    made.close()


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NetworkSite]:
    """One for a whole module, for requests that are refused and leave nothing behind."""
    made = NetworkSite(tmp_path_factory.mktemp("strict"))
    yield made
    made.close()
