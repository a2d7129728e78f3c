"""Images as records: made, listed, changed, shared, deleted, by who may."""

from __future__ import annotations

import uuid

import pytest

from tests.image_site import PROJECTS, ImageSite

BAD = "00000000-0000-4000-8000-000000000000"


def ids(site: ImageSite, query: str = "", who: str = "member") -> list[str]:
    reply = site.call("GET", f"/v2/images{query}", who=who)
    assert reply.status == 200, reply
    return [image["id"] for image in reply.body["images"]]


def test_a_new_image_is_queued_and_shown_as_the_schema_says(site: ImageSite) -> None:
    """Every attribute of the schema is there; the answer names import methods and the store."""
    reply = site.call(
        "POST", "/v2/images", {"name": "one", "os_distro": "debian", "tags": ["a", "a"]}
    )
    assert reply.status == 201
    body = reply.body
    assert body["status"] == "queued"
    assert body["visibility"] == "shared"
    assert body["os_distro"] == "debian"
    assert body["tags"] == ["a"]
    assert body["owner"] == PROJECTS["demo"]
    assert body["size"] is None
    assert body["file"] == f"/v2/images/{body['id']}/file"
    assert reply.headers["location"].endswith(f"/image/v2/images/{body['id']}")
    assert (
        reply.headers["openstack-image-import-methods"] == "glance-direct,web-download,copy-image"
    )
    schema = site.call("GET", "/v2/schemas/image").body["properties"]
    assert {name for name in schema if name not in body} == {"locations", "direct_url", "stores"}


def test_an_id_is_given_once(site: ImageSite) -> None:
    """A second image of the same id is a conflict."""
    given = str(uuid.uuid4())
    assert site.image(id=given)["id"] == given
    assert site.call("POST", "/v2/images", {"id": given}).status == 409


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": 1}, 400),
        ({"disk_format": "floppy"}, 400),
        ({"min_ram": -1}, 400),
        ({"min_disk": "1"}, 400),
        ({"visibility": "nobody"}, 400),
        ({"protected": "true"}, 400),
        ({"id": "one"}, 400),
        ({"tags": "a"}, 400),
        ({"p": 1}, 400),
        ({"x" * 256: "v"}, 400),
        ({"n": "v\0"}, 400),
        ({"size": 1}, 403),
        ({"status": "active"}, 403),
        ({"self": "x"}, 403),
        ({"os_glance_foo": "x"}, 403),
        ({"location": "x"}, 403),
        ([], 400),
        ("x", 400),
    ],
)
def test_what_an_image_cannot_be_is_refused(site: ImageSite, body: object, status: int) -> None:
    """Wrong values are 400, attributes that are not the client's 403."""
    assert site.call("POST", "/v2/images", body).status == status


def test_only_administrators_publish_and_make_images_for_others(site: ImageSite) -> None:
    """`publicize_image` and ownership have their rules; readers make nothing."""
    assert site.call("POST", "/v2/images", {"visibility": "public"}).status == 403
    assert site.call("POST", "/v2/images", {"owner": PROJECTS["other"]}).status == 403
    assert site.call("POST", "/v2/images", {"name": "x"}, who="reader").status == 403
    assert site.image(who="admin", visibility="public")["visibility"] == "public"
    assert site.call("POST", "/v2/images", {}, who=None).status == 401


def test_visibility_decides_who_sees_an_image(site: ImageSite) -> None:
    """Public to all, community by name or on request, private to the project alone."""
    public = site.image(who="admin", visibility="public")["id"]
    community = site.image(visibility="community")["id"]
    private = site.image(visibility="private")["id"]
    other = "member@other"
    assert ids(site, who=other) == [public]
    assert set(ids(site)) == {private, community, public}
    assert ids(site, "?visibility=community", who=other) == [community]
    assert set(ids(site, "?visibility=all", who=other)) == {public, community}
    assert site.call("GET", f"/v2/images/{community}", who=other).status == 200
    assert site.call("GET", f"/v2/images/{private}", who=other).status == 404
    assert (
        site.call(
            "PATCH", f"/v2/images/{private}", [], headers={"content-type": "x"}, who=other
        ).status
        == 415
    )
    assert (
        site.patch(private, {"op": "replace", "path": "/name", "value": "x"}, who=other).status
        == 404
    )
    assert site.patch(public, {"op": "replace", "path": "/name", "value": "x"}).status == 403
    assert site.call("DELETE", f"/v2/images/{public}").status == 403
    assert site.call("DELETE", f"/v2/images/{private}", who=other).status == 404
    assert private in ids(site, who="admin")


def test_both_forms_of_patch_change_an_image(site: ImageSite) -> None:
    """Replace, add and remove, with the pointers' escapes; order matters, and all or nothing is done."""
    image = site.image(name="a", old="1")["id"]
    done = site.patch(
        image,
        {"op": "replace", "path": "/name", "value": "b"},
        {"op": "add", "path": "/with~1slash", "value": "2"},
        {"op": "remove", "path": "/old"},
        {"op": "replace", "path": "/tags", "value": ["t", "t", "u"]},
    )
    assert done.status == 200
    assert done.body["name"] == "b"
    assert done.body["with/slash"] == "2"
    assert done.body["tags"] == ["t", "u"]
    assert "old" not in done.body
    failed = site.patch(
        image,
        {"op": "replace", "path": "/name", "value": "c"},
        {"op": "remove", "path": "/absent"},
    )
    assert failed.status == 409
    assert site.show(image)["name"] == "b"
    old = {"content-type": "application/openstack-images-v2.0-json-patch"}
    path = f"/v2/images/{image}"
    assert (
        site.call("PATCH", path, [{"replace": "/name", "value": "d"}], headers=old).body["name"]
        == "d"
    )
    assert site.call("PATCH", path, [{"add": "/name", "value": "e"}], headers=old).status == 409
    assert site.call("PATCH", path, [{"add": "/p", "value": "1"}], headers=old).status == 200
    assert site.call("PATCH", path, [{"add": "/p", "value": "1"}], headers=old).status == 409


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"op": "move", "path": "/name", "value": "x"}, 400),
        ({"op": "replace", "path": "name", "value": "x"}, 400),
        ({"op": "replace", "path": "/name"}, 400),
        ({"op": "replace", "path": "/name/x", "value": "x"}, 400),
        ({"op": "replace", "path": "/name~2", "value": "x"}, 400),
        ({"op": "replace", "path": "//", "value": "x"}, 400),
        ({"op": "replace", "path": 1, "value": "x"}, 400),
        ({"op": "replace", "path": "/min_ram", "value": "x"}, 400),
        ({"op": "remove", "path": "/name"}, 403),
        ({"op": "replace", "path": "/status", "value": "active"}, 403),
        ({"op": "replace", "path": "/id", "value": BAD}, 403),
        ({"op": "add", "path": "/os_glance_x", "value": "1"}, 403),
        ({"op": "replace", "path": "/owner", "value": "x"}, 403),
        ({"op": "replace", "path": "/visibility", "value": "public"}, 403),
        ({"op": "add", "path": "/locations/-", "value": {"url": "file:///etc/passwd"}}, 403),
        ({"op": "replace", "path": "/absent", "value": "x"}, 409),
        ("x", 400),
    ],
)
def test_a_patch_that_is_none_is_refused(site: ImageSite, change: object, status: int) -> None:
    """Wrong operations, pointers and values are 400; what is not the client's 403."""
    image = site.image()["id"]
    assert site.patch(image, change).status == status  # type: ignore[arg-type]


def test_lists_are_filtered_sorted_and_paged(site: ImageSite) -> None:
    """Filters of every kind; both syntaxes of sorting; links lead through all pages."""
    for number in range(5):
        site.image(
            b"x" * (number + 1),
            name=f"n{number}",
            min_ram=number,
            tags=[f"t{number % 2}"],
            kind=str(number % 2),
        )

    def names(query: str) -> list[str]:
        return [image["name"] for image in site.call("GET", f"/v2/images{query}").body["images"]]

    assert names("?sort=name:asc") == [f"n{number}" for number in range(5)]
    assert names("?sort_key=size&sort_dir=desc") == [f"n{number}" for number in reversed(range(5))]
    assert names("?name=n3") == ["n3"]
    assert names("?name=in:n3,n1&sort=name:asc") == ["n1", "n3"]
    assert names("?size_min=2&size_max=3&sort=size:asc") == ["n1", "n2"]
    assert names("?min_ram=4") == ["n4"]
    assert names("?tag=t1&sort=name:asc") == ["n1", "n3"]
    assert names("?tag=t1&tag=t0") == []
    assert names("?kind=1&sort=name:asc") == ["n1", "n3"]
    assert names("?status=active&disk_format=raw&limit=1&sort=name:desc") == ["n4"]
    assert names("?created_at=lt:2001-01-01T00:00:00Z") == []
    assert len(names("?created_at=gte:2001-01-01T00:00:00Z")) == 5
    assert names("?protected=true") == []
    path, seen = "/v2/images?limit=2&sort=name:asc", []
    while path:
        page = site.call("GET", path).body
        seen += [image["name"] for image in page["images"]]
        path = page.get("next", "")
    assert seen == [f"n{number}" for number in range(5)]


@pytest.mark.parametrize(
    "query",
    [
        "limit=x",
        "limit=-1",
        "marker=nowhere",
        "sort_key=color",
        "sort_dir=up",
        "sort=name:asc&sort_key=name",
        "sort_key=name&sort_key=id&sort_dir=asc&sort_dir=asc&sort_dir=asc",
        "visibility=nobody",
        "member_status=maybe",
        "protected=perhaps",
        "os_hidden=perhaps",
        "size_min=x",
        "created_at=zz:2001-01-01",
        "created_at=gt:yesterday",
        'name=in:"a',
        "changes-since=2001-01-01",
    ],
)
def test_a_list_that_cannot_be_made_is_refused(site: ImageSite, query: str) -> None:
    """400 for each wrong parameter."""
    assert site.call("GET", f"/v2/images?{query}").status == 400


def test_hidden_images_are_listed_on_request_only(site: ImageSite) -> None:
    """`os_hidden` takes an image out of lists, not out of sight."""
    image = site.image(os_hidden=True)["id"]
    assert ids(site) == []
    assert ids(site, "?os_hidden=true") == [image]
    assert site.show(image)["os_hidden"] is True


def test_a_protected_image_is_not_deleted(site: ImageSite) -> None:
    """Until the protection is taken off."""
    image = site.image(b"x", protected=True)["id"]
    assert site.call("DELETE", f"/v2/images/{image}").status == 403
    assert site.patch(image, {"op": "replace", "path": "/protected", "value": False}).status == 200
    assert site.call("DELETE", f"/v2/images/{image}").status == 204
    assert site.call("GET", f"/v2/images/{image}").status == 404
    assert site.call("DELETE", f"/v2/images/{image}").status == 404


def test_sharing_takes_two(site: ImageSite) -> None:
    """The owner adds a member, the member accepts; only then is it in the member's lists."""
    image = site.image(b"x")["id"]
    path, other = f"/v2/images/{image}/members", PROJECTS["other"]
    assert site.call("GET", f"/v2/images/{image}", who="member@other").status == 404
    assert site.call("POST", path, {"member": other}).body["status"] == "pending"
    assert site.call("POST", path, {"member": other}).status == 409
    assert ids(site, who="member@other") == []
    assert ids(site, "?visibility=shared&member_status=pending", who="member@other") == [image]
    assert site.call("GET", f"/v2/images/{image}", who="member@other").status == 200
    assert site.call("PUT", f"{path}/{other}", {"status": "accepted"}).status == 403
    assert (
        site.call("PUT", f"{path}/{other}", {"status": "maybe"}, who="member@other").status == 400
    )
    assert (
        site.call("PUT", f"{path}/{other}", {"status": "accepted"}, who="member@other").status
        == 200
    )
    assert ids(site, who="member@other") == [image]
    assert site.call("GET", f"/v2/images/{image}/file", who="member@other").raw == b"x"
    assert [row["member_id"] for row in site.call("GET", path).body["members"]] == [other]
    third = site.call("POST", path, {"member": PROJECTS["service"]})
    assert third.status == 200
    seen = site.call("GET", path, who="member@other").body["members"]
    assert [row["member_id"] for row in seen] == [other]
    assert site.call("GET", f"{path}/{PROJECTS['service']}", who="member@other").status == 404
    spoof = site.call(
        "PUT", f"{path}/{PROJECTS['service']}", {"status": "accepted"}, who="member@other"
    )
    assert spoof.status == 404
    assert site.call("DELETE", f"{path}/{other}", who="member@other").status == 403
    assert site.call("DELETE", f"{path}/{other}").status == 204
    assert site.call("GET", f"/v2/images/{image}", who="member@other").status == 404
    private = site.image(visibility="private")["id"]
    assert site.call("GET", f"/v2/images/{private}/members").status == 403
    assert site.call("POST", f"/v2/images/{private}/members", {"member": other}).status == 403


def test_tags_come_and_go_one_by_one(site: ImageSite) -> None:
    """PUT twice is no error, DELETE of what is not there is 404."""
    image = site.image()["id"]
    path = f"/v2/images/{image}/tags"
    assert site.call("PUT", f"{path}/a%20b").status == 204
    assert site.call("PUT", f"{path}/a%20b").status == 204
    assert site.show(image)["tags"] == ["a b"]
    assert site.call("DELETE", f"{path}/a%20b").status == 204
    assert site.call("DELETE", f"{path}/a%20b").status == 404
    assert site.call("PUT", f"/v2/images/{BAD}/tags/x").status == 404
    assert site.call("PUT", f"{path}/{'x' * 256}").status == 400


def test_out_of_service_and_back(site: ImageSite) -> None:
    """A deactivated image is downloaded by administrators alone."""
    image = site.image(b"bytes")["id"]
    file, act = f"/v2/images/{image}/file", f"/v2/images/{image}/actions"
    assert site.call("POST", f"{act}/deactivate").status == 204
    assert site.show(image)["status"] == "deactivated"
    assert site.call("GET", file).status == 403
    assert site.call("GET", file, who="admin").raw == b"bytes"
    assert site.call("POST", f"{act}/reactivate").status == 204
    assert site.call("POST", f"{act}/reactivate").status == 204
    assert site.call("GET", file).raw == b"bytes"
    queued = site.image()["id"]
    assert site.call("POST", f"/v2/images/{queued}/actions/deactivate").status == 400


def test_versions_stores_methods_and_absent_caches(site: ImageSite) -> None:
    """Discovery without a token; what is not built is not found."""
    reply = site.call("GET", "/", who=None)
    assert reply.status == 300
    assert site.call("GET", "/versions", who=None).status == 200
    current = [row["id"] for row in reply.body["versions"] if row["status"] == "CURRENT"]
    assert current == ["v2.17"]
    assert site.call("GET", "/v2/info/stores").body["stores"][0]["id"] == "ringstack"
    assert site.call("GET", "/v2/info/stores/detail").status == 403
    assert site.call("GET", "/v2/info/stores/detail", who="admin").status == 200
    assert site.call("GET", "/v2/cache", who="admin").status == 404
    assert site.call("GET", "/v2/info/usage").body == {"usage": {}}


def test_refusals_come_as_the_client_reads_them(site: ImageSite) -> None:
    """JSON to who asks for JSON; a page, with the message escaped, to everybody else."""
    path = "/v2/images/%3Cscript%3E"
    told = site.call("GET", path).body
    assert told == {
        "message": "No image found with ID <script>",
        "code": "404 Not Found",
        "title": "Not Found",
    }
    page = site.call("GET", path, headers={"accept": "*/*"})
    assert page.headers["content-type"].startswith("text/html")
    assert b"<h1>404 Not Found</h1>" in page.raw
    assert b"&lt;script&gt;" in page.raw
