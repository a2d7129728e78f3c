"""Projects: trees, names, and who may."""

from __future__ import annotations

from tests.identity_site import IdentitySite


def test_a_project_is_made_shown_changed_and_removed(site: IdentitySite) -> None:
    """With attributes of the client's own kept."""
    made = site.make("project", name="one", description="d", colour="blue")
    assert made["colour"] == "blue"
    assert made["domain_id"] == made["parent_id"] == "default"
    path = f"/v3/projects/{made['id']}"
    assert site.admin("PATCH", path, {"project": {"name": "uno"}}).body["project"]["name"] == "uno"
    assert site.admin("GET", path).body["project"]["colour"] == "blue"
    assert site.admin("DELETE", path).status == 204
    assert site.admin("GET", path).status == 404


def test_names_are_unique_in_a_domain_only(site: IdentitySite) -> None:
    """409 twice in one domain, fine in another."""
    site.make("project", name="twice")
    assert site.admin("POST", "/v3/projects", {"project": {"name": "twice"}}).status == 409
    domain = site.make("domain", name="other")
    site.make("project", name="twice", domain_id=domain["id"])


def test_trees_are_five_deep_and_agree_about_being_enabled(site: IdentitySite) -> None:
    """403 for the sixth level, and for disabling above what is enabled."""
    line = [site.make("project", name="l1")]
    for level in range(2, 6):
        line.append(site.make("project", name=f"l{level}", parent_id=line[-1]["id"]))
    body = {"project": {"name": "l6", "parent_id": line[-1]["id"]}}
    assert site.admin("POST", "/v3/projects", body).status == 403
    top = f"/v3/projects/{line[0]['id']}"
    assert site.admin("PATCH", top, {"project": {"enabled": False}}).status == 403
    assert site.admin("DELETE", top).status == 403
    shown = site.admin("GET", f"{top}?subtree_as_ids").body["project"]["subtree"]
    assert list(shown) == [line[1]["id"]]


def test_bad_bodies_are_400_in_openstacks_form(site: IdentitySite) -> None:
    """Strings for booleans, names too long or empty, unknown domains."""
    for project in (
        {"name": "x", "enabled": "true"},
        {"name": "x" * 65},
        {"name": ""},
        {"name": " "},
        {"name": 7},
        {},
        {"name": "x", "options": {"unknown": 1}},
    ):
        reply = site.admin("POST", "/v3/projects", {"project": project})
        assert reply.status == 400, project
        assert reply.body["error"]["code"] == 400
        assert reply.body["error"]["title"] == "Bad Request"
    unknown = {"project": {"name": "x", "domain_id": "none"}}
    assert site.admin("POST", "/v3/projects", unknown).status == 404


def test_a_member_may_look_at_their_own_project_only(site: IdentitySite) -> None:
    """403 for others' projects, for lists and for changes."""
    other = site.make("project", name="secret")
    assert site.demo("GET", f"/v3/projects/{other['id']}").status == 403
    assert site.demo("GET", "/v3/projects").status == 403
    assert site.demo("POST", "/v3/projects", {"project": {"name": "mine"}}).status == 403
    assert site.call("GET", "/v3/projects").status == 401


def test_lists_filter_and_page(site: IdentitySite) -> None:
    """Exact filters, comparators, limit and marker with links that lead on."""
    domain = site.make("domain", name="pages")
    names = [f"page-{number}" for number in range(5)]
    for name in names:
        site.make("project", name=name, domain_id=domain["id"])
    base = f"/v3/projects?domain_id={domain['id']}"
    listed = site.admin("GET", base).body
    assert sorted(project["name"] for project in listed["projects"]) == names
    assert "truncated" not in listed
    loose = site.admin("GET", f"{base}&name__icontains=E-3").body["projects"]
    assert [project["name"] for project in loose] == ["page-3"]
    seen: list[str] = []
    path = f"{base}&limit=2"
    while path:
        page = site.admin("GET", path).body
        seen += [project["name"] for project in page["projects"]]
        path = (page["links"]["next"] or "").partition("/identity")[2]
    assert sorted(seen) == names
    assert site.admin("GET", f"{base}&limit=x").status == 400


def test_an_immutable_project_neither_changes_nor_goes(site: IdentitySite) -> None:
    """Until the option is lifted."""
    made = site.make("project", name="rock", options={"immutable": True})
    path = f"/v3/projects/{made['id']}"
    assert site.admin("PATCH", path, {"project": {"name": "sand"}}).status == 403
    assert site.admin("DELETE", path).status == 403
    lifted = site.admin("PATCH", path, {"project": {"options": {"immutable": None}}})
    assert lifted.status == 200, lifted
    assert site.admin("DELETE", path).status == 204
