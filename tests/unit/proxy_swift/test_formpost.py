"""Uploads by HTML form: signatures, limits, redirects, framing."""

from __future__ import annotations

import hmac
import time

import pytest

KEY = "secret"


@pytest.fixture
def box(swift):
    swift("PUT", "c")
    swift("POST", headers={"X-Account-Meta-Temp-Url-Key": KEY})
    return swift


def signed(box, path, *, key=KEY, digest="sha256", **changed):
    fields = {
        "redirect": "",
        "max_file_size": "100000",
        "max_file_count": "2",
        "expires": str(int(time.time()) + 60),
        **{name: str(value) for name, value in changed.items()},
    }
    text = "\n".join([path, *fields.values()])
    fields["signature"] = hmac.new(key.encode(), text.encode(), digest).hexdigest()
    return fields


def send(box, path, fields, files, boundary="XyZ", **headers):
    lines = []
    for name, value in fields.items():
        lines += [f"--{boundary}", f'Content-Disposition: form-data; name="{name}"', "", value]
    body = "\r\n".join(lines).encode()
    for index, (name, data, *kind) in enumerate(files):
        head = f'Content-Disposition: form-data; name="file{index}"; filename="{name}"'
        extra = f"\r\nContent-Type: {kind[0]}" if kind else ""
        body += f"\r\n--{boundary}\r\n{head}{extra}\r\n\r\n".encode() + data
    body += f"\r\n--{boundary}--\r\n".encode()
    given = {"Content-Type": f"multipart/form-data; boundary={boundary}", **headers}
    return box.request("POST", path, given, body)


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha512"])
def test_files_of_a_signed_form_are_stored(box, digest):
    path = box.at("c", "up/")
    files = [("a.txt", b"alpha", "text/plain"), ("ü b", b"\r\n--Xy not" * 3000)]
    answer = send(box, path, signed(box, path, digest=digest), files)
    assert (answer.status, answer.text) == (201, "201 Created")
    assert box("GET", "c", "up/a.txt").body == b"alpha"
    assert box("HEAD", "c", "up/a.txt").header("content-type") == "text/plain"
    assert box("GET", "c", "up/ü b").body == b"\r\n--Xy not" * 3000


def test_type_encoding_and_expiry_come_from_fields(box):
    path = box.at("c", "p")
    fields = signed(box, path)
    fields.update({"content-type": "a/b", "content-encoding": "gzip", "x_delete_after": "100"})
    assert send(box, path, fields, [("f", b"")]).status == 201
    head = box("HEAD", "c", "pf")
    assert head.header("content-type") == "a/b"
    assert head.header("content-encoding") == "gzip"
    assert int(head.header("x-delete-at")) > time.time()


def test_a_redirect_tells_the_status(box):
    path = box.at("c")
    fields = signed(box, path, redirect="http://page.example/done?x=1")
    answer = send(box, path, fields, [("f", b"1")])
    assert answer.status == 303
    assert answer.header("location") == "http://page.example/done?x=1&status=201&message="
    fields = signed(box, path, redirect="http://page.example/", max_file_size=2)
    answer = send(box, path, fields, [("g", b"123")])
    assert answer.header("location").endswith("?status=413&message=max_file_size%20exceeded")
    assert box("HEAD", "c", "g").status == 404


def test_what_is_refused(box):
    path = box.at("c", "p")
    file = [("f", b"123")]

    def status(fields, files=file, at=path, **headers):
        return send(box, at, fields, files, **headers).status

    good = signed(box, path)
    assert status(signed(box, path, key="wrong")) == 401
    assert status({**good, "max_file_size": "999999"}) == 401
    assert status({**good, "signature": ""}) == 401
    assert status({**good, "signature": "é"}) == 401
    assert status({k: v for k, v in good.items() if k != "signature"}) == 401
    assert status(signed(box, path, expires=1)) == 401
    assert status(signed(box, path, expires="soon")) == 400
    assert status(good, at=box.at("c", "q")) == 401
    assert status(good, at=box.at("d", "p")) == 401
    assert status(good, []) == 400
    assert status(signed(box, path, max_file_size=2)) == 413
    assert status(signed(box, path, max_file_count=0)) == 400
    assert box("GET", "c").body == b""
    assert status(signed(box, path, max_file_count=1), [("a", b"1"), ("b", b"2")]) == 400
    assert box("GET", "c").body == b"pa\n"


def test_broken_forms(box):
    path = box.at("c", "p")
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    for body in (b"", b"nonsense", b"--b", b"--b\r\n" + b"x" * 20_000, b"--b\r\nX: y\r\n\r\nabc"):
        assert box.request("POST", path, kind, body).status == 400, body[:20]
    assert box.request("POST", path, {"Content-Type": "multipart/form-data"}, b"").status == 400
    assert box.request("POST", path, kind, b"--b--").status == 400


def test_a_container_key_signs_for_its_container(box):
    box("POST", "c", headers={"X-Container-Meta-Temp-Url-Key": "inner"})
    box("PUT", "d")
    path = box.at("c", "p")
    assert send(box, path, signed(box, path, key="inner"), [("f", b"1")]).status == 201
    other = box.at("d", "p")
    assert send(box, other, signed(box, other, key="inner"), [("f", b"1")]).status == 401
