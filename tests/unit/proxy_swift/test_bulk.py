"""Bulk deletes and unpacked archives: reports, limits, one name at a time."""

from __future__ import annotations

import bz2
import gzip
import io
import tarfile
from urllib.parse import quote

import pytest

JSON = {"Accept": "application/json"}


@pytest.fixture
def box(swift):
    swift("PUT", "c")
    for name in ("1", "ü/2", "3"):
        swift("PUT", "c", name, body=b"x")
    return swift


def delete(box, *names, method="POST", **headers):
    body = "\n".join(quote(name) for name in names).encode()
    return box(method, query="bulk-delete", body=body, headers={**JSON, **headers})


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_objects_then_containers_are_deleted(box, method):
    answer = delete(box, "/c", "/c/1", "c/ü/2", "", "/c/none", "/c/3", method=method)
    assert answer.status == 200
    assert answer.header("content-type") == "application/json"
    assert answer.header("transfer-encoding") == "chunked"
    assert answer.json() == {
        "Number Deleted": 4,
        "Number Not Found": 1,
        "Response Status": "200 OK",
        "Response Body": "",
        "Errors": [],
    }
    assert box("HEAD", "c").status == 404


def test_failures_are_named(box):
    body = b"/c\n/c/1\n/c/%ff\n"
    answer = box("POST", query="bulk-delete", body=body, headers=JSON)
    report = answer.json()
    assert report["Response Status"] == "400 Bad Request"
    assert report["Number Deleted"] == 1
    assert sorted(report["Errors"]) == [
        ["/c", "409 Conflict"],
        ["/c/%FF", "412 Precondition Failed"],
    ]


def test_reports_in_every_form(box):
    text = delete(box, "/c/1", Accept="text/plain").text
    assert text.splitlines()[0] == "Number Deleted: 1"
    assert text.endswith("Errors:\n")
    xml = delete(box, "/c/3", Accept="application/xml").text
    assert xml.startswith("<?xml")
    assert "<number_deleted>1</number_deleted>" in xml


def test_bad_requests_are_in_the_report(box):
    assert delete(box).json()["Response Body"] == "Invalid bulk delete."
    assert (
        delete(box, "/c/1", **{"Content-Type": "image/png"})
        .json()["Response Status"]
        .startswith("406")
    )
    answer = box("POST", query="bulk-delete", body=b"a" * 5000, headers=JSON)
    assert answer.json()["Response Body"] == "Invalid File Name"
    many = delete(box, *[f"/c/{i}" for i in range(10_001)])
    assert many.json()["Response Status"].startswith("413")
    assert box("GET", "c").body == b"1\n3\n\xc3\xbc/2\n"


def archive(files, form="tar", **options) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", **options) as tar:
        for name, data, *pax in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            if pax:
                info.pax_headers = pax[0]
            tar.addfile(info, io.BytesIO(data))
    data = buffer.getvalue()
    return {"tar": bytes, "tar.gz": gzip.compress, "tar.bz2": bz2.compress}[form](data)


def extract(box, data, *at, form="tar", **headers):
    return box("PUT", *at, query=f"extract-archive={form}", body=data, headers={**JSON, **headers})


FILES = [("./a.txt", b"alpha"), ("dir/b", b"b" * 100_000), ("dir/" + "long" * 60, b"l"), ("é", b"")]


@pytest.mark.parametrize("form", ["tar", "tar.gz", "tar.bz2"])
@pytest.mark.parametrize("layout", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_an_archive_becomes_objects(box, form, layout):
    answer = extract(box, archive(FILES, form, format=layout), "x", "pre", form=form)
    assert answer.status == 200
    assert answer.json() == {
        "Number Files Created": 4,
        "Response Status": "201 Created",
        "Response Body": "",
        "Errors": [],
    }
    assert box("GET", "x", "pre/a.txt").body == b"alpha"
    assert box("HEAD", "x", "pre/a.txt").header("content-type") == "text/plain"
    assert box("GET", "x", "pre/dir/b").body == b"b" * 100_000
    assert box("GET", "x", "pre/dir/" + "long" * 60).body == b"l"
    assert box("GET", "x", "pre/é").status == 200


def test_the_first_directory_names_the_container_at_the_account(box):
    data = archive([("base", b"ignored"), ("one/x", b"1"), ("two/y/z", b"2")])
    assert extract(box, data).json()["Number Files Created"] == 2
    assert box("GET", "one", "x").body == b"1"
    assert box("GET", "two", "y/z").body == b"2"


def test_type_and_metadata_come_from_headers_and_attributes(box):
    pax = {"SCHILY.xattr.user.mime_type": "a/b", "LIBARCHIVE.xattr.user.meta.lunch": "bürger"}
    data = archive([("x", b"1", pax), ("y", b"2")], format=tarfile.PAX_FORMAT)
    extract(box, data, "c", **{"X-Object-Meta-Who": "me"})
    head = box("HEAD", "c", "x")
    assert head.header("content-type") == "a/b"
    assert head.header("x-object-meta-lunch") == "bürger"
    assert head.header("x-object-meta-who") == "me"
    extract(box, data, "c", **{"Content-Type": "z/z"})
    assert box("HEAD", "c", "y").header("content-type") == "z/z"


def test_attributes_that_could_not_leave_as_headers_are_refused(box):
    for key in ("meta.a\r\nX-Evil", "meta.a: b", "meta.ü", "meta."):
        data = archive([("x", b"1", {f"SCHILY.xattr.user.{key}": "v"})], format=tarfile.PAX_FORMAT)
        assert extract(box, data, "c").json()["Errors"] == [["c/x", "400 Bad Request"]]
    pax = {"SCHILY.xattr.user.meta.a": "v\r\nX-Evil: 1", "SCHILY.xattr.user.mime_type": "a\nb"}
    data = archive([("x", b"1", pax)], format=tarfile.PAX_FORMAT)
    assert extract(box, data, "c").json()["Errors"] == [["c/x", "400 Bad Request"]]


def test_broken_archives_say_so(box):
    whole = archive(FILES)
    for data in (whole[:700], b"nonsense" * 100, whole[:1024] + b"\xff" * 512):
        report = extract(box, data, "c").json()
        assert report["Response Status"] == "400 Bad Request"
        assert report["Response Body"].startswith("Invalid Tar File")
    report = extract(box, gzip.compress(whole)[:-20], "c", form="tar.gz").json()
    assert report["Response Status"] == "400 Bad Request"
    assert extract(box, b"", "c").json()["Response Body"] == "Invalid Tar File: No Valid Files"
    assert extract(box, whole, "c", form="zip").status == 400


def test_one_bad_name_does_not_stop_the_others(box):
    data = archive([("ok", b"1"), ("n" * 1025, b"2"), ("ok2", b"3")], format=tarfile.GNU_FORMAT)
    report = extract(box, data, "c").json()
    assert report["Number Files Created"] == 2
    assert report["Response Status"] == "400 Bad Request"
    assert report["Errors"] == [["c/" + "n" * 1025, "400 Bad Request"]]
    assert box("GET", "c", "ok2").body == b"3"


def test_dots_in_an_archive_lead_nowhere(box):
    """A name with dots is a name: it stays in its container and account."""
    data = archive([("../../c/evil", b"1"), ("a/../../d", b"2")])
    assert extract(box, data, "box").json()["Number Files Created"] == 2
    assert box("GET", "box", "../../c/evil").body == b"1"
    assert box("GET", "c", "evil").status == 404
    assert box("GET").text == "box\nc\n"
