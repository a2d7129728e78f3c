"""Imports from the web, conversion to the form that volumes begin from, and the tasks that tell of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import disk_images as made
from tests.image_site import MIB, PROJECTS, ImageSite
from tests.web_server import WebServer


@pytest.fixture
def web() -> Iterator[WebServer]:
    server = WebServer()
    yield server
    server.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[ImageSite]:
    """A service that may fetch from the loopback."""
    site = ImageSite(tmp_path, settings={"download_allow": ["127.0.0.0/8"]})
    yield site
    site.close()


@pytest.mark.parametrize("manner", ["plain", "chunked", "endless", "redirected"])
def test_an_image_comes_from_the_web(site: ImageSite, web: WebServer, manner: str) -> None:
    """However its end is told, and through redirects."""
    data = bytes(range(256)) * 20_000
    web.files["/image"] = data
    if manner in {"chunked", "endless"}:
        getattr(web, manner).add("/image")
    web.redirects["/go"] = "/on"
    web.redirects["/on"] = f"{web.url}/image?x=1"
    image = site.fetch(web.url + ("/go" if manner == "redirected" else "/image"))
    assert (image["status"], image["size"]) == ("active", len(data))
    assert image["os_hash_value"] == hashlib.sha512(data).hexdigest()
    assert image["os_glance_importing_to_stores"] == image["os_glance_failed_import"] == ""
    assert site.call("GET", f"/v2/images/{image['id']}/file").raw == data


@pytest.mark.parametrize(
    ("path", "reason"),
    [("/missing", "404"), ("/short", "too early"), ("/circle", "redirects"), ("/odd", "http")],
)
def test_a_download_that_fails_leaves_a_queued_image(
    site: ImageSite, web: WebServer, path: str, reason: str
) -> None:
    """The task says why, and nothing of the bytes stays."""
    web.files["/short"] = bytes(MIB)
    web.short.add("/short")
    web.redirects["/circle"] = "/circle"
    web.redirects["/odd"] = "gopher://127.0.0.1/"
    image = site.fetch(web.url + path)
    assert (image["status"], image["size"]) == ("queued", None)
    assert image["os_glance_failed_import"] == "ringstack"
    task = site.call("GET", f"/v2/images/{image['id']}/tasks").body["tasks"][0]
    assert task["status"] == "failure"
    assert reason in task["message"]
    assert not site.volumes._volumes  # type: ignore[attr-defined]


def test_a_host_that_is_nowhere_fails_the_import(site: ImageSite) -> None:
    """In the task, because names are looked up late."""
    image = site.fetch("http://does-not.invalid/image")
    assert image["os_glance_failed_import"] == "ringstack"


def test_a_task_makes_an_image(site: ImageSite, web: WebServer) -> None:
    """The older API: administrators only; the image belongs to their project."""
    web.files["/disk"] = made.qcow2()
    given = {
        "import_from": f"{web.url}/disk",
        "import_from_format": "qcow2",
        "image_properties": {"name": "made", "os_distro": "debian"},
    }
    body = {"type": "import", "input": given}
    assert site.call("POST", "/v2/tasks", body).status == 403
    made_task = site.call("POST", "/v2/tasks", body, who="admin")
    assert (made_task.status, made_task.body["status"]) == (201, "pending")
    site.settle()
    task = site.call("GET", f"/v2/tasks/{made_task.body['id']}", who="admin").body
    assert task["status"] == "success", task
    image = site.show(task["result"]["image_id"], who="admin")
    assert (image["name"], image["disk_format"], image["status"]) == ("made", "qcow2", "active")
    assert (image["owner"], image["os_distro"]) == (PROJECTS["admin"], "debian")
    listed = site.call("GET", "/v2/tasks?status=success", who="admin").body["tasks"]
    assert [row["id"] for row in listed] == [task["id"]]
    assert site.call("DELETE", f"/v2/tasks/{task['id']}", who="admin").status == 405
    given["import_from"] = f"{web.url}/missing"
    failing = site.call("POST", "/v2/tasks", body, who="admin").body["id"]
    site.settle()
    failed = site.call("GET", f"/v2/tasks/{failing}", who="admin").body
    assert (failed["status"], "404" in failed["message"]) == ("failure", True)
    assert site.show(failed["image_id"], who="admin")["status"] == "queued"
    site.env.advance(49 * 3600)
    site.settle()
    assert site.call("GET", f"/v2/tasks/{task['id']}", who="admin").status == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"type": "import"},
        {"type": "export", "input": {}},
        {"type": "import", "input": {"import_from": "http://x"}},
        {
            "type": "import",
            "input": {
                "import_from": "file:///etc/passwd",
                "import_from_format": "raw",
                "image_properties": {},
            },
        },
    ],
)
def test_tasks_that_are_none_are_refused(site: ImageSite, body: object) -> None:
    """400."""
    assert site.call("POST", "/v2/tasks", body, who="admin").status == 400


@pytest.mark.slow
@pytest.mark.parametrize("disk_format", sorted(made.MADE))
def test_an_imported_disk_gets_the_form_that_volumes_begin_from(
    site: ImageSite, web: WebServer, tmp_path: Path, disk_format: str
) -> None:
    """Converted in the cage, holes left out; the bytes as given stay what is downloaded."""
    disk = made.content()
    web.files["/disk"] = made.made(tmp_path, disk_format)
    image = site.fetch(f"{web.url}/disk", disk_format=disk_format)
    assert image["status"] == "active"
    path = f"/v2/images/{image['id']}"
    found = site.call("GET", f"{path}/locations", who="service").body
    assert [one["metadata"]["form"] for one in found] == [disk_format, "raw"]
    volume_id, snapshot_id = found[-1]["url"].removeprefix("ringstack://").split("/")
    view = site.run(site.volumes.view(volume_id, snapshot_id=snapshot_id))
    assert site.run(view.read(0, len(disk))) == disk
    assert sum(one.length for one in site.run(view.extents(0, view.size)) if one.data) < MIB
    assert site.call("GET", f"{path}/file").raw == web.files["/disk"]
    assert site.call("DELETE", path).status == 204
    site.settle()
    assert not site.volumes._volumes  # type: ignore[attr-defined]


@pytest.mark.slow
def test_an_uploaded_disk_is_converted_when_a_volume_wants_it(
    site: ImageSite, tmp_path: Path
) -> None:
    """Asking for locations makes the form; asking again finds it."""
    image = site.image(made.made(tmp_path, "qcow2"), disk_format="qcow2")
    assert image["virtual_size"] == 8 * MIB
    path = f"/v2/images/{image['id']}"
    asked = site.call("POST", f"{path}/actions/boot-form", who="service")
    assert (asked.status, asked.body["boot_form"]) == (202, "wanted")
    site.settle()
    ready = site.call("POST", f"{path}/actions/boot-form", who="service").body
    assert (ready["boot_form"], len(ready["locations"])) == ("ready", 2)
    assert site.call("POST", f"{path}/actions/boot-form").status == 403


@pytest.mark.slow
def test_a_disk_that_cannot_be_converted_says_so(site: ImageSite) -> None:
    """A header that passes over bytes that are none: the image stays, a volume cannot begin from it."""
    image = site.image(made.qcow2(), disk_format="qcow2")["id"]
    path = f"/v2/images/{image}"
    site.call("POST", f"{path}/actions/boot-form", who="service")
    site.settle()
    opaque = site.image(b"layers", container_format="docker")["id"]
    answer = site.call("POST", f"/v2/images/{opaque}/actions/boot-form", who="service").body
    assert answer["boot_form"] == "impossible"
    assert site.call("GET", f"/v2/images/{opaque}/locations", who="service").status == 409
    assert site.show(image)["status"] == "active"
