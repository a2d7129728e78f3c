"""What a machine's description says, whatever it is called, and what is read from it again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from computed.agent import growth
from computed.agent.config_drive import decoded
from computed.agent.domain_xml import (
    Surroundings,
    device_xml,
    devices_of,
    disk_element,
    domain_xml,
    target_of,
    text_of,
)
from computed.port import Disk, Domain, Interface
from core.errors import Corrupt, Refused, Unavailable

AROUND = Surroundings("qemu", "/data/compute/m")
SERVER = "0b6a8f1e-0000-4000-8000-00000000f001"
texts = st.text(st.characters(min_codepoint=32, blacklist_categories=["Cs"], max_codepoint=0xFFFD))


@given(name=texts, export=texts, socket=texts.filter(bool), tap=texts)
def test_no_name_becomes_structure(name: str, export: str, socket: str, tap: str) -> None:
    """Whatever text a name holds, the description has the same elements and gives the text back."""
    disk = Disk("volume-1", "attachment-1", "vda", export, socket, boot_index=0)
    interface = Interface("port-1", "fa:16:3e:00:00:01", tap, 1450)
    xml = domain_xml(Domain(SERVER, name, 64, 1, (disk,), (interface,)), AROUND)
    root = etree.fromstring(xml)
    assert root.findtext("name") == name or not name
    source = root.find("devices/disk/source")
    assert source is not None
    assert source.get("name") == export
    host = source.find("host")
    assert host is not None
    assert host.get("socket") == socket
    assert len(root.findall("devices/disk")) == 1
    assert len(root.findall("devices/interface")) == 1
    assert devices_of(xml) == (("attachment-1",), ("port-1",))


@pytest.mark.parametrize("name", ["a\0b", "a\x01b", "\ud800"])
def test_a_name_that_xml_cannot_hold_is_refused(name: str) -> None:
    """Rather than cut or escaped into something else."""
    with pytest.raises((ValueError, UnicodeError)):
        domain_xml(Domain(SERVER, name, 64, 1), AROUND)


def test_a_disk_is_raw_whatever_is_in_it() -> None:
    """CVE-2026-24708: a guest that writes the header of another format gets no other format."""
    element = disk_element(Disk("v", "a", "vdb", "x", "/s"))
    driver = element.find("driver")
    assert driver is not None
    assert driver.get("type") == "raw"
    assert element.find("backingStore") is None


def test_devices_are_found_by_who_they_are() -> None:
    """Their elements, their names for the guest; none for others."""
    disks = tuple(Disk("v", f"a{n}", f"vd{n}", "x", "/s") for n in "ab")
    xml = domain_xml(Domain(SERVER, "i", 64, 1, disks), AROUND)
    assert target_of(xml, "ab") == "vdb"
    assert target_of(xml, "ac") is None
    element = device_xml(xml, "disk", "aa")
    assert element is not None
    assert etree.fromstring(element).find("target").get("dev") == "vda"
    assert device_xml(xml, "interface", "aa") is None
    assert text_of(disk_element(disks[0])) in xml


@given(st.text(max_size=200))
def test_what_is_no_description_is_told(text: str) -> None:
    """Noise, and a document that would read a file of the host."""
    for noise in (text, f"<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><domain>&e;{text}"):
        with pytest.raises(Corrupt):
            devices_of(noise if not noise.startswith("<domain") else "<")


def test_remote_disks_and_read_only_ones() -> None:
    """By address where there is no socket; a cdrom is never written."""
    element = disk_element(Disk("v", "a", "sda", "x", host="h", port=10809, kind="cdrom"))
    host, target = element.find("source/host"), element.find("target")
    assert host is not None
    assert (host.get("name"), host.get("port")) == ("h", "10809")
    assert target is not None
    assert target.get("bus") == "sata"
    assert element.find("readonly") is not None


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "", "a/../../b", "a\nb", "a/b/c/d/e/f", "x" * 65, "a b"]
)
def test_a_config_drive_has_only_plain_names(name: str) -> None:
    with pytest.raises(Refused):
        decoded({name: ""})


def test_a_config_drive_has_only_base64() -> None:
    with pytest.raises(Refused):
        decoded({"openstack/latest/user_data": "#!/bin/sh"})


class Monitor:
    """QEMU's monitor as far as growing needs it: nodes by name, and what is over what."""

    def __init__(self) -> None:
        self.nodes = {"libvirt-1-storage": None, "libvirt-1-format": "libvirt-1-storage"}
        self.size = 0

    def __call__(self, text: str) -> str:
        import json

        command = json.loads(text)
        words = command["arguments"]
        match command["execute"]:
            case "query-block":
                device = {"qdev": "/machine/peripheral/ua-a1/virtio-backend"}
                rows = [{**device, "inserted": {"node-name": "libvirt-1-format"}}, {"qdev": "x"}]
                return json.dumps({"return": rows})
            case "query-named-block-nodes":
                return json.dumps({"return": [{"node-name": name} for name in self.nodes]})
            case "blockdev-add":
                if words["node-name"] in self.nodes:
                    return json.dumps({"error": {"desc": "Duplicate nodes"}})
                self.nodes[words["node-name"]] = None
            case "blockdev-del":
                if words["node-name"] in self.nodes.values():
                    return json.dumps({"error": {"desc": "in use"}})
                del self.nodes[words["node-name"]]
            case "blockdev-reopen":
                options = words["options"][0]
                self.nodes[options["node-name"]] = options["file"]
            case "block_resize":
                self.size = words["size"]
        return json.dumps({"return": {}})


def test_growing_leaves_the_names_that_libvirt_knows() -> None:
    """Also after an attempt that was cut off in the middle."""
    monitor, disk = Monitor(), Disk("v", "a1", "vda", "x", "/s", size_bytes=7)
    monitor.nodes[growth.SPARE] = None
    for _ in range(2):
        growth.tell(monitor, disk)
        assert monitor.size == 7
        assert monitor.nodes == {
            "libvirt-1-storage": None,
            "libvirt-1-format": "libvirt-1-storage",
        }
    with pytest.raises(Unavailable):
        growth.tell(monitor, Disk("v", "other", "vda", "x", "/s"))
