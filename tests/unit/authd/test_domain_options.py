"""The configuration of single domains."""

from __future__ import annotations

import sqlalchemy as sa

from authd import domain_options
from tests.identity_site import IdentitySite

GIVEN = {"identity": {"driver": "ldap"}, "ldap": {"url": "ldap://x", "user_tree_dn": "ou=Users"}}


def test_options_are_kept_shown_changed_and_forgotten(site: IdentitySite) -> None:
    """All of them, those of a group, or a single one."""
    domain = site.make("domain", name="configured")
    path = f"/v3/domains/{domain['id']}/config"
    assert site.admin("GET", path).status == 404
    assert site.admin("PUT", path, {"config": GIVEN}).status == 201
    assert site.admin("PUT", path, {"config": GIVEN}).status == 200
    assert site.admin("GET", path).body["config"] == GIVEN
    assert site.admin("GET", f"{path}/ldap").body["config"] == {"ldap": GIVEN["ldap"]}
    assert site.admin("GET", f"{path}/ldap/url").body["config"] == {"url": "ldap://x"}
    limit = {"config": {"identity": {"list_limit": 5}}}
    assert site.admin("PATCH", f"{path}/identity", limit).body["config"]["identity"] == {
        "driver": "ldap",
        "list_limit": 5,
    }
    one = {"config": {"url": "ldap://y"}}
    assert site.admin("PATCH", f"{path}/ldap/url", one).body["config"]["ldap"]["url"] == "ldap://y"
    assert site.admin("DELETE", f"{path}/ldap/url").status == 204
    assert site.admin("GET", f"{path}/ldap/url").status == 404
    assert site.admin("DELETE", f"{path}/ldap").status == 204
    assert site.admin("GET", f"{path}/ldap").status == 404
    assert site.admin("DELETE", path).status == 204
    assert site.admin("GET", path).status == 404
    assert site.demo("GET", path).status == 403


def test_unknown_options_and_wrong_shapes_are_refused(site: IdentitySite) -> None:
    """403 for what the configuration does not know, 400 for what is no configuration."""
    domain = site.make("domain", name="misconfigured")
    path = f"/v3/domains/{domain['id']}/config"
    for given in ({}, {"colour": {"a": 1}}, {"ldap": {"colour": 1}}, {"ldap": 5}, {"ldap": {}}):
        assert site.admin("PUT", path, {"config": given}).status == 403, given
    assert site.admin("PUT", path, {"config": []}).status == 400
    assert site.admin("GET", f"{path}/colour").status == 403
    assert site.admin("PATCH", f"{path}/ldap", {"config": GIVEN}).status == 403
    assert site.admin("PATCH", f"{path}/ldap", {"config": {"ldap": {"url": "x"}}}).status == 404
    assert site.admin("PUT", "/v3/domains/none/config", {"config": GIVEN}).status == 404


def test_a_password_is_sealed_and_never_shown(site: IdentitySite) -> None:
    """Neither by the API nor in the database."""
    domain = site.make("domain", name="secretive")
    path = f"/v3/domains/{domain['id']}/config"
    given = {"ldap": {"url": "ldap://x", "password": "very-secret"}}
    assert b"very-secret" not in site.admin("PUT", path, {"config": given}).raw
    assert site.admin("GET", f"{path}/ldap/password").status == 404

    async def stored() -> str:
        async with site.database.read() as db:
            table = domain_options.TABLE
            found = await db.execute(sa.select(table.c.value).where(table.c.option == "password"))
            return str(found.scalar_one())

    assert "very-secret" not in site.run(stored())


def test_defaults_and_password_rules_can_be_read(site: IdentitySite) -> None:
    """Defaults by administrators, what passwords must look like by everybody."""
    top = "/v3/domains/config"
    assert set(site.admin("GET", f"{top}/default").body["config"]) == {"identity", "ldap"}
    assert site.admin("GET", f"{top}/identity/driver/default").body["config"] == {"driver": "sql"}
    assert site.admin("GET", f"{top}/colour/default").status == 403
    path = "/v3/domains/default/config/security_compliance"
    rules = site.demo("GET", path).body["config"]["security_compliance"]
    assert rules == {"password_regex": None, "password_regex_description": None}
    assert site.demo("GET", f"{path}/password_regex").status == 200
    assert site.demo("GET", f"{path}/lockout").status == 403
    other = site.make("domain", name="other-rules")
    assert site.demo("GET", path.replace("default", other["id"])).status == 403
