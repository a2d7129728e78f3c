"""One running cloud and one real tree of files for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running_cloud import RunningCloud, make_tree


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    """A cloud that is up for the whole session."""
    running = RunningCloud(tmp_path_factory.mktemp("cloud") / "data")
    running.up()
    yield running
    running.end()


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """5,000 real files, 150 MB."""
    root = tmp_path_factory.mktemp("tree")
    make_tree(root, files_min=5000, bytes_min=150_000_000)
    return root
