"""Pages whose commands are run, from the first to the last, in a cloud that no other test uses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import nbd_tools
from tests.doc_page import run_page
from tests.running_cloud import RunningCloud

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    """A cloud for readers of the pages: they make identity providers, domains and keys of their own."""
    running = RunningCloud(tmp_path_factory.mktemp("pages") / "data")
    running.up()
    yield running
    running.end()


@pytest.mark.parametrize(
    ("page", "blocks"),
    [("identity.md", 8), ("block-storage.md", 8), ("images.md", 6), ("networks.md", 6)],
)
def test_a_page_is_true(page: str, blocks: int, fresh: RunningCloud, tmp_path: Path) -> None:
    """Every command of it succeeds."""
    nbd_tools.install("qemu-img")
    run_page(page, fresh, tmp_path, more_blocks_than=blocks)
