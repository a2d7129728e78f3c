"""What docs/block-storage.md tells people to type works, in its order."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.running_cloud import BIN, RunningCloud

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.slow
def test_the_page_about_block_storage_is_true(cloud: RunningCloud, tmp_path: Path) -> None:
    """Every command of the page succeeds; the page is one session of a shell."""
    blocks = BLOCK.findall((ROOT / "docs" / "block-storage.md").read_text())
    assert len(blocks) > 8
    wrapper = tmp_path / "bin" / "ringstack"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec {BIN}/ringstack "$@" --data {cloud.data}\n')
    wrapper.chmod(0o755)
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", "\n".join(blocks)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": f"{wrapper.parent}:{BIN}:{os.environ['PATH']}"},
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
