"""Tempest's `tempest.api.image` in full against a cloud of real processes.

It runs twice, because one part of it (lists of images of many formats) uploads noise under every format it is told of, which a
service that looks at bytes refuses: that part gets the formats whose bytes may be anything. What is skipped, and why, is in
docs/conformance-image.md; a test that fails, or is skipped and not listed, fails here.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from imaged.settings import FILE
from tests import disk_images, tempest_run
from tests.running_cloud import RunningCloud
from tests.web_server import WebServer

TEST_COUNT_MIN = 53
LIST_COUNT_MIN = 17
API = "tempest.api.image.v2."
LISTS = r"^tempest\.api\.image\.v2\.test_images\.ListUserImagesTest"
IMPORT = "test_images.ImportImagesTest"
LOCATION = "test_images.LocationImportTest"
SKIPPED = {
    "setUpClass (admin.test_image_caching.ImageCachingTest",
    "setUpClass (admin.test_images.ImageLocationsAdminTest",
    "setUpClass (admin.test_images.MultiStoresImagesTest",
    "setUpClass (test_images.HashCalculationRemoteDeletionTest",
    "setUpClass (test_images.ImageLocationsTest",
    "setUpClass (test_images.ListUserImagesTest",  # see the second run
    "setUpClass (test_images.MultiStoresImportImagesTest",
    "setUpClass (test_images.MultistoreLocationImportTest",
    "setUpClass (test_images.StoreWeightTest",
    "setUpClass (test_images_dependency.ImageDependencyTests",
    "setUpClass (test_images_formats.ImagesFormatTest",
    "admin.test_image_task.ImageTaskCreate.test_image_tasks_create",
    f"{IMPORT}.test_image_glance_download_import_bad_endpoint",
    f"{IMPORT}.test_image_glance_download_import_bad_missing_image",
    f"{IMPORT}.test_image_glance_download_import_bad_uuid",
    f"{IMPORT}.test_image_glance_download_import_success",
    f"{IMPORT}.test_remote_delete",
    f"{IMPORT}.test_remote_import",
    f"{LOCATION}.test_add_location_for_image_with_do_secure_hash_true",
    f"{LOCATION}.test_add_location_with_do_secure_hash_false",
}


@pytest.fixture(scope="module")
def web() -> Iterator[WebServer]:
    """Images to import."""
    server = WebServer()
    server.files["/tiny.raw"] = os.urandom(1 << 20)
    server.files["/tiny.qcow2"] = disk_images.qcow2()
    yield server
    server.close()


@pytest.fixture(scope="module")
def image_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    """A cloud that may fetch from the loopback."""
    data = tmp_path_factory.mktemp("tempest-image") / "data"
    (data / "policy").mkdir(parents=True)
    settings = {"download_allow": ["127.0.0.0/8"]}
    (data / "policy" / FILE).write_text(json.dumps(settings))
    running = RunningCloud(data)
    running.up()
    yield running
    running.end()


def configuration(
    cloud: RunningCloud, web: WebServer, workspace: Path, formats: str, *, enforced: bool
) -> str:
    """tempest.conf: images alone."""
    return tempest_run.configuration(
        cloud,
        workspace,
        "glance",
        image={
            "catalog_type": "image",
            "http_image": f"{web.url}/tiny.raw",
            "http_qcow2_image": f"{web.url}/tiny.qcow2",
            "container_formats": "bare,ami,ari,aki,ovf,ova",
            "disk_formats": formats,
            "hashing_algorithm": "sha512",
            "image_caching_enabled": False,
            "build_timeout": 60,
            "build_interval": 1,
        },
        image_feature_enabled={
            "api_v2": True,
            "import_image": True,
            "os_glance_reserved": True,
            "do_secure_hash": True,
            "image_format_enforcement": enforced,
            "manage_locations": False,
            "http_store_enabled": False,
            "image_conversion": False,
        },
    )


@pytest.mark.slow
def test_tempest_finds_the_image_api_as_documented(
    image_cloud: RunningCloud, web: WebServer, tmp_path: Path
) -> None:
    """All of tempest.api.image passes; only what needs other services, or stores that are not there, is skipped."""
    workspace = tmp_path / "workspace"
    formats = "qcow2,raw,ami,ari,aki,vhd,vmdk,vdi,iso,vhdx"
    text = configuration(image_cloud, web, workspace, formats, enforced=True)
    results, output = tempest_run.run(
        workspace, text, r"^tempest\.api\.image", concurrency=2, timeout_s=600
    )
    counts = Counter(results.values())
    sys.stdout.write(f"tempest.api.image: {dict(counts)}\n")
    assert counts["ok"] >= TEST_COUNT_MIN, output[-5000:]
    failed = {name for name, result in results.items() if result == "FAILED"}
    assert failed == set(), output[-20_000:]
    skipped = {name.replace(API, "") for name, result in results.items() if result == "SKIPPED"}
    assert skipped == SKIPPED


@pytest.mark.slow
def test_tempest_finds_images_in_lists(
    image_cloud: RunningCloud, web: WebServer, tmp_path: Path
) -> None:
    """The part that uploads noise, with the formats that noise can be."""
    workspace = tmp_path / "workspace"
    text = configuration(image_cloud, web, workspace, "raw,ami,ari,aki", enforced=False)
    results, output = tempest_run.run(workspace, text, LISTS, concurrency=1, timeout_s=300)
    assert Counter(results.values())["ok"] >= LIST_COUNT_MIN, output[-5000:]
    assert set(results.values()) == {"ok"}, output[-20_000:]
