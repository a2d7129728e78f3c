"""A day's work with python-openstackclient, and every way of logging in with keystoneauth and openstacksdk."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import struct
import subprocess
import sys
import time
from base64 import b32encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openstack
import pytest
import yaml
from keystoneauth1 import exceptions
from keystoneauth1.identity import v3
from keystoneauth1.session import Session

from tests.running_cloud import RunningCloud

PASSWORD = "Some-Password-1"
# One process for all commands, because starting the client takes longer than what it does.
DRIVER = """
import contextlib, io, json, sys
from openstackclient import shell
for line in sys.stdin:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = shell.OpenStackShell().run(json.loads(line))
        except SystemExit as end:
            code = end.code
    print(json.dumps([code, out.getvalue(), err.getvalue()]), flush=True)
"""


class Client:
    """`openstack …`, as the administrator unless told otherwise."""

    def __init__(self, env: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", DRIVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **env},
        )

    def run(self, command: str, *more: str) -> tuple[int, str, str]:
        """Exit code, output and errors of a command; `more` are arguments with spaces in them."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([*command.split(), *more]) + "\n")
        self._process.stdin.flush()
        code, out, err = json.loads(self._process.stdout.readline())
        return code, out, err

    def do(self, command: str, *more: str) -> None:
        """A command that must succeed."""
        code, out, err = self.run(command, *more)
        assert code == 0, (command, out, err)

    def ask(self, command: str, *more: str) -> Any:
        """A command that must succeed and shows something."""
        code, out, err = self.run(command, *more, "-f", "json")
        assert code == 0, (command, out, err)
        return json.loads(out)

    def refused(self, command: str, *more: str) -> str:
        """A command that must fail; returns what it says."""
        code, out, err = self.run(command, *more)
        assert code != 0, (command, out)
        return out + err

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)


@pytest.fixture(scope="module")
def client(cloud: RunningCloud) -> Iterator[Client]:
    """The administrator at work."""
    made = Client(cloud.env)
    yield made
    made.close()


def names(rows: list[dict[str, Any]], column: str = "Name") -> set[str]:
    """One column of a list."""
    return {row[column] for row in rows}


def test_domains_projects_and_tags(client: Client) -> None:
    """Made, nested, tagged, changed, refused while in use, removed."""
    domain = client.ask("domain create day --description", "a day's domain")
    assert client.ask("domain show day")["id"] == domain["id"]
    client.do("project create --domain day top --tag red --tag blue")
    client.do("project create --domain day --parent top low")
    assert client.ask("project show --domain day top --children")["tags"] == ["blue", "red"]
    assert names(client.ask("project list --domain day")) == {"top", "low"}
    assert names(client.ask("project list --domain day --tags red")) == {"top"}
    client.do("project set --domain day top --name summit --property colour=green")
    assert client.ask("project show --domain day summit")["colour"] == "green"
    assert "leaf" in client.refused("project delete --domain day summit")
    assert "409" in client.refused("project create --domain day low")
    assert "403" in client.refused("domain delete day")
    client.do("project delete --domain day low")
    client.do("project delete --domain day summit")
    client.do("domain set --disable day")
    client.do("domain delete day")
    assert "No Domain" in client.refused("domain show day")


def test_users_groups_and_roles(client: Client) -> None:
    """Grants to users and groups on projects, domains and the system, inherited and implied ones."""
    domain = client.ask("domain create staff")
    client.do("project create --domain staff work")
    client.do(f"user create --domain staff --password {PASSWORD} --email a@b.c ann")
    client.do("group create --domain staff crew")
    client.do("group add user --group-domain staff --user-domain staff crew ann")
    client.do("group contains user --group-domain staff --user-domain staff crew ann")
    assert names(client.ask(f"user list --domain {domain['id']} --group crew")) == {"ann"}
    client.do("role create cook")
    client.do("role create taste")
    client.do("implied role create cook --implied-role taste")
    grant = "--project work --project-domain staff --group crew --group-domain staff cook"
    client.do(f"role add {grant}")
    every = client.ask(
        "role assignment list --names --effective --user ann --user-domain staff --project work"
        " --project-domain staff"
    )
    assert names(every, "Role") == {"cook", "taste"}
    client.do("role add --domain staff --user ann --user-domain staff --inherited reader")
    client.do("role add --system all --user ann --user-domain staff reader")
    shown = client.ask("role assignment list --names --user ann --user-domain staff")
    assert {(row["Domain"], row["System"], row["Inherited"]) for row in shown} == {
        ("staff", "", True),
        ("", "all", False),
    }
    client.do("role remove --system all --user ann --user-domain staff reader")
    client.do(f"role remove {grant}")
    client.do("implied role delete cook --implied-role taste")
    client.do("role delete cook taste")
    client.do("group remove user --group-domain staff --user-domain staff crew ann")
    client.do("user set --domain staff --disable ann")
    assert client.ask("user show --domain staff ann")["enabled"] is False
    client.do("user delete --domain staff ann")
    client.do("group delete --domain staff crew")
    client.do("domain set --disable staff")
    client.do("domain delete staff")


def test_the_catalog_and_limits(client: Client) -> None:
    """Regions, services, endpoints, registered limits and limits."""
    assert {"identity", "object-store"} <= names(client.ask("catalog list"), "Type")
    client.do("region create north --description", "up there")
    client.do("region create north-1 --parent-region north")
    assert {"north", "north-1"} <= names(client.ask("region list"), "Region")
    client.do("service create --name snacks --description food snacks")
    client.do("endpoint create --region north-1 snacks public http://127.0.0.1/%(project_id)s")
    listed = client.ask("endpoint list --service snacks")
    assert [row["URL"] for row in listed] == ["http://127.0.0.1/%(project_id)s"]
    assert "endpoints" in client.refused("region delete north")
    client.do("registered limit create --service snacks --region north-1 --default-limit 10 cakes")
    made = client.ask(
        "limit create --service snacks --region north-1 --project demo --resource-limit 5 cakes"
    )
    assert made["resource_limit"] == 5
    client.do(f"limit set {made['id']} --resource-limit 7")
    assert client.ask(f"limit show {made['id']}")["resource_limit"] == 7
    registered = client.ask("registered limit list --resource-name cakes")
    assert "403" in client.refused(f"registered limit delete {registered[0]['ID']}")
    client.do(f"limit delete {made['id']}")
    client.do(f"registered limit delete {registered[0]['ID']}")
    client.do("service delete snacks")
    client.do("region delete north-1")
    client.do("region delete north")


def test_tokens_and_credentials(client: Client, cloud: RunningCloud) -> None:
    """Issued, used, revoked; application, EC2 and other credentials; trusts."""
    issued = client.ask("token issue")
    token, project = issued["id"], issued["project_id"]
    assert len(token) <= 400
    ec2 = client.ask("ec2 credentials create")
    assert client.ask(f"ec2 credentials show {ec2['access']}")["secret"] == ec2["secret"]
    assert ec2["access"] in names(client.ask("ec2 credentials list"), "Access")
    client.do(f"ec2 credentials delete {ec2['access']}")
    kept = client.ask(f"credential create --type cert --project {project} admin secret-words")
    assert client.ask(f"credential show {kept['id']}")["blob"] == "secret-words"
    client.do(f"credential delete {kept['id']}")
    rule = '[{"service": "object-store", "method": "GET", "path": "/v1/**"}]'
    made = client.ask("application credential create robot --role member --access-rules", rule)
    assert made["Project ID"] == project
    shown = client.ask("application credential show robot")
    assert "Secret" not in shown
    rules = client.ask("access rule list")
    assert {row["Path"] for row in rules} == {"/v1/**"}
    assert "403" in client.refused(f"access rule delete {rules[0]['ID']}")
    client.do("application credential delete robot")
    client.do(f"access rule delete {rules[0]['ID']}")
    trust = client.ask(f"trust create --project {project} --role member admin demo")
    assert trust["id"] in names(client.ask("trust list"), "ID")
    client.do(f"trust delete {trust['id']}")
    client.do(f"token revoke {token}")
    assert "404" in client.refused(f"token revoke {token}")


def test_mistakes_are_told_as_keystone_tells_them(client: Client) -> None:
    """Names that do not exist, are too long or taken, and passwords that are wrong."""
    assert "No Domain" in client.refused("domain show nowhere")
    assert "400" in client.refused(f"project create {'x' * 65}")
    assert "409" in client.refused("user create admin")
    assert "401" in client.refused("--os-password wrong token issue")
    assert "401" in client.refused("--os-user-domain-id none token issue")
    assert "403" in client.refused("role delete admin")


class Login:
    """The parameters that every keystoneauth plugin here shares, and a session over each."""

    def __init__(self, cloud: RunningCloud) -> None:
        env = cloud.env
        self.url = env["OS_AUTH_URL"]
        self.user = {
            "username": env["OS_USERNAME"],
            "user_domain_id": env["OS_USER_DOMAIN_ID"],
        }
        self.password = env["OS_PASSWORD"]
        self.project = {
            "project_name": env["OS_PROJECT_NAME"],
            "project_domain_id": env["OS_PROJECT_DOMAIN_ID"],
        }

    def by_password(self, **scope: Any) -> Session:
        """The administrator with a password."""
        plugin = v3.Password(self.url, password=self.password, **self.user, **scope)
        return Session(auth=plugin)


@pytest.fixture(scope="module")
def login(cloud: RunningCloud) -> Login:
    """Of the administrator."""
    return Login(cloud)


def users_seen(session: Session) -> int:
    """How many users a session may list."""
    endpoint = {"service_type": "identity", "interface": "public", "version": (3, 0)}
    return len(session.get("/users", endpoint_filter=endpoint).json()["users"])


def test_keystoneauth_logs_in_with_a_password_to_every_scope(login: Login) -> None:
    """Project, domain, system, and none at all."""
    for scope in (login.project, {"domain_id": "default"}, {"system_scope": "all"}):
        assert users_seen(login.by_password(**scope)) >= 2
    unscoped = login.by_password(unscoped=True)
    access = unscoped.auth.get_access(unscoped)
    assert not access.scoped
    with pytest.raises(exceptions.Unauthorized):
        login.by_password(project_name="none", project_domain_id="default").get_token()


def test_keystoneauth_goes_on_with_a_token(login: Login) -> None:
    """Rescoped from unscoped to a project, the end staying the same."""
    first = login.by_password(unscoped=True)
    access = first.auth.get_access(first)
    second = Session(auth=v3.Token(login.url, access.auth_token, **login.project))
    assert users_seen(second) >= 2
    assert second.auth.get_access(second).expires == access.expires


def test_keystoneauth_logs_in_with_an_application_credential(login: Login) -> None:
    """By id, and by name with its user."""
    session = login.by_password(**login.project)
    user_id = session.get_user_id()
    path = f"{login.url}/users/{user_id}/application_credentials"
    body = {"application_credential": {"name": "from-keystoneauth"}}
    made = session.post(path, json=body).json()["application_credential"]
    secret = {"application_credential_secret": made["secret"]}
    for given in (
        {"application_credential_id": made["id"]},
        {"application_credential_name": made["name"], **login.user},
    ):
        plugin = v3.ApplicationCredential(login.url, **secret, **given)
        assert users_seen(Session(auth=plugin)) >= 2
    session.delete(f"{path}/{made['id']}")
    plugin = v3.ApplicationCredential(login.url, application_credential_id=made["id"], **secret)
    with pytest.raises(exceptions.Unauthorized):
        Session(auth=plugin).get_token()


def test_keystoneauth_acts_by_a_trust(login: Login, cloud: RunningCloud) -> None:
    """The trustee with the trustor's role in the trustor's project."""
    session = login.by_password(**login.project)
    demo = session.get(f"{login.url}/users?name=demo").json()["users"][0]
    trust = {
        "trustor_user_id": session.get_user_id(),
        "trustee_user_id": demo["id"],
        "project_id": session.get_project_id(),
        "impersonation": False,
        "roles": [{"name": "reader"}],
    }
    made = session.post(f"{login.url}/OS-TRUST/trusts", json={"trust": trust}).json()["trust"]
    clouds = yaml.safe_load(cloud.command("env", "--format", "clouds.yaml"))["clouds"]
    given = clouds["ringstack-demo"]["auth"]
    plugin = v3.Password(
        login.url,
        username="demo",
        user_domain_id="default",
        password=given["password"],
        trust_id=made["id"],
    )
    trusted = Session(auth=plugin)
    access = trusted.auth.get_access(trusted)
    assert access.trust_scoped
    assert access.project_id == trust["project_id"]
    assert access.role_names == ["reader"]


def passcode(seed: bytes, at: float) -> str:
    """RFC 6238 with its defaults: SHA-1, thirty seconds, six digits."""
    digest = hmac.new(seed, struct.pack(">Q", int(at) // 30), hashlib.sha1).digest()
    offset = digest[-1] & 15
    number = struct.unpack(">I", digest[offset : offset + 4])[0] & 0x7FFFFFFF
    return f"{number % 1_000_000:06}"


def test_keystoneauth_logs_in_with_two_factors(login: Login) -> None:
    """A user whose rules ask for password and passcode gets in with both only."""
    session = login.by_password(**login.project)
    user = {"name": "careful", "password": PASSWORD}
    made = session.post(f"{login.url}/users", json={"user": user}).json()["user"]
    seed = os.urandom(20)
    credential = {
        "type": "totp",
        "blob": b32encode(seed).decode(),
        "user_id": made["id"],
    }
    session.post(f"{login.url}/credentials", json={"credential": credential})
    rules = {
        "multi_factor_auth_enabled": True,
        "multi_factor_auth_rules": [["password", "totp"]],
    }
    session.patch(f"{login.url}/users/{made['id']}", json={"user": {"options": rules}})
    who = {"username": "careful", "user_domain_id": "default"}
    alone = v3.Password(login.url, password=PASSWORD, unscoped=True, **who)
    with pytest.raises(exceptions.auth.MissingAuthMethods):
        Session(auth=alone).get_token()
    both = v3.MultiFactor(
        login.url,
        auth_methods=["v3password", "v3totp"],
        password=PASSWORD,
        passcode=passcode(seed, time.time()),
        unscoped=True,
        **who,
    )
    both_session = Session(auth=both)
    assert both_session.get_user_id() == made["id"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_openstacksdk_works_with_the_clouds_file(cloud: RunningCloud, tmp_path: Path) -> None:
    """As the administrator, on the system and as the demo user."""
    path = tmp_path / "clouds.yaml"
    path.write_text(cloud.command("env", "--format", "clouds.yaml"))

    def connect(name: str) -> Any:
        config = openstack.config.OpenStackConfig(config_files=[str(path)])
        return openstack.connection.Connection(config=config.get_one(cloud=name))

    admin = connect("ringstack")
    project = admin.identity.create_project(name="from-sdk", tags=["sdk"])
    assert admin.identity.find_project("from-sdk").id == project.id
    user = admin.identity.create_user(name="sdk", password=PASSWORD)
    role = admin.identity.find_role("member")
    admin.identity.assign_project_role_to_user(project, user, role)
    found = list(admin.identity.role_assignments(user_id=user.id))
    assert [one.role["id"] for one in found] == [role.id]
    assert "Default" in {domain.name for domain in connect("ringstack-system").identity.domains()}
    demo = connect("ringstack-demo")
    assert demo.current_project.name == "demo"
    with pytest.raises(openstack.exceptions.ForbiddenException):
        list(demo.identity.users())
    admin.identity.delete_user(user)
    admin.identity.delete_project(project)
