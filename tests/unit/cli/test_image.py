"""Where the bytes of an image come from: files, URLs, indexes of distributions, on this side of the API."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from cli.image import format_of, located, pair
from core.errors import Refused, RingstackError
from imaged.simplestreams import Disk, disks, document, inside, product_files, root_of
from tests import disk_images as made
from tests.web_server import WebServer

CONSOLE = Console(stderr=True, quiet=True)


@pytest.fixture
def mirror() -> Iterator[WebServer]:
    """A distribution's mirror with two products."""
    server = WebServer()
    disk = made.qcow2()
    server.files["/images/server/noble.img"] = disk
    item = {
        "ftype": "disk1.img",
        "path": "server/noble.img",
        "sha256": hashlib.sha256(disk).hexdigest(),
        "size": len(disk),
    }
    old = {**item, "path": "server/old.img"}

    def product(name: str, **more: object) -> dict[str, object]:
        versions = {"20250101": {"items": {"a": old}}, "20260101": {"items": {"a": item}}}
        return {
            "os": "ubuntu",
            "arch": name,
            "aliases": f"24.04,{name}",
            "versions": versions,
            **more,
        }

    products = {
        "format": "products:1.0",
        "products": {
            "com.ubuntu:24.04:amd64": product("amd64", release_title="24.04 LTS"),
            "com.ubuntu:24.04:arm64": product("arm64"),
            "com.ubuntu:empty": {"versions": {}},
        },
    }
    index = {"format": "index:1.0", "index": {"x": {"path": "streams/v1/disks.json"}}}
    server.files["/images/streams/v1/index.json"] = json.dumps(index).encode()
    server.files["/images/streams/v1/disks.json"] = json.dumps(products).encode()
    yield server
    server.close()


def test_the_newest_disk_of_a_product_is_fetched(mirror: WebServer, tmp_path: Path) -> None:
    """From the index over the products to the file, whose hash is compared."""
    url = f"{mirror.url}/images/streams/v1/index.json"
    found = located(url, "*:amd64", tmp_path, CONSOLE)
    assert found.path.read_bytes() == made.qcow2()
    assert found.name == "ubuntu 24.04 LTS amd64 20260101"
    assert format_of(found.path) == "qcow2"


def test_several_products_are_told_to_choose_from(mirror: WebServer, tmp_path: Path) -> None:
    """And none is told too."""
    url = f"{mirror.url}/images/streams/v1/index.json"
    with pytest.raises(Refused, match="arm64"):
        located(url, None, tmp_path, CONSOLE)
    with pytest.raises(Refused, match="no product"):
        located(url, "fedora*", tmp_path, CONSOLE)


def test_bytes_that_are_not_those_published_are_refused(mirror: WebServer, tmp_path: Path) -> None:
    """One flipped bit is enough."""
    mirror.files["/images/server/noble.img"] = b"x" + made.qcow2()[1:]
    with pytest.raises(Refused, match="hash"):
        located(f"{mirror.url}/images/streams/v1/index.json", "*:amd64", tmp_path, CONSOLE)


def test_files_and_urls(mirror: WebServer, tmp_path: Path) -> None:
    """A file is used where it is; a URL is fetched; what is not there is said."""
    path = tmp_path / "debian.raw"
    path.write_bytes(made.partitioned())
    assert located(str(path), None, tmp_path, CONSOLE) == (path, "debian")
    assert format_of(path) == "raw"
    (tmp_path / "new").mkdir()
    fetched = located(f"{mirror.url}/images/server/noble.img", None, tmp_path / "new", CONSOLE)
    assert fetched.name == "noble"
    for source in (str(tmp_path / "absent"), f"{mirror.url}/absent"):
        with pytest.raises(RingstackError):
            located(source, None, tmp_path, CONSOLE)
    mirror.short.add("/images/server/noble.img")
    with pytest.raises(RingstackError):
        located(f"{mirror.url}/images/server/noble.img", None, tmp_path / "new", CONSOLE)


def test_hostile_files_are_not_sent(tmp_path: Path) -> None:
    """The same gate as the service's own."""
    path = tmp_path / "bad.qcow2"
    path.write_bytes(made.qcow2(backing=b"/etc/passwd"))
    with pytest.raises(Refused, match="backing file"):
        format_of(path)


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "http://x/y", "a/../../x", "", "a\\b"])
def test_paths_stay_below_the_mirror(path: str) -> None:
    """Whatever an index says."""
    with pytest.raises(Refused):
        inside(path)


def test_roots() -> None:
    """Paths are relative to the mirror, or to where the document is."""
    assert root_of("http://x/images/streams/v1/index.json") == "http://x/images/"
    assert root_of("http://x/images/list.json") == "http://x/images/"
    assert pair("a=b=c") == ("a", "b=c")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["products", "versions", "items", "ftype", "path", "index", "a", "b"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@given(JSON, st.sampled_from(["index:1.0", "products:1.0"]))
def test_documents_of_any_kind_are_read_or_refused(body: object, kind: str) -> None:
    """Nothing but a refusal, and no path that leads out."""
    whole = {**body, "format": kind} if isinstance(body, dict) else body
    try:
        read = document(json.dumps(whole).encode())
        found = [*product_files(read), *(disk.path for disk in disks(read))]
    except Refused:
        return
    assert all(".." not in path.split("/") for path in found)


def test_noise_is_no_document() -> None:
    """Nor is JSON of another kind."""
    for raw in (b"", b"{", b"[]", b"{}", b'{"format": "x"}'):
        with pytest.raises(Refused):
            document(raw)
    assert Disk("p", "v", "t", "x", "", 0).path == "x"
