"""Registered limits, limits, and the models that bind them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from authd import limit_models, settings
from core.api.fault import Fault
from core.errors import Corrupt
from tests.identity_site import IdentitySite, Reply


def service_id(site: IdentitySite) -> str:
    """Id of the object store."""
    found = site.admin("GET", "/v3/services?type=object-store").body["services"]
    return str(found[0]["id"])


def register(site: IdentitySite, name: str, **attributes: Any) -> Reply:
    """Ask for a registered limit of ten."""
    given = {"service_id": service_id(site), "resource_name": name, "default_limit": 10}
    body = {"registered_limits": [{**given, **attributes}]}
    return site.admin("POST", "/v3/registered_limits", body)


def limit(site: IdentitySite, name: str, value: int, **owner: str) -> Reply:
    """Ask for a limit."""
    given = {"service_id": service_id(site), "resource_name": name, "resource_limit": value}
    return site.admin("POST", "/v3/limits", {"limits": [{**given, **owner}]})


def test_a_limit_needs_a_registered_one(site: IdentitySite) -> None:
    """Which then stays as it is while limits refer to it."""
    project = site.make("project", name="limited")
    assert limit(site, "volumes", 5, project_id=project["id"]).status == 403
    made = register(site, "volumes").body["registered_limits"][0]
    assert register(site, "volumes").status == 409
    assert register(site, "volumes", region_id="us-east-1").status == 201
    one = limit(site, "volumes", 5, project_id=project["id"]).body["limits"][0]
    assert one["resource_limit"] == 5
    assert limit(site, "volumes", 6, project_id=project["id"]).status == 409
    path = f"/v3/registered_limits/{made['id']}"
    assert site.admin("DELETE", path).status == 403
    change = {"registered_limit": {"default_limit": 20}}
    assert site.admin("PATCH", path, change).status == 403
    own = f"/v3/limits/{one['id']}"
    patched = site.admin("PATCH", own, {"limit": {"resource_limit": 7}})
    assert patched.body["limit"]["resource_limit"] == 7
    assert site.admin("DELETE", own).status == 204
    assert site.admin("PATCH", path, change).body["registered_limit"]["default_limit"] == 20
    assert site.admin("DELETE", path).status == 204
    assert site.admin("GET", path).status == 404


def test_bad_limits_are_refused_all_together(site: IdentitySite) -> None:
    """One bad limit in a list leaves none behind."""
    for attributes in (
        {"service_id": "none"},
        {"region_id": "none"},
        {"default_limit": "10"},
        {"default_limit": -2},
        {"default_limit": True},
        {"resource_name": ""},
        {"resource_name": "x" * 256},
        {"unknown": 1},
    ):
        assert register(site, "bad", **attributes).status == 400, attributes
    good = {"service_id": service_id(site), "resource_name": "both", "default_limit": 1}
    body = {"registered_limits": [good, {**good, "service_id": "none"}]}
    assert site.admin("POST", "/v3/registered_limits", body).status == 400
    listed = site.admin("GET", "/v3/registered_limits?resource_name=both").body
    assert listed["registered_limits"] == []
    assert register(site, "owned").status == 201
    assert limit(site, "owned", 1).status == 400
    assert limit(site, "owned", 1, project_id="none").status == 400
    assert limit(site, "owned", 1, project_id="default").status == 400
    assert limit(site, "owned", 1, domain_id="default", project_id="x").status == 400


def test_a_project_sees_its_own_limits(site: IdentitySite) -> None:
    """And the model, and what is registered; it changes nothing."""
    register(site, "seen")
    mine = site.admin("GET", "/v3/projects?name=demo").body["projects"][0]["id"]
    other = site.make("project", name="not-mine")
    limit(site, "seen", 3, project_id=mine)
    hidden = limit(site, "seen", 4, project_id=other["id"]).body["limits"][0]
    seen = site.demo("GET", "/v3/limits").body["limits"]
    assert [one["project_id"] for one in seen] == [mine]
    assert site.demo("GET", f"/v3/limits/{seen[0]['id']}").status == 200
    assert site.demo("GET", f"/v3/limits/{hidden['id']}").status == 403
    assert site.demo("GET", "/v3/limits/model").body["model"]["name"] == "flat"
    assert site.demo("POST", "/v3/limits", {"limits": []}).status in {400, 403}
    assert site.admin("DELETE", f"/v3/projects/{other['id']}").status == 204
    assert site.admin("GET", f"/v3/limits/{hidden['id']}").status == 404


def test_the_strict_model_binds_projects_to_their_domain(tmp_path: Path) -> None:
    """A project never has more than its domain, nor a domain less than a project of it."""
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / settings.FILE).write_text('{"limit_model": "strict_two_level"}')
    site = IdentitySite(tmp_path)
    assert site.admin("GET", "/v3/limits/model").body["model"]["name"] == "strict_two_level"
    register(site, "ports")
    project = site.make("project", name="child")
    assert limit(site, "ports", 11, project_id=project["id"]).status == 403
    assert limit(site, "ports", 20, domain_id="default").status == 201
    made = limit(site, "ports", 15, project_id=project["id"])
    assert made.status == 201
    top = site.admin("GET", "/v3/limits?domain_id=default").body["limits"][0]
    path = f"/v3/limits/{top['id']}"
    assert site.admin("PATCH", path, {"limit": {"resource_limit": 14}}).status == 403
    assert site.admin("PATCH", path, {"limit": {"resource_limit": 15}}).status == 200
    own = f"/v3/limits/{made.body['limits'][0]['id']}"
    assert site.admin("PATCH", own, {"limit": {"resource_limit": -1}}).status == 403
    site.close()


def test_without_a_bound_everything_is_covered() -> None:
    """-1 is more than any number, and only -1 covers it."""
    limit_models.check_project("strict_two_level", 5, -1)
    limit_models.check_project("flat", 5, 1)
    with pytest.raises(Fault):
        limit_models.check_domain("strict_two_level", 5, [-1])


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"unknown": 1}',
        '{"limit_model": "loose"}',
        '{"password_regex": "("}',
        '{"lockout_failure_attempts": -1}',
    ],
)
def test_settings_that_cannot_be_understood_stop_the_start(tmp_path: Path, text: str) -> None:
    """Rather than being ignored."""
    path = tmp_path / settings.FILE
    assert settings.load(path) == settings.Settings()
    path.write_text(text)
    with pytest.raises(Corrupt):
        settings.load(path)
