"""The object store under the identity service: projects are accounts, roles and ACLs decide, EC2 keys sign."""

from __future__ import annotations

import json
import time
from typing import Any

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.running_cloud import RunningCloud

REVOKED_WITHIN_S = 1.0


class Person:
    """Somebody logged in to a project: their token, and requests to both services."""

    def __init__(self, cloud: RunningCloud, user: str, password: str, scope: Any) -> None:
        self.identity = cloud.env["OS_AUTH_URL"]
        self.store = cloud.env["AWS_ENDPOINT_URL"]
        self.user, self.password = user, password
        reply = requests.post(
            f"{self.identity}/auth/tokens", json=login_body(user, password, scope), timeout=30
        )
        assert reply.status_code == 201, reply.text
        self.token = reply.headers["X-Subject-Token"]
        self.body = reply.json()["token"]
        self.user_id = self.body["user"]["id"]
        self.project_id = self.body.get("project", {}).get("id", "")
        self.account = f"AUTH_{self.project_id}"

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """A call to the identity service that must succeed."""
        reply = requests.request(
            method,
            self.identity + path,
            json=body,
            headers={"X-Auth-Token": self.token},
            timeout=30,
        )
        assert reply.status_code < 300, reply.text
        return reply.json() if reply.content else None

    def swift(
        self, method: str, path: str, *, account: str = "", headers: Any = None, data: Any = None
    ) -> requests.Response:
        """A request to an account of the object store."""
        return requests.request(
            method,
            f"{self.store}/v1/{account or self.account}{path}",
            headers={"X-Auth-Token": self.token, **(headers or {})},
            data=data,
            timeout=30,
        )


def login_body(user: str, password: str, scope: Any) -> Any:
    domain = {"id": "default"}
    named = {"name": user, "domain": domain, "password": password}
    return {
        "auth": {
            "identity": {"methods": ["password"], "password": {"user": named}},
            "scope": scope,
        }
    }


def in_project(name: str) -> Any:
    return {"project": {"name": name, "domain": {"id": "default"}}}


@pytest.fixture(scope="module")
def admin(cloud: RunningCloud) -> Person:
    env = cloud.env
    return Person(cloud, env["OS_USERNAME"], env["OS_PASSWORD"], in_project(env["OS_PROJECT_NAME"]))


class Maker:
    """Makes users with roles on projects of their own."""

    def __init__(self, cloud: RunningCloud, admin: Person) -> None:
        self._cloud = cloud
        self._admin = admin
        self.roles = {role["name"]: role["id"] for role in admin.api("GET", "/roles")["roles"]}
        self._number = 0

    def project(self) -> str:
        self._number += 1
        name = f"shelf-{self._number}"
        return str(
            self._admin.api("POST", "/projects", {"project": {"name": name}})["project"]["id"]
        )

    def person(self, project_id: str, *roles: str) -> Person:
        self._number += 1
        name, password = f"keeper-{self._number}", "open-sesame"
        user = {"name": name, "password": password}
        user_id = self._admin.api("POST", "/users", {"user": user})["user"]["id"]
        for role in roles:
            self.grant(user_id, project_id, role)
        return Person(self._cloud, name, password, {"project": {"id": project_id}})

    def grant(self, user_id: str, project_id: str, role: str, method: str = "PUT") -> None:
        path = f"/projects/{project_id}/users/{user_id}/roles/{self.roles[role]}"
        self._admin.api(method, path)


@pytest.fixture(scope="module")
def maker(cloud: RunningCloud, admin: Person) -> Maker:
    return Maker(cloud, admin)


def s3_of(person: Person, key: Any) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=person.store,
        aws_access_key_id=key["access"],
        aws_secret_access_key=key["secret"],
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}),
    )


def new_key(person: Person) -> Any:
    path = f"/users/{person.user_id}/credentials/OS-EC2"
    return person.api("POST", path, {"tenant_id": person.project_id})["credential"]


def test_a_member_works_in_their_own_account_and_in_no_other(maker: Maker) -> None:
    """201 in one's own, 403 in others'."""
    mine, theirs = maker.person(maker.project(), "member"), maker.person(maker.project(), "member")
    assert mine.swift("PUT", "/c").status_code == 201
    assert mine.swift("PUT", "/c/o", data=b"x").status_code == 201
    assert mine.swift("GET", "/c/o").content == b"x"
    for method, path in (
        ("GET", ""),
        ("GET", "/c"),
        ("GET", "/c/o"),
        ("PUT", "/c/p"),
        ("PUT", "/d"),
    ):
        reply = theirs.swift(method, path, account=mine.account)
        assert reply.status_code == 403, (method, path)


def test_a_reader_reads_and_writes_nothing(maker: Maker) -> None:
    """In both dialects."""
    project = maker.project()
    member, reader = maker.person(project, "member"), maker.person(project, "reader")
    assert member.swift("PUT", "/reading").status_code == 201
    assert member.swift("PUT", "/reading/o", data=b"x").status_code == 201
    assert reader.swift("GET", "").status_code == 200
    assert reader.swift("GET", "/reading/o").content == b"x"
    for method, path in (
        ("PUT", "/new"),
        ("PUT", "/reading/p"),
        ("POST", ""),
        ("DELETE", "/reading/o"),
    ):
        assert reader.swift(method, path).status_code == 403, (method, path)


def test_somebody_without_an_operator_role_has_nothing(maker: Maker) -> None:
    """A role that means nothing to the object store opens nothing."""
    person = maker.person(maker.project(), "service")
    for method in ("GET", "PUT", "POST"):
        assert person.swift(method, "").status_code == 403
    assert person.swift("PUT", "/c").status_code == 403


def test_container_acls_name_users_projects_and_roles(maker: Maker) -> None:
    """`project:user`, wildcards, role names; referrers and `.rlistings` for everybody."""
    owner = maker.person(maker.project(), "member")
    guest = maker.person(maker.project(), "member")
    assert owner.swift("PUT", "/acl").status_code == 201
    assert owner.swift("PUT", "/acl/o", data=b"x").status_code == 201

    def seen(acl: str, *, write: bool = False) -> int:
        header = "X-Container-Write" if write else "X-Container-Read"
        assert owner.swift("POST", "/acl", headers={header: acl}).status_code == 204
        method, path = ("PUT", "/acl/by-guest") if write else ("GET", "/acl/o")
        return guest.swift(method, path, account=owner.account, data=b"y").status_code

    project, user = guest.project_id, guest.user_id
    for acl in (f"{project}:{user}", f"{project}:*", f"*:{user}", "*:*", "member"):
        assert seen(acl) == 200, acl
        assert seen(acl, write=True) == 201, acl
    for acl in ("", f"{owner.project_id}:*", f"{project}:nobody", "admin", user, project, "*"):
        assert seen(acl) == 403, acl
        assert seen(acl, write=True) == 403, acl
    url = f"{owner.store}/v1/{owner.account}/acl"
    assert requests.get(f"{url}/o", timeout=30).status_code == 401
    assert owner.swift("POST", "/acl", headers={"X-Container-Read": ".r:*"}).status_code == 204
    assert requests.get(f"{url}/o", timeout=30).status_code == 200
    assert requests.get(url, timeout=30).status_code == 401
    both = {"X-Container-Read": ".r:*,.rlistings"}
    assert owner.swift("POST", "/acl", headers=both).status_code == 204
    assert requests.get(url, timeout=30).status_code == 200


def test_a_reseller_admin_and_the_system_reach_every_account(
    cloud: RunningCloud, maker: Maker, admin: Person
) -> None:
    """ResellerAdmin owns all accounts; who reads the system reads them."""
    owner = maker.person(maker.project(), "member")
    assert owner.swift("PUT", "/c").status_code == 201
    reseller = maker.person(maker.project(), "ResellerAdmin")
    assert reseller.swift("PUT", "/c/o", account=owner.account, data=b"x").status_code == 201
    user = {"user": {"name": "auditor", "password": "open-sesame"}}
    user_id = admin.api("POST", "/users", user)["user"]["id"]
    admin.api("PUT", f"/system/users/{user_id}/roles/{maker.roles['reader']}")
    auditor = Person(cloud, "auditor", "open-sesame", {"system": {"all": True}})
    assert auditor.swift("GET", "/c/o", account=owner.account).content == b"x"
    assert auditor.swift("PUT", "/c/o", account=owner.account, data=b"y").status_code == 403


def test_ec2_credentials_are_s3_keys(maker: Maker) -> None:
    """The bucket is the project's container, whatever dialect made it; a deleted key signs no more."""
    person = maker.person(maker.project(), "member")
    key = new_key(person)
    s3 = s3_of(person, key)
    s3.create_bucket(Bucket="one-bucket")
    s3.put_object(Bucket="one-bucket", Key="k", Body=b"from s3")
    assert person.swift("GET", "/one-bucket/k").content == b"from s3"
    person.api("DELETE", f"/users/{person.user_id}/credentials/OS-EC2/{key['access']}")
    assert refused_within(s3.list_buckets, "InvalidAccessKeyId") <= REVOKED_WITHIN_S


def test_a_readers_key_only_reads(maker: Maker) -> None:
    """S3 keeps to the same roles. (A reader cannot make keys, so the key is older than the loss of the role.)"""
    project = maker.project()
    person = maker.person(project, "member")
    s3 = s3_of(person, new_key(person))
    s3.create_bucket(Bucket="shrinking")
    maker.grant(person.user_id, project, "reader")
    maker.grant(person.user_id, project, "member", "DELETE")
    took = refused_within(
        lambda: s3.put_object(Bucket="shrinking", Key="k", Body=b""), "AccessDenied"
    )
    assert took <= REVOKED_WITHIN_S
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["shrinking"]


def refused_within(action: Any, code: str) -> float:
    """Seconds until an S3 call is refused with a code."""
    began = time.monotonic()
    while time.monotonic() - began < 10:
        try:
            action()
        except ClientError as error:
            told = error.response["Error"]["Code"]
        else:
            continue
        assert told == code
        return time.monotonic() - began
    raise AssertionError(f"never refused with {code}")


@pytest.mark.parametrize("how", ["token", "role", "user", "project"])
def test_what_is_revoked_is_refused_within_a_second(maker: Maker, admin: Person, how: str) -> None:
    """By every service process: a token, a role, a user, a project."""
    project = maker.project()
    person = maker.person(project, "member")
    assert person.swift("GET", "").status_code == 204
    began = time.monotonic()
    if how == "token":
        headers = {"X-Auth-Token": person.token, "X-Subject-Token": person.token}
        reply = requests.delete(f"{person.identity}/auth/tokens", headers=headers, timeout=30)
        assert reply.status_code == 204
    elif how == "role":
        maker.grant(person.user_id, project, "member", "DELETE")
    elif how == "user":
        admin.api("PATCH", f"/users/{person.user_id}", {"user": {"enabled": False}})
    else:
        admin.api("PATCH", f"/projects/{project}", {"project": {"enabled": False}})
    while person.swift("GET", "").status_code != 401:
        assert time.monotonic() - began < 5
    assert time.monotonic() - began <= REVOKED_WITHIN_S


def test_a_restricted_application_credential_does_what_its_rules_say(maker: Maker) -> None:
    """GET of one container, and nothing else, in the object store too."""
    person = maker.person(maker.project(), "member")
    for container in ("open", "closed"):
        assert person.swift("PUT", f"/{container}").status_code == 201
        assert person.swift("PUT", f"/{container}/o", data=b"x").status_code == 201
    rule = {
        "service": "object-store",
        "method": "GET",
        "path": f"/v1/{person.account}/open/**",
    }
    body = {"application_credential": {"name": "narrow", "access_rules": [rule]}}
    made = person.api("POST", f"/users/{person.user_id}/application_credentials", body)
    credential = made["application_credential"]
    auth = {
        "identity": {
            "methods": ["application_credential"],
            "application_credential": {"id": credential["id"], "secret": credential["secret"]},
        }
    }
    reply = requests.post(f"{person.identity}/auth/tokens", json={"auth": auth}, timeout=30)
    assert reply.status_code == 201, reply.text
    narrow = {"X-Auth-Token": reply.headers["X-Subject-Token"]}
    url = f"{person.store}/v1/{person.account}"
    assert requests.get(f"{url}/open/o", headers=narrow, timeout=30).content == b"x"
    assert requests.get(f"{url}/closed/o", headers=narrow, timeout=30).status_code == 401
    assert requests.put(f"{url}/open/p", headers=narrow, timeout=30).status_code == 401
    assert requests.get(url, headers=narrow, timeout=30).status_code == 401


def test_the_old_swift_log_in_is_the_same_user(cloud: RunningCloud, maker: Maker) -> None:
    """/auth/v1.0 takes `project:user` of the default domain and gives a token of the one kind there is."""
    person = maker.person(maker.project(), "member")
    name = person.body["project"]["name"]
    headers = {"X-Auth-User": f"{name}:{person.user}", "X-Auth-Key": person.password}
    reply = requests.get(cloud.env["ST_AUTH"], headers=headers, timeout=30)
    assert reply.status_code == 200
    assert reply.headers["X-Storage-Url"].endswith(person.account)
    subject = {"X-Auth-Token": person.token, "X-Subject-Token": reply.headers["X-Auth-Token"]}
    shown = requests.get(f"{person.identity}/auth/tokens", headers=subject, timeout=30)
    assert shown.json()["token"]["project"]["id"] == person.project_id
    wrong = {**headers, "X-Auth-Key": "wrong"}
    assert requests.get(cloud.env["ST_AUTH"], headers=wrong, timeout=30).status_code == 401


def test_the_openstack_commands_store_objects(cloud: RunningCloud) -> None:
    """python-openstackclient finds the object store in the catalog."""
    cloud.run("openstack", "container", "create", "from-openstack")
    listed = json.loads(cloud.run("openstack", "container", "list", "-f", "json").stdout)
    assert "from-openstack" in {row["Name"] for row in listed}
    cloud.run("swift", "stat")
