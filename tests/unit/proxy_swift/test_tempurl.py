"""Temporary URLs: what opens, for how long, how wide, and what is not said."""

from __future__ import annotations

import base64
import hmac
import time
from urllib.parse import quote

import pytest

KEY = "secret"


@pytest.fixture
def box(swift):
    swift("PUT", "c")
    swift(
        "PUT",
        "c",
        "dir/ü x",
        body=b"hello",
        headers={"X-Object-Meta-A": "1", "X-Object-Meta-Public-B": "2"},
    )
    swift("POST", headers={"X-Account-Meta-Temp-Url-Key": KEY})
    return swift


def query(
    box,
    method="GET",
    name="dir/ü x",
    *,
    expires=None,
    key=KEY,
    digest="sha256",
    prefix=None,
    ip=None,
    spell=None,
    container="c",
):
    expires = int(time.time()) + 60 if expires is None else expires
    path = f"/v1/{box.account}/{container}/{name if prefix is None else prefix}"
    path = path if prefix is None else f"prefix:{path}"
    text = f"{method}\n{expires}\n{path}"
    if ip:
        text = f"ip={ip}\n{text}"
    mac = hmac.new(key.encode(), text.encode(), digest)
    sig = mac.hexdigest()
    if spell:
        sig = f"{digest}:{spell(mac.digest()).decode()}"
    fields = {
        "temp_url_sig": sig,
        "temp_url_expires": expires,
        "temp_url_prefix": prefix,
        "temp_url_ip_range": ip,
    }
    return "&".join(f"{k}={quote(str(v), safe='')}" for k, v in fields.items() if v is not None)


def get(box, q, method="GET", name="dir/ü x", **options):
    return box(method, "c", name, query=q, token=False, **options)


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha512"])
def test_a_signature_opens_one_object_for_one_method(box, digest):
    q = query(box, digest=digest)
    answer = get(box, q)
    assert (answer.status, answer.body) == (200, b"hello")
    assert (
        answer.header("content-disposition")
        == "attachment; filename=\"%C3%BC x\"; filename*=UTF-8''%C3%BC x"
    )
    assert answer.header("expires").endswith("GMT")
    assert answer.header("x-object-meta-a") is None
    assert answer.header("x-object-meta-public-b") == "2"
    assert get(box, q, "HEAD").status == 200
    assert get(box, q, "PUT", body=b"x").status == 401
    assert get(box, q, "DELETE").status == 401
    assert get(box, q, name="other").status == 401
    assert get(box, query(box, spell=base64.b64encode, digest=digest)).status == 200
    assert get(box, query(box, spell=base64.urlsafe_b64encode, digest=digest)).status == 200


def test_what_does_not_open(box):
    late = query(box, expires=int(time.time()) - 1)
    good = query(box)
    bad = [
        late,
        query(box, key="wrong"),
        good.replace("temp_url_sig=", "temp_url_sig=0"),
        good.partition("&")[0],
        good.partition("&")[2],
        "temp_url_sig=&temp_url_expires=",
        "temp_url_sig=zz&temp_url_expires=99999999999",
        "temp_url_sig=md5:AAAA&temp_url_expires=99999999999",
        good + "9",
    ]
    for q in bad:
        answer = get(box, q)
        assert (answer.status, answer.text) == (401, "401 Unauthorized: Temp URL invalid\n"), q
    assert box("GET", "c", query=good, token=False).status == 401
    assert box("GET", query=good, token=False).status == 401
    # a token beside a bad signature does not help
    assert box("GET", "c", "dir/ü x", query=late).status == 401


def test_iso_times(box):
    stamp = int(time.time()) + 3600
    text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(stamp))
    q = query(box, expires=stamp).replace(
        f"temp_url_expires={stamp}", f"temp_url_expires={quote(text)}"
    )
    assert get(box, q).status == 200


def test_prefixes(box):
    q = query(box, prefix="dir/")
    assert get(box, q).body == b"hello"
    assert get(box, q, name="else").status == 401
    assert get(box, query(box, prefix="")).status == 200


def test_address_ranges(box):
    assert get(box, query(box, ip="127.0.0.0/8")).status == 200
    assert get(box, query(box, ip="127.0.0.1")).status == 200
    assert get(box, query(box, ip="10.0.0.0/8")).status == 401
    assert get(box, query(box, ip="nonsense")).status == 401
    forged = {"X-Forwarded-For": "10.0.0.1"}
    assert get(box, query(box, ip="10.0.0.0/8"), headers=forged).status == 401


def test_names_to_save_under(box):
    q = query(box)

    def shown(extra):
        return get(box, q + extra).header("content-disposition")

    assert shown("&filename=a%22b") == "attachment; filename=\"a%22b\"; filename*=UTF-8''a%22b"
    assert shown("&inline") == "inline"
    assert shown("&inline&filename=x") == "inline; filename=\"x\"; filename*=UTF-8''x"
    assert "\n" not in shown("&filename=a%0d%0aX-Evil:%201")


def test_uploads(box):
    q = query(box, "PUT", "new")
    assert get(box, q, "PUT", "new", body=b"data").status == 201
    assert box("GET", "c", "new").body == b"data"
    assert get(box, q, "GET", "new").status == 401
    for header in ("X-Object-Manifest", "X-Symlink-Target"):
        assert get(box, q, "PUT", "new", body=b"", headers={header: "c/x"}).status == 400


def test_a_container_key_opens_only_its_container(box):
    box("PUT", "d")
    box("PUT", "d", "s", body=b"there")
    box("PUT", "c", "dyn", body=b"", headers={"X-Object-Manifest": "d/s"})
    box("PUT", "c", "link", body=b"", headers={"X-Symlink-Target": "d/s"})
    box("POST", "c", headers={"X-Container-Meta-Temp-Url-Key-2": "inner"})
    assert get(box, query(box, key="inner")).status == 200
    for name in ("dyn", "link"):
        assert get(box, query(box, name=name), name=name).body == b"there"
        assert get(box, query(box, name=name, key="inner"), name=name).status == 401
    q = query(box, "PUT", "new", key="inner")
    copy = {"X-Copy-From": "d/s", "Content-Length": "0"}
    assert get(box, q, "PUT", "new", headers=copy).status == 401


def test_other_parameters_are_ignored(box):
    """A signature cannot be widened by what is added to the query."""
    box("PUT", "c", "slo", query="multipart-manifest=put", body=b'[{"path": "/c/dir/\xc3\xbc x"}]')
    q = query(box, "DELETE", "slo") + "&multipart-manifest=delete"
    assert get(box, q, "DELETE", "slo").status == 204
    assert box("GET", "c", "dir/ü x").status == 200
