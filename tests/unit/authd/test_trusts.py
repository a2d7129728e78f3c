"""Trusts: lending roles, passing them on, and what ends it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.identity_site import IdentitySite, Reply

PASSWORD = "a-password"


class Parties:
    """A trustor with roles in a project, a trustee and a third."""

    def __init__(self, site: IdentitySite, name: str) -> None:
        self.site = site
        self.name = name
        self.project: dict[str, Any] = site.make("project", name=name)
        self.ids: dict[str, str] = {}
        for who in ("trustor", "trustee", "third"):
            user = site.make("user", name=f"{name}-{who}", password=PASSWORD)
            self.ids[who] = user["id"]
        self.role = site.make("role", name=f"{name}-role")
        self.grant = (
            f"/v3/projects/{self.project['id']}/users/{self.ids['trustor']}/roles/{self.role['id']}"
        )
        assert site.admin("PUT", self.grant).status == 204

    def token(self, who: str, scope: Any = None) -> str:
        """Log in."""
        reply = self.site.login(f"{self.name}-{who}", PASSWORD, scope)
        return reply.headers["x-subject-token"]

    def lend(self, token: str = "", **attributes: Any) -> Reply:
        """Make a trust, by the trustor in their project unless told otherwise."""
        token = token or self.token("trustor", {"project": {"id": self.project["id"]}})
        trust = {
            "trustor_user_id": self.ids["trustor"],
            "trustee_user_id": self.ids["trustee"],
            "project_id": self.project["id"],
            "impersonation": False,
            "roles": [{"id": self.role["id"]}],
            **attributes,
        }
        trust = {key: value for key, value in trust.items() if value != "absent"}
        return self.site.call("POST", "/v3/OS-TRUST/trusts", {"trust": trust}, token=token)

    def use(self, trust_id: str, who: str = "trustee") -> Reply:
        """Log in by a trust."""
        return self.site.login(f"{self.name}-{who}", PASSWORD, {"OS-TRUST:trust": {"id": trust_id}})


NUMBERS = itertools.count()


@pytest.fixture
def parties(site: IdentitySite) -> Parties:
    """New ones for each test."""
    return Parties(site, f"case-{next(NUMBERS)}")


def test_a_trustee_acts_with_the_roles_that_were_lent(parties: Parties) -> None:
    """As themselves or, when impersonating, as the trustor; nobody else can."""
    made = parties.lend(roles=[{"name": f"{parties.name}-role"}]).body["trust"]
    assert [role["id"] for role in made["roles"]] == [parties.role["id"]]
    token = parties.use(made["id"]).body["token"]
    assert token["user"]["id"] == parties.ids["trustee"]
    assert [role["id"] for role in token["roles"]] == [parties.role["id"]]
    assert parties.use(made["id"], "third").status in {401, 403}
    other = parties.lend(impersonation=True).body["trust"]
    assert parties.use(other["id"]).body["token"]["user"]["id"] == parties.ids["trustor"]


def test_a_trust_is_seen_and_ended_by_its_parties_only(parties: Parties) -> None:
    """The trustor ends it; the trustee and strangers do not."""
    made = parties.lend().body["trust"]
    path = f"/v3/OS-TRUST/trusts/{made['id']}"
    site, project = parties.site, {"project": {"id": parties.project["id"]}}
    trustor = parties.token("trustor", project)
    assert site.call("GET", path, token=trustor).body["trust"]["id"] == made["id"]
    assert site.call("GET", f"{path}/roles", token=trustor).body["roles"]
    one = f"{path}/roles/{parties.role['id']}"
    assert site.call("HEAD", one, token=trustor).status == 200
    assert site.call("GET", f"{path}/roles/none", token=trustor).status == 404
    mine = f"/v3/OS-TRUST/trusts?trustor_user_id={parties.ids['trustor']}"
    assert len(site.call("GET", mine, token=trustor).body["trusts"]) == 1
    assert site.call("GET", "/v3/OS-TRUST/trusts", token=trustor).status == 403
    token = parties.use(made["id"]).headers["x-subject-token"]
    assert site.call("DELETE", path, token=token).status == 403
    assert site.demo("GET", path).status == 403
    assert site.call("DELETE", path, token=trustor).status == 204
    assert site.call("GET", path, token=trustor).status == 404
    assert site.call("GET", "/v3/auth/catalog", token=token).status == 401


@pytest.mark.parametrize(
    ("attributes", "status"),
    [
        ({"roles": [{"name": "admin"}]}, 404),
        ({"roles": []}, 403),
        ({"trustee_user_id": "none"}, 404),
        ({"project_id": "none"}, 404),
        ({"impersonation": "true"}, 400),
        ({"impersonation": "absent"}, 400),
        ({"expires_at": "bad.123Z"}, 400),
        ({"expires_at": "2001-01-01T00:00:00Z"}, 400),
        ({"remaining_uses": 0}, 400),
        ({"remaining_uses": "2"}, 400),
        ({"allow_redelegation": True, "remaining_uses": 1}, 400),
        ({"allow_redelegation": True, "redelegation_count": 4}, 403),
    ],
)
def test_a_trust_that_makes_no_sense_is_refused(
    parties: Parties, attributes: dict[str, Any], status: int
) -> None:
    """Roles that the trustor lacks, wrong types, past ends."""
    assert parties.lend(**attributes).status == status


def test_nobody_lends_what_belongs_to_others(parties: Parties) -> None:
    """403 when the trustor is not the caller, whoever calls."""
    third = parties.token("third")
    assert parties.lend(third).status == 403
    assert parties.lend(parties.site.token("admin")).status == 403


def test_uses_are_counted(parties: Parties) -> None:
    """After the last one there is no such trust any more."""
    made = parties.lend(remaining_uses=2).body["trust"]
    assert parties.use(made["id"]).status == 201
    assert parties.use(made["id"]).status == 201
    assert parties.use(made["id"]).status in {403, 404}
    assert parties.site.admin("GET", f"/v3/OS-TRUST/trusts/{made['id']}").status == 404


def test_a_trust_is_passed_on_within_its_limits(parties: Parties) -> None:
    """No more roles, no longer, no deeper; ending the first ends what came from it."""
    first = parties.lend(
        impersonation=True,
        allow_redelegation=True,
        redelegation_count=1,
        expires_at="2999-01-01T00:00:00Z",
    ).body["trust"]
    token = parties.use(first["id"]).headers["x-subject-token"]
    third = {"trustee_user_id": parties.ids["third"]}
    assert parties.lend(token, **third, expires_at="2999-01-02T00:00:00Z").status == 403
    assert parties.lend(token, **third, remaining_uses=1).status == 403
    second = parties.lend(token, **third, impersonation=True).body["trust"]
    assert second["redelegated_trust_id"] == first["id"]
    assert second["expires_at"] == first["expires_at"]
    assert second["redelegation_count"] == 0
    reply = parties.use(second["id"], "third")
    assert reply.body["token"]["user"]["id"] == parties.ids["trustor"]
    deeper = parties.lend(reply.headers["x-subject-token"])
    assert deeper.status == 403
    trustor = parties.token("trustor", {"project": {"id": parties.project["id"]}})
    path = f"/v3/OS-TRUST/trusts/{first['id']}"
    assert parties.site.call("DELETE", path, token=trustor).status == 204
    assert parties.use(second["id"], "third").status == 404
    stale = reply.headers["x-subject-token"]
    assert parties.site.call("GET", "/v3/auth/catalog", token=stale).status == 401


@pytest.mark.parametrize("what", ["grant", "role", "trustor", "project"])
def test_a_trust_ends_with_what_it_rests_on(parties: Parties, what: str) -> None:
    """When the trustor loses the role or goes, or the role or the project goes."""
    made = parties.lend().body["trust"]
    token = parties.use(made["id"]).headers["x-subject-token"]
    path = {
        "grant": parties.grant,
        "role": f"/v3/roles/{parties.role['id']}",
        "trustor": f"/v3/users/{parties.ids['trustor']}",
        "project": f"/v3/projects/{parties.project['id']}",
    }[what]
    assert parties.site.admin("DELETE", path).status == 204
    assert parties.use(made["id"]).status in {401, 403, 404}
    assert parties.site.call("GET", "/v3/auth/catalog", token=token).status == 401


def test_an_application_credential_makes_no_trusts(parties: Parties) -> None:
    """Not even an unrestricted one: a trust would lend all the roles of its user."""
    site = parties.site
    token = parties.token("trustor", {"project": {"id": parties.project["id"]}})
    path = f"/v3/users/{parties.ids['trustor']}/application_credentials"
    body = {"application_credential": {"name": "a", "unrestricted": True}}
    made = site.call("POST", path, body, token=token).body["application_credential"]
    given = {"id": made["id"], "secret": made["secret"]}
    identity = {"methods": ["application_credential"], "application_credential": given}
    reply = site.call("POST", "/v3/auth/tokens", {"auth": {"identity": identity}})
    assert parties.lend(reply.headers["x-subject-token"]).status == 403


def test_what_was_lent_ends_with_the_lenders_domain(site: IdentitySite) -> None:
    """Also when trustee and project are of another domain, and the trustee acts as themselves."""
    domain = site.make("domain", name="lenders")
    project = site.make("project", name="neutral")
    lender = site.make("user", name="lender", password=PASSWORD, domain_id=domain["id"])
    friend = site.make("user", name="friend", password=PASSWORD)
    member = site.admin("GET", "/v3/roles?name=member").body["roles"][0]["id"]
    grant = f"/v3/projects/{project['id']}/users/{lender['id']}/roles/{member}"
    assert site.admin("PUT", grant).status == 204
    scope = {"project": {"id": project["id"]}}
    reply = site.login("lender", PASSWORD, scope, domain["id"])
    trust = {
        "trustor_user_id": lender["id"],
        "trustee_user_id": friend["id"],
        "project_id": project["id"],
        "impersonation": False,
        "roles": [{"id": member}],
    }
    token = reply.headers["x-subject-token"]
    made = site.call("POST", "/v3/OS-TRUST/trusts", {"trust": trust}, token=token).body["trust"]
    lent = site.login("friend", PASSWORD, {"OS-TRUST:trust": {"id": made["id"]}})
    token = lent.headers["x-subject-token"]
    own = f"/v3/projects/{project['id']}"
    assert site.call("GET", own, token=token).status == 200
    path = f"/v3/domains/{domain['id']}"
    assert site.admin("PATCH", path, {"domain": {"enabled": False}}).status == 200
    assert site.call("GET", own, token=token).status == 401
