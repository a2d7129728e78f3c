"""One identity service for each module of tests, on SQLite and again on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import ALL
from tests.identity_site import IdentitySite
from tests.postgres import PostgresServer


def address(request: pytest.FixtureRequest) -> str:
    """Where the database of a parametrised fixture is; "" is SQLite in the test's directory."""
    if request.param == "sqlite":
        return ""
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture(scope="module", params=ALL)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[IdentitySite]:
    """Shared by the tests of one module: each makes what it needs under names of its own."""
    directory: Path = tmp_path_factory.mktemp("identity")
    made = IdentitySite(directory, address(request))
    yield made
    made.close()


@pytest.fixture(params=ALL)
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[IdentitySite]:
    """For a test that moves the clock or breaks something."""
    made = IdentitySite(tmp_path, address(request))
    yield made
    made.close()
