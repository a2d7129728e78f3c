"""Tempest's `tempest.api.volume` against a cloud of real processes: all that needs no compute service.

What is skipped, and why, is in docs/conformance-block.md; a test that fails, or is skipped and not listed, fails here.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import tempest_run
from tests.running_cloud import RunningCloud

TEST_COUNT_MIN = 180
API = "tempest.api.volume."
# classes and tests that skip themselves: they want servers or networks, or several backends
SKIPPED = {
    "setUpClass (admin.test_encrypted_volumes_extend.EncryptedVolumesExtendAttachedTest",
    "setUpClass (admin.test_multi_backend.VolumeMultiBackendTest",
    "setUpClass (admin.test_snapshot_manage.SnapshotManageAdminTest",
    "setUpClass (admin.test_volume_retype.VolumeRetypeMultiattachTest",
    "setUpClass (admin.test_volume_retype.VolumeRetypeWithMigrationTest",
    "setUpClass (admin.test_volumes_actions.VolumesActionsTest",
    "setUpClass (test_volumes_actions.VolumesActionsTest",
    "setUpClass (test_volumes_backup.VolumesBackupsTest",
    "setUpClass (test_volumes_extend.VolumesExtendAttachedTest",
    "setUpClass (test_volumes_snapshots.VolumesSnapshotTestJSON",
    "test_volumes_negative.VolumesNegativeTest.test_attach_volumes_with_nonexistent_volume_id",
}


@pytest.fixture(scope="module")
def block_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    """A cloud for this alone: its tests change default quotas."""
    running = RunningCloud(tmp_path_factory.mktemp("tempest-volume") / "data")
    running.up()
    yield running
    running.end()


def image(cloud: RunningCloud, name: str) -> str:
    """The id of a new public raw image."""
    path = cloud.data.parent / f"{name}.raw"
    path.write_bytes(os.urandom(1 << 20))
    made = cloud.run(
        *("openstack", "image", "create", "--disk-format", "raw", "--container-format", "bare"),
        *("--public", "--file", path, name, "-f", "value", "-c", "id"),
    )
    return made.stdout.strip()


def configuration(cloud: RunningCloud, workspace: Path) -> str:
    """tempest.conf: no compute service, no networks."""
    return tempest_run.configuration(
        cloud,
        workspace,
        *("swift", "glance", "cinder"),
        volume={
            "catalog_type": "block-storage",
            "build_timeout": 120,
            "build_interval": 1,
            "volume_size": 1,
            "storage_protocol": "nbd",
            "vendor_name": "Ringstack",
            "disk_format": "raw",
            "min_microversion": "3.0",
            "max_microversion": "latest",
            "backup_driver": "swift",
            "manage_volume_ref": "source-name,%s",
            "manage_snapshot_ref": "source-name,%s",
        },
        volume_feature_enabled={
            "backup": True,
            "snapshot": True,
            "clone": True,
            "extend_volume_with_snapshot": True,
            "multi_backend": False,
            "manage_volume": True,
            "manage_snapshot": True,
            "volume_revert": True,
        },
        compute={"image_ref": image(cloud, "one"), "image_ref_alt": image(cloud, "two")},
    )


@pytest.mark.slow
def test_tempest_finds_the_block_storage_api_as_documented(
    block_cloud: RunningCloud, tmp_path: Path
) -> None:
    """All of tempest.api.volume passes; only what needs other services is skipped."""
    workspace = tmp_path / "workspace"
    results, output = tempest_run.run(
        workspace,
        configuration(block_cloud, workspace),
        r"^tempest\.api\.volume",
        concurrency=4,
        timeout_s=1200,
    )
    counts = Counter(results.values())
    sys.stdout.write(f"tempest.api.volume: {dict(counts)}\n")
    assert counts["ok"] >= TEST_COUNT_MIN, output[-5000:]
    failed = {name for name, result in results.items() if result == "FAILED"}
    assert failed == set(), output[-20_000:]
    skipped = {name.replace(API, "") for name, result in results.items() if result == "SKIPPED"}
    assert skipped == SKIPPED
