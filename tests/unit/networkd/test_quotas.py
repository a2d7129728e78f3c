"""Quotas: defaults, changes, usage, and who may see them."""

from __future__ import annotations

import pytest

from networkd.quotas import DEFAULTS
from tests.network_site import NetworkSite

OWN = "d" * 32


def test_limits_are_defaults_until_they_are_changed(site: NetworkSite) -> None:
    """And again when they are forgotten."""
    path = f"/quotas/{OWN}"
    assert site.admin("GET", path).body["quota"] == DEFAULTS
    changed = site.admin("PUT", path, {"quota": {"network": 1}}).body["quota"]
    assert changed == {**DEFAULTS, "network": 1}
    site.make("network")
    reply = site.call("POST", "/networks", {"network": {}})
    assert reply.body["NeutronError"]["type"] == "OverQuota"
    assert reply.status == 409
    assert site.admin("GET", "/quotas").body["quotas"][0]["project_id"] == OWN
    assert site.admin("DELETE", path).status == 204
    assert site.admin("DELETE", path).status == 404
    assert site.admin("GET", path).body["quota"] == DEFAULTS


def test_usage_is_what_there_is(site: NetworkSite) -> None:
    """Counted, never kept."""
    site.network()
    details = site.admin("GET", f"/quotas/{OWN}/details").body["quota"]
    assert details["subnet"] == {"limit": 100, "used": 1, "reserved": 0}
    low = {"quota": {"subnet": 0, "check_limit": True}}
    assert site.admin("PUT", f"/quotas/{OWN}", low).status == 400


@pytest.mark.parametrize(
    "quota", [{"network": "x"}, {"network": -2}, {"magic": 1}, {"network": True}, 7]
)
def test_limits_that_make_no_sense_are_400(strict: NetworkSite, quota: object) -> None:
    """Nothing changes."""
    assert strict.admin("PUT", f"/quotas/{OWN}", {"quota": quota}).status == 400


def test_members_change_no_quotas(strict: NetworkSite) -> None:
    """And see none of others."""
    assert strict.call("PUT", f"/quotas/{OWN}", {"quota": {}}).status == 403
    assert strict.call("GET", f"/quotas/{'e' * 32}").status == 403
