"""A page of docs/ as one session of a shell: what it tells people to type works, in its order."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from tests.running_cloud import BIN, RunningCloud

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def run_page(name: str, cloud: RunningCloud, directory: Path, *, more_blocks_than: int) -> None:
    """Every command of the page succeeds, with `ringstack` meaning this cloud."""
    blocks = BLOCK.findall((DOCS / name).read_text())
    assert len(blocks) > more_blocks_than
    wrapper = directory / "bin" / "ringstack"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec {BIN}/ringstack "$@" --data {cloud.data}\n')
    wrapper.chmod(0o755)
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", "\n".join(blocks)],
        capture_output=True,
        text=True,
        check=False,
        cwd=directory,
        env={"HOME": str(directory), "PATH": f"{wrapper.parent}:{BIN}:{os.environ['PATH']}"},
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
