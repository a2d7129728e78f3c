"""Types, extra specs, access, encryption, QoS specs and default types."""

from __future__ import annotations

import pytest

from tests.block_site import PROJECTS, BlockSite


def new_type(site: BlockSite, name: str, **more: object) -> str:
    """The id of a new type."""
    reply = site.admin("POST", "/types", {"volume_type": {"name": name, **more}})
    assert reply.status == 200, reply
    return str(reply.body["volume_type"]["id"])


def test_types_are_made_changed_and_removed(site: BlockSite) -> None:
    """By administrators; names are unique; one that volumes have, and the default, stay."""
    kind = new_type(site, "fast", extra_specs={"a": "b"})
    assert site.call("POST", "/types", {"volume_type": {"name": "x"}}).status == 403
    again = {"volume_type": {"name": "fast"}}
    assert site.admin("POST", "/types", again).status == 409
    renamed = {"volume_type": {"name": "faster"}}
    assert site.admin("PUT", f"/types/{kind}", renamed).body["volume_type"]["name"] == "faster"
    volume = site.make("volume", size=1, volume_type="faster")
    assert volume["volume_type"] == "faster"
    assert site.admin("DELETE", f"/types/{kind}").status == 400
    site.call("DELETE", f"/volumes/{volume['id']}")
    assert site.admin("DELETE", f"/types/{kind}").status == 202
    default = site.call("GET", "/types/default").body["volume_type"]["id"]
    assert site.admin("DELETE", f"/types/{default}").status == 400
    assert site.admin("PUT", f"/types/{default}", renamed).status == 400


def test_private_types_are_for_those_who_were_let_in(site: BlockSite) -> None:
    """To others they are not there."""
    kind = new_type(site, "secret", is_public=False)
    path = f"/types/{kind}"
    assert site.call("GET", path).status == 404
    body = {"volume": {"size": 1, "volume_type": "secret"}}
    assert site.call("POST", "/volumes", body).status == 404
    give = {"addProjectAccess": {"project": PROJECTS["demo"]}}
    assert site.admin("POST", f"{path}/action", give).status == 202
    assert site.admin("POST", f"{path}/action", give).status == 409
    assert site.call("GET", path).status == 200
    assert site.call("GET", path, who="other").status == 404
    assert "secret" in [one["name"] for one in site.call("GET", "/types").body["volume_types"]]
    listed = site.admin("GET", f"{path}/os-volume-type-access").body["volume_type_access"]
    assert listed == [{"volume_type_id": kind, "project_id": PROJECTS["demo"]}]
    take = {"removeProjectAccess": {"project": PROJECTS["demo"]}}
    assert site.admin("POST", f"{path}/action", take).status == 202
    assert site.admin("POST", f"{path}/action", take).status == 404
    assert site.call("GET", path).status == 404


def test_extra_specs_are_for_administrators(site: BlockSite) -> None:
    """Others see those that are meant for them."""
    kind = new_type(site, "specs", extra_specs={"multiattach": "<is> True", "inner": "secret"})
    shown = site.call("GET", f"/types/{kind}").body["volume_type"]["extra_specs"]
    assert shown == {"multiattach": "<is> True"}
    path = f"/types/{kind}/extra_specs"
    assert site.admin("GET", path).body["extra_specs"]["inner"] == "secret"
    assert site.call("GET", f"{path}/inner").status == 404
    assert site.admin("PUT", f"{path}/inner", {"inner": "new"}).status == 200
    assert site.admin("PUT", f"{path}/inner", {"outer": "new"}).status == 400
    assert site.admin("PUT", f"{path}/inner", {"inner": 7}).status == 400
    assert site.admin("POST", path, {"extra_specs": {"a\0b": "c"}}).status == 400
    assert site.admin("DELETE", f"{path}/inner").status == 202
    assert site.admin("DELETE", f"{path}/inner").status == 404
    filtered = "/types?extra_specs=%7B%27multiattach%27%3A%27%3Cis%3E+True%27%7D"
    assert [one["id"] for one in site.admin("GET", filtered).body["volume_types"]] == [kind]


def test_encryption_is_of_types_that_nobody_has(site: BlockSite) -> None:
    """Made, changed, shown item by item, removed; frozen once volumes have the type."""
    kind = new_type(site, "sealed")
    path = f"/types/{kind}/encryption"
    assert site.admin("GET", path).body == {}
    given = {"provider": "luks", "control_location": "back-end", "key_size": 256}
    made = site.admin("POST", path, {"encryption": given}).body["encryption"]
    assert site.admin("POST", path, {"encryption": given}).status == 400
    assert site.admin("GET", f"{path}/key_size").body == {"key_size": 256}
    change = {"encryption": {"key_size": 512}}
    assert site.admin("PUT", f"{path}/{made['encryption_id']}", change).status == 200
    volume = site.make("volume", size=1, volume_type="sealed")
    assert volume["encrypted"] is True
    assert site.run(site.volumes.describe(volume["id"])).encrypted
    shown = site.call("GET", f"/volumes/{volume['id']}/encryption").body
    assert shown["encryption_key_id"] == volume["encryption_key_id"]
    assert site.admin("DELETE", f"{path}/{made['encryption_id']}").status == 400
    retype = {"os-retype": {"new_type": "__DEFAULT__"}}
    assert site.call("POST", f"/volumes/{volume['id']}/action", retype).status == 400
    bad = {"encryption": {"provider": "luks", "control_location": "moon"}}
    assert site.admin("POST", path, bad).status == 400


def test_qos_specs_belong_to_types(site: BlockSite) -> None:
    """Made, changed, given to types, taken away, removed."""
    given = {"name": "gold", "consumer": "both", "total_iops_sec": "100"}
    made = site.admin("POST", "/qos-specs", {"qos_specs": given}).body["qos_specs"]
    path = f"/qos-specs/{made['id']}"
    assert made["specs"] == {"total_iops_sec": "100"}
    assert site.admin("POST", "/qos-specs", {"qos_specs": given}).status == 409
    odd = {"qos_specs": {"name": "odd", "consumer": "moon"}}
    assert site.admin("POST", "/qos-specs", odd).status == 400
    site.admin("PUT", path, {"qos_specs": {"read_iops_sec": "5"}})
    assert site.admin("PUT", f"{path}/delete_keys", {"keys": ["none"]}).status == 400
    assert site.admin("PUT", f"{path}/delete_keys", {"keys": ["total_iops_sec"]}).status == 202
    assert site.admin("GET", path).body["qos_specs"]["specs"] == {"read_iops_sec": "5"}
    kind = new_type(site, "golden")
    assert site.admin("GET", f"{path}/associate?vol_type_id={kind}").status == 202
    assert site.admin("GET", f"{path}/associations").body["qos_associations"][0]["id"] == kind
    assert site.admin("DELETE", path).status == 400
    assert site.admin("GET", f"{path}/disassociate_all").status == 202
    assert site.admin("DELETE", path).status == 202
    assert site.admin("GET", path).status == 404


def test_a_project_may_have_a_default_type_of_its_own(site: BlockSite) -> None:
    """Volumes that name no type get it."""
    kind = new_type(site, "ours")
    path = f"/default-types/{PROJECTS['demo']}"
    body = {"default_type": {"volume_type": "ours"}}
    assert site.call("PUT", path, body).status == 403
    assert site.admin("PUT", path, body).status == 200
    assert site.make("volume", size=1)["volume_type_id"] == kind
    assert site.admin("DELETE", f"/types/{kind}").status == 400
    assert site.admin("DELETE", path).status == 204
    assert site.admin("GET", path).status == 404


@pytest.mark.parametrize(
    "given",
    [{}, {"name": ""}, {"name": " "}, {"name": "x" * 256}, {"name": "a", "is_public": 5}],
)
def test_what_makes_no_type_is_400(site: BlockSite, given: object) -> None:
    """Each by its shape."""
    assert site.admin("POST", "/types", {"volume_type": given}).status == 400
