"""Tags of projects, and lists filtered by them."""

from __future__ import annotations

from authd import tags
from tests.identity_site import IdentitySite


def test_tags_come_and_go_one_by_one_or_all_together(site: IdentitySite) -> None:
    """With the project, on their own, and again with the project."""
    made = site.make("project", name="tagged", tags=["b", "a"])
    assert made["tags"] == ["a", "b"]
    path = f"/v3/projects/{made['id']}"
    assert site.admin("PUT", f"{path}/tags/c%20d").status == 201
    assert site.admin("HEAD", f"{path}/tags/c%20d").status == 204
    assert site.admin("GET", f"{path}/tags").body["tags"] == ["a", "b", "c d"]
    assert site.admin("DELETE", f"{path}/tags/a").status == 204
    assert site.admin("DELETE", f"{path}/tags/a").status == 404
    assert site.admin("PUT", f"{path}/tags", {"tags": ["x"]}).body["tags"] == ["x"]
    changed = site.admin("PATCH", path, {"project": {"tags": ["y"]}})
    assert changed.body["project"]["tags"] == ["y"]
    assert site.admin("DELETE", f"{path}/tags").status == 204
    assert site.admin("GET", path).body["project"]["tags"] == []
    assert site.demo("PUT", f"{path}/tags/z").status == 403


def test_bad_tags_are_400(site: IdentitySite) -> None:
    """Commas, slashes, too long, too many, twice, not a word at all."""
    made = site.make("project", name="untagged", tags=[f"t{n}" for n in range(80)])
    path = f"/v3/projects/{made['id']}/tags"
    for given in (["a,b"], ["a/b"], ["x" * 256], [""], ["a", "a"], [1], "a", ["a"] * 81):
        assert site.admin("PUT", path, {"tags": given}).status == 400, given
    assert site.admin("PUT", f"{path}/one-more").status == 400
    assert site.admin("PUT", f"{path}/a%2Cb").status == 400


def test_lists_are_filtered_by_tags(site: IdentitySite) -> None:
    """All of, any of, not all of, none of."""
    domain = site.make("domain", name="tags")
    for name, held in (("ab", ["a", "b"]), ("a", ["a"]), ("none", [])):
        site.make("project", name=name, domain_id=domain["id"], tags=held)

    def names(query: str) -> set[str]:
        found = site.admin("GET", f"/v3/projects?domain_id={domain['id']}&{query}").body
        return {project["name"] for project in found["projects"]}

    assert names("tags=a,b") == {"ab"}
    assert names("tags-any=a,b") == {"ab", "a"}
    assert names("not-tags=a,b") == {"a", "none"}
    assert names("not-tags-any=a,b") == {"none"}
    assert tags.fits(["a"], {"tags": "a", "not-tags": "b"})


def test_an_immutable_project_keeps_its_tags(site: IdentitySite) -> None:
    """403 for each way of changing them."""
    made = site.make("project", name="stone", tags=["a"], options={"immutable": True})
    path = f"/v3/projects/{made['id']}/tags"
    assert site.admin("PUT", f"{path}/b").status == 403
    assert site.admin("DELETE", f"{path}/a").status == 403
    assert site.admin("PUT", path, {"tags": []}).status == 403
    assert site.admin("DELETE", path).status == 403
    assert site.admin("GET", path).body["tags"] == ["a"]
