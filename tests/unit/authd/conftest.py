"""One identity service for each module of tests, on SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.identity_site import IdentitySite


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentitySite]:
    """Shared by the tests of one module: each makes what it needs under names of its own."""
    directory: Path = tmp_path_factory.mktemp("identity")
    made = IdentitySite(directory)
    yield made
    made.close()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[IdentitySite]:
    """For a test that moves the clock or breaks something."""
    made = IdentitySite(tmp_path)
    yield made
    made.close()
