"""Log-in through a real OpenID provider: keystoneauth gets the token there and brings it here."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.openid_provider import OpenIdProvider
from tests.running_cloud import BIN, RunningCloud

pytestmark = pytest.mark.slow
RULES = [
    {
        "local": [{"user": {"name": "{0}", "email": "{1}"}}],
        "remote": [{"type": "sub"}, {"type": "email"}],
    },
    {
        "local": [{"groups": "{0}", "domain": {"name": "Default"}}],
        "remote": [{"type": "groups", "whitelist": ["staff", "guests"]}],
    },
]
LOGIN = """
import json, sys
from keystoneauth1 import session
from keystoneauth1.identity import v3
arguments = json.loads(sys.argv[1])
auth = v3.OidcPassword(**arguments)
known = session.Session(auth=auth)
print(json.dumps({"token": known.get_token(), "project": known.get_project_id()}))
"""


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenIdProvider]:
    running = OpenIdProvider(tmp_path_factory.mktemp("openid"))
    yield running
    running.stop()


class Admin:
    """Calls of the cloud's admin."""

    def __init__(self, cloud: RunningCloud) -> None:
        self.url = cloud.env["OS_AUTH_URL"]
        domain = {"id": "default"}
        user = {"name": "admin", "domain": domain, "password": cloud.env["OS_PASSWORD"]}
        auth = {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"name": "admin", "domain": domain}},
        }
        reply = requests.post(f"{self.url}/auth/tokens", json={"auth": auth}, timeout=30)
        self.headers = {"X-Auth-Token": reply.headers["X-Subject-Token"]}

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        reply = requests.request(
            method, self.url + path, json=body, headers=self.headers, timeout=30
        )
        assert reply.status_code < 300, reply.text
        return reply.json() if reply.content else None


@pytest.fixture(scope="session")
def federated(cloud: RunningCloud, provider: OpenIdProvider) -> str:
    """The cloud trusts the provider; its group `staff` is member of the project `demo`. Returns that id."""
    (cloud.data / "federation.yaml").write_text(
        "providers:\n"
        "  corp:\n"
        f"    issuer: {provider.issuer}\n"
        "    client_id: ringstack\n"
        f"    client_secret: {provider.clients['ringstack']}\n"
    )
    admin = Admin(cloud)
    remote = {"enabled": True, "remote_ids": [provider.issuer]}
    admin("PUT", "/OS-FEDERATION/identity_providers/corp", {"identity_provider": remote})
    admin("PUT", "/OS-FEDERATION/mappings/corp", {"mapping": {"rules": RULES}})
    path = "/OS-FEDERATION/identity_providers/corp/protocols/openid"
    admin("PUT", path, {"protocol": {"mapping_id": "corp"}})
    group = admin("POST", "/groups", {"group": {"name": "staff"}})["group"]["id"]
    project = str(admin("GET", "/projects?name=demo")["projects"][0]["id"])
    role = admin("GET", "/roles?name=member")["roles"][0]["id"]
    admin("PUT", f"/projects/{project}/groups/{group}/roles/{role}")
    return project


def present(cloud: RunningCloud, token: str) -> requests.Response:
    url = f"{cloud.env['OS_AUTH_URL']}/OS-FEDERATION/identity_providers/corp/protocols/openid/auth"
    return requests.post(url, headers={"Authorization": f"Bearer {token}"}, timeout=30)


def test_keystoneauth_logs_in_through_the_provider(
    cloud: RunningCloud, provider: OpenIdProvider, federated: str
) -> None:
    """A token for the project that the group gives; it opens the project's account."""
    arguments = {
        "auth_url": cloud.env["OS_AUTH_URL"],
        "identity_provider": "corp",
        "protocol": "openid",
        "client_id": "ringstack",
        "client_secret": provider.clients["ringstack"],
        "discovery_endpoint": f"{provider.issuer}/.well-known/openid-configuration",
        "username": "alice",
        "password": "correct horse",
        "scope": "openid profile email groups",
        "project_name": "demo",
        "project_domain_id": "default",
    }
    done = subprocess.run(
        [sys.executable, "-c", LOGIN, json.dumps(arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": str(BIN)},
    )
    assert done.returncode == 0, done.stderr[-1500:]
    found = json.loads(done.stdout)
    assert found["project"] == federated
    url = f"{cloud.env['AWS_ENDPOINT_URL']}/v1/AUTH_{federated}"
    headers = {"X-Auth-Token": found["token"]}
    assert requests.get(url, headers=headers, timeout=30).status_code in {200, 204}


def test_the_same_person_is_the_same_user_again(
    cloud: RunningCloud, provider: OpenIdProvider, federated: str
) -> None:
    """Unscoped, with the groups that were mapped."""
    del federated
    token = provider.tokens()["access_token"]
    bodies = [present(cloud, token).json()["token"] for _ in range(2)]
    assert bodies[0]["user"]["id"] == bodies[1]["user"]["id"]
    assert bodies[0]["user"]["name"] == "alice"
    assert bodies[0]["methods"] == ["mapped"]
    federation = bodies[0]["user"]["OS-FEDERATION"]
    assert federation["identity_provider"]["id"] == "corp"
    assert len(federation["groups"]) == 1
    assert "project" not in bodies[0]


def test_a_token_for_another_site_is_refused(
    cloud: RunningCloud, provider: OpenIdProvider, federated: str
) -> None:
    """The same person, the same provider, another audience: whoever runs that site must not become alice here."""
    del federated
    token = provider.tokens("another-site")["access_token"]
    assert present(cloud, token).status_code == 401


def test_what_is_no_token_of_the_provider_is_refused(
    cloud: RunningCloud, provider: OpenIdProvider, federated: str
) -> None:
    """Changed, unsigned, or nothing."""
    del federated
    head, payload, signature = provider.tokens()["access_token"].split(".")
    none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"
    for bad in (
        f"{head}.{payload}.",
        f"{head}.{payload}.{signature[:-4]}AAAA",
        f"{none}.{payload}.",
        f"{none}.{payload}.{signature}",
        "a.b.c",
        "opaque",
        "x" * 20_000,
    ):
        assert present(cloud, bad).status_code == 401, bad[:40]


def test_a_disabled_provider_ends_its_tokens(
    cloud: RunningCloud, provider: OpenIdProvider, federated: str
) -> None:
    """Those that are out, and new log-ins. (The last test: it stays disabled.)"""
    del federated
    reply = present(cloud, provider.tokens()["access_token"])
    token = {"X-Auth-Token": reply.headers["X-Subject-Token"]}
    projects = f"{cloud.env['OS_AUTH_URL']}/auth/projects"
    names = [
        p["name"] for p in requests.get(projects, headers=token, timeout=30).json()["projects"]
    ]
    assert names == ["demo"]
    off = {"identity_provider": {"enabled": False}}
    Admin(cloud)("PATCH", "/OS-FEDERATION/identity_providers/corp", off)
    assert requests.get(projects, headers=token, timeout=30).status_code == 401
    assert present(cloud, provider.tokens()["access_token"]).status_code == 404


def test_files_are_private(cloud: RunningCloud) -> None:
    """Keys are the owner's alone."""
    for path in Path(cloud.data / "keys").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
