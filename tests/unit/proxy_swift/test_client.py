"""python-swiftclient, the official client, against the front."""

from __future__ import annotations

import hashlib
import os

import pytest

swiftclient = pytest.importorskip("swiftclient")
from swiftclient.service import SwiftService, SwiftUploadObject  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def connection(site):
    made = swiftclient.Connection(
        authurl=f"{site.url}/auth/v1.0", user="admin:admin", key="correct horse", retries=0
    )
    yield made
    made.close()


def test_the_whole_life_of_objects(connection):
    connection.put_container("life", headers={"X-Storage-Policy": "silver"})
    etag = connection.put_object("life", "dir/ü", b"hello", headers={"X-Object-Meta-A": "b"})
    assert etag == hashlib.md5(b"hello").hexdigest()
    headers, body = connection.get_object("life", "dir/ü")
    assert (body, headers["x-object-meta-a"]) == (b"hello", "b")
    connection.post_object("life", "dir/ü", {"X-Object-Meta-C": "d"})
    assert connection.head_object("life", "dir/ü")["x-object-meta-c"] == "d"
    connection.copy_object("life", "dir/ü", "/life/copy")
    _, rows = connection.get_container("life", full_listing=True)
    assert [row["name"] for row in rows] == ["copy", "dir/ü"]
    _, rows = connection.get_container("life", delimiter="/")
    assert rows[1] == {"subdir": "dir/"}
    assert connection.head_container("life")["x-container-object-count"] == "2"
    for row in ("copy", "dir/ü"):
        connection.delete_object("life", row)
    connection.delete_container("life")
    with pytest.raises(swiftclient.ClientException) as caught:
        connection.get_container("life")
    assert caught.value.http_status == 404


def test_listings_go_on_page_after_page(connection):
    connection.put_container("pages")
    for index in range(25):
        connection.put_object("pages", f"{index:03}", b"")
    _, rows = connection.get_container("pages", limit=10, full_listing=True)
    assert [row["name"] for row in rows] == [f"{index:03}" for index in range(25)]
    _, containers = connection.get_account()
    assert "pages" in [row["name"] for row in containers]
    assert connection.get_capabilities()["swift"]["valid_api_versions"] == ["v1", "v1.0"]


@pytest.mark.parametrize("use_slo", [True, False])
def test_segmented_uploads_come_back_and_go_away(site, tmp_path, use_slo):
    data = os.urandom(1_000_003)
    path = tmp_path / "big"
    path.write_bytes(data)
    container = f"seg{int(use_slo)}"
    options = {
        "auth": f"{site.url}/auth/v1.0",
        "user": "admin:admin",
        "key": "correct horse",
        "auth_version": "1.0",
        "segment_size": "200000",
        "use_slo": use_slo,
        "retries": 0,
    }
    with SwiftService(options=options) as service:
        results = list(service.upload(container, [SwiftUploadObject(str(path), object_name="big")]))
        assert all(r["success"] for r in results), results
        out = tmp_path / "out"
        done = list(service.download(container, ["big"], options={"out_file": str(out)}))
        assert all(r["success"] for r in done), done
        assert out.read_bytes() == data
        gone = list(service.delete(container, ["big"]))
        assert all(r["success"] for r in gone), gone
        assert list(service.list(container=f"{container}_segments")) == []


def test_bulk_deletes_of_the_client(site, connection):
    connection.put_container("many")
    for index in range(30):
        connection.put_object("many", f"ö {index}", b"x")
    options = {
        "auth": f"{site.url}/auth/v1.0",
        "user": "admin:admin",
        "key": "correct horse",
        "auth_version": "1.0",
        "retries": 0,
    }
    with SwiftService(options=options) as service:
        assert all(r["success"] for r in service.delete("many"))
    with pytest.raises(swiftclient.ClientException):
        connection.head_container("many")
