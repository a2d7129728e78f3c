"""Metadata definitions: namespaces and what is defined in them, for whom."""

from __future__ import annotations

import pytest

from tests.image_site import ImageSite

TOP = "/v2/metadefs/namespaces"
CPU = {"title": "CPU", "type": "integer", "minimum": 1}


def namespace(site: ImageSite, name: str = "lab", **more: object) -> str:
    body = {"namespace": name, "visibility": "public", **more}
    assert site.call("POST", TOP, body, who="admin").status == 201
    return f"{TOP}/{name}"


def test_a_namespace_with_everything_in_it(site: ImageSite) -> None:
    """Made whole, shown whole, with the prefix of a resource type when one is asked for."""
    path = namespace(
        site,
        display_name="Lab",
        resource_type_associations=[{"name": "OS::Nova::Flavor", "prefix": "hw:"}],
        properties={"cpu": CPU},
        objects=[{"name": "socket", "properties": {"pins": CPU}, "required": ["pins"]}],
        tags=[{"name": "fast"}],
    )
    shown = site.call("GET", path).body
    assert shown["self"] == "/v2/metadefs/namespaces/lab"
    assert shown["properties"] == {"cpu": CPU}
    assert shown["objects"][0]["required"] == ["pins"]
    assert shown["tags"] == [{"name": "fast"}]
    assert shown["resource_type_associations"][0]["prefix"] == "hw:"
    prefixed = site.call("GET", f"{path}?resource_type=OS::Nova::Flavor").body
    assert set(prefixed["properties"]) == {"hw:cpu"}
    assert prefixed["objects"][0]["required"] == ["hw:pins"]
    by_prefix = f"{path}/properties/hw:cpu?resource_type=OS::Nova::Flavor"
    assert site.call("GET", by_prefix).body["name"] == "cpu"
    assert site.call("GET", f"{path}/properties/cpu?resource_type=OS::Nova::Flavor").status == 404
    assert site.call("DELETE", path, who="admin").status == 204
    assert site.call("GET", path).status == 404
    assert site.call("GET", f"{path}/objects").status == 404


def test_private_namespaces_are_their_projects(site: ImageSite) -> None:
    """Others are told that there is none; only administrators change any."""
    path = namespace(site, "inner", visibility="private", owner="d" * 32)
    public = namespace(site, "open")
    assert site.call("GET", path).status == 200
    assert site.call("GET", path, who="member@other").status == 404
    assert site.call("GET", f"{path}/objects", who="member@other").status == 404
    listed = site.call("GET", TOP, who="member@other").body["namespaces"]
    assert [row["namespace"] for row in listed] == ["open"]
    assert len(site.call("GET", TOP).body["namespaces"]) == 2
    for who in ("member", "reader"):
        assert site.call("POST", TOP, {"namespace": "x"}, who=who).status == 403
        assert site.call("PUT", public, {"namespace": "open"}, who=who).status == 403
        assert site.call("DELETE", public, who=who).status == 403
        assert site.call("POST", f"{public}/objects", {"name": "x"}, who=who).status == 403
    assert site.call("DELETE", path, who="member@other").status == 404


def test_namespaces_change_and_are_protected(site: ImageSite) -> None:
    """A new name, a conflict, and a protection against removal."""
    path = namespace(site)
    namespace(site, "taken")
    body = {"namespace": "taken"}
    assert site.call("PUT", path, body, who="admin").status == 409
    body = {"namespace": "renamed", "protected": True, "visibility": "public"}
    assert site.call("PUT", path, body, who="admin").body["namespace"] == "renamed"
    renamed = f"{TOP}/renamed"
    assert site.call("DELETE", renamed, who="admin").status == 403
    assert site.call("DELETE", f"{renamed}/objects", who="admin").status == 403
    assert site.call("POST", TOP, {"namespace": "taken"}, who="admin").status == 409


@pytest.mark.parametrize(
    ("kind", "body", "changed"),
    [
        ("objects", {"name": "one"}, {"name": "two", "description": "x"}),
        ("properties", {"name": "one", **CPU}, {"name": "two", **CPU, "maximum": 8}),
    ],
)
def test_definitions_come_and_go(
    site: ImageSite, kind: str, body: dict[str, object], changed: dict[str, object]
) -> None:
    """Define, look, redefine under another name, remove one, remove all."""
    path = f"{namespace(site)}/{kind}"
    assert site.call("POST", path, body, who="admin").status == 201
    assert site.call("POST", path, body, who="admin").status == 409
    assert site.call("GET", f"{path}/one").body["name"] == "one"
    done = site.call("PUT", f"{path}/one", changed, who="admin")
    assert (done.status, done.body["name"]) == (200, "two")
    assert site.call("GET", f"{path}/one").status == 404
    assert len(site.call("GET", path).body[kind]) == 1
    assert site.call("DELETE", f"{path}/two", who="admin").status == 204
    assert site.call("DELETE", f"{path}/two", who="admin").status == 404
    assert site.call("POST", path, body, who="admin").status == 201
    assert site.call("DELETE", path, who="admin").status == 204
    assert not site.call("GET", path).body[kind]


def test_tags_are_replaced_or_added_to(site: ImageSite) -> None:
    """All at once, one by one, renamed."""
    path = f"{namespace(site)}/tags"

    def names() -> set[str]:
        return {tag["name"] for tag in site.call("GET", path).body["tags"]}

    tags = {"tags": [{"name": "a"}, {"name": "b"}]}
    assert site.call("POST", path, tags, who="admin").status == 201
    assert site.call("POST", path, {"tags": [{"name": "c"}]}, who="admin").status == 201
    assert names() == {"c"}
    more = {"x-openstack-append": "True"}
    assert site.call("POST", path, tags, who="admin", headers=more).status == 201
    assert names() == {"a", "b", "c"}
    assert site.call("POST", f"{path}/d", who="admin").status == 201
    assert site.call("POST", f"{path}/d", who="admin").status == 409
    assert site.call("PUT", f"{path}/d", {"name": "e"}, who="admin").status == 200
    assert site.call("DELETE", f"{path}/a", who="admin").status == 204
    assert names() == {"b", "c", "e"}
    assert site.call("DELETE", path, who="admin").status == 204
    assert names() == set()


def test_resource_types(site: ImageSite) -> None:
    """Known ones from the beginning, others from their first association."""
    path = f"{namespace(site)}/resource_types"
    types = "/v2/metadefs/resource_types"
    assert "OS::Glance::Image" in [
        row["name"] for row in site.call("GET", types).body["resource_types"]
    ]
    body = {"name": "Lab::Bench", "prefix": "lab_"}
    assert site.call("POST", path, body, who="admin").status == 201
    assert site.call("POST", path, body, who="admin").status == 409
    assert "Lab::Bench" in [row["name"] for row in site.call("GET", types).body["resource_types"]]
    listed = site.call("GET", f"{TOP}?resource_types=Lab::Bench").body["namespaces"]
    assert [row["namespace"] for row in listed] == ["lab"]
    assert site.call("DELETE", f"{path}/Lab::Bench", who="admin").status == 204
    assert site.call("DELETE", f"{path}/Lab::Bench", who="admin").status == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"namespace": "x" * 81}, 400),
        ({"namespace": "a/b"}, 400),
        ({"namespace": "x", "visibility": "shared"}, 400),
        ({"namespace": "x", "surprise": 1}, 400),
        ({"namespace": "x", "properties": {"p": {"type": "integer"}}}, 400),
        ({"namespace": "x", "properties": {"p": {"title": "p", "type": "colour"}}}, 400),
        ({"namespace": "x", "tags": [{"name": 1}]}, 400),
        ({"namespace": "x", "created_at": "now"}, 403),
        ({"namespace": "x", "tags": [{"name": "a"}, {"name": "a"}]}, 409),
    ],
)
def test_namespaces_that_are_none_are_refused(
    site: ImageSite, body: dict[str, object], status: int
) -> None:
    """And nothing of them stays."""
    assert site.call("POST", TOP, body, who="admin").status == status
    assert site.call("GET", f"{TOP}/x", who="admin").status == 404


def test_namespaces_are_paged(site: ImageSite) -> None:
    """By links, in the order that was asked for."""
    for number in range(5):
        namespace(site, f"n{number}")
    path, seen = f"{TOP}?limit=2&sort_key=namespace&sort_dir=asc", []
    while path:
        page = site.call("GET", path).body
        seen += [row["namespace"] for row in page["namespaces"]]
        path = page.get("next", "")
    assert seen == [f"n{number}" for number in range(5)]
    assert site.call("GET", f"{TOP}?marker=nowhere").status == 404


def test_every_schema_is_there(site: ImageSite) -> None:
    """Under the name that clients build their models by."""
    schemas = [route.path for route in site.app.table.routes if "/schemas/" in route.path]
    assert len(schemas) == 16
    for path in schemas:
        shown = site.call("GET", path).body
        assert shown["name"]
        assert shown["properties"]
