"""A machine as libvirt's domain XML, and what a domain's XML says it has. Pure.

Every device that comes and goes carries who it is as its alias (`ua-` and the id of the attachment or the port), so the
hypervisor itself knows what is plugged in and nothing has to be remembered beside it. Text is set as text of elements,
never pasted: whatever a name contains, it stays a name. Format: libvirt's formatdomain.html.
"""

from __future__ import annotations

from typing import NamedTuple

from lxml import etree

from computed.port import Disk, Domain, Interface
from core.errors import Corrupt

ALIAS = "ua-"
RECONNECT_S = 60  # how long a disk's requests wait for a block daemon that starts again
MACHINES = frozenset({"pc", "q35"})
NAME_BYTES = 12  # of a server's id, in the names of its sockets
KIB_PER_MIB = 1024


class Surroundings(NamedTuple):
    """What the host gives each of its machines."""

    kind: str  # kvm or qemu
    directory: str  # where sockets, logs and config drives are
    machine: str = "pc"
    uefi: str = ""  # the firmware's file, when there is one


class Devices(NamedTuple):
    """What a domain has, by alias."""

    disks: tuple[str, ...]  # attachment ids
    interfaces: tuple[str, ...]  # port ids


def console_socket(directory: str, server_id: str) -> str:
    """The VNC server of a machine. Short, because a socket's name has 107 bytes at most."""
    return f"{directory}/{server_id[:NAME_BYTES]}.vnc"


def serial_socket(directory: str, server_id: str) -> str:
    """The serial line of a machine."""
    return f"{directory}/{server_id[:NAME_BYTES]}.tty"


def serial_log(directory: str, server_id: str) -> str:
    """What a machine wrote to its serial line."""
    return f"{directory}/{server_id}.log"


def config_drive_path(directory: str, server_id: str) -> str:
    """The config drive of a machine."""
    return f"{directory}/{server_id}.config"


def domain_xml(domain: Domain, around: Surroundings) -> str:
    """The whole definition."""
    root = etree.Element("domain", type=around.kind)
    _text(root, "name", domain.name)
    _text(root, "uuid", domain.server_id)
    _text(root, "memory", str(domain.memory_mb * KIB_PER_MIB), unit="KiB")
    _text(root, "vcpu", str(domain.vcpus))
    system = etree.SubElement(root, "os")
    machine = domain.machine if domain.machine in MACHINES else around.machine
    _text(system, "type", "hvm", arch="x86_64", machine=machine)
    if domain.firmware == "uefi" and around.uefi:
        _text(system, "loader", around.uefi, readonly="yes", type="pflash")
    features = etree.SubElement(root, "features")
    etree.SubElement(features, "acpi")
    etree.SubElement(features, "apic")
    _processor(root, around.kind)
    etree.SubElement(root, "clock", offset="utc")
    for name, action in (
        ("on_poweroff", "destroy"),
        ("on_reboot", "restart"),
        ("on_crash", "destroy"),
    ):
        _text(root, name, action)
    _devices(etree.SubElement(root, "devices"), domain, around)
    return text_of(root)


def _text(parent: etree._Element, name: str, text: str, **attributes: str) -> None:
    etree.SubElement(parent, name, attributes).text = text


def _processor(root: etree._Element, kind: str) -> None:
    if kind == "kvm":
        etree.SubElement(root, "cpu", mode="host-passthrough", check="none", migratable="on")
        return
    processor = etree.SubElement(root, "cpu", mode="maximum", check="none")
    etree.SubElement(
        processor, "feature", policy="disable", name="la57"
    )  # costs software emulation much


def _devices(devices: etree._Element, domain: Domain, around: Surroundings) -> None:
    for disk in domain.disks:
        devices.append(disk_element(disk))
    if domain.config_drive:
        devices.append(_config_drive(domain, around))
    for interface in domain.interfaces:
        devices.append(interface_element(interface))
    serial = etree.SubElement(devices, "serial", type="unix")
    etree.SubElement(
        serial, "source", mode="bind", path=serial_socket(around.directory, domain.server_id)
    )
    etree.SubElement(
        serial, "log", file=serial_log(around.directory, domain.server_id), append="on"
    )
    etree.SubElement(etree.SubElement(devices, "video"), "model", type="vga")
    graphics = etree.SubElement(devices, "graphics", type="vnc")
    path = console_socket(around.directory, domain.server_id)
    etree.SubElement(graphics, "listen", type="socket", socket=path)
    etree.SubElement(devices, "input", type="tablet", bus="usb")
    random = etree.SubElement(devices, "rng", model="virtio")
    _text(random, "backend", "/dev/urandom", model="random")
    etree.SubElement(devices, "memballoon", model="virtio")


def disk_element(disk: Disk) -> etree._Element:
    """A disk that is an NBD export."""
    element = etree.Element(
        "disk", type="network", device="cdrom" if disk.kind == "cdrom" else "disk"
    )
    # the format is never guessed from what a guest has written (CVE-2026-24708)
    etree.SubElement(
        element, "driver", name="qemu", type="raw", cache="none", io="threads", discard="unmap"
    )
    source = etree.SubElement(element, "source", protocol="nbd", name=disk.export)
    if disk.unix_socket:
        etree.SubElement(source, "host", transport="unix", socket=disk.unix_socket)
    else:
        etree.SubElement(source, "host", name=disk.host, port=str(disk.port))
    etree.SubElement(source, "reconnect", delay=str(RECONNECT_S))
    bus = "sata" if disk.kind == "cdrom" else disk.bus
    etree.SubElement(element, "target", dev=disk.device, bus=bus)
    if disk.boot_index >= 0:
        etree.SubElement(element, "boot", order=str(disk.boot_index + 1))
    if disk.read_only or disk.kind == "cdrom":
        etree.SubElement(element, "readonly")
    _text(element, "serial", disk.volume_id[:20])
    etree.SubElement(element, "alias", name=ALIAS + disk.attachment_id)
    return element


def interface_element(interface: Interface) -> etree._Element:
    """An interface whose tap the network agent has made."""
    element = etree.Element("interface", type="ethernet")
    etree.SubElement(element, "mac", address=interface.mac)
    etree.SubElement(element, "target", dev=interface.tap, managed="no")
    etree.SubElement(element, "model", type=interface.model)
    if interface.mtu:
        etree.SubElement(element, "mtu", size=str(interface.mtu))
    etree.SubElement(element, "alias", name=ALIAS + interface.port_id)
    return element


def _config_drive(domain: Domain, around: Surroundings) -> etree._Element:
    element = etree.Element("disk", type="file", device="disk")
    etree.SubElement(element, "driver", name="qemu", type="raw")
    etree.SubElement(element, "source", file=config_drive_path(around.directory, domain.server_id))
    etree.SubElement(element, "target", dev="vdz", bus="virtio")
    etree.SubElement(element, "readonly")
    return element


def text_of(element: etree._Element) -> str:
    """An element as libvirt takes it."""
    return str(etree.tostring(element, encoding="unicode"))


def _parsed(xml: str) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    try:
        return etree.fromstring(xml, parser)
    except etree.XMLSyntaxError as error:
        raise Corrupt("BadXml", f"the hypervisor's description cannot be read: {error}") from None


def devices_of(xml: str) -> Devices:
    """What a domain has. Raises Corrupt."""
    root = _parsed(xml)
    return Devices(_aliases(root, "devices/disk"), _aliases(root, "devices/interface"))


def device_xml(xml: str, kind: str, alias: str) -> str | None:
    """The element of a device (`disk` or `interface`) of a domain, or None."""
    for element in _parsed(xml).iterfind(f"devices/{kind}"):
        found = element.find("alias")
        if found is not None and found.get("name") == ALIAS + alias:
            return text_of(element)
    return None


def with_disk(xml: str, disk: Disk) -> str:
    """A description with one more disk. What libvirt adds when nothing is booted from (`os/boot`) goes."""
    root = _parsed(xml)
    for element in root.iterfind("os/boot"):
        element.getparent().remove(element)
    devices = root.find("devices")
    if devices is None:
        raise Corrupt("BadXml", "the hypervisor's description has no devices")
    devices.append(disk_element(disk))
    return text_of(root)


def target_of(xml: str, alias: str) -> str | None:
    """The device (`vda`) of a disk of a domain, or None."""
    element = device_xml(xml, "disk", alias)
    if element is None:
        return None
    target = _parsed(element).find("target")
    return None if target is None else target.get("dev")


def _aliases(root: etree._Element, path: str) -> tuple[str, ...]:
    found = (element.find("alias") for element in root.iterfind(path))
    names = (one.get("name", "") for one in found if one is not None)
    return tuple(name.removeprefix(ALIAS) for name in names if name.startswith(ALIAS))
