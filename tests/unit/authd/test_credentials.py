"""Credentials: kept encrypted, given back to their owner, and EC2 keys among them."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from authd import credentials
from tests.identity_site import IdentitySite


def demo_ids(site: IdentitySite) -> tuple[str, str]:
    """User and project of the demo user."""
    token = site.demo("GET", "/v3/auth/tokens", headers=subject(site)).body["token"]
    return token["user"]["id"], token["project"]["id"]


def subject(site: IdentitySite) -> dict[str, str]:
    """The demo user's token as the subject of a call."""
    return {"x-subject-token": site.token("demo")}


def make_ec2(site: IdentitySite) -> dict[str, Any]:
    """An EC2 credential of the demo user."""
    user_id, project_id = demo_ids(site)
    path = f"/v3/users/{user_id}/credentials/OS-EC2"
    reply = site.demo("POST", path, {"tenant_id": project_id})
    assert reply.status == 201, reply
    made: dict[str, Any] = reply.body["credential"]
    return made


def test_a_user_keeps_a_secret_of_their_own(site: IdentitySite) -> None:
    """Made, listed, shown, changed and removed by its owner; not seen by anybody without a role for it."""
    user_id, _ = demo_ids(site)
    body = {"credential": {"type": "cert", "blob": "hidden words", "user_id": user_id}}
    made = site.demo("POST", "/v3/credentials", body).body["credential"]
    path = f"/v3/credentials/{made['id']}"
    assert made["blob"] == "hidden words"
    assert site.demo("PATCH", path, {"credential": {"blob": "others"}}).status == 200
    listed = site.demo("GET", f"/v3/credentials?user_id={user_id}&type=cert").body["credentials"]
    assert [one["blob"] for one in listed] == ["others"]
    stranger = site.make("user", name="stranger", password="p" * 8)
    theft = {"credential": {"user_id": stranger["id"]}}
    assert site.demo("PATCH", path, theft).status == 403
    assert site.demo("DELETE", path).status == 204
    assert site.admin("GET", path).status == 404
    assert site.demo("GET", path).status == 403


def test_blobs_are_not_stored_in_clear(site: IdentitySite) -> None:
    """Neither as they are nor under a key that opens another row."""
    made = make_ec2(site)

    async def read() -> bytes:
        async with site.database.read() as db:
            statement = sa.select(credentials.TABLE.c.sealed).where(
                credentials.TABLE.c.id == credentials.ec2_id(made["access"])
            )
            return bytes((await db.execute(statement)).scalar_one())

    assert made["secret"].encode() not in site.run(read())


def test_an_ec2_credential_is_found_by_its_access_key(site: IdentitySite) -> None:
    """The look-up that signatures are verified with, and both faces of the API show the same."""
    made = make_ec2(site)

    async def look(access: str) -> Any:
        async with site.database.read() as db:
            return await credentials.get_ec2(db, site.authority.vault, access)

    found = site.run(look(made["access"]))
    assert found["secret"] == made["secret"]
    assert found["project_id"] == made["tenant_id"]
    assert site.run(look("none")) is None
    path = f"/v3/users/{made['user_id']}/credentials/OS-EC2/{made['access']}"
    assert site.demo("GET", path).body["credential"]["secret"] == made["secret"]
    general = site.demo("GET", f"/v3/credentials/{credentials.ec2_id(made['access'])}").body
    assert json.loads(general["credential"]["blob"])["secret"] == made["secret"]
    assert site.demo("DELETE", path).status == 204
    assert site.run(look(made["access"])) is None


def test_ec2_credentials_without_a_key_or_with_another_binding_are_refused(
    site: IdentitySite,
) -> None:
    """400 for blobs that are no object with an access key, or that would change what they are bound to."""
    user_id, project_id = demo_ids(site)
    given = {"type": "ec2", "user_id": user_id, "project_id": project_id}
    for blob in (
        "",
        "[]",
        "{}",
        '{"secret": "s"}',
        '{"access": 7}',
        '{"access":"a","trust_id":"t"}',
    ):
        reply = site.demo("POST", "/v3/credentials", {"credential": {**given, "blob": blob}})
        assert reply.status == 400, blob
    good = {"credential": {**given, "blob": '{"access": "a1", "secret": "s"}'}}
    made = site.demo("POST", "/v3/credentials", good).body["credential"]
    assert made["id"] == credentials.ec2_id("a1")
    assert site.demo("POST", "/v3/credentials", good).status == 409
    path = f"/v3/credentials/{made['id']}"
    bound = {"credential": {"blob": '{"access": "a1", "trust_id": "t"}'}}
    assert site.demo("PATCH", path, bound).status == 400
    assert site.demo("PATCH", path, {"credential": {"type": "cert"}}).status == 400


def test_an_ec2_credential_may_get_new_keys(site: IdentitySite) -> None:
    """Which count from then on, unless another credential has that access key; the old ones do not."""
    first, second = make_ec2(site), make_ec2(site)
    path = f"/v3/credentials/{credentials.ec2_id(first['access'])}"

    def keys(access: str) -> dict[str, Any]:
        return {"credential": {"blob": json.dumps({"access": access, "secret": "new"})}}

    assert site.demo("PATCH", path, keys(second["access"])).status == 409
    fresh_key = f"{first['access']}-new"
    assert site.demo("PATCH", path, keys(fresh_key)).status == 200
    own = f"/v3/users/{first['user_id']}/credentials/OS-EC2"
    assert site.demo("GET", f"{own}/{fresh_key}").body["credential"]["secret"] == "new"
    assert site.demo("GET", f"{own}/{first['access']}").status == 404


def test_nobody_reads_the_ec2_credentials_of_others(site: IdentitySite) -> None:
    """Whose it is decides, not the user in the path: an administrator reads it, a thief does not."""
    made = make_ec2(site)
    site.make("user", name="thief", password="thief-pass")
    admin = site.make("user", name="owner", password="p" * 8)
    access = made["access"]
    other = f"/v3/users/{admin['id']}/credentials/OS-EC2"
    assert site.demo("GET", other).status == 403
    assert site.demo("POST", other, {"tenant_id": made["tenant_id"]}).status == 403
    assert site.admin("GET", f"{other}/{access}").status == 200
    thief = site.login("thief", "thief-pass")
    own = f"/v3/users/{thief.body['token']['user']['id']}/credentials/OS-EC2"
    token = thief.headers["x-subject-token"]
    assert site.call("GET", f"{own}/{access}", token=token).status == 403
    assert site.call("DELETE", f"{own}/{access}", token=token).status == 403
