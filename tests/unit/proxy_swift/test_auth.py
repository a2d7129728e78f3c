"""Who gets in: log-in, tokens, owners, strangers, ACLs."""

from __future__ import annotations

import pytest

from tests.static_gate import Claims, seal

LOGIN = {"X-Auth-User": "admin:admin", "X-Auth-Key": "correct horse"}


@pytest.fixture
def token_of(site):
    """Tokens of any identity, as a second identity service would hand out."""

    def make(user, account, *, admin=False, life_s=1000):
        expires_s = site.env.wall_us() // 1_000_000 + life_s
        return seal(site.credentials.token_key, Claims(user, account, admin, expires_s))

    return make


def test_log_in_gives_a_token_and_a_url(swift):
    answer = swift.request("GET", "/auth/v1.0", LOGIN)
    assert answer.status == 200
    assert answer.header("x-storage-url") == f"http://127.0.0.1:{swift.port}/v1/AUTH_admin"
    assert answer.header("x-auth-token") == answer.header("x-storage-token")
    assert 86_398 <= int(answer.header("x-auth-token-expires")) <= 86_400
    url = answer.header("x-storage-url").partition(str(swift.port))[2]
    assert swift.request("GET", url, {"X-Auth-Token": answer.header("x-auth-token")}).status == 204
    assert (
        swift.request("GET", url, {"X-Storage-Token": answer.header("x-auth-token")}).status == 204
    )
    old = {"X-Storage-User": LOGIN["X-Auth-User"], "X-Storage-Pass": LOGIN["X-Auth-Key"]}
    assert swift.request("GET", "/auth/v1", old).status == 200
    assert swift.request("GET", "/auth/v1.0/", LOGIN).status == 200
    assert swift.request("POST", "/auth/v1.0", LOGIN).status == 405
    hosted = swift.request("GET", "/auth/v1.0", {**LOGIN, "Host": "store.example:99"})
    assert hosted.header("x-storage-url") == "http://store.example:99/v1/AUTH_admin"


def test_an_unknown_user_and_a_wrong_key_get_the_same_answer(swift):
    cases = [
        {},
        {"X-Auth-User": "admin:admin"},
        {**LOGIN, "X-Auth-Key": "wrong"},
        {**LOGIN, "X-Auth-User": "nobody"},
        {**LOGIN, "X-Auth-Key": "correct horse " + "x" * 5000},
    ]
    answers = [swift.request("GET", "/auth/v1.0", case) for case in cases]
    assert {a.status for a in answers} == {401}
    assert len({a.body for a in answers}) == 1
    varying = ("date", "x-trans-id", "x-openstack-request-id")
    assert (
        len({tuple((k, v) for k, v in a.headers if k.lower() not in varying) for a in answers}) == 1
    )


def test_no_token_or_a_bad_one_is_401_with_a_challenge(swift, token_of):
    swift("PUT", "c")
    bad = [None, "nonsense", swift.token + "x", token_of("u", "AUTH_u", life_s=-1)]
    for token in bad:
        headers = {"X-Auth-Token": token} if token else {}
        answer = swift("GET", "c", headers=headers, token=False)
        assert answer.status == 401
        assert answer.header("www-authenticate") == f'Swift realm="{swift.account}"'


def test_a_stranger_is_403_everywhere(swift, token_of):
    swift("PUT", "c")
    swift("PUT", "c", "o", body=b"x")
    stranger = {"X-Auth-Token": token_of("eve", "AUTH_eve")}
    for method, *names in (
        ("GET",),
        ("POST",),
        ("PUT",),
        ("GET", "c"),
        ("PUT", "c"),
        ("POST", "c"),
        ("DELETE", "c"),
        ("GET", "c", "o"),
        ("HEAD", "c", "o"),
        ("PUT", "c", "o"),
        ("POST", "c", "o"),
        ("DELETE", "c", "o"),
        ("GET", "nope"),
        ("GET", "nope", "o"),
        ("PATCH", "c"),
    ):
        assert swift(method, *names, headers=stranger).status == 403, (method, names)
    copy = {**stranger, "Destination": "c/p"}
    assert swift("COPY", "c", "o", headers=copy).status == 403
    assert swift("GET", "c", "o").body == b"x"


def test_an_owner_is_not_an_administrator(swift, token_of):
    owner = {"X-Auth-Token": token_of("bob", swift.account)}
    assert swift("PUT", "c", headers=owner).status == 201
    assert swift("PUT", headers=owner).status == 403
    assert swift("POST", headers={**owner, "X-Account-Quota-Bytes": "1"}).status == 403
    assert swift("POST", headers={**owner, "X-Account-Meta-Quota-Bytes": "1"}).status == 403
    assert swift("POST", headers={**owner, "X-Account-Meta-A": "1"}).status == 204
    chief = {"X-Auth-Token": token_of("bob", swift.account, admin=True)}
    assert swift("POST", headers={**chief, "X-Account-Quota-Bytes": "1"}).status == 403
    other = {"X-Auth-Token": token_of("root", "AUTH_root", admin=True)}
    assert swift("POST", headers={**other, "X-Account-Quota-Bytes": "1"}).status == 204


def test_an_administrator_enters_only_accounts_of_the_prefix(swift, token_of):
    root = {"X-Auth-Token": token_of("root", "AUTH_root", admin=True)}
    assert swift.request("GET", "/v1/AUTH_other", root).status == 204
    for account in ("other", "AUTH_", "auth_x", ".hidden"):
        assert swift.request("GET", f"/v1/{account}", root).status == 403


def test_public_containers(swift):
    swift("PUT", "c")
    swift("PUT", "c", "o", body=b"x")
    swift("POST", "c", headers={"X-Container-Read": ".r:*"})
    assert swift("GET", "c", "o", token=False).body == b"x"
    assert swift("GET", "c", token=False).status == 401
    assert swift("PUT", "c", "o", body=b"y", token=False).status == 401
    assert swift("GET", "c", "none", token=False).status == 404
    swift(
        "POST",
        "c",
        headers={"X-Container-Read": ".r:*,.rlistings", "X-Container-Meta-Temp-Url-Key": "k"},
    )
    answer = swift("GET", "c", token=False)
    assert answer.body == b"o\n"
    assert answer.header("x-container-read") is None
    assert answer.header("x-container-meta-temp-url-key") is None
    assert swift("HEAD", "c").header("x-container-meta-temp-url-key") == "k"
    # a token that does not hold is refused even where none is needed
    assert swift("GET", "c", "o", headers={"X-Auth-Token": "bad"}).status == 401


@pytest.mark.parametrize(
    ("acl", "referer", "allowed"),
    [
        (".r:.example.com", "http://www.example.com/page", True),
        (".r:.example.com", "http://example.org/", False),
        (".r:.example.com", None, False),
        (".r:www.example.com", "http://www.example.com:80/", True),
        (".r:*,.r:-evil.com", "http://evil.com/", False),
        (".r:*,.r:-evil.com", "http://good.com/", True),
        (".r:-*", "http://good.com/", False),
        (".r:.example.com", "http://[bad", False),
        (".r:.example.com", "http://example.com.evil.org/", False),
    ],
)
def test_referrers(swift, acl, referer, allowed):
    swift("PUT", "c")
    swift("PUT", "c", "o", body=b"x")
    assert swift("POST", "c", headers={"X-Container-Read": acl}).status == 204
    headers = {"Referer": referer} if referer else {}
    assert swift("GET", "c", "o", headers=headers, token=False).status == (200 if allowed else 401)


@pytest.mark.parametrize(
    "grantee", ["bob:builder", "bob", "AUTH_bob", "AUTH_bob:*", "*:*", "*:bob:builder"]
)
def test_named_grantees_read_and_write(swift, token_of, grantee):
    swift("PUT", "c")
    swift("PUT", "c", "o", body=b"x")
    bob = {"X-Auth-Token": token_of("bob:builder", "AUTH_bob")}
    swift("POST", "c", headers={"X-Container-Read": grantee})
    assert swift("GET", "c", "o", headers=bob).body == b"x"
    assert swift("GET", "c", headers=bob).body == b"o\n"
    assert swift("PUT", "c", "p", body=b"", headers=bob).status == 403
    swift("POST", "c", headers={"X-Container-Read": "", "X-Container-Write": grantee})
    assert swift("GET", "c", "o", headers=bob).status == 403
    assert swift("PUT", "c", "p", body=b"", headers=bob).status == 201
    assert swift("POST", "c", "p", headers=bob).status == 202
    assert swift("DELETE", "c", "p", headers=bob).status == 204
    assert swift("DELETE", "c", headers=bob).status == 403


def test_both_ends_of_a_copy_are_authorised(swift, token_of):
    for name in ("mine", "read", "write"):
        swift("PUT", name)
        swift("PUT", name, "o", body=name.encode())
    swift("POST", "read", headers={"X-Container-Read": "bob"})
    swift("POST", "write", headers={"X-Container-Write": "bob"})
    bob = {"X-Auth-Token": token_of("bob", "AUTH_bob")}

    def copy(source, target):
        here = swift("COPY", source, "o", headers={**bob, "Destination": f"{target}/p"}).status
        back = {**bob, "X-Copy-From": f"{source}/o", "Content-Length": "0"}
        assert swift("PUT", target, "p", headers=back).status == here
        return here

    assert copy("read", "write") == 201
    assert copy("mine", "write") == 403
    assert copy("read", "mine") == 403


def test_segments_are_authorised_for_the_reader(swift, token_of):
    for name in ("front", "hidden"):
        swift("PUT", name)
    swift("PUT", "hidden", "s", body=b"secret")
    swift("PUT", "front", "dyn", body=b"", headers={"X-Object-Manifest": "hidden/s"})
    swift("PUT", "front", "slo", query="multipart-manifest=put", body=b'[{"path": "/hidden/s"}]')
    swift("PUT", "front", "link", body=b"", headers={"X-Symlink-Target": "hidden/s"})
    swift("POST", "front", headers={"X-Container-Read": ".r:*,bob"})
    bob = {"X-Auth-Token": token_of("bob", "AUTH_bob")}
    for name in ("dyn", "slo", "link"):
        assert swift("GET", "front", name).body == b"secret"
        assert swift("GET", "front", name, headers=bob).status == 403
        assert swift("GET", "front", name, token=False).status == 401
    swift("POST", "hidden", headers={"X-Container-Read": "bob"})
    for name in ("dyn", "slo", "link"):
        assert swift("GET", "front", name, headers=bob).body == b"secret"


def test_bulk_requests_are_authorised_name_by_name(swift, token_of):
    for name in ("open", "shut"):
        swift("PUT", name)
        swift("PUT", name, "o", body=b"x")
    swift("POST", "open", headers={"X-Container-Write": "bob"})
    bob = {"X-Auth-Token": token_of("bob", "AUTH_bob"), "Accept": "application/json"}
    answer = swift("POST", query="bulk-delete", body=b"/open/o\n/shut/o\n/open\n", headers=bob)
    report = answer.json()
    assert report["Number Deleted"] == 1
    assert sorted(report["Errors"]) == [["/open", "403 Forbidden"], ["/shut/o", "403 Forbidden"]]
    assert swift("POST", query="bulk-delete", body=b"/shut/o", token=False).status == 401
    assert swift("PUT", query="extract-archive=tar", body=b"", token=False).status == 401


@pytest.mark.parametrize(
    ("level", "reads", "writes", "administers"),
    [
        ("read-only", True, False, False),
        ("read-write", True, True, False),
        ("admin", True, True, True),
    ],
)
def test_account_acls(swift, token_of, level, reads, writes, administers):
    swift("PUT", "c")
    swift("PUT", "c", "o", body=b"x")
    bob = {"X-Auth-Token": token_of("bob", "AUTH_bob")}
    header = {"X-Account-Access-Control": f'{{"{level}": ["bob"]}}'}
    assert swift("POST", headers=header).status == 204
    for names in ((), ("c",), ("c", "o")):
        assert (swift("GET", *names, headers=bob).status < 300) == reads
    assert (swift("PUT", "c", "p", body=b"", headers=bob).status == 201) == writes
    assert (swift("PUT", "d", headers=bob).status == 201) == writes
    assert (swift("POST", headers={**bob, "X-Account-Meta-A": "1"}).status == 204) == administers
    shown = swift("HEAD", headers=bob).header("x-account-access-control")
    assert (shown is not None) == administers
    assert swift("POST", headers={"X-Account-Access-Control": "{}"}).status == 204
    assert swift("GET", headers=bob).status == 403


@pytest.mark.parametrize(
    "text", ["yuck", "[]", '{"x": []}', '{"admin": "bob"}', '{"admin": [1]}', "[" * 9000]
)
def test_bad_account_acls_are_400(swift, text):
    assert swift("POST", headers={"X-Account-Access-Control": text}).status == 400
