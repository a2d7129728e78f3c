"""Faults that fault tests put into real processes, and that nobody has otherwise."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from core.real import FAULTS_FILE, Faults, FaultsWanted, FaultyDisk


def wanted(path: Path, **disks: FaultyDisk) -> Faults:
    path.write_bytes(msgspec.json.encode(FaultsWanted(300.0, disks)))
    return Faults(str(path))


def test_a_disk_is_known_by_the_beginning_of_its_paths(tmp_path: Path) -> None:
    """Other disks are well."""
    faults = wanted(tmp_path / "f", **{"/srv/d1/": FaultyDisk(full=True)})
    with pytest.raises(OSError, match="fault test") as caught:
        faults.strike("/srv/d1/log/1.seg", writing=True)
    assert caught.value.errno == errno.ENOSPC
    faults.strike("/srv/d1/log/1.seg", writing=False)
    faults.strike("/srv/d2/log/1.seg", writing=True)
    assert faults.clock_skew_us() == 300_000_000


def test_a_broken_disk_fails_reads_too(tmp_path: Path) -> None:
    """With an input/output error."""
    faults = wanted(tmp_path / "f", **{"/srv": FaultyDisk(broken=True)})
    with pytest.raises(OSError, match="fault test") as caught:
        faults.strike("/srv/d1", writing=False)
    assert caught.value.errno == errno.EIO


@pytest.mark.parametrize("text", [None, b"", b"{", b'{"clock_skew_s": "x"}'])
def test_a_file_that_cannot_be_read_is_no_fault(tmp_path: Path, text: bytes | None) -> None:
    """A test that is half set up breaks nothing."""
    if text is not None:
        (tmp_path / "f").write_bytes(text)
    faults = Faults(str(tmp_path / "f"))
    assert faults.clock_skew_us() == 0
    assert faults.disk("/srv") is None


@pytest.mark.parametrize("skew_s", [0.0, 300.0, -300.0])
def test_a_process_takes_its_faults_from_the_environment(tmp_path: Path, skew_s: float) -> None:
    """And has none without."""
    path = tmp_path / "faults"
    path.write_bytes(msgspec.json.encode(FaultsWanted(skew_s)))
    code = (
        "import time; from core.real import RealEnv;"
        "print(round(RealEnv().wall_us() / 1e6 - time.time()))"
    )
    environment = {FAULTS_FILE: str(path)} if skew_s else {}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(sys.path), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout) == skew_s
